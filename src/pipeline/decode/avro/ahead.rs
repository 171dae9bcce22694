//! Reads records whose values are always in the same places, into cells: those without arrays, maps, or unions of records.
//!
//! Invariant: what it reads, `walk` reads as the same values. What it does not understand at once it leaves to that.

use std::sync::Arc;

use super::{
    super::{
        cell::Cell,
        datum::milliseconds,
        decimal,
        read_ahead::{Layout, LayoutSlot, Renames},
        scanner::{NeedsFullDecode, Read},
    },
    Leaf, Node, RecordPlan, Types,
    wire::Wire,
};

/// Most values of a record that is read ahead; a few types can stand for millions.
const MAX_SLOTS: usize = 4096;
/// Most bytes of their names.
const MAX_NAME_BYTES: usize = 256 << 10;

/// What is read one after the other.
#[derive(Debug)]
pub(in crate::decode) struct Program {
    pub(in crate::decode) layout: Arc<Layout>,
    steps: Vec<Step>,
}

#[derive(Debug)]
enum Step {
    /// One value.
    Value(Kind),
    /// One value of a union with null.
    Maybe { null: i64, kind: Kind },
    /// One value of a union; `None` is null.
    Choice(Vec<Option<Kind>>),
    /// A record in a union with null, by its slots and steps.
    MaybeRecord { null: i64, slots: usize, steps: usize },
}

#[derive(Debug)]
enum Kind {
    Null,
    Boolean,
    Integer,
    Scaled(f64),
    Float,
    Double,
    Text,
    Decimal {
        size: Option<usize>,
        scale: u32,
    },
    /// Cells of an enum's symbols.
    Symbols(Box<[Cell]>),
}

/// Makes a program; `None` where something is not in one place.
struct Compiler<'p> {
    records: &'p [RecordPlan],
    open: Vec<usize>,
    path: String,
    ancestors: Vec<usize>,
    slots: Vec<LayoutSlot>,
    steps: Vec<Step>,
    symbols: String,
    name_bytes: usize,
    has_aliases: bool,
    /// Chooses the names by which fields are known.
    knows: Option<&'p mut dyn FnMut(&str) -> bool>,
}

impl<'p> Compiler<'p> {
    fn new(records: &'p [RecordPlan], knows: Option<&'p mut dyn FnMut(&str) -> bool>) -> Self {
        Self {
            records,
            open: Vec::new(),
            path: String::new(),
            ancestors: Vec::new(),
            slots: Vec::new(),
            steps: Vec::new(),
            symbols: String::new(),
            name_bytes: 0,
            has_aliases: false,
            knows,
        }
    }

    fn root(&mut self, root: &Node) -> Option<()> {
        let Node::Record(place) = root else { return None };
        self.fields(*place)
    }

    fn fields(&mut self, place: usize) -> Option<()> {
        let record = self.records.get(place)?;
        if self.open.contains(&place) || record.fields.is_empty() {
            return None;
        }
        self.open.push(place);
        for field in &record.fields {
            let end = self.path.len();
            self.push(&field.name);
            if !field.aliases.is_empty() {
                self.has_aliases = true;
                self.rename(end, &field.name, &field.aliases);
            }
            self.node(&field.node)?;
            self.path.truncate(end);
        }
        self.open.pop();
        Some(())
    }

    fn push(&mut self, name: &str) {
        if !self.path.is_empty() {
            self.path.push('.');
        }
        self.path.push_str(name);
    }

    /// Takes the first name that the stream knows, and the newest where it knows none.
    fn rename(&mut self, end: usize, name: &str, aliases: &[Box<str>]) {
        for name in aliases.iter().map(|alias| &**alias).chain([name]) {
            if self.knows.as_mut().is_none_or(|knows| knows(&self.path)) {
                return;
            }
            self.path.truncate(end);
            self.push(name);
        }
    }

    /// Adds the slot of the path.
    fn slot(&mut self, is_time: bool) -> Option<()> {
        self.name_bytes += self.path.len();
        if self.slots.len() == MAX_SLOTS || self.name_bytes > MAX_NAME_BYTES {
            return None;
        }
        let (name, ancestors) = (self.path.as_str().into(), self.ancestors.as_slice().into());
        self.slots.push(LayoutSlot { name, ancestors, is_time });
        Some(())
    }

    fn record(&mut self, place: usize) -> Option<()> {
        self.ancestors.push(self.path.len());
        self.fields(place)?;
        self.ancestors.pop();
        Some(())
    }

    fn node(&mut self, node: &Node) -> Option<()> {
        match node {
            Node::Record(place) => self.record(*place),
            Node::Null => {
                self.slot(false)?;
                self.steps.push(Step::Value(Kind::Null));
                Some(())
            }
            Node::Leaf(leaf) => {
                self.slot(matches!(leaf, Leaf::Time(_)))?;
                let kind = self.kind(leaf)?;
                self.steps.push(Step::Value(kind));
                Some(())
            }
            Node::Union(branches) => self.union(branches),
            Node::Array(_) | Node::Map(_) | Node::Duration => None,
        }
    }

    fn union(&mut self, branches: &[Node]) -> Option<()> {
        match branches {
            [Node::Null, Node::Record(place)] => self.maybe_record(0, *place),
            [Node::Record(place), Node::Null] => self.maybe_record(1, *place),
            [Node::Null, Node::Leaf(leaf)] => self.maybe(0, leaf),
            [Node::Leaf(leaf), Node::Null] => self.maybe(1, leaf),
            _ => {
                let is_time = |node: &Node| matches!(node, Node::Leaf(Leaf::Time(_)));
                let times = branches.iter().filter(|node| is_time(node)).count();
                let values = branches.iter().filter(|node| !matches!(node, Node::Null)).count();
                // A time beside numbers would be one number or the other.
                if times > 0 && times < values {
                    return None;
                }
                self.slot(times > 0)?;
                let kinds = branches.iter().map(|node| match node {
                    Node::Null => Some(None),
                    Node::Leaf(leaf) => self.kind(leaf).map(Some),
                    _ => None,
                });
                let kinds = kinds.collect::<Option<_>>()?;
                self.steps.push(Step::Choice(kinds));
                Some(())
            }
        }
    }

    fn maybe(&mut self, null: i64, leaf: &Leaf) -> Option<()> {
        self.slot(matches!(leaf, Leaf::Time(_)))?;
        let kind = self.kind(leaf)?;
        self.steps.push(Step::Maybe { null, kind });
        Some(())
    }

    fn maybe_record(&mut self, null: i64, place: usize) -> Option<()> {
        // The record itself has a slot, for when it is null.
        self.slot(false)?;
        let (step, slot) = (self.steps.len(), self.slots.len());
        self.steps.push(Step::MaybeRecord { null, slots: 0, steps: 0 });
        self.record(place)?;
        self.steps[step] =
            Step::MaybeRecord { null, slots: self.slots.len() - slot, steps: self.steps.len() - step - 1 };
        Some(())
    }

    fn kind(&mut self, leaf: &Leaf) -> Option<Kind> {
        Some(match leaf {
            Leaf::Boolean => Kind::Boolean,
            Leaf::Integer => Kind::Integer,
            Leaf::Time(unit) | Leaf::TimeOfDay(unit) => Kind::Scaled(*unit),
            Leaf::Float => Kind::Float,
            Leaf::Double => Kind::Double,
            Leaf::Text => Kind::Text,
            Leaf::Decimal { size, scale } => Kind::Decimal { size: *size, scale: *scale },
            Leaf::Symbols(symbols) => {
                let mut cell = |symbol: &str| {
                    let start = self.symbols.len();
                    self.symbols.push_str(symbol);
                    Cell::symbol(&(start..self.symbols.len()))
                };
                Kind::Symbols(symbols.iter().map(|symbol| cell(symbol)).collect::<Option<_>>()?)
            }
            // Text that is not in the record's bytes.
            Leaf::Bytes(_) | Leaf::Uuid { .. } => return None,
        })
    }
}

impl Renames for Types {
    fn renamed(&self, knows: &mut dyn FnMut(&str) -> bool) -> Option<Layout> {
        let mut compiler = Compiler::new(&self.records, Some(knows));
        compiler.root(&self.root)?;
        Some(Layout::of_slots(compiler.slots, compiler.symbols, None))
    }
}

impl Program {
    pub(super) fn new(types: &Arc<Types>) -> Option<Self> {
        let mut compiler = Compiler::new(&types.records, None);
        compiler.root(&types.root)?;
        let Compiler { slots, steps, symbols, has_aliases, .. } = compiler;
        let renames = has_aliases.then(|| Arc::clone(types) as Arc<dyn Renames>);
        Some(Self { layout: Arc::new(Layout::of_slots(slots, symbols, renames)), steps })
    }

    /// Reads the values of a record, whose own bytes begin at `start`. NaN is null where `bare_nan`.
    pub(in crate::decode) fn read(&self, bytes: &[u8], start: usize, bare_nan: bool, out: &mut Vec<Cell>) -> Read<()> {
        let mut reader = Reader { wire: Wire::new(bytes, start), bare_nan };
        let mut at = 0;
        while let Some(step) = self.steps.get(at) {
            at += 1;
            match step {
                Step::Value(kind) => out.push(reader.value(kind)?),
                Step::Maybe { null, kind } => match reader.long()? {
                    branch if branch == *null => out.push(Cell::NULL),
                    0 | 1 => out.push(reader.value(kind)?),
                    _ => return Err(NeedsFullDecode),
                },
                Step::Choice(kinds) => {
                    let branch = usize::try_from(reader.long()?).map_err(|_| NeedsFullDecode)?;
                    out.push(match kinds.get(branch).ok_or(NeedsFullDecode)? {
                        Some(kind) => reader.value(kind)?,
                        None => Cell::NULL,
                    });
                }
                Step::MaybeRecord { null, slots, steps } => match reader.long()? {
                    branch if branch == *null => {
                        out.push(Cell::NULL);
                        out.extend(std::iter::repeat_n(Cell::ABSENT, *slots));
                        at += steps;
                    }
                    0 | 1 => out.push(Cell::ABSENT),
                    _ => return Err(NeedsFullDecode),
                },
            }
        }
        if reader.wire.left() > 0 { Err(NeedsFullDecode) } else { Ok(()) }
    }
}

struct Reader<'b> {
    wire: Wire<'b>,
    bare_nan: bool,
}

impl Reader<'_> {
    #[inline]
    fn long(&mut self) -> Read<i64> {
        self.wire.long().ok_or(NeedsFullDecode)
    }

    #[inline]
    fn number(&self, number: f64) -> Read<Cell> {
        if number.is_finite() {
            return Ok(Cell(number));
        }
        if number.is_nan() && self.bare_nan { Ok(Cell::NULL) } else { Err(NeedsFullDecode) }
    }

    #[inline]
    fn value(&mut self, kind: &Kind) -> Read<Cell> {
        let wire = &mut self.wire;
        match kind {
            Kind::Double => {
                let number = wire.double().ok_or(NeedsFullDecode)?;
                self.number(number)
            }
            Kind::Integer => Ok(Cell(self.long()? as f64)),
            Kind::Scaled(unit) => Ok(Cell(milliseconds(self.long()?, *unit))),
            Kind::Float => {
                let number = wire.float().ok_or(NeedsFullDecode)?;
                self.number(number)
            }
            Kind::Boolean => wire.boolean().map(Cell::truth).ok_or(NeedsFullDecode),
            Kind::Null => Ok(Cell::NULL),
            Kind::Text => {
                let bytes = wire.bytes().ok_or(NeedsFullDecode)?;
                let is_text = bytes.is_ascii() || std::str::from_utf8(bytes).is_ok();
                let place = wire.at - bytes.len()..wire.at;
                Cell::text(&place).filter(|_| is_text).ok_or(NeedsFullDecode)
            }
            Kind::Decimal { size, scale } => {
                let bytes = match size {
                    Some(size) => wire.take(*size),
                    None => wire.bytes(),
                };
                let number = decimal::read(bytes.ok_or(NeedsFullDecode)?, *scale).ok_or(NeedsFullDecode)?;
                self.number(number)
            }
            Kind::Symbols(cells) => {
                let symbol = usize::try_from(self.long()?).ok().and_then(|i| cells.get(i));
                symbol.copied().ok_or(NeedsFullDecode)
            }
        }
    }
}
