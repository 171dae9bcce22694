//! Names of fields: where a value stands in a record, and what it is called.
//!
//! Invariant: the two are in step. A value has one name; a name has one place, but for those that the settings rename over
//! another field, which then has no name and is not used.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use thalweg_metrics::checked;

/// Prefix of the names of fields outside the root.
pub const OUTSIDE: &str = "$.";

/// A field, with all that is nested in it, under another name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rename {
    /// Its name in the records, below the root.
    pub from: String,
    /// Its name everywhere else.
    pub to: String,
}

checked!(Rename { from, to });

/// Place of the root, and names that are changed.
#[derive(Clone, Debug, Default)]
pub(super) struct Naming {
    /// Path of the object that holds the features; empty where it is the record.
    root: String,
    renames: Vec<Rename>,
}

/// Splits off `outer` and the dot after it; `None` where `path` is not within it. The rest of `outer` itself is empty.
fn within<'p>(path: &'p str, outer: &str) -> Option<&'p str> {
    let rest = path.strip_prefix(outer)?;
    if rest.is_empty() { Some(rest) } else { rest.strip_prefix('.') }
}

fn joined(outer: &str, rest: &str) -> String {
    if rest.is_empty() { outer.to_owned() } else { format!("{outer}.{rest}") }
}

impl Naming {
    pub(super) fn new(root: &str, renames: &[Rename]) -> Self {
        let mut renames = renames.to_vec();
        // The innermost one counts.
        renames.sort_by_key(|rename| std::cmp::Reverse(rename.from.len()));
        Self { root: root.to_owned(), renames }
    }

    /// Path of the object that holds the features; empty where it is the record.
    pub(super) fn root(&self) -> &str {
        &self.root
    }

    /// Returns true where every value's name is its path.
    #[inline]
    pub(super) fn is_plain(&self) -> bool {
        self.root.is_empty() && self.renames.is_empty()
    }

    /// Returns the name of the value at `path`.
    pub(super) fn name<'p>(&self, path: &'p str) -> Cow<'p, str> {
        if self.is_plain() {
            return Cow::Borrowed(path);
        }
        let inner = match self.root.as_str() {
            "" => Some(path),
            root => within(path, root).filter(|inner| !inner.is_empty()),
        };
        let Some(inner) = inner else { return Cow::Owned(format!("{OUTSIDE}{path}")) };
        let renamed = self.renames.iter().find_map(|Rename { from, to }| Some(joined(to, within(inner, from)?)));
        renamed.map_or(Cow::Borrowed(inner), Cow::Owned)
    }

    /// Returns the path of the value of this name.
    pub(super) fn path<'n>(&self, name: &'n str) -> Cow<'n, str> {
        if self.is_plain() {
            return Cow::Borrowed(name);
        }
        if !self.root.is_empty()
            && let Some(path) = name.strip_prefix(OUTSIDE)
        {
            return Cow::Borrowed(path);
        }
        let inner = self.renames.iter().find_map(|Rename { from, to }| Some(joined(from, within(name, to)?)));
        match (self.root.as_str(), inner) {
            ("", inner) => inner.map_or(Cow::Borrowed(name), Cow::Owned),
            (root, inner) => Cow::Owned(joined(root, inner.as_deref().unwrap_or(name))),
        }
    }

    /// Returns true where the value at `path` has no name, since another one was given it.
    pub(super) fn is_displaced(&self, path: &str) -> bool {
        !self.renames.is_empty() && self.path(&self.name(path)) != path
    }

    /// Returns true where a field within the value at `path` has another name than its path tells.
    pub(super) fn is_renamed_within(&self, path: &str) -> bool {
        let inner = if self.root.is_empty() { Some(path) } else { within(path, &self.root) };
        inner.is_some_and(|inner| {
            self.renames.iter().any(|rename| within(&rename.from, inner).is_some_and(|rest| !rest.is_empty()))
        })
    }
}

/// Returns true where a name of the settings stands for all that it fits.
pub fn is_pattern(name: &str) -> bool {
    name.contains('*')
}

/// Returns true where `name` fits a pattern, in which a star is any text, dots included.
pub fn fits(pattern: &str, name: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == name };
    let (middle, last) = rest.rsplit_once('*').unwrap_or(("", rest));
    let inner = name.strip_prefix(first).and_then(|name| name.strip_suffix(last));
    let Some(mut inner) = inner else { return false };
    for part in middle.split('*') {
        match inner.find(part) {
            Some(at) => inner = &inner[at + part.len()..],
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn naming(root: &str, renames: &[(&str, &str)]) -> Naming {
        let renames: Vec<Rename> =
            renames.iter().map(|(from, to)| Rename { from: (*from).into(), to: (*to).into() }).collect();
        Naming::new(root, &renames)
    }

    #[test]
    fn a_name_is_below_the_root_or_says_that_it_is_not() {
        let naming = naming("payload.after", &[("t.celsius", "temperature"), ("t", "thermometer")]);
        let pairs = [
            ("payload.after.x", "x"),
            ("payload.after.x.y", "x.y"),
            ("payload.ts_ms", "$.payload.ts_ms"),
            ("payload", "$.payload"),
            ("payload.after", "$.payload.after"),
            ("payload.afterwards", "$.payload.afterwards"),
            ("payload.after.t.celsius", "temperature"),
            ("payload.after.t.celsius.raw", "temperature.raw"),
            ("payload.after.t.celsiuses", "thermometer.celsiuses"),
            ("payload.after.t", "thermometer"),
        ];
        for (path, name) in pairs {
            assert_eq!((&*naming.name(path), &*naming.path(name)), (name, path));
            assert!(!naming.is_displaced(path));
        }
    }

    #[test]
    fn a_field_whose_name_was_given_away_has_none() {
        let naming = naming("", &[("a", "b")]);
        assert!(naming.is_displaced("b") && naming.is_displaced("b.c"));
        assert!(!naming.is_displaced("a") && !naming.is_displaced("c") && !naming.is_displaced("bb"));
        assert!(!naming.is_renamed_within("b"));
    }

    #[test]
    fn a_field_can_have_the_name_of_what_it_is_nested_in() {
        let naming = naming("row", &[("x.value", "x")]);
        assert_eq!((&*naming.name("row.x.value"), &*naming.path("x")), ("x", "row.x.value"));
        assert!(naming.is_displaced("row.x") && naming.is_renamed_within("row.x"));
        assert!(naming.is_displaced("row.x.valid") && !naming.is_renamed_within("row.x.valid"));
        assert!(!naming.is_displaced("row.x.value"));
    }

    #[test]
    fn a_star_stands_for_any_text() {
        for (pattern, name) in [
            ("a.*", "a.b"),
            ("a.*", "a.b.c"),
            ("*.id", "a.b.id"),
            ("*", "x"),
            ("a*c*e", "abcde"),
            ("a*c*e", "ace"),
            ("x", "x"),
        ] {
            assert!(fits(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in
            [("a.*", "a"), ("a.*", "ab"), ("*.id", "id"), ("a*a", "a"), ("a*c*e", "aec"), ("x", "xx"), ("a*b*b", "ab")]
        {
            assert!(!fits(pattern, name), "{pattern} {name}");
        }
    }
}
