//! The index as state files hold it.
//!
//! Invariant: what does not fit together is refused, so that no file, however damaged, leads to a column that is not
//! there.

use serde::Deserialize;

use super::{
    super::{Schema, Unit, categories::Categories, numeric_text::Texts, role::Part},
    Index,
};

/// What a state file holds, not yet checked.
#[derive(Deserialize)]
pub(super) struct Saved {
    schema: Schema,
    names: Vec<(String, Part)>,
    columns: Vec<String>,
    nominal: Vec<bool>,
    categories: Vec<Categories>,
    #[serde(default)]
    unit: Option<Unit>,
    #[serde(default)]
    texts: Texts,
}

impl TryFrom<Saved> for Index {
    type Error = &'static str;

    fn try_from(saved: Saved) -> Result<Self, Self::Error> {
        let Saved { schema, names, columns, nominal, categories, unit, texts } = saved;
        let d = columns.len();
        if categories.len() != d || !(nominal.is_empty() || nominal.len() == d) {
            return Err("the columns of the index do not fit each other");
        }
        let known = |part: &Part| match part {
            Part::Column(i) | Part::Nominal(i) => *i < d,
            Part::Text { column: Some(i), .. } => (*i as usize) < d,
            _ => true,
        };
        if !texts.fit(d) {
            return Err("the texts of the index do not fit its columns");
        }
        if !names.iter().all(|(_, part)| known(part)) {
            return Err("a name in the index leads to no column");
        }
        let mut index = Self { names, columns, nominal, categories, unit, texts, ..Self::empty(schema) };
        index.longest = index.names.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        index.lookup = index.names.iter().enumerate().map(|(i, (name, _))| (name.clone(), i)).collect();
        index.clock = index.clock();
        // A feature that was the key, too, used to be kept as the key alone.
        for column in 0..d {
            let nominal = index.nominal.get(column).is_some_and(|nominal| *nominal);
            let name = index.columns[column].clone();
            let is_text = |i: &usize| matches!(index.names[*i].1, Part::Text { .. });
            if !index.lookup.get(&name).is_some_and(is_text) {
                index.add_name(&name, Part::feature(column, nominal));
            }
        }
        index.mark();
        Ok(index)
    }
}
