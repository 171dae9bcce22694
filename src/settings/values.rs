//! Reads `schema.missing`, `schema.on_bad_field`, `schema.numeric_text`: how values are interpreted.

use config::ValueKind;

use super::{
    choices::{Choices, choices},
    section::Section,
};
use thalweg_pipeline::decode::{NumericText, OnBad, OnBadField, Schema};

const ON_BAD_CHOICES: &Choices<OnBad> = &choices!(OnBad { "missing": Missing, "dead_letter": DeadLetter });

/// Reads the texts that stand for unknown values.
pub(super) fn missing(section: &mut Section) -> Vec<String> {
    let Some(value) = section.take("missing") else { return Schema::usual_missing() };
    let texts = section.list_of_texts("missing", value, "a list of texts, or [] for none").unwrap_or_default();
    texts.into_iter().map(|text| text.trim_ascii().to_owned()).collect()
}

/// Reads a word for all fields, or a table for features, target and timestamp.
pub(super) fn on_bad_field(section: &mut Section) -> OnBadField {
    if section.is_table("on_bad_field") {
        let mut table = section.section("on_bad_field");
        let OnBadField { features, target, timestamp } = OnBadField::DEFAULT;
        return OnBadField {
            features: table.one_of("features", features, ON_BAD_CHOICES),
            target: table.one_of("target", target, ON_BAD_CHOICES),
            timestamp: table.one_of("timestamp", timestamp, ON_BAD_CHOICES),
        };
    }
    match section.has("on_bad_field") {
        false => OnBadField::DEFAULT,
        true => {
            let all = section.one_of("on_bad_field", OnBad::Missing, ON_BAD_CHOICES);
            OnBadField { features: all, target: all, timestamp: all }
        }
    }
}

/// Reads "auto", true or false.
pub(super) fn numeric_text(section: &mut Section) -> NumericText {
    let Some(value) = section.take("numeric_text") else { return NumericText::Auto };
    match value.kind {
        ValueKind::Boolean(true) => NumericText::Always,
        ValueKind::Boolean(false) => NumericText::Never,
        ValueKind::String(text) if text == "auto" => NumericText::Auto,
        other => {
            section.problem("numeric_text", &format!("must be \"auto\", true or false, not {other}"));
            NumericText::Auto
        }
    }
}
