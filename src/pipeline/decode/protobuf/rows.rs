//! Takes a repeated field out of a message: each element with what stands around the field is a message of the same kind.
//!
//! Invariant: the bytes of what stands around stay as they are and in their order, so that the same record gives the same rows.

use std::ops::Range;

use prost_reflect::{Kind, MessageDescriptor};

/// Wire types.
const VARINT: u8 = 0;
const I64: u8 = 1;
const LEN: u8 = 2;
const I32: u8 = 5;
/// Bytes of the longest varint.
const MAX_VARINT: usize = 10;

/// A repeated field in a message.
#[derive(Debug)]
pub(in crate::decode) struct Rows {
    /// What stands before the first element and behind it, without the field itself.
    before: Vec<u8>,
    behind: Vec<u8>,
    /// Numbers of the messages around it, from the inside, each with what stands before and behind in it.
    outer: Vec<(u32, Vec<u8>, Vec<u8>)>,
    number: u32,
    wire: u8,
    pub(in crate::decode) elements: Vec<Vec<u8>>,
}

/// A field on the wire: its number, its wire type, its value, and where both stand.
struct Field {
    number: u32,
    wire: u8,
    value: Range<usize>,
    place: Range<usize>,
}

impl Rows {
    /// Finds the repeated field at `path` in a message; `None` where there is none, or the message is damaged.
    pub(in crate::decode) fn find(message: &MessageDescriptor, bytes: &[u8], path: &[String]) -> Option<Self> {
        let (name, rest) = path.split_first()?;
        let field = message.get_field_by_name(name)?;
        let number = field.number();
        let all = fields(bytes)?;
        // Without it on the wire there is an empty list, or no message.
        let first = all.iter().find(|field| field.number == number).map(|field| field.place.start);
        let (mut before, mut behind) = (Vec::new(), Vec::new());
        for other in all.iter().filter(|other| other.number != number) {
            let part = if first.is_some_and(|first| other.place.start < first) { &mut before } else { &mut behind };
            part.extend_from_slice(&bytes[other.place.clone()]);
        }
        let own = all.iter().filter(|field| field.number == number);
        if rest.is_empty() {
            if !field.is_list() {
                return None;
            }
            let (wire, mut elements) = (wire_type(&field.kind()), Vec::new());
            for one in own {
                let value = &bytes[one.value.clone()];
                match one.wire {
                    LEN if wire != LEN => unpack(value, wire, &mut elements)?,
                    it if it == wire => elements.push(value.to_vec()),
                    _ => return None,
                }
            }
            return Some(Self { before, behind, outer: Vec::new(), number, wire, elements });
        }
        // What comes more than once is one message, whose parts stand behind each other.
        let Kind::Message(inner) = field.kind() else { return None };
        if field.is_list() || field.is_map() || first.is_none() {
            return None;
        }
        let merged: Vec<u8> = own.flat_map(|one| bytes[one.value.clone()].iter().copied()).collect();
        let mut rows = Self::find(&inner, &merged, rest)?;
        rows.outer.push((number, before, behind));
        Some(rows)
    }

    /// Returns the bytes of a message with one element alone in the field.
    pub(in crate::decode) fn size(&self, element: &[u8]) -> usize {
        let mut size = tag(self.number, self.wire).len() + element.len() + self.before.len() + self.behind.len();
        if self.wire == LEN {
            size += varint(element.len() as u64).len();
        }
        for (number, before, behind) in &self.outer {
            size += tag(*number, LEN).len() + varint(size as u64).len() + before.len() + behind.len();
        }
        size
    }

    /// Returns a message with one element alone in the field.
    pub(in crate::decode) fn row(&self, element: &[u8]) -> Vec<u8> {
        let length = if self.wire == LEN { varint(element.len() as u64) } else { Vec::new() };
        let mut row = [&self.before[..], &tag(self.number, self.wire), &length, element, &self.behind].concat();
        for (number, before, behind) in &self.outer {
            row = [&before[..], &tag(*number, LEN), &varint(row.len() as u64), &row, behind].concat();
        }
        row
    }
}

fn wire_type(kind: &Kind) -> u8 {
    match kind {
        Kind::Double | Kind::Fixed64 | Kind::Sfixed64 => I64,
        Kind::Float | Kind::Fixed32 | Kind::Sfixed32 => I32,
        Kind::String | Kind::Bytes | Kind::Message(_) => LEN,
        _ => VARINT,
    }
}

/// Returns the fields of a message as they stand in it; `None` where it is damaged, or holds groups.
fn fields(bytes: &[u8]) -> Option<Vec<Field>> {
    let (mut at, mut all) = (0, Vec::new());
    while at < bytes.len() {
        let start = at;
        let key = read_varint(bytes, &mut at)?;
        let (number, wire) = (u32::try_from(key >> 3).ok()?, (key & 7) as u8);
        let begin = match wire {
            LEN => {
                let length = usize::try_from(read_varint(bytes, &mut at)?).ok()?;
                let begin = at;
                at = at.checked_add(length)?;
                begin
            }
            _ => {
                let begin = at;
                skip(bytes, wire, &mut at)?;
                begin
            }
        };
        if at > bytes.len() {
            return None;
        }
        all.push(Field { number, wire, value: begin..at, place: start..at });
    }
    Some(all)
}

fn skip(bytes: &[u8], wire: u8, at: &mut usize) -> Option<()> {
    match wire {
        VARINT => {
            read_varint(bytes, at)?;
        }
        I64 => *at = at.checked_add(8)?,
        I32 => *at = at.checked_add(4)?,
        _ => return None,
    }
    (*at <= bytes.len()).then_some(())
}

/// Takes the elements apart that stand behind each other.
fn unpack(bytes: &[u8], wire: u8, elements: &mut Vec<Vec<u8>>) -> Option<()> {
    let mut at = 0;
    while at < bytes.len() {
        let start = at;
        skip(bytes, wire, &mut at)?;
        elements.push(bytes[start..at].to_vec());
    }
    Some(())
}

fn read_varint(bytes: &[u8], at: &mut usize) -> Option<u64> {
    let mut number = 0_u64;
    for i in 0..MAX_VARINT {
        let byte = *bytes.get(*at)?;
        *at += 1;
        number |= u64::from(byte & 0x7f) << (7 * i);
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

fn varint(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(MAX_VARINT);
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

fn tag(number: u32, wire: u8) -> Vec<u8> {
    varint(u64::from(number) << 3 | u64::from(wire))
}
