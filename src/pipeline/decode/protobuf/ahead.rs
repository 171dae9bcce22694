//! Reads messages whose values are always in the same places, into cells: those without repeated fields.
//!
//! Invariant: what it reads, `walk` reads as the same values. What it does not understand at once it leaves to that.

use std::sync::Arc;

use prost_reflect::{EnumDescriptor, FieldDescriptor, Kind as Type, MessageDescriptor};

use super::{
    super::{
        cell::Cell,
        read_ahead::{Layout, LayoutSlot},
        scanner::{NeedsFullDecode, Read},
    },
    walk::{self, Known},
};

/// Most values of a record that is read ahead; a few types can stand for millions.
const MAX_SLOTS: usize = 4096;
/// Most bytes of their names.
const MAX_NAME_BYTES: usize = 256 << 10;
/// Field numbers up to here are found at once.
const MAX_DIRECT: u32 = 128;

/// How a message is read.
#[derive(Debug)]
pub(in crate::decode) struct Program {
    pub(in crate::decode) layout: Arc<Layout>,
    /// The first is the record itself.
    scopes: Vec<Scope>,
    /// Values of the record where nothing is on the wire.
    defaults: Box<[Cell]>,
}

/// A message at one place of a record.
#[derive(Debug)]
struct Scope {
    /// Places among the fields, plus one, by number.
    direct: Box<[u16]>,
    fields: Vec<(u32, Field)>,
    /// Where its values begin among those of the record.
    first: usize,
    /// Its values where it is there and empty.
    defaults: Box<[Cell]>,
}

#[derive(Debug)]
struct Field {
    slot: usize,
    kind: Kind,
    /// Slots of which one excludes this one.
    others: Box<[usize]>,
}

#[derive(Debug)]
enum Kind {
    Double,
    Float,
    Signed32,
    Signed64,
    Unsigned32,
    Unsigned64,
    Zigzag32,
    Zigzag64,
    Fixed32,
    Fixed64,
    SignedFixed32,
    SignedFixed64,
    Boolean,
    Text,
    Symbols(Vec<(i32, Cell)>),
    /// Another message, by its place among the scopes.
    Message(usize),
    Time,
    Span,
    /// A message with one value.
    Wrapper(Box<Kind>, Cell),
    /// Values that are not in one place.
    Other,
}

struct Compiler {
    open: Vec<String>,
    path: String,
    ancestors: Vec<usize>,
    slots: Vec<LayoutSlot>,
    defaults: Vec<Cell>,
    symbols: String,
    scopes: Vec<Scope>,
    name_bytes: usize,
}

impl Program {
    /// Makes the program of a message; `None` where it has too many fields.
    pub(super) fn new(message: &MessageDescriptor) -> Option<Self> {
        let mut compiler = Compiler {
            open: Vec::new(),
            path: String::new(),
            ancestors: Vec::new(),
            slots: Vec::new(),
            defaults: Vec::new(),
            symbols: String::new(),
            scopes: Vec::new(),
            name_bytes: 0,
        };
        compiler.message(message)?;
        let Compiler { slots, defaults, symbols, scopes, .. } = compiler;
        let layout = Arc::new(Layout::of_slots(slots, symbols, None));
        Some(Self { layout, scopes, defaults: defaults.into() })
    }

    /// Reads the values of a record, whose own bytes begin at `start`. NaN is null where `bare_nan`.
    pub(in crate::decode) fn read(&self, bytes: &[u8], start: usize, bare_nan: bool, out: &mut Vec<Cell>) -> Read<()> {
        let first = out.len();
        out.extend_from_slice(&self.defaults);
        let mut reader = Reader { program: self, bytes, at: start, bare_nan, cells: &mut out[first..] };
        reader.message(0, bytes.len())
    }
}

impl Compiler {
    fn message(&mut self, message: &MessageDescriptor) -> Option<usize> {
        let place = self.scopes.len();
        let first = self.slots.len();
        self.scopes.push(Scope { direct: Box::default(), fields: Vec::new(), first, defaults: Box::default() });
        self.open.push(message.full_name().to_owned());
        let mut fields: Vec<(u32, Field)> = Vec::new();
        for field in message.fields() {
            let field_place = self.field(&field)?;
            fields.push((field.number(), field_place));
        }
        for oneof in message.oneofs() {
            let numbers: Vec<u32> = oneof.fields().map(|field| field.number()).collect();
            let members: Vec<usize> = (0..fields.len()).filter(|i| numbers.contains(&fields[*i].0)).collect();
            for member in &members {
                let others = members.iter().filter(|other| *other != member).map(|other| fields[*other].1.slot);
                fields[*member].1.others = others.collect();
            }
        }
        self.open.pop();
        let most = fields.iter().map(|(number, _)| *number).filter(|number| *number <= MAX_DIRECT).max().unwrap_or(0);
        let mut direct = vec![0; most as usize + 1];
        for (i, (number, _)) in fields.iter().enumerate().filter(|(_, (number, _))| *number <= MAX_DIRECT) {
            direct[*number as usize] = u16::try_from(i + 1).ok()?;
        }
        let defaults = self.defaults[first..].into();
        self.scopes[place] = Scope { direct: direct.into(), fields, first, defaults };
        Some(place)
    }

    fn field(&mut self, field: &FieldDescriptor) -> Option<Field> {
        let end = self.path.len();
        if end > 0 {
            self.path.push('.');
        }
        self.path.push_str(field.name());
        let slot = self.slots.len();
        let kind = if field.is_list() || field.is_map() { Kind::Other } else { self.kind(field)? };
        self.path.truncate(end);
        Some(Field { slot, kind, others: Box::default() })
    }

    /// Adds the slot of the path, and its value where nothing is on the wire.
    fn slot(&mut self, is_time: bool, default: Cell) -> Option<()> {
        self.name_bytes += self.path.len();
        if self.slots.len() == MAX_SLOTS || self.name_bytes > MAX_NAME_BYTES {
            return None;
        }
        let (name, ancestors) = (self.path.as_str().into(), self.ancestors.as_slice().into());
        self.slots.push(LayoutSlot { name, ancestors, is_time });
        self.defaults.push(default);
        Some(())
    }

    /// Adds the slots of a field.
    fn kind(&mut self, field: &FieldDescriptor) -> Option<Kind> {
        let Type::Message(message) = field.kind() else {
            let (kind, default) = self.scalar(&field.kind())?;
            let is_unknown = field.supports_presence();
            self.slot(false, if is_unknown { Cell::NULL } else { default })?;
            return Some(kind);
        };
        let kind = match walk::known(&message) {
            Some(Known::Time) => {
                self.slot(true, Cell::NULL)?;
                return Some(Kind::Time);
            }
            Some(Known::Span) => {
                self.slot(false, Cell::NULL)?;
                return Some(Kind::Span);
            }
            Some(Known::Wrapper) => {
                self.slot(false, Cell::NULL)?;
                let value = message.get_field(1)?;
                match self.scalar(&value.kind())? {
                    (Kind::Other, _) => Kind::Other,
                    (kind, default) => Kind::Wrapper(Box::new(kind), default),
                }
            }
            Some(Known::Struct | Known::Value | Known::List) => {
                self.slot(false, Cell::NULL)?;
                Kind::Other
            }
            None => {
                self.slot(false, Cell::NULL)?;
                if field.is_group()
                    || self.open.iter().any(|open| open == message.full_name())
                    || message.fields().len() == 0
                {
                    return Some(Kind::Other);
                }
                let first = self.slots.len();
                self.ancestors.push(self.path.len());
                let place = self.message(&message)?;
                self.ancestors.pop();
                // It is not there.
                self.defaults[first..].fill(Cell::ABSENT);
                Kind::Message(place)
            }
        };
        Some(kind)
    }

    /// Returns how a value is read, and what it is where it has no presence.
    fn scalar(&mut self, of: &Type) -> Option<(Kind, Cell)> {
        let zero = Cell(0.0);
        Some(match of {
            Type::Double => (Kind::Double, zero),
            Type::Float => (Kind::Float, zero),
            Type::Int32 => (Kind::Signed32, zero),
            Type::Int64 => (Kind::Signed64, zero),
            Type::Uint32 => (Kind::Unsigned32, zero),
            Type::Uint64 => (Kind::Unsigned64, zero),
            Type::Sint32 => (Kind::Zigzag32, zero),
            Type::Sint64 => (Kind::Zigzag64, zero),
            Type::Fixed32 => (Kind::Fixed32, zero),
            Type::Fixed64 => (Kind::Fixed64, zero),
            Type::Sfixed32 => (Kind::SignedFixed32, zero),
            Type::Sfixed64 => (Kind::SignedFixed64, zero),
            Type::Bool => (Kind::Boolean, Cell::truth(false)),
            Type::String => (Kind::Text, Cell::symbol(&(0..0))?),
            // Bytes are text that is in no record.
            Type::Bytes => (Kind::Other, Cell::NULL),
            Type::Enum(of) => {
                let symbols = self.enumeration(of)?;
                let default = symbols.iter().find(|(number, _)| *number == of.default_value().number());
                let default = default.map_or(Cell::NULL, |(_, cell)| *cell);
                (Kind::Symbols(symbols), default)
            }
            Type::Message(_) => (Kind::Other, Cell::NULL),
        })
    }

    fn enumeration(&mut self, of: &EnumDescriptor) -> Option<Vec<(i32, Cell)>> {
        let mut symbols = Vec::new();
        for value in of.values() {
            // Of two names for one number, the one that the library knows counts.
            let name = of.get_value(value.number())?;
            let start = self.symbols.len();
            self.symbols.push_str(name.name());
            symbols.push((value.number(), Cell::symbol(&(start..self.symbols.len()))?));
            if self.symbols.len() > MAX_NAME_BYTES {
                return None;
            }
        }
        Some(symbols)
    }
}

struct Reader<'r> {
    program: &'r Program,
    bytes: &'r [u8],
    at: usize,
    bare_nan: bool,
    cells: &'r mut [Cell],
}

impl Reader<'_> {
    /// Reads a message that ends at `end`.
    fn message(&mut self, scope: usize, end: usize) -> Read<()> {
        let program = self.program;
        let scope = program.scopes.get(scope).ok_or(NeedsFullDecode)?;
        while self.at < end {
            let tag = self.varint()?;
            let (number, wire) = ((tag >> 3) as u32, tag & 7);
            if number == 0 || tag >> 3 > u64::from(u32::MAX >> 3) {
                return Err(NeedsFullDecode);
            }
            let place = match scope.direct.get(number as usize) {
                Some(place) => usize::from(*place).checked_sub(1),
                None => scope.fields.iter().position(|(other, _)| *other == number),
            };
            match place.and_then(|place| scope.fields.get(place)) {
                Some((_, field)) => self.field(field, wire, end)?,
                None => self.skip(wire, end)?,
            }
        }
        if self.at == end { Ok(()) } else { Err(NeedsFullDecode) }
    }

    fn field(&mut self, field: &Field, wire: u64, end: usize) -> Read<()> {
        // The last one of several that exclude each other counts.
        if field.others.iter().any(|other| !is_null(self.cells[*other])) {
            return Err(NeedsFullDecode);
        }
        let cell = match &field.kind {
            Kind::Other => return Err(NeedsFullDecode),
            Kind::Message(place) => {
                let inner = self.length(wire, end)?;
                let scope = self.program.scopes.get(*place).ok_or(NeedsFullDecode)?;
                // Two of the same message are one with the fields of both.
                if is_null(self.cells[field.slot]) {
                    let values = scope.first..scope.first + scope.defaults.len();
                    self.cells[values].copy_from_slice(&scope.defaults);
                    self.cells[field.slot] = Cell::ABSENT;
                }
                return self.message(*place, inner);
            }
            Kind::Time | Kind::Span if !is_null(self.cells[field.slot]) => return Err(NeedsFullDecode),
            Kind::Time | Kind::Span => {
                let inner = self.length(wire, end)?;
                let (mut seconds, mut nanos) = (0, 0);
                while self.at < inner {
                    match self.varint()? {
                        0x08 => seconds = self.varint()? as i64,
                        0x10 => nanos = self.varint()? as i32,
                        _ => return Err(NeedsFullDecode),
                    }
                }
                if self.at != inner {
                    return Err(NeedsFullDecode);
                }
                Cell(walk::milliseconds(seconds, nanos))
            }
            Kind::Wrapper(..) if !is_null(self.cells[field.slot]) => return Err(NeedsFullDecode),
            Kind::Wrapper(kind, default) => {
                let inner = self.length(wire, end)?;
                let mut cell = *default;
                while self.at < inner {
                    let tag = self.varint()?;
                    if tag >> 3 != 1 {
                        return Err(NeedsFullDecode);
                    }
                    cell = self.value(kind, tag & 7, inner)?;
                }
                if self.at != inner {
                    return Err(NeedsFullDecode);
                }
                cell
            }
            kind => self.value(kind, wire, end)?,
        };
        self.cells[field.slot] = cell;
        Ok(())
    }

    #[inline]
    fn value(&mut self, kind: &Kind, wire: u64, end: usize) -> Read<Cell> {
        const VARINT: u64 = 0;
        const EIGHT: u64 = 1;
        const FOUR: u64 = 5;
        let number = match (kind, wire) {
            (Kind::Double, EIGHT) => {
                let number = f64::from_le_bytes(self.array()?);
                return self.finite(number);
            }
            (Kind::Float, FOUR) => {
                let number = f32::from_le_bytes(self.array()?);
                return self.finite(number.into());
            }
            (Kind::Signed64, VARINT) => self.varint()? as i64 as f64,
            (Kind::Signed32, VARINT) => f64::from(self.varint()? as i32),
            (Kind::Unsigned64, VARINT) => self.varint()? as f64,
            (Kind::Unsigned32, VARINT) => f64::from(self.varint()? as u32),
            (Kind::Zigzag64, VARINT) => {
                let raw = self.varint()?;
                ((raw >> 1) as i64 ^ -((raw & 1) as i64)) as f64
            }
            (Kind::Zigzag32, VARINT) => {
                let raw = self.varint()? as u32;
                f64::from((raw >> 1) as i32 ^ -((raw & 1) as i32))
            }
            (Kind::Fixed32, FOUR) => f64::from(u32::from_le_bytes(self.array()?)),
            (Kind::Fixed64, EIGHT) => u64::from_le_bytes(self.array()?) as f64,
            (Kind::SignedFixed32, FOUR) => f64::from(i32::from_le_bytes(self.array()?)),
            (Kind::SignedFixed64, EIGHT) => i64::from_le_bytes(self.array()?) as f64,
            (Kind::Boolean, VARINT) => return Ok(Cell::truth(self.varint()? != 0)),
            (Kind::Symbols(symbols), VARINT) => {
                let number = self.varint()? as i32;
                let symbol = symbols.iter().find(|(other, _)| *other == number);
                return Ok(symbol.map_or(Cell(f64::from(number)), |(_, cell)| *cell));
            }
            (Kind::Text, _) => {
                let inner = self.length(wire, end)?;
                let place = self.at..inner;
                let text = self.bytes.get(place.clone()).ok_or(NeedsFullDecode)?;
                let is_text = text.is_ascii() || std::str::from_utf8(text).is_ok();
                self.at = inner;
                return Cell::text(&place).filter(|_| is_text).ok_or(NeedsFullDecode);
            }
            _ => return Err(NeedsFullDecode),
        };
        Ok(Cell(number))
    }

    #[inline]
    fn finite(&self, number: f64) -> Read<Cell> {
        if number.is_finite() {
            return Ok(Cell(number));
        }
        if number.is_nan() && self.bare_nan { Ok(Cell::NULL) } else { Err(NeedsFullDecode) }
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Read<[u8; N]> {
        let taken = self.bytes.get(self.at..).and_then(|rest| rest.first_chunk()).ok_or(NeedsFullDecode)?;
        self.at += N;
        Ok(*taken)
    }

    #[inline]
    fn varint(&mut self) -> Read<u64> {
        let first = *self.bytes.get(self.at).ok_or(NeedsFullDecode)?;
        self.at += 1;
        if first < 0x80 {
            return Ok(u64::from(first));
        }
        let mut raw = u64::from(first & 0x7f);
        for shift in (7..64).step_by(7) {
            let byte = *self.bytes.get(self.at).ok_or(NeedsFullDecode)?;
            self.at += 1;
            // The tenth byte has room for one bit.
            if shift == 63 && byte > 1 {
                return Err(NeedsFullDecode);
            }
            raw |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(raw);
            }
        }
        Err(NeedsFullDecode)
    }

    /// Reads the length of what is in so many bytes, and returns where it ends.
    #[inline]
    fn length(&mut self, wire: u64, end: usize) -> Read<usize> {
        const LENGTH: u64 = 2;
        if wire != LENGTH {
            return Err(NeedsFullDecode);
        }
        let length = usize::try_from(self.varint()?).map_err(|_| NeedsFullDecode)?;
        self.at.checked_add(length).filter(|inner| *inner <= end).ok_or(NeedsFullDecode)
    }

    /// Passes over a field that the schema does not know.
    fn skip(&mut self, wire: u64, end: usize) -> Read<()> {
        match wire {
            0 => drop(self.varint()?),
            1 => drop(self.array::<8>()?),
            2 => self.at = self.length(wire, end)?,
            5 => drop(self.array::<4>()?),
            _ => return Err(NeedsFullDecode),
        }
        Ok(())
    }
}

/// Returns true for the value of a field with presence that is not there.
fn is_null(cell: Cell) -> bool {
    cell.0.to_bits() == Cell::NULL.0.to_bits()
}
