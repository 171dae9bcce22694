//! Use of the names of a stream and of the settings.

use super::{
    super::{
        derived::{self, RECORD_KEY},
        naming,
        role::Part,
        usage::{Feature, FeatureKind, Names, Unseen},
    },
    Index,
};

impl Index {
    /// Returns the use of the names.
    pub(in crate::decode) fn usage(&self) -> Names {
        let seen = |name: &String| self.place(name).is_some_and(|i| self.seen.get(i).is_some_and(|seen| *seen));
        let mut names = Names::default();
        for (column, name) in self.columns.iter().enumerate() {
            let kind = match self.nominal.get(column) {
                Some(true) => FeatureKind::Category { categories: self.categories[column].names().len() },
                _ if self.texts.is_spelled(column) => FeatureKind::NumberInText,
                _ => FeatureKind::Number,
            };
            let is_text = self.place(name).is_some_and(|i| matches!(self.names[i].1, Part::Text { .. }));
            if column < self.derived.columns.len() || !is_text && (self.takes_name(name) || seen(name)) {
                names.features.push(Feature { name: name.clone(), kind });
            }
        }
        for (name, part) in &self.names {
            match part {
                Part::Text { slot, .. } => names.texts.push((name.clone(), *slot as usize)),
                // One of the name of a feature that is made of others, too.
                Part::Ignored if (self.schema.ignore.contains(name) || self.columns.contains(name)) && seen(name) => {
                    names.ignored.push(name.clone());
                }
                _ => {}
            }
        }
        let schema = &self.schema;
        let listed = schema.features.as_deref().unwrap_or_default();
        let of_record = |name: &&String| *name == RECORD_KEY;
        let (pasts, of_models) = self.row_keys().split_at(self.derived.pasts);
        let [pasts, of_models] =
            [pasts, of_models].map(|keys| keys.iter().filter(|name| !of_record(name)).cloned().collect::<Vec<_>>());
        let [by, marker] = derived::join_fields(schema).map(|field| field.map_or(&[][..], std::slice::from_ref));
        let settings = [
            ("schema.target", std::slice::from_ref(&schema.target)),
            ("schema.key", schema.key.as_slice()),
            ("schema.timestamp", schema.timestamp.as_slice()),
            ("schema.features", listed),
            ("schema.nominal", &schema.nominal),
            ("schema.ignore", &schema.ignore),
            ("of or formula in [[features]]", &self.derived.fields),
            ("by in [[features]]", &pasts),
            ("by in [[models]]", &of_models),
            ("labels.by", by),
            ("labels.marker.field", marker),
        ];
        for (setting, unseen) in settings {
            // A nominal feature that has a column was seen before the start.
            let known = |name: &String| self.is_open() && self.columns.contains(name);
            let told = |name: &String| setting != "schema.features" && listed.contains(name);
            let fits = |name: &String| naming::is_pattern(name) && self.fits_any(setting, name);
            for name in unseen.iter().filter(|name| !seen(name) && !known(name) && !told(name) && !fits(name)) {
                names.unseen.push(Unseen { setting, name: name.clone(), nearest: None });
            }
        }
        let patterns =
            schema.ignore.iter().zip(&self.fitted).filter(|(name, fitted)| naming::is_pattern(name) && **fitted);
        names.ignored.extend(patterns.map(|(name, _)| name.clone()));
        names
    }

    /// Returns `true` where a pattern of a setting has fitted a field.
    fn fits_any(&self, setting: &str, pattern: &str) -> bool {
        match setting {
            "schema.ignore" => {
                self.schema.ignore.iter().zip(&self.fitted).any(|(other, fitted)| other == pattern && *fitted)
            }
            _ => self.columns.iter().any(|name| naming::fits(pattern, name)),
        }
    }
}
