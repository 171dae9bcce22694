//! What the user has set, back as the text of a settings file, without secrets: for those who write one for them.
//!
//! Invariant: what is written here, with the secrets, reads back as the same values.

use std::collections::BTreeMap;

use config::{Map, Value, ValueKind};

use super::{Errors, Sources, to_toml};

/// Keys whose values never stand in a file that is written.
const SECRETS: [&str; 3] = ["password", "client_secret", "key_password"];

/// Sections that the user has set.
#[derive(Clone, Debug, Default)]
pub struct Given {
    /// Per section its keys with their values as TOML; a key with a point in it is of a table in the section.
    sections: BTreeMap<String, Vec<(String, String)>>,
    /// The text of `[[models]]`.
    models: String,
    /// Paths of the secrets, and their values, which are left out.
    secrets: Vec<(String, String)>,
}

impl Sources {
    /// Returns what is set over the built-in defaults, by whatever source.
    ///
    /// # Errors
    /// As [`Settings::load`](super::Settings::load), for what cannot be read at all.
    pub fn given(&self) -> Result<Given, Errors> {
        let mut given = Given::default();
        for (section, value) in self.merged()? {
            match value.kind {
                ValueKind::Table(mut table) => {
                    given.take_secrets(&section, &mut table);
                    let tables = if section == "transport" { &["kafka", "embedded"][..] } else { &[] };
                    let mut keys = lines(&table, "", tables);
                    for name in tables {
                        if let Some(ValueKind::Table(inner)) = table.get(*name).map(|value| &value.kind) {
                            keys.extend(lines(inner, &format!("{name}."), &[]));
                        }
                    }
                    given.sections.insert(section, keys);
                }
                ValueKind::Array(entries) if section == "models" => {
                    let tables = entries.into_iter().filter_map(|entry| entry.into_table().ok());
                    given.models = tables.map(|table| to_toml::entry(&table) + "\n").collect();
                }
                // Anything else is none of the settings, as loading them has told.
                _ => {}
            }
        }
        Ok(given)
    }
}

/// Returns keys and values of a table, without the tables of those names.
fn lines(table: &Map<String, Value>, prefix: &str, without: &[&str]) -> Vec<(String, String)> {
    let named = table.iter().filter(|(key, _)| !without.contains(&key.as_str()));
    let mut lines: Vec<_> =
        named.map(|(key, value)| (format!("{prefix}{key}"), to_toml::toml(value).to_string())).collect();
    lines.sort();
    lines
}

impl Given {
    fn take_secrets(&mut self, path: &str, table: &mut Map<String, Value>) {
        for secret in SECRETS {
            if let Some(value) = table.remove(secret) {
                self.secrets.push((format!("{path}.{secret}"), value.to_string()));
            }
        }
        for (name, value) in table.iter_mut() {
            if let ValueKind::Table(inner) = &mut value.kind {
                self.take_secrets(&format!("{path}.{name}"), inner);
            }
        }
    }

    /// Returns the value of a key as TOML, if it is set.
    pub fn value(&self, section: &str, key: &str) -> Option<&str> {
        self.keys(section).iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    /// Returns the keys that are set in a section, and their values as TOML.
    pub fn keys(&self, section: &str) -> &[(String, String)] {
        self.sections.get(section).map_or(&[], Vec::as_slice)
    }

    /// Returns the names of the sections in which anything is set.
    pub fn sections(&self) -> impl Iterator<Item = &str> {
        self.sections.iter().filter(|(_, keys)| !keys.is_empty()).map(|(name, _)| name.as_str())
    }

    /// Returns `[[models]]` as text; empty where none are set.
    pub fn models(&self) -> &str {
        &self.models
    }

    /// Returns the paths of the secrets that are set, and their values.
    pub fn secrets(&self) -> &[(String, String)] {
        &self.secrets
    }
}

/// Returns the environment variable of a setting.
pub fn variable(path: &str) -> String {
    format!("THALWEG__{}", path.replace('.', "__").to_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Settings;

    #[test]
    fn what_is_given_reads_back_and_keeps_secrets_to_itself() {
        let set = [
            "transport.kind=kafka",
            r#"transport.kafka.brokers=["a:1", "b:2"]"#,
            r#"transport.kafka.sasl={mechanism="plain", username="me", password="hunter2"}"#,
            "topics.samples=mine",
            "schema.timezone=Europe/Paris",
        ];
        let sources = Sources::new(None, [], set.map(str::to_owned)).only_named();
        let given = sources.given().expect("settings");
        assert_eq!(given.sections().collect::<Vec<_>>(), ["schema", "topics", "transport"]);
        assert_eq!(given.value("transport", "kafka.brokers"), Some(r#"["a:1", "b:2"]"#));
        assert_eq!(given.secrets(), [("transport.kafka.sasl.password".to_owned(), "hunter2".to_owned())]);
        assert!(!format!("{:?}", given.sections).contains("hunter2"));
        let text = |(section, keys): (&String, &Vec<(String, String)>)| {
            keys.iter().map(|(key, value)| format!("{section}.{key} = {value}\n")).collect::<String>()
        };
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("settings.toml");
        std::fs::write(&file, given.sections.iter().map(text).collect::<String>()).expect("written");
        let secrets = given.secrets().iter().map(|(path, value)| (variable(path), value.clone()));
        let again = Settings::load(&Sources::new(Some(file), secrets, [])).expect("good settings");
        assert_eq!(again, Settings::load(&sources).expect("good settings"));
    }
}
