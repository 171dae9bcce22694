//! Where the fields of a stream stand in its records, and which of those not seen yet count.

use std::borrow::Cow;

use super::{
    super::{
        Notice,
        envelope::{Form, Wrappers},
        naming::{self, Naming},
        role::{Field, Inner, Part},
    },
    Index,
};

impl Index {
    /// Gives each name its roles besides its part, from the schema.
    pub(super) fn mark(&mut self) {
        let schema = &self.schema;
        let listed = schema.features.iter().flatten().chain(&schema.nominal);
        let named = [Some(&schema.target), schema.key.as_ref(), schema.timestamp.as_ref()].into_iter().flatten();
        let needed = self.derived.fields.iter().chain(&self.derived.keys);
        let wanted: Vec<String> = listed
            .chain(named)
            .chain(needed)
            .filter(|name| !naming::is_pattern(name))
            .map(|name| self.path(name).into_owned())
            .collect();
        let root = self.naming.root().to_owned();
        // Adds what lies between an ignored field, or the record outside the root, and a wanted one within it.
        for path in wanted.iter().chain(Some(&root).filter(|root| !root.is_empty())) {
            for outer in outer_paths(path) {
                let name = self.name(outer).into_owned();
                if !self.lookup.contains_key(outer) && (self.is_ignored(&name) || self.is_outside(outer)) {
                    self.add_name(&name, Part::Ignored);
                }
            }
        }
        if !root.is_empty() && !self.lookup.contains_key(&root) {
            let name = self.name(&root).into_owned();
            self.add_name(&name, Part::Ignored);
        }
        self.fields.clear();
        self.uses.clear();
        for ((name, part), path) in self.names.iter().zip(&self.paths) {
            let is = |field: &Option<String>| field.as_ref() == Some(name);
            let holds = |wanted: &String| wanted.strip_prefix(path).is_some_and(|rest| rest.starts_with('.'));
            let needed = self.derived.use_of(name).map_or(0, |found| {
                self.uses.push(found);
                // The settings allow fewer.
                u8::try_from(self.uses.len()).unwrap_or(0)
            });
            let field = Field {
                part: *part,
                needed,
                key: is(&self.schema.key),
                timestamp: is(&self.schema.timestamp),
                inner: if !root.is_empty() && *path == root {
                    Inner::Root
                } else if *part == Part::Ignored && (wanted.iter().any(holds) || holds(&root)) {
                    Inner::Named
                } else {
                    Inner::Nothing
                },
                cast: self.cast_of(name),
                ..Field::NEW
            };
            self.fields.push(field.marked());
        }
        let patterns = [&self.schema.ignore, &self.schema.nominal].into_iter().flatten();
        self.is_simple = self.naming.is_plain()
            && self.schema.cast.is_empty()
            && self.types.is_empty()
            && !patterns.into_iter().any(|name| naming::is_pattern(name));
        self.fitted.resize(self.schema.ignore.len(), false);
    }

    /// Returns `true` where the value at a path not seen yet may become a feature.
    #[inline]
    pub(in crate::decode) fn takes(&self, path: &str) -> bool {
        self.is_open() || self.takes_name(&self.name(path))
    }

    pub(super) fn takes_name(&self, name: &str) -> bool {
        let fits = |listed: &String| naming::is_pattern(listed) && naming::fits(listed, name);
        self.schema.features.as_ref().is_none_or(|listed| listed.iter().any(fits))
    }

    /// Returns the name of the value at `path`.
    #[inline]
    pub(in crate::decode) fn name<'p>(&self, path: &'p str) -> Cow<'p, str> {
        self.naming.name(path)
    }

    pub(super) fn path<'n>(&self, name: &'n str) -> Cow<'n, str> {
        self.naming.path(name)
    }

    /// Returns the place of a name.
    pub(super) fn place(&self, name: &str) -> Option<usize> {
        self.lookup.get(&*self.path(name)).copied()
    }

    /// Returns `true` where the settings ignore a field, by its name or that of what it is nested in.
    pub(super) fn is_ignored(&self, name: &str) -> bool {
        let ignored = |name: &str| self.schema.ignore.iter().any(|pattern| naming::fits(pattern, name));
        ignored(name) || outer_paths(name).any(ignored)
    }

    pub(super) fn is_outside(&self, path: &str) -> bool {
        let root = self.naming.root();
        !path.strip_prefix(root).is_some_and(|rest| root.is_empty() || rest.starts_with('.'))
    }

    /// Finds the path of each name.
    pub(super) fn find_paths(&mut self) {
        self.wrappers = self.form.as_ref().map_or(Wrappers::None, Form::wrappers);
        self.is_bare = self.form.as_ref().is_some_and(|form| !form.is_framed && !form.marks_deletes());
        let form = self.form.as_ref().map_or("", |form| &form.root);
        self.naming = Naming::new(form, &self.schema.rename);
        self.paths = self.names.iter().map(|(name, _)| self.naming.path(name).into_owned()).collect();
        self.longest = self.paths.iter().map(String::len).max().unwrap_or(0);
        self.lookup = self.paths.iter().enumerate().map(|(i, path)| (path.clone(), i)).collect();
        self.follows.clear();
    }

    /// Returns the index for rows without the records' envelope; `None` where these have none.
    pub(crate) fn without_envelope(&self) -> Option<Self> {
        self.form.as_ref().filter(|form| form.is_framed || !form.root.is_empty())?;
        let mut index = self.clone();
        index.form = Some(Form::plain());
        index.find_paths();
        index.mark();
        Some(index)
    }

    /// Returns the form of the records, once it is known.
    #[inline]
    pub(in crate::decode) fn form(&self) -> Option<&Form> {
        self.form.as_ref()
    }

    /// Returns `true` where the form of the records is known, and nothing stands around their JSON.
    #[inline]
    pub(in crate::decode) fn is_bare(&self) -> bool {
        self.is_bare
    }

    /// Returns `true` where the record itself holds the features.
    #[inline]
    pub(in crate::decode) fn is_root(&self) -> bool {
        self.naming.root().is_empty()
    }

    /// Fixes the form of the records.
    pub(in crate::decode) fn set_form(&mut self, form: Form) {
        if !form.is_whole() {
            let Form { envelope, root, .. } = form.clone();
            self.notices.push(Notice::Envelope { envelope, root });
        }
        self.changes += 1;
        self.turned += 1;
        self.form = Some(form);
        self.find_paths();
        self.mark();
    }

    /// Returns true where it knows the name, or one within it.
    pub(in crate::decode) fn knows(&self, name: &str) -> bool {
        let within = |known: &str| known.strip_prefix(name).is_some_and(|rest| rest.starts_with('.'));
        self.lookup.contains_key(name) || self.names.iter().any(|(known, _)| within(known))
    }

    /// Returns the field at a path that no record had so far.
    #[cold]
    pub(super) fn unknown(&mut self, path: &str) -> Field {
        if self.naming.is_displaced(path) {
            return if self.naming.is_renamed_within(path) { Field::DISPLACED } else { Field::IGNORED };
        }
        if self.is_outside(path) {
            return Field::NEW;
        }
        let name = self.naming.name(path);
        let mut patterns = self.schema.ignore.iter();
        if let Some(place) = patterns.position(|pattern| naming::fits(pattern, &name)) {
            if let Some(fitted) = self.fitted.get_mut(place) {
                *fitted = true;
            }
            return Field::IGNORED;
        }
        let is_nominal =
            self.schema.nominal.iter().any(|pattern| naming::is_pattern(pattern) && naming::fits(pattern, &name));
        let is_nominal = is_nominal && self.takes_name(&name) && !self.is_ignored(&name);
        let part = if is_nominal { Part::NewNominal } else { Part::New };
        Field { part, cast: self.cast_of(&name), ..Field::NEW }.marked()
    }
}

/// Returns the paths of what a value is nested in, from the outside.
fn outer_paths(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('.').map(|(at, _)| &path[..at])
}
