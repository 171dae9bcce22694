//! Values as TOML: the settings that make a model, to be pasted.
//!
//! Invariant: what is spelled here reads back as the same value.

use config::{Map, Value, ValueKind};

use crate::models::{ModelConfig, steps::StepKind};

/// A `[[models]]` entry. `name` and `kind` come first, the rest by name.
pub(super) fn entry(table: &Map<String, Value>) -> String {
    let mut text = String::from("[[models]]\n");
    for key in ordered(table) {
        text.push_str(&bare(key));
        text.push_str(" = ");
        value(&table[key], &mut text);
        text.push('\n');
    }
    text
}

/// The entry of a model whose parameters are its kind's defaults.
pub(super) fn default_entry(model: &ModelConfig) -> String {
    let kind = model.kind.name();
    let scale = if model.kind.is_tame() {
        String::new()
    } else {
        format!(
            "scale = {}\n",
            model.steps.iter().any(|step| [StepKind::SCALE, StepKind::SCALE_KEEPING_ZEROS].contains(step))
        )
    };
    format!("[[models]]\nname = {}\nkind = \"{kind}\"\n{scale}", quoted(&model.name))
}

/// A value as it stands behind `=`.
pub(super) fn spelled(of: &Value) -> String {
    let mut text = String::new();
    value(of, &mut text);
    text
}

fn value(value: &Value, out: &mut String) {
    match &value.kind {
        // TOML has no word for nothing, and reading gives none.
        ValueKind::Nil => out.push_str("\"\""),
        ValueKind::Boolean(truth) => out.push_str(if *truth { "true" } else { "false" }),
        ValueKind::I64(number) => out.push_str(&number.to_string()),
        ValueKind::I128(number) => out.push_str(&number.to_string()),
        ValueKind::U64(number) => out.push_str(&number.to_string()),
        ValueKind::U128(number) => out.push_str(&number.to_string()),
        // With a point or an exponent, so that it stays one.
        ValueKind::Float(number) => out.push_str(&format!("{number:?}")),
        ValueKind::String(text) => out.push_str(&quoted(text)),
        ValueKind::Array(values) => {
            out.push('[');
            for (i, item) in values.iter().enumerate() {
                out.push_str(if i > 0 { ", " } else { "" });
                self::value(item, out);
            }
            out.push(']');
        }
        ValueKind::Table(table) => {
            out.push('{');
            for (i, key) in ordered(table).into_iter().enumerate() {
                out.push_str(if i > 0 { ", " } else { " " });
                out.push_str(&bare(key));
                out.push_str(" = ");
                self::value(&table[key], out);
            }
            out.push_str(" }");
        }
    }
}

fn ordered(table: &Map<String, Value>) -> Vec<&String> {
    let place = |key: &str| ["name", "kind"].iter().position(|first| *first == key).unwrap_or(2);
    let mut keys: Vec<&String> = table.keys().collect();
    keys.sort_by_key(|key| (place(key), *key));
    keys
}

fn bare(key: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !key.is_empty() && key.chars().all(plain) { key.to_owned() } else { quoted(key) }
}

fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => out.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use config::{Config, File, FileFormat};

    use super::*;
    use crate::settings::{Section, model};

    fn table(toml: &str) -> Map<String, Value> {
        let config = Config::builder().add_source(File::from_str(toml, FileFormat::Toml)).build().expect("TOML");
        config.cache.into_table().expect("a table")
    }

    #[test]
    fn what_is_spelled_reads_back_as_it_was() {
        let toml = r#"
            kind = "a \"b\"\\ \u0007\u007f<&é"
            name = ""
            numbers = [1, -2, 0.1, 1e-7, 1e300, 5.0]
            nested = { "odd key" = true, list = [[], ["x"]], deep = { a = { b = false } } }
        "#;
        let before = table(toml);
        let after = table(&format!("value = {}", spelled(&Value::from(before.clone()))));
        assert_eq!(after["value"].clone().into_table().expect("a table"), before);
    }

    #[test]
    fn the_default_race_is_what_its_entries_make() {
        let race = model::default_race();
        let toml: String = race.iter().map(default_entry).collect();
        let (mut root, problems) = Section::root(table(&toml));
        let read = model::read_all(&mut root);
        drop(root);
        assert_eq!(problems.into_result(read).expect("good settings"), race);
    }
}
