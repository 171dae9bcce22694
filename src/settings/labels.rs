//! Reads `[labels]`: targets that come later than their samples.

use std::time::Duration;

use thalweg_pipeline::{
    decode::Schema,
    labels::{Join, Labels, Marker, Mode, OnCorrection},
};

use super::{choices::choices, section::Section};

/// Largest budget for what waits, in bytes.
const MAX_PENDING: usize = 1 << 40;

/// Where targets come, by name.
#[derive(Clone, Copy)]
enum Place {
    Inline,
    SameTopic,
    Topic,
}

/// Reads when targets come, for samples of `schema`.
pub(super) fn read(mut section: Section, schema: &Schema) -> Labels {
    let default = Labels::default();
    let modes = choices!(Place { "inline": Inline, "same_topic": SameTopic, "topic": Topic });
    let named = section.optional_text("mode").map(|text| section.chosen("mode", &text, &modes));
    let is_named = named.as_ref().is_none_or(Option::is_some);
    let place = named.flatten().unwrap_or(Place::Inline);
    let join = Join { by: section.optional_text("by"), marker: marker(section.section("marker")) };
    let target = section.has("default").then(|| section.number("default", 0.0, -1e150..=1e150));
    let labels = Labels {
        mode: match place {
            Place::Inline => Mode::Inline,
            Place::SameTopic => Mode::SameTopic(join.clone()),
            Place::Topic => Mode::Topic(join.clone()),
        },
        max_wait: milliseconds(&mut section, "max_wait", default.max_wait, Duration::from_millis(1)),
        max_pending: section.bytes("max_pending", default.max_pending, 1 << 16..=MAX_PENDING),
        max_early: milliseconds(&mut section, "max_early", default.max_early, Duration::ZERO),
        default: target,
        on_correction: section.one_of(
            "on_correction",
            default.on_correction,
            &choices!(OnCorrection { "refuse": Refuse, "learn": Learn }),
        ),
    };
    match place {
        Place::Inline if !is_named => {}
        Place::Inline
            if join != Join::default()
                || labels.default.is_some()
                || labels.max_early > 0
                || labels.on_correction != OnCorrection::Refuse =>
        {
            section.problem("mode", "is \"inline\", where targets are in their samples; set it to \"same_topic\" or \"topic\", or leave by, marker, default, max_early and on_correction out");
        }
        Place::Inline => {}
        Place::SameTopic | Place::Topic => check(&section, &join, labels.on_correction == OnCorrection::Learn, schema),
    }
    labels
}

/// Checks that labels can be told, and what joins them is known.
fn check(section: &Section, join: &Join, corrects: bool, schema: &Schema) {
    match join.by.as_deref() {
        Some("") => {
            section.problem("by", "must not be empty; leave it out where labels are joined by the records' key")
        }
        Some("$key") => section.problem("by", "is a field; leave it out where labels are joined by the records' key"),
        _ => {}
    }
    if join.by.as_ref() == Some(&schema.target) {
        section.problem("by", &format!("must not be the target `{}`: samples do not have it", schema.target));
    }
    if let Some(marker) = &join.marker
        && marker.field == schema.target
    {
        section.problem(
            "marker.field",
            &format!("must not be the target `{}`, which says it without a marker", schema.target),
        );
    }
    if join.by.is_none() && corrects {
        section.problem(
            "on_correction",
            "is \"learn\", which needs labels.by: by the records' key alone a label is that of the next sample",
        );
    }
}

fn marker(mut section: Section) -> Option<Marker> {
    match (section.optional_text("field"), section.optional_text("value")) {
        (Some(field), Some(value)) => Some(Marker { field, value }),
        (None, None) => None,
        (Some(_), None) => {
            section.problem("value", "is missing: a label is told by the value of the field");
            None
        }
        (None, Some(_)) => {
            section.problem("field", "is missing: a label is told by the value of a field");
            None
        }
    }
}

fn milliseconds(section: &mut Section, key: &str, default: u64, least: Duration) -> u64 {
    let read = section.duration(key, Duration::from_millis(default), least);
    u64::try_from(read.as_millis()).unwrap_or(u64::MAX)
}
