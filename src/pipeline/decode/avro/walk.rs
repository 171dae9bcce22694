//! Reads any record by its plan.
//!
//! Invariant: it takes no more steps than a constant plus the record's bytes, and is never deeper than [`MAX_DEPTH`].

use super::{
    super::{
        Found, Rejection,
        datum::{Datum, Level, MAX_DEPTH, Sink, milliseconds, spelled, uuid},
        decimal,
    },
    Leaf, Node, Plan, Types,
    wire::Wire,
};

/// Values that take no bytes, of which a record may have as many as it has bytes, and so many more.
const MAX_STEPS: usize = 1 << 16;

/// Reads a record, whose own bytes begin at `start`, into a sink.
///
/// # Errors
/// [`Rejection::DoesNotFit`], or what the values are refused for.
pub(in crate::decode) fn read(plan: &Plan, bytes: &[u8], start: usize, sink: &mut Sink<'_>) -> Result<(), Rejection> {
    let steps = bytes.len().saturating_add(MAX_STEPS);
    let mut walk = Walk { types: &plan.types, wire: Wire::new(bytes, start), sink, steps, in_list: false };
    walk.root(&plan.types.root)?;
    match walk.wire.left() {
        0 => Ok(()),
        left => Err(misfit(format!("{left} bytes are left behind it"))),
    }
}

fn misfit(problem: impl Into<String>) -> Rejection {
    Rejection::DoesNotFit { schema: String::new(), problem: problem.into() }
}

struct Walk<'w, 'b, 'd> {
    types: &'w Types,
    wire: Wire<'b>,
    sink: &'w mut Sink<'d>,
    steps: usize,
    /// True within an array or a map, where names are those of their places and never had others.
    in_list: bool,
}

impl Walk<'_, '_, '_> {
    /// Reads the whole record.
    fn root(&mut self, node: &Node) -> Result<(), Rejection> {
        let not_an_object = |found| Err(Rejection::NotAnObject { found });
        match node {
            Node::Union(branches) => {
                let branch = self.branch(branches)?;
                // A union holds no other directly.
                if matches!(branch, Node::Union(_)) { not_an_object("a union") } else { self.root(branch) }
            }
            Node::Record(place) => self.fields(*place, self.sink.level(), 0),
            Node::Map(values) => self.list(Some(true), values, self.sink.level(), 0),
            Node::Null => not_an_object("null"),
            Node::Array(_) => not_an_object("an array"),
            Node::Leaf(Leaf::Text | Leaf::Symbols(_) | Leaf::Uuid { .. }) => not_an_object("text"),
            Node::Leaf(Leaf::Boolean) => not_an_object("a boolean"),
            Node::Leaf(Leaf::Bytes(_)) => not_an_object("bytes"),
            Node::Leaf(_) | Node::Duration => not_an_object("a number"),
        }
    }

    fn need<T>(&self, read: Option<T>) -> Result<T, Rejection> {
        read.ok_or_else(|| {
            let place =
                if self.sink.path.is_empty() { String::new() } else { format!(" at `{}`", short(&self.sink.path)) };
            misfit(format!("it ends too early, or is damaged, before byte {}{place}", self.wire.at))
        })
    }

    fn branch<'n>(&mut self, branches: &'n [Node]) -> Result<&'n Node, Rejection> {
        let read = self.wire.long();
        let number = self.need(read)?;
        let found = usize::try_from(number).ok().and_then(|i| branches.get(i));
        found.ok_or_else(|| {
            misfit(format!("`{}` is of branch {number} of a union of {}", short(&self.sink.path), branches.len()))
        })
    }

    fn fields(&mut self, place: usize, level: Level, depth: usize) -> Result<(), Rejection> {
        let types = self.types;
        let fields = types.records.get(place).map_or(&[][..], |record| &record.fields);
        for field in fields {
            let mut end = self.sink.push(&field.name);
            if !self.in_list && !field.aliases.is_empty() && !self.sink.knows_path() {
                for alias in &field.aliases {
                    self.sink.path.truncate(end);
                    end = self.sink.push(alias);
                    if self.sink.knows_path() {
                        break;
                    }
                }
                if !self.sink.knows_path() {
                    self.sink.path.truncate(end);
                    end = self.sink.push(&field.name);
                }
            }
            self.value(&field.node, level, depth)?;
            self.sink.path.truncate(end);
        }
        Ok(())
    }

    fn value(&mut self, node: &Node, level: Level, depth: usize) -> Result<(), Rejection> {
        self.steps = self.steps.checked_sub(1).ok_or_else(|| misfit("it claims more values than it has bytes"))?;
        if depth > MAX_DEPTH {
            return Err(misfit(format!("its values are nested deeper than {MAX_DEPTH}")));
        }
        match node {
            Node::Null => self.sink.leaf(level, Datum::Null),
            Node::Leaf(leaf) => self.leaf(leaf, level),
            Node::Record(place) => {
                let types = self.types;
                let fields = types.records.get(*place).map_or(&[][..], |record| &record.fields);
                let first = || fields.first().map(|field| field.name.chars().take(60).collect());
                let within = self.sink.enter(level, || Found::Object(first()))?;
                self.fields(*place, within, depth + 1)
            }
            Node::Array(items) => self.list(None, items, level, depth),
            Node::Map(values) => self.list(Some(false), values, level, depth),
            Node::Union(branches) => {
                let branch = self.branch(branches)?;
                self.value(branch, level, depth + 1)
            }
            Node::Duration => {
                let read = self.wire.array::<12>();
                let bytes = self.need(read)?;
                let within = self.sink.enter(level, || Found::Object(Some("months".to_owned())))?;
                for (name, part) in ["months", "days", "milliseconds"].into_iter().zip(bytes.chunks_exact(4)) {
                    let end = self.sink.push(name);
                    let number = part.iter().rev().fold(0, |number, byte| number << 8 | i64::from(*byte));
                    self.sink.leaf(within, Datum::Integer(number))?;
                    self.sink.path.truncate(end);
                }
                Ok(())
            }
        }
    }

    /// Reads an array, or a map: `keys` says whether that is the whole record.
    fn list(&mut self, keys: Option<bool>, node: &Node, level: Level, depth: usize) -> Result<(), Rejection> {
        let mut within = level;
        // A row is read as if it stood in the place of the array.
        let is_rows = keys.is_none() && self.sink.is_rows();
        if keys != Some(true) && !is_rows {
            let found = if keys.is_some() { Found::Object(None) } else { Found::Array };
            within = self.sink.enter(level, || found)?;
        }
        let was_in_list = self.in_list;
        self.in_list |= !is_rows;
        let mut i = 0;
        loop {
            let read = self.wire.long();
            let mut count = self.need(read)?;
            if count == 0 {
                break;
            }
            if count < 0 {
                // A block that may be skipped says its size, too.
                let read = self.wire.long();
                self.need(read)?;
                count = count.checked_neg().ok_or_else(|| misfit("a list claims more values than there can be"))?;
            }
            for _ in 0..count {
                let end = if keys.is_some() {
                    let read = self.wire.text();
                    let key = self.need(read)?;
                    self.sink.push(key)
                } else if is_rows {
                    self.sink.path.len()
                } else {
                    self.sink.push_place(i)
                };
                i += 1;
                self.value(node, within, depth + 1)?;
                self.sink.path.truncate(end);
            }
        }
        self.in_list = was_in_list;
        Ok(())
    }

    fn leaf(&mut self, leaf: &Leaf, level: Level) -> Result<(), Rejection> {
        let wire = &mut self.wire;
        let sized = |wire: &mut Wire<'_>, size: Option<usize>| -> Option<Vec<u8>> {
            match size {
                Some(size) => wire.take(size),
                None => wire.bytes(),
            }
            .map(<[u8]>::to_vec)
        };
        match leaf {
            Leaf::Boolean => {
                let read = wire.boolean();
                let truth = self.need(read)?;
                self.sink.leaf(level, Datum::Truth(truth))
            }
            Leaf::Integer | Leaf::Time(_) | Leaf::TimeOfDay(_) => {
                let read = wire.long();
                let number = self.need(read)?;
                let datum = match leaf {
                    Leaf::Time(unit) => Datum::Time(milliseconds(number, *unit)),
                    Leaf::TimeOfDay(unit) => Datum::Number(milliseconds(number, *unit)),
                    _ => Datum::Integer(number),
                };
                self.sink.leaf(level, datum)
            }
            Leaf::Float | Leaf::Double => {
                let read = if matches!(leaf, Leaf::Float) { wire.float() } else { wire.double() };
                let number = self.need(read)?;
                self.sink.leaf(level, Datum::Number(number))
            }
            Leaf::Text => {
                let read = wire.text();
                let text = self.need(read)?;
                self.sink.leaf(level, Datum::Text(text))
            }
            Leaf::Bytes(size) => {
                let read = sized(wire, *size);
                let bytes = self.need(read)?;
                if bytes.is_empty() {
                    return self.sink.leaf(level, Datum::Null);
                }
                self.sink.leaf(level, Datum::Text(&spelled(&bytes)))
            }
            Leaf::Decimal { size, scale } => {
                let read = sized(wire, *size);
                let bytes = self.need(read)?;
                // What is longer than any double is as bad as an infinity.
                let number = decimal::read(&bytes, *scale).unwrap_or(f64::INFINITY);
                self.sink.leaf(level, Datum::Number(number))
            }
            Leaf::Uuid { sized: is_fixed } => {
                let read = sized(wire, is_fixed.then_some(16));
                let bytes = self.need(read)?;
                let text = <[u8; 16]>::try_from(bytes.as_slice()).map_or_else(|_| spelled(&bytes), |it| uuid(&it));
                self.sink.leaf(level, Datum::Text(&text))
            }
            Leaf::Symbols(symbols) => {
                let read = wire.long();
                let number = self.need(read)?;
                let symbol = usize::try_from(number).ok().and_then(|i| symbols.get(i));
                let path = &self.sink.path;
                let symbol = symbol.ok_or_else(|| {
                    misfit(format!("`{}` is symbol {number} of an enum of {}", short(path), symbols.len()))
                })?;
                self.sink.leaf(level, Datum::Text(symbol))
            }
        }
    }
}

/// Returns the beginning of a name, as messages have it.
fn short(name: &str) -> &str {
    name.char_indices().nth(60).map_or(name, |(end, _)| &name[..end])
}
