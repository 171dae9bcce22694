//! Use of the names of a stream and of the settings.

use super::{
    super::{
        role::Part,
        usage::{Feature, FeatureKind, Names, Unseen},
    },
    Index,
};

impl Index {
    /// Returns the use of the names.
    pub(in crate::decode) fn usage(&self) -> Names {
        let seen = |name: &String| self.lookup.get(name).is_some_and(|&i| self.seen.get(i).is_some_and(|seen| *seen));
        let mut names = Names::default();
        for (column, name) in self.columns.iter().enumerate() {
            let kind = match self.nominal.get(column) {
                Some(true) => FeatureKind::Category { categories: self.categories[column].names().len() },
                _ if self.texts.is_spelled(column) => FeatureKind::NumberInText,
                _ => FeatureKind::Number,
            };
            let is_text = self.lookup.get(name).is_some_and(|&i| matches!(self.names[i].1, Part::Text { .. }));
            if !is_text && (self.is_open() || seen(name)) {
                names.features.push(Feature { name: name.clone(), kind });
            }
        }
        for (name, part) in &self.names {
            match part {
                Part::Text { slot, .. } => names.texts.push((name.clone(), *slot as usize)),
                Part::Ignored if self.schema.ignore.contains(name) && seen(name) => names.ignored.push(name.clone()),
                _ => {}
            }
        }
        let schema = &self.schema;
        let listed = schema.features.as_deref().unwrap_or_default();
        let settings = [
            ("schema.target", std::slice::from_ref(&schema.target)),
            ("schema.key", schema.key.as_slice()),
            ("schema.timestamp", schema.timestamp.as_slice()),
            ("schema.features", listed),
            ("schema.nominal", &schema.nominal),
            ("schema.ignore", &schema.ignore),
        ];
        for (setting, unseen) in settings {
            // A nominal feature that has a column was seen before the start.
            let known = |name: &String| self.is_open() && self.columns.contains(name);
            let told = |name: &String| setting != "schema.features" && listed.contains(name);
            for name in unseen.iter().filter(|name| !seen(name) && !known(name) && !told(name)) {
                names.unseen.push(Unseen { setting, name: name.clone(), nearest: None });
            }
        }
        names
    }
}
