//! Writes values as TOML: the settings that make a model, to be pasted.
//!
//! Invariant: what is written here reads back as the same value.

use config::{Map, Value, ValueKind};

use thalweg_models::ModelConfig;

/// Writes a `[[models]]` entry. `name` and `kind` come first, the rest by name; keys are those of settings, which need
/// no quotes.
pub(super) fn entry(table: &Map<String, Value>) -> String {
    lines(ordered(table).into_iter().map(|key| (key.as_str(), toml(&table[key]))))
}

/// Writes the entry of a model whose parameters are its kind's defaults.
pub(super) fn default_entry(model: &ModelConfig) -> String {
    let scale = model.kind.default_steps().map(|default| ("scale", (default.steps(true) == model.steps).into()));
    let named = [("name", model.name.as_str().into()), ("kind", model.kind.name().into())];
    lines(named.into_iter().chain(scale))
}

/// Writes a text in its quotes.
pub fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

fn lines<'a>(values: impl Iterator<Item = (&'a str, toml::Value)>) -> String {
    let lines = values.map(|(key, value)| format!("{key} = {value}\n"));
    ["[[models]]\n".to_owned()].into_iter().chain(lines).collect()
}

/// Converts a value; the result prints as it stands behind `=`.
pub(super) fn toml(value: &Value) -> toml::Value {
    match &value.kind {
        // TOML has no null, and reading gives none.
        ValueKind::Nil => "".into(),
        ValueKind::Boolean(truth) => (*truth).into(),
        // An integer out of TOML's range stays text, which is no number to any key.
        ValueKind::I64(_) | ValueKind::I128(_) | ValueKind::U64(_) | ValueKind::U128(_) => {
            value.clone().into_int().map_or_else(|_| value.to_string().into(), toml::Value::Integer)
        }
        ValueKind::Float(number) => (*number).into(),
        ValueKind::String(text) => text.as_str().into(),
        ValueKind::Array(values) => toml::Value::Array(values.iter().map(toml).collect()),
        ValueKind::Table(table) => {
            toml::Value::Table(ordered(table).into_iter().map(|key| (key.clone(), toml(&table[key]))).collect())
        }
    }
}

fn ordered(table: &Map<String, Value>) -> Vec<&String> {
    let place = |key: &str| ["name", "kind"].iter().position(|first| *first == key).unwrap_or(2);
    let mut keys: Vec<&String> = table.keys().collect();
    keys.sort_by_key(|key| (place(key), *key));
    keys
}

#[cfg(test)]
mod tests {
    use config::{Config, File, FileFormat};

    use super::*;
    use crate::{Section, model};

    fn table(toml: &str) -> Map<String, Value> {
        let config = Config::builder().add_source(File::from_str(toml, FileFormat::Toml)).build().expect("TOML");
        config.cache.into_table().expect("a table")
    }

    #[test]
    fn a_written_value_reads_back_as_it_was() {
        let text = r#"
            kind = "a \"b\"\\ \u0007\u007f<&é"
            name = ""
            numbers = [1, -2, 0.1, 1e-7, 1e300, 5.0]
            nested = { "odd key" = true, list = [[], ["x"]], deep = { a = { b = false } } }
        "#;
        let before = table(text);
        let after = table(&format!("value = {}", toml(&Value::from(before.clone()))));
        assert_eq!(after["value"].clone().into_table().expect("a table"), before);
    }

    #[test]
    fn an_entry_is_a_line_for_each_key_and_begins_with_whose_it_is() {
        let written = entry(&table("l2 = 0.5\nkind = 'linear'\nname = 'a'\noptimizer = { lr = 1.0, kind = 'sgd' }"));
        let optimizer = r#"optimizer = { kind = "sgd", lr = 1.0 }"#;
        assert_eq!(written, format!("[[models]]\nname = \"a\"\nkind = \"linear\"\nl2 = 0.5\n{optimizer}\n"));
    }

    #[test]
    fn the_default_race_is_what_its_entries_make() {
        let race = model::default_race();
        let text: String = race.iter().map(default_entry).collect();
        let (mut root, problems) = Section::root(table(&text));
        let read = model::read_all(&mut root);
        drop(root);
        assert_eq!(problems.into_result(read).expect("good settings"), race);
    }
}
