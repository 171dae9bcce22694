//! Events in words.

use serde_json::Value;
use thalweg_logging::figures::significant;

/// An event, as it is shown beside a plot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    /// Its name in the events topic.
    pub(crate) kind: String,
    /// The model that it is about, where it is about one.
    pub(crate) model: Option<String>,
    /// What happened, for people.
    pub(crate) words: String,
}

impl Told {
    /// Reads an event as it is published; `None` where it is none.
    pub(crate) fn of(event: &Value) -> Option<Self> {
        let kind = event["event"].as_str()?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let number = |value: &Value| value.as_f64().map_or_else(|| "?".to_owned(), significant);
        let model = event["model"].as_str().map(str::to_owned);
        let named = model.clone().unwrap_or_default();
        let (model, words) = match kind {
            "drift" => {
                let [before, after] = ["rmse_before", "rmse_after"].map(|it| number(&event[it]));
                let others = event["models"].as_array().map_or(0, Vec::len).saturating_sub(1);
                let others = if others > 0 { format!(" and {others} more") } else { String::new() };
                (model, format!("drift: RMSE of {named}{others} from {before} to {after}"))
            }
            "guard" => {
                let to = event["to_version"].as_u64().unwrap_or(0);
                let how = match event["action"].as_str() {
                    Some("rollback") => format!("taken back to version {to}"),
                    _ => "made anew".to_owned(),
                };
                (model, format!("rescue: {named} diverged and was {how}"))
            }
            "champion_changed" => {
                let (from, to) = (&event["from"], &event["to"]);
                let words = format!(
                    "champion: {} (RMSE {}) after {} ({})",
                    text(&to["model"]),
                    number(&to["rmse"]),
                    text(&from["model"]),
                    number(&from["rmse"])
                );
                let of = event["champion"].as_str().map_or(String::new(), |of| format!(" of {of}"));
                (Some(text(&to["model"])), words.replacen("champion", &format!("champion{of}"), 1))
            }
            "stand_in" if event["active"] == true => (model, format!("the mean stands in for {named}")),
            "stand_in" => (model, format!("{named} is published again")),
            "outlier" => {
                let feature =
                    event["feature"].as_str().map_or("the target".to_owned(), |name| format!("feature {name}"));
                let [value, taken] = ["value", "taken_for"].map(|it| number(&event[it]));
                (None, format!("outlier: {feature} was {value}, learned as {taken}"))
            }
            "gap" => {
                let missed = event["missed"].as_u64().map_or("an unknown number of".to_owned(), |it| it.to_string());
                (None, format!("gap: {missed} records were missed ({})", text(&event["reason"])))
            }
            other => (model, other.replace('_', " ")),
        };
        Some(Self { kind: kind.to_owned(), model, words })
    }

    /// Returns true for what is marked in the history; outliers may be many.
    pub(super) fn is_mark(&self) -> bool {
        self.kind != "outlier"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn events_are_told_in_words() {
        let words = |event: Value| Told::of(&event).expect("an event").words;
        let drift =
            json!({"event":"drift","model":"tree","rmse_before":1.5,"rmse_after":3.25,"models":["tree","linear"]});
        assert_eq!(words(drift), "drift: RMSE of tree and 1 more from 1.5000 to 3.2500");
        let changed =
            json!({"event":"champion_changed","from":{"model":"mean","rmse":5.0},"to":{"model":"tree","rmse":2.0}});
        assert_eq!(words(changed), "champion: tree (RMSE 2.0000) after mean (5.0000)");
        let guard = json!({"event":"guard","model":"linear","action":"rollback","to_version":900});
        assert_eq!(words(guard), "rescue: linear diverged and was taken back to version 900");
        let gap = json!({"event":"gap","reason":"retention","missed":null});
        assert_eq!(words(gap), "gap: an unknown number of records were missed (retention)");
        assert_eq!(Told::of(&json!({"timestamp": 1})), None);
    }
}
