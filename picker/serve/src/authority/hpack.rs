//! The rewriting of a header block: `|` becomes `+` in literal values of `:authority` (RFC 7541).
//!
//! The walk needs no dynamic table. A literal `:authority` names itself by static index 1 (or, from an
//! unusual encoder, in full); an indexed field repeats a value that was rewritten when it was first sent,
//! so that the decoder's table holds the rewritten one.

/// The code of `|` in the top bits of a window, and of `+`: both are 11 bits long, and they differ in the
/// last 3.
const PIPE: u32 = 0x7fc;
const PIPE_BITS: usize = 11;

/// `:authority`, plain and Huffman-coded.
const NAME: &[u8] = b":authority";
const NAME_HUFFMAN: &[u8] = &[0xb8, 0x3b, 0x53, 0x39, 0xec, 0x32, 0x7d, 0x7f];

/// The lengths of Huffman codes. A code is as long as the first entry says whose limit is above the next 32 bits: the
/// code of RFC 7541, appendix B, is canonical, so codes of one length are consecutive and above all shorter ones.
const LENGTHS: [(u32, u8); 20] = [
    (0x5000_0000, 5),
    (0xb800_0000, 6),
    (0xf800_0000, 7),
    (0xfe00_0000, 8),
    (0xff40_0000, 10),
    (0xffa0_0000, 11),
    (0xffc0_0000, 12),
    (0xfff0_0000, 13),
    (0xfff8_0000, 14),
    (0xfffe_0000, 15),
    (0xfffe_6000, 19),
    (0xfffe_e000, 20),
    (0xffff_4800, 21),
    (0xffff_b000, 22),
    (0xffff_ea00, 23),
    (0xffff_f600, 24),
    (0xffff_f800, 25),
    (0xffff_fbc0, 26),
    (0xffff_fe20, 27),
    (0xffff_fff0, 28),
];
const LONGEST: usize = 30;

/// Rewrites a complete header block in place. A malformed block is left as it is from the first fault on: the
/// decoder behind will refuse it.
pub(super) fn rewrite(block: &mut [u8]) {
    let mut at = 0;
    while at < block.len() {
        match field(block, at) {
            Some(next) => at = next,
            None => return,
        }
    }
}

/// Walks over the field that begins at `at`; where the next one begins, or `None` if the block ends before.
fn field(block: &mut [u8], at: usize) -> Option<usize> {
    let prefix = match block[at] {
        b if b & 0x80 != 0 => return Some(integer(block, at, 7)?.1),
        b if b & 0x40 != 0 => 6,
        b if b & 0x20 != 0 => return Some(integer(block, at, 5)?.1),
        _ => 4,
    };
    let (index, mut at) = integer(block, at, prefix)?;
    let mut authority = index == 1;
    if index == 0 {
        let name = Text::read(block, at)?;
        let bytes = &block[name.start..name.end];
        authority = bytes == if name.huffman { NAME_HUFFMAN } else { NAME };
        at = name.end;
    }
    let value = Text::read(block, at)?;
    if authority {
        let bytes = &mut block[value.start..value.end];
        if value.huffman { rewrite_huffman(bytes) } else { rewrite_plain(bytes) }
    }
    Some(value.end)
}

/// An integer with a prefix of `bits` bits (RFC 7541, 5.1), and where what follows begins.
fn integer(block: &[u8], at: usize, bits: u32) -> Option<(usize, usize)> {
    let mask = (1usize << bits) - 1;
    let mut value = usize::from(*block.get(at)?) & mask;
    if value < mask {
        return Some((value, at + 1));
    }
    // Four more bytes hold 28 bits, more than any frame.
    for (n, byte) in block[at + 1..].iter().take(4).enumerate() {
        value += usize::from(byte & 0x7f) << (7 * n);
        if byte & 0x80 == 0 {
            return Some((value, at + 2 + n));
        }
    }
    None
}

/// A string literal (RFC 7541, 5.2).
struct Text {
    start: usize,
    end: usize,
    huffman: bool,
}

impl Text {
    fn read(block: &[u8], at: usize) -> Option<Self> {
        let huffman = *block.get(at)? & 0x80 != 0;
        let (length, start) = integer(block, at, 7)?;
        let end = start.checked_add(length).filter(|end| *end <= block.len())?;
        Some(Self { start, end, huffman })
    }
}

fn rewrite_plain(text: &mut [u8]) {
    for byte in text {
        if *byte == b'|' {
            *byte = b'+';
        }
    }
}

fn rewrite_huffman(text: &mut [u8]) {
    // The next bits of the text, the first of them on top, and how many there are.
    let (mut window, mut held) = (0u64, 0usize);
    let (mut next, mut bit) = (0, 0);
    loop {
        while held <= 56 && next < text.len() {
            window |= u64::from(text[next]) << (56 - held);
            held += 8;
            next += 1;
        }
        let top = (window >> 32) as u32;
        let length = code_length(top);
        // Padding ends here too: fewer than eight ones are no code.
        if length > held {
            return;
        }
        if length == PIPE_BITS && top >> (32 - PIPE_BITS) == PIPE {
            for flip in bit + 8..bit + PIPE_BITS {
                text[flip / 8] ^= 0x80 >> (flip % 8);
            }
        }
        window <<= length;
        held -= length;
        bit += length;
    }
}

fn code_length(top: u32) -> usize {
    LENGTHS.iter().find(|(limit, _)| top < *limit).map_or(LONGEST, |(_, length)| usize::from(*length))
}
