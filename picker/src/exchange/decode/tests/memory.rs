//! What decoders take of the heap, however the streams are made, is what they take of the budget at the most.

use std::io::Read as _;

use picker_core::parse::coding::Coding;

use super::*;
use crate::exchange::decode::progress::is_pause;

/// The most bytes that a reader of `body` has of the heap at once, and what it takes of the budget.
fn taken(coding: Coding, body: Vec<u8>) -> (usize, usize) {
    let mut charged = 0;
    let info = allocation_counter::measure(|| {
        let progress = Progress::default();
        let take = |bytes| {
            charged += bytes;
            true
        };
        let reader = coding::reader(&[coding], body.into(), &progress, AMPLE, take).now_or_never();
        let (mut reader, mut buffer) = (reader.unwrap().unwrap(), [0; 4096]);
        loop {
            match reader.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => progress.made(read),
                Err(error) if is_pause(&error) => {}
                Err(_) => break,
            }
        }
    });
    (info.bytes_max as usize, charged)
}

/// The head of a block of zstd, by its kind (RFC 8878, section 3.1.1.2).
fn head(kind: usize, size: usize) -> Vec<u8> {
    (size << 3 | kind << 1).to_le_bytes()[..3].to_vec()
}

/// A window of zstd that is no power of two, filled by blocks of a byte that is repeated.
fn wide_window() -> Vec<u8> {
    let blocks = [head(1, zstd::BLOCK), vec![b' ']].concat().repeat(100);
    // 7.5 MiB.
    [&[0x28, 0xb5, 0x2f, 0xfd, 0, 0x67][..], &blocks].concat()
}

/// A block of zstd with so many literals, which are one that is repeated, and `sequences`.
fn literals(count: usize, sequences: &[u8]) -> Vec<u8> {
    let block = [&(count << 4 | 0b1101).to_le_bytes()[..3], b" ", sequences].concat();
    [head(2, block.len()), block].concat()
}

/// Blocks of zstd with as many literals as there may be, and one with as many sequences as can be told: few bytes of each.
fn full_blocks() -> Vec<u8> {
    // Each of the three parts of a sequence has one code, which takes no bits.
    let sequences = [0xff, 0xff, 0xff, 0b0101_0100, 0, 0, 0, 1];
    let blocks =
        [literals(zstd::BLOCK - 1, &[0]), literals(zstd::BLOCK, &[0]), literals(zstd::BLOCK, &sequences)]
            .concat();
    [&[0x28, 0xb5, 0x2f, 0xfd, 0, 0][..], &blocks].concat()
}

/// A window of zstd that is full, and then literals beyond it.
fn overfull_window(count: usize) -> Vec<u8> {
    let blocks = [head(1, zstd::BLOCK), vec![b' ']].concat().repeat(64);
    [&[0x28, 0xb5, 0x2f, 0xfd, 0, 0x68][..], &blocks, &literals(count, &[0])].concat()
}

/// Bits, of which the first is the lowest of the first byte (RFC 7932, section 1.5.1).
#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    length: usize,
}

impl Bits {
    fn add(&mut self, count: usize, value: u32) {
        for at in 0..count {
            if self.length.is_multiple_of(8) {
                self.bytes.push(0);
            }
            *self.bytes.last_mut().unwrap() |= ((value >> at & 1) as u8) << (self.length % 8);
            self.length += 1;
        }
    }

    fn all(&mut self, values: &[(usize, u32)]) {
        values.iter().for_each(|(count, value)| self.add(*count, *value));
    }

    /// 256 as the number of types or of trees.
    fn most(&mut self) {
        self.all(&[(1, 1), (3, 7), (7, 127)]);
    }

    /// A code with one symbol, 0, of an alphabet whose symbols have so many bits.
    fn code(&mut self, symbol: usize) {
        self.all(&[(2, 1), (2, 0), (symbol, 0)]);
    }
}

/// A stream of brotli with as many tables as there may be (RFC 7932, section 9.2).
fn many_tables() -> Vec<u8> {
    let mut bits = Bits::default();
    // A window of 64 KiB; a block that is not the last, of 1,000 bytes, and is compressed.
    bits.all(&[(1, 0), (1, 0), (2, 0), (16, 999), (1, 0)]);
    // One type of literals, 256 of commands with a code for types and one for counts, and one of distances.
    bits.add(1, 0);
    bits.most();
    bits.code(9);
    bits.code(5);
    bits.add(2, 0);
    bits.add(1, 0);
    // No distances of another kind; the mode of the contexts.
    bits.all(&[(2, 0), (4, 0), (2, 0)]);
    // The trees of the contexts of literals, and of distances: all the first, without runs.
    for _ in 0..2 {
        bits.most();
        bits.add(1, 0);
        bits.code(8);
        bits.add(1, 0);
    }
    for symbol in [8, 10, 6] {
        (0..256).for_each(|_| bits.code(symbol));
    }
    (0..8).for_each(|_| bits.add(8, 0));
    bits.bytes
}

#[rstest]
#[case::window(Coding::Zstd, wide_window(), 15 << 19)]
#[case::literals_beyond_the_window(Coding::Zstd, overfull_window(zstd::BLOCK), 12 << 20)]
#[case::too_many_literals(Coding::Zstd, overfull_window(0xf_ffff), 12 << 20)]
#[case::literals_and_sequences(Coding::Zstd, full_blocks(), 1 << 20)]
#[case::tables(Coding::Brotli, many_tables(), 1 << 20)]
#[case::honest_brotli(Coding::Brotli, packed("br", &chat(1_000_000)), 1 << 19)]
#[case::honest_zstd(Coding::Zstd, packed("zstd", &chat(1_000_000)), 1 << 19)]
#[case::gzip(Coding::Gzip, packed("gzip", &chat(1_000_000)), 1 << 14)]
fn no_stream_takes_more_than_is_counted(#[case] coding: Coding, #[case] body: Vec<u8>, #[case] least: usize) {
    let (most, charged) = taken(coding, body);
    assert!((least..=charged).contains(&most), "{most} of {charged}");
}
