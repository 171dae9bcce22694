//! Adds the fields to messages, for a log whose readers see the message and nothing else.
//!
//! `journalctl` prints MESSAGE only. Invariant: every field is still there by itself, unchanged.

use std::fmt::{Debug, Write};

use tracing::{
    Event, Metadata, Subscriber, Value,
    field::{Field, Visit},
    span,
    subscriber::Interest,
};
use tracing_subscriber::{Layer, layer::Context};

/// A layer that passes events on to another one, with the fields in the message, too.
pub(super) struct FieldsInMessage<L> {
    to: L,
}

impl<L> FieldsInMessage<L> {
    pub(super) fn new(to: L) -> Self {
        Self { to }
    }
}

impl<S: Subscriber, L: Layer<S>> Layer<S> for FieldsInMessage<L> {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        self.to.register_callsite(metadata)
    }

    fn enabled(&self, metadata: &Metadata<'_>, context: Context<'_, S>) -> bool {
        self.to.enabled(metadata, context)
    }

    fn on_new_span(&self, attributes: &span::Attributes<'_>, id: &span::Id, context: Context<'_, S>) {
        self.to.on_new_span(attributes, id, context);
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut recorded = EventFields::default();
        event.record(&mut recorded);
        let message = recorded.line();
        let fields = event.metadata().fields();
        // A field that the event does not set has no value.
        let values: Vec<Option<&dyn Value>> = fields
            .iter()
            .map(|field| match field.name() {
                "message" => Some(&message as &dyn Value),
                name => recorded.fields.iter().find(|(known, _)| *known == name).map(|(_, value)| value.value()),
            })
            .collect();
        let values = fields.value_set_all(&values);
        // The event stays in its span.
        self.to.on_event(&Event::new(event.metadata(), &values), context);
    }
}

/// The value of a field.
enum FieldValue {
    Bool(bool),
    Float(f64),
    Signed(i64),
    Unsigned(u64),
    Text(String),
}

impl FieldValue {
    fn value(&self) -> &dyn Value {
        match self {
            FieldValue::Bool(value) => value,
            FieldValue::Float(value) => value,
            FieldValue::Signed(value) => value,
            FieldValue::Unsigned(value) => value,
            FieldValue::Text(text) => text,
        }
    }
}

/// Collects the message and fields of an event.
#[derive(Default)]
struct EventFields {
    message: String,
    fields: Vec<(&'static str, FieldValue)>,
}

impl EventFields {
    /// Returns the message and each field but `event`, which the message already says in words.
    fn line(&self) -> String {
        let mut line = self.message.clone();
        for (name, value) in self.fields.iter().filter(|(name, _)| *name != "event") {
            // Writing to a string never fails.
            let _ = match value {
                FieldValue::Bool(value) => write!(line, " {name}={value}"),
                FieldValue::Float(value) => write!(line, " {name}={value}"),
                FieldValue::Signed(value) => write!(line, " {name}={value}"),
                FieldValue::Unsigned(value) => write!(line, " {name}={value}"),
                FieldValue::Text(text) if text.contains(char::is_whitespace) => write!(line, " {name}={text:?}"),
                FieldValue::Text(text) => write!(line, " {name}={text}"),
            };
        }
        line
    }
}

impl Visit for EventFields {
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.fields.push((field.name(), FieldValue::Bool(value)));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.fields.push((field.name(), FieldValue::Float(value)));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.fields.push((field.name(), FieldValue::Signed(value)));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.fields.push((field.name(), FieldValue::Unsigned(value)));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => value.clone_into(&mut self.message),
            name => self.fields.push((name, FieldValue::Text(value.to_owned()))),
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let text = format!("{value:?}");
        self.record_str(field, &text);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    /// Keeps the fields of events.
    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<Named>>>);

    type Named = Vec<(String, String)>;

    struct Fields(Named);

    impl Visit for Fields {
        fn record_str(&mut self, field: &Field, value: &str) {
            self.0.push((field.name().to_owned(), value.to_owned()));
        }

        fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
            self.0.push((field.name().to_owned(), format!("{value:?}")));
        }
    }

    impl<S: Subscriber> Layer<S> for Kept {
        fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
            let mut fields = Fields(Vec::new());
            event.record(&mut fields);
            self.0.lock().expect("no panic").push(fields.0);
        }
    }

    #[test]
    fn the_message_holds_the_figures_and_every_field_stays() {
        let kept = Kept::default();
        let absent: Option<f64> = None;
        tracing::subscriber::with_default(
            tracing_subscriber::registry().with(FieldsInMessage::new(kept.clone())),
            || {
                tracing::info!(
                    event = "model",
                    model = "mean of all",
                    rmse = 5.25,
                    n = 3_u64,
                    lag = -1,
                    ok = true,
                    absent,
                    "standing"
                );
                tracing::warn!(error = %"no route", "try {} failed", 7);
            },
        );
        let seen = kept.0.lock().expect("no panic");
        let field = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let mut first = seen[0].clone();
        first.sort();
        assert_eq!(
            first,
            [
                field("event", "model"),
                field("lag", "-1"),
                field("message", "standing model=\"mean of all\" rmse=5.25 n=3 lag=-1 ok=true"),
                field("model", "mean of all"),
                field("n", "3"),
                field("ok", "true"),
                field("rmse", "5.25"),
            ]
        );
        assert!(seen[1].contains(&field("message", "try 7 failed error=\"no route\"")), "{:?}", seen[1]);
    }
}
