//! A small HPACK and frame encoder that can be told every choice an encoder has.

use proptest::prelude::*;

use crate::authority::frame_header::LENGTH as HEADER_LENGTH;

/// The lengths of the Huffman codes of RFC 7541, appendix B, by octet; the codes follow, for the code is
/// canonical.
#[rustfmt::skip]
const LENGTHS: [u8; 256] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
    6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
    13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
];

fn codes() -> [u32; 256] {
    let mut order: Vec<usize> = (0..256).collect();
    order.sort_by_key(|octet| (LENGTHS[*octet], *octet));
    let mut codes = [0; 256];
    let (mut code, mut length) = (0, LENGTHS[order[0]]);
    for octet in order {
        code <<= LENGTHS[octet] - length;
        length = LENGTHS[octet];
        codes[octet] = code;
        code += 1;
    }
    codes
}

fn huffman(text: &[u8]) -> Vec<u8> {
    let codes = codes();
    let mut bits: Vec<bool> = Vec::new();
    for octet in text {
        let (code, length) = (codes[usize::from(*octet)], LENGTHS[usize::from(*octet)]);
        bits.extend((0..length).rev().map(|n| code >> n & 1 == 1));
    }
    bits.resize(bits.len().next_multiple_of(8), true);
    bits.chunks(8).map(|byte| byte.iter().fold(0, |byte, bit| byte << 1 | u8::from(*bit))).collect()
}

/// How a string is written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Coding {
    Plain,
    Huffman,
}

/// Which of the three literals.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    Indexed,
    Plain,
    Never,
}

/// How a literal is named.
#[derive(Clone, Debug, PartialEq)]
pub enum Name {
    Authority,
    Static(usize),
    Dynamic(usize),
    Spelled(String, Coding),
}

#[derive(Clone, Debug, PartialEq)]
pub enum Field {
    Static(usize),
    TableSize(usize),
    Literal(Kind, Name, Vec<u8>, Coding),
}

impl Field {
    pub fn rewritten(&self) -> Self {
        match self {
            Self::Literal(kind, name, value, coding) if name.is_authority() => {
                let value = value.iter().map(|byte| if *byte == b'|' { b'+' } else { *byte }).collect();
                Self::Literal(*kind, name.clone(), value, *coding)
            }
            other => other.clone(),
        }
    }
}

impl Name {
    fn is_authority(&self) -> bool {
        matches!(self, Self::Authority) || matches!(self, Self::Spelled(name, _) if name == ":authority")
    }
}

/// A literal as encoders mostly write it: `:authority` by index, other names in full, added to the table.
pub fn literal(name: &str, value: &[u8], coding: Coding) -> Field {
    let name = if name == ":authority" { Name::Authority } else { Name::Spelled(name.into(), coding) };
    Field::Literal(Kind::Indexed, name, value.into(), coding)
}

fn integer(out: &mut Vec<u8>, pattern: u8, bits: u32, value: usize) {
    let mask = (1 << bits) - 1;
    if value < mask {
        out.push(pattern | value as u8);
        return;
    }
    out.push(pattern | mask as u8);
    let mut rest = value - mask;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

fn string(out: &mut Vec<u8>, text: &[u8], coding: Coding) {
    match coding {
        Coding::Plain => {
            integer(out, 0, 7, text.len());
            out.extend(text);
        }
        Coding::Huffman => {
            let coded = huffman(text);
            integer(out, 0x80, 7, coded.len());
            out.extend(coded);
        }
    }
}

/// A header block of these fields.
pub fn block(fields: &[Field]) -> Vec<u8> {
    let mut out = Vec::new();
    for field in fields {
        match field {
            Field::Static(index) => integer(&mut out, 0x80, 7, *index),
            Field::TableSize(size) => integer(&mut out, 0x20, 5, *size),
            Field::Literal(kind, name, value, coding) => {
                let (pattern, bits) = match kind {
                    Kind::Indexed => (0x40, 6),
                    Kind::Plain => (0x00, 4),
                    Kind::Never => (0x10, 4),
                };
                match name {
                    Name::Authority => integer(&mut out, pattern, bits, 1),
                    Name::Static(index) | Name::Dynamic(index) => integer(&mut out, pattern, bits, *index),
                    Name::Spelled(name, coding) => {
                        integer(&mut out, pattern, bits, 0);
                        string(&mut out, name.as_bytes(), *coding);
                    }
                }
                string(&mut out, value, *coding);
            }
        }
    }
    out
}

/// How a block is laid out in frames.
#[derive(Clone, Debug, Default)]
pub struct Frame {
    pub padding: Option<u8>,
    pub priority: bool,
    /// Lengths of the first pieces; one more frame has what is left.
    pub pieces: Vec<usize>,
    pub end_stream: bool,
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEADER_LENGTH + payload.len());
    out.extend(&(payload.len() as u32).to_be_bytes()[1..]);
    out.extend([kind, flags]);
    out.extend(stream.to_be_bytes());
    out.extend(payload);
    out
}

/// HEADERS and CONTINUATION frames of a block.
pub fn frames(stream: u32, block: &[u8], layout: &Frame) -> Vec<u8> {
    let mut rest = block;
    let mut pieces = Vec::new();
    for length in &layout.pieces {
        let (piece, after) = rest.split_at((*length).min(rest.len()));
        pieces.push(piece);
        rest = after;
    }
    pieces.push(rest);
    let mut out = Vec::new();
    for (n, piece) in pieces.iter().enumerate() {
        let mut flags = if n + 1 == pieces.len() { 0x4 } else { 0 };
        if n > 0 {
            out.extend(frame(9, flags, stream, piece));
            continue;
        }
        let mut payload = Vec::new();
        if let Some(padding) = layout.padding {
            flags |= 0x8;
            payload.push(padding);
        }
        if layout.priority {
            flags |= 0x20;
            payload.extend([0, 0, 0, 0, 15]);
        }
        payload.extend(*piece);
        payload.extend(std::iter::repeat_n(0, layout.padding.unwrap_or(0).into()));
        out.extend(frame(1, flags | u8::from(layout.end_stream), stream, &payload));
    }
    out
}

/// A DATA frame.
pub fn data(stream: u32, payload: &[u8]) -> Vec<u8> {
    frame(0, 0, stream, payload)
}

/// An empty SETTINGS frame.
pub fn settings() -> Vec<u8> {
    frame(4, 0, 0, &[])
}

fn any_coding() -> impl Strategy<Value = Coding> {
    prop_oneof![Just(Coding::Plain), Just(Coding::Huffman)]
}

fn any_value() -> impl Strategy<Value = Vec<u8>> {
    let octet = prop_oneof![2 => Just(b'|'), 1 => Just(b'+'), 4 => any::<u8>()];
    prop_oneof![9 => prop::collection::vec(octet, 0..60), 1 => prop::collection::vec(any::<u8>(), 120..400)]
}

fn any_field() -> impl Strategy<Value = Field> {
    let kind = prop_oneof![Just(Kind::Indexed), Just(Kind::Plain), Just(Kind::Never)];
    let name = prop_oneof![
        3 => Just(Name::Authority),
        1 => (2usize..62).prop_map(Name::Static),
        1 => (62usize..5000).prop_map(Name::Dynamic),
        2 => (":authority|[a-z|-]{1,20}", any_coding()).prop_map(|(name, coding)| Name::Spelled(name, coding)),
    ];
    prop_oneof![
        1 => (1usize..5000).prop_map(Field::Static),
        1 => (0usize..5000).prop_map(Field::TableSize),
        6 => (kind, name, any_value(), any_coding()).prop_map(|(k, n, v, c)| Field::Literal(k, n, v, c)),
    ]
}

/// Fields that a block can hold by its grammar, not always ones that can be decoded.
pub fn any_fields() -> impl Strategy<Value = Vec<Field>> {
    prop::collection::vec(any_field(), 0..8)
}

/// Any layout.
pub fn any_frame() -> impl Strategy<Value = Frame> {
    let pieces = prop::collection::vec(0usize..40, 0..5);
    (prop::option::of(any::<u8>()), any::<bool>(), pieces).prop_map(|(padding, priority, pieces)| Frame {
        padding,
        priority,
        pieces,
        end_stream: false,
    })
}
