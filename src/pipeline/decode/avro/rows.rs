//! Takes an array out of a datum: each element with what stands around the array is a datum of the same schema.

use std::ops::Range;

use super::{
    Node, Plan,
    extent::{MAX_DEPTH, Pass},
};

/// An array of one element: how many there are, and that there are no more behind it.
const ONE: u8 = 2;
const END: u8 = 0;

/// An array in a datum.
#[derive(Debug)]
pub(in crate::decode) struct Rows {
    array: Range<usize>,
    pub(in crate::decode) elements: Vec<Range<usize>>,
}

impl Rows {
    /// Finds the array at `path` in a datum that begins at `start`; `None` where there is none, or the datum is damaged before its end.
    pub(in crate::decode) fn find(plan: &Plan, bytes: &[u8], start: usize, path: &[String]) -> Option<Self> {
        let mut pass = Pass::new(plan, bytes, start);
        pass.array(&plan.types.root, path, MAX_DEPTH)
    }

    /// Returns the bytes of a datum with one element alone in the array.
    pub(in crate::decode) fn size(&self, bytes: &[u8], element: &Range<usize>) -> usize {
        bytes.len() - self.array.len() + 1 + element.len() + 1
    }

    /// Returns a datum with one element alone in the array.
    pub(in crate::decode) fn row(&self, bytes: &[u8], element: &Range<usize>) -> Vec<u8> {
        let (before, behind) = (&bytes[..self.array.start], &bytes[self.array.end..]);
        [before, &[ONE], &bytes[element.clone()], &[END], behind].concat()
    }
}

impl Pass<'_> {
    /// Follows `path` to an array, and reads that.
    fn array(&mut self, node: &Node, path: &[String], depth: usize) -> Option<Rows> {
        let depth = depth.checked_sub(1)?;
        match (node, path) {
            (Node::Union(branches), _) => {
                let branch = usize::try_from(self.wire.long()?).ok()?;
                self.array(branches.get(branch)?, path, depth)
            }
            (Node::Record(place), [name, rest @ ..]) => {
                let fields = &self.types.records.get(*place)?.fields;
                let wanted = fields
                    .iter()
                    .position(|field| *field.name == **name)
                    .or_else(|| fields.iter().position(|field| field.aliases.iter().any(|alias| **alias == **name)))?;
                fields[..wanted].iter().try_for_each(|field| self.value(&field.node, depth))?;
                self.array(&fields[wanted].node, rest, depth)
            }
            (Node::Array(items), []) => {
                let (start, mut elements) = (self.wire.at, Vec::new());
                self.list(false, items, depth, &mut |element| elements.push(element))?;
                Some(Rows { array: start..self.wire.at, elements })
            }
            _ => None,
        }
    }
}
