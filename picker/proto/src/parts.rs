//! Reading messages without decoding them.
//!
//! Source of the format: Protocol Buffers, "Encoding" (<https://protobuf.dev/programming-guides/encoding/>).

use std::mem::take;

use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};

/// The fields of a message that have a length (texts, bytes and messages), with their numbers. It ends where the message
/// does, or is none any more.
#[derive(Clone, Copy, Debug)]
pub struct Parts<'a>(pub &'a [u8]);

impl<'a> Parts<'a> {
    /// Those of this number.
    pub fn numbered(self, number: u32) -> impl Iterator<Item = &'a [u8]> {
        self.filter(move |(of, _)| *of == number).map(|(_, bytes)| bytes)
    }

    /// The last of this number; empty when there is none.
    pub fn last_of(self, number: u32) -> &'a [u8] {
        self.numbered(number).last().unwrap_or_default()
    }
}

impl<'a> Iterator for Parts<'a> {
    type Item = (u32, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let mut bytes = take(&mut self.0);
        loop {
            let (number, wire) = decode_key(&mut bytes).ok()?;
            if wire == WireType::LengthDelimited {
                let length = decode_varint(&mut bytes).ok()?.try_into().ok()?;
                let part = bytes.split_off(..length)?;
                self.0 = bytes;
                return Some((number, part));
            }
            skip_field(wire, number, &mut bytes, DecodeContext::default()).ok()?;
        }
    }
}
