//! What the stream knows of layouts that were read ahead: the field of each value.
//!
//! Invariant: it says what looking up each name anew would say; whatever changes the index changes its age, and that ends it.

use std::sync::Arc;

use super::{
    Index,
    fast_path::Within,
    read_ahead::{Layout, MAX_LAYOUTS},
    role::{Field, Part},
    scanner::NeedsFullDecode,
};

/// Fields of a layout, valid while the index has the same age.
#[derive(Debug)]
pub(super) struct KnownLayout {
    layout: Arc<Layout>,
    age: usize,
    /// The layout with the names by which the stream knows the fields, where their writer has others.
    renamed: Option<Layout>,
    /// A field per value, and true where the object that holds the features is there; `None` where an object or an array
    /// stands in the place of a number.
    fields: Option<(Vec<Slot>, bool)>,
}

/// Field of a layout's value.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot {
    pub(super) field: Field,
    /// Column of a number that is taken as it is; `u32::MAX` where there is more to it.
    pub(super) column: u32,
}

impl Slot {
    fn of(field: Field) -> Self {
        let column = match field.part {
            Part::Column(column) if field.is_plain() => u32::try_from(column).unwrap_or(u32::MAX),
            _ => u32::MAX,
        };
        Self { field, column }
    }
}

/// Returns the fields of a layout's values, which stand `within` something, true where the object that holds the features is there,
/// and the layout with their names; `None` where only the full decoder can read it.
#[inline]
pub(super) fn fields_of<'k>(
    layout: &'k Arc<Layout>,
    known: &'k mut Vec<KnownLayout>,
    index: &mut Index,
    within: Option<&str>,
) -> Option<(&'k [Slot], bool, &'k Layout)> {
    let is_it = |known: &KnownLayout| Arc::ptr_eq(&known.layout, layout);
    if !known.first().is_some_and(|first| is_it(first) && first.age == index.age()) {
        let mut one = match known.iter().position(is_it) {
            Some(place) => known.remove(place),
            None => KnownLayout { layout: Arc::clone(layout), age: 0, renamed: None, fields: None },
        };
        if one.age != index.age() {
            one.age = index.age();
            one.renamed = match within {
                None => layout.renamed(&mut |name| index.knows(name)),
                Some(outer) => {
                    let renamed = layout.renamed(&mut |name| index.knows(&format!("{outer}.{name}")));
                    Some(renamed.as_ref().unwrap_or(layout).within(outer))
                }
            };
            one.fields = look_up(one.renamed.as_ref().unwrap_or(layout), index).ok();
        }
        known.truncate(MAX_LAYOUTS - 1);
        known.insert(0, one);
    }
    let first = known.first()?;
    let (fields, has_root) = first.fields.as_ref()?;
    Some((fields, *has_root, first.renamed.as_ref().unwrap_or(layout)))
}

/// Looks up the fields of a layout's values, as one who reads a record with it comes to them.
fn look_up(layout: &Layout, index: &mut Index) -> Result<(Vec<Slot>, bool), NeedsFullDecode> {
    let (mut cursor, mut fields, mut has_root) = (0, Vec::new(), index.is_root());
    for (i, (name, ancestors)) in layout.names().enumerate() {
        let mut within = Within::record(index);
        for (ancestor, is_array) in ancestors {
            let field = within.field(|| Ok(index.field(ancestor, &mut cursor)))?;
            has_root |= field.is_root();
            within = within.enter(field, is_array)?;
        }
        let field = within.field(|| Ok(index.field(name, &mut cursor)))?;
        fields.push(Slot::of(Field { in_milliseconds: field.timestamp && layout.is_time(i), ..field }));
    }
    Ok((fields, has_root))
}
