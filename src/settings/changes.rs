//! What differs between two readings of the settings, by the path of the key.
//!
//! Invariant: paths are told and values never are, since some are secret.

use std::{collections::BTreeMap, fmt};

use config::{Map, Value, ValueKind};

/// The keys that a reading found in the file, the environment and the command line, with their values.
#[derive(Clone, Default, PartialEq)]
pub struct Keys(BTreeMap<String, Value>);

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Keys {
    pub(super) fn of(table: &Map<String, Value>) -> Self {
        let mut keys = BTreeMap::new();
        collect("", table, &mut keys);
        Self(keys)
    }

    /// Returns the paths of the keys that are in one of the two only, or have another value in each, in order.
    pub fn differing<'k>(&'k self, other: &'k Self) -> Vec<&'k str> {
        let of = |these: &'k Self, those: &'k Self| {
            these.0.iter().filter(|(path, value)| those.0.get(*path) != Some(value)).map(|(path, _)| path.as_str())
        };
        let mut paths: Vec<&str> = of(self, other).chain(of(other, self)).collect();
        paths.sort_unstable();
        paths.dedup();
        paths
    }

    /// Takes over the keys of `other` whose path `is_meant`.
    pub fn take(&mut self, other: &Self, is_meant: impl Fn(&str) -> bool) {
        self.0.retain(|path, _| !is_meant(path));
        let taken = other.0.iter().filter(|(path, _)| is_meant(path));
        self.0.extend(taken.map(|(path, value)| (path.clone(), value.clone())));
    }
}

/// Adds what is below `path`. A model's keys are below its name, or its kind where it has none, since its place among the others
/// is no property of it.
fn collect(path: &str, table: &Map<String, Value>, keys: &mut BTreeMap<String, Value>) {
    for (key, value) in table {
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        match &value.kind {
            ValueKind::Table(table) => collect(&path, table, keys),
            ValueKind::Array(entries) if path == "models" => {
                for (number, entry) in entries.iter().enumerate() {
                    let table = entry.clone().into_table().unwrap_or_default();
                    let text = |key: &str| table.get(key).and_then(|value| value.clone().into_string().ok());
                    let name = text("name").or_else(|| text("kind")).unwrap_or_else(|| number.to_string());
                    // Which of them comes first may decide who is followed.
                    keys.insert(format!("{path}.{name}"), Value::from(number as u64));
                    collect(&format!("{path}.{name}"), &table, keys);
                }
            }
            _ => drop(keys.insert(path, value.clone())),
        }
    }
}

#[cfg(test)]
mod tests {
    use config::{Config, File, FileFormat};

    use super::*;

    fn keys(toml: &str) -> Keys {
        let config = Config::builder().add_source(File::from_str(toml, FileFormat::Toml)).build().expect("TOML");
        Keys::of(&config.cache.into_table().expect("a table"))
    }

    #[test]
    fn each_key_that_differs_is_named_once_and_no_value() {
        let before = keys("[a]\nx = 1\nsame = [1, 2]\nsecret = \"old\"\n[b.c]\ngone = true");
        let after = keys("[a]\nx = 2\nsame = [1, 2]\nsecret = \"new\"\n[d]\ncame = 1");
        assert_eq!(before.differing(&after), ["a.secret", "a.x", "b.c.gone", "d.came"]);
        assert_eq!(before.differing(&before), Vec::<&str>::new());
        assert!(!format!("{before:?}").contains("old"), "{before:?}");
    }

    #[test]
    fn a_model_is_known_by_its_name_or_kind() {
        let before = keys("[[models]]\nkind = \"mean\"\n[[models]]\nname = \"t\"\nkind = \"linear\"\nl2 = 1");
        let after = keys("[[models]]\nkind = \"mean\"\n[[models]]\nname = \"t\"\nkind = \"linear\"\nl2 = 2");
        assert_eq!(before.differing(&after), ["models.t.l2"]);
    }

    #[test]
    fn what_is_taken_over_differs_no_more() {
        let (mut before, after) = (keys("[a]\nx = 1\ny = 1"), keys("[a]\nx = 2\nz = 2"));
        before.take(&after, |path| path != "a.x");
        assert_eq!(before.differing(&after), ["a.x"]);
    }
}
