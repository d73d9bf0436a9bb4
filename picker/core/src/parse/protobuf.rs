//! The wire format of Protocol Buffers (<https://protobuf.dev/programming-guides/encoding/>): the fields of a message one
//! after another, as positions in the body. It is told nothing of their types.

use std::ops::Range;

/// A field of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Field {
    pub number: u32,
    /// All of it, with its tag.
    pub whole: Range<usize>,
    pub value: Value,
}

/// The value of a field, as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// A number of as many bytes as it needs.
    Varint(u64),
    /// A number of four or eight bytes, which nobody reads here.
    Fixed,
    /// A text, bytes, a message, or packed numbers: their position.
    Bytes {
        inner: Range<usize>,
        /// Whether all of it is there. It may be cut off only at the end of a message of which the rest was not read.
        is_whole: bool,
    },
}

/// Kinds of values on the wire.
const VARINT: u64 = 0;
const FIXED_64: u64 = 1;
const BYTES: u64 = 2;
const GROUP: u64 = 3;
const END_OF_GROUP: u64 = 4;
const FIXED_32: u64 = 5;

/// The fields of the message at `within` of `bytes`, up to the first thing that is wrong, or cut off. Groups, which no
/// message has that is read here, are skipped.
pub(super) fn fields(bytes: &[u8], within: Range<usize>) -> impl Iterator<Item = Field> {
    let bytes = &bytes[..within.end];
    let mut pos = within.start;
    let mut depth = 0_usize;
    std::iter::from_fn(move || {
        loop {
            let start = pos;
            let tag = varint(bytes, &mut pos)?;
            let number = u32::try_from(tag >> 3).ok().filter(|number| *number > 0)?;
            let value = match tag & 7 {
                VARINT => Value::Varint(varint(bytes, &mut pos)?),
                FIXED_64 => fixed(bytes, &mut pos, 8)?,
                FIXED_32 => fixed(bytes, &mut pos, 4)?,
                BYTES => {
                    let length = usize::try_from(varint(bytes, &mut pos)?).ok()?;
                    let inner = pos..bytes.len().min(pos.checked_add(length)?);
                    pos = inner.end;
                    Value::Bytes { is_whole: inner.len() == length, inner }
                }
                GROUP => {
                    depth += 1;
                    continue;
                }
                END_OF_GROUP => {
                    depth = depth.checked_sub(1)?;
                    continue;
                }
                _ => return None,
            };
            if depth == 0 {
                return Some(Field { number, whole: start..pos, value });
            }
        }
    })
}

fn fixed(bytes: &[u8], pos: &mut usize, length: usize) -> Option<Value> {
    *pos = pos.checked_add(length).filter(|end| *end <= bytes.len())?;
    Some(Value::Fixed)
}

/// A number of at most ten bytes, seven bits in each, the lowest ones first.
fn varint(bytes: &[u8], pos: &mut usize) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..70_u32).step_by(7) {
        let byte = *bytes.get(*pos)?;
        *pos += 1;
        // What is beyond 64 bits is lost, as in other readers.
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

/// The length of the numbers at `inner`, up to the last one that is all there: of packed ones that were cut off.
pub(super) fn whole_varints(bytes: &[u8], inner: &Range<usize>) -> usize {
    bytes[inner.clone()].iter().rposition(|byte| *byte < 0x80).map_or(0, |last| last + 1)
}

#[cfg(test)]
mod tests;
