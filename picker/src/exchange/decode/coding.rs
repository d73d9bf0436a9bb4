//! Readers that undo content codings.

use std::io::{self, BufRead, BufReader, Read};

use bytes::{Buf, Bytes};
use flate2::bufread::{DeflateDecoder, GzDecoder, ZlibDecoder};
use picker_core::parse::coding::Coding;
use tokio::task::yield_now;

use super::progress::{Bound, Progress, is_pause};
use super::zstd::{self, Frames, Head};

/// The most members of one gzip file that are read.
const MEMBERS: usize = 64;
/// Bytes that are buffered between two codings.
const BUFFER: usize = 8 << 10;
/// The window of deflate, with the state around it.
const DEFLATE: usize = 64 << 10;
/// The most that a decoder of brotli takes beside its window: 256 tables each of literals, of commands and of distances, of
/// 632, 1,080 and 896 entries of 4 bytes, and what is left over where their memory grows by halves.
const BROTLI: usize = 4 << 20;
/// The most that a decoder of zstd takes beside its window: the sequences of a block, 98,047 of 12 bytes, with the buffer from
/// which they grew; its literals, and the block itself, in buffers that double.
const ZSTD: usize = 3 << 20;
/// The largest window that a decoder has to have (RFC 9659), where the body may not itself be longer.
const WINDOW: usize = 8 << 20;

type Reader = Box<dyn BufRead + Send>;

/// A reader of `body` without its codings. `take` grants the memory that it takes, for a text of `most` bytes at the most;
/// `None` when there is none, or the body is not what its headers say.
pub(super) async fn reader(
    codings: &[Coding],
    body: Bytes,
    progress: &Progress,
    most: usize,
    mut take: impl FnMut(usize) -> bool,
) -> Option<Reader> {
    let mut reader: Reader = Box::new(body.reader());
    for coding in codings.iter().rev() {
        let mut input = BufReader::with_capacity(BUFFER, progress.bound(reader));
        while matches!(input.fill_buf(), Err(error) if is_pause(&error)) {
            yield_now().await;
        }
        let start = input.fill_buf().ok()?;
        let working = Working::of(*coding, start, most)?;
        let is_zlib = matches!(start, [a, b, ..] if a & 0xf == 8 && u16::from_be_bytes([*a, *b]) % 31 == 0);
        if !take(BUFFER + working.memory) {
            return None;
        }
        reader = match coding {
            Coding::Gzip => buffered(Members::new(input)),
            Coding::Deflate if is_zlib => buffered(ZlibDecoder::new(input)),
            Coding::Deflate => buffered(DeflateDecoder::new(input)),
            Coding::Brotli => buffered(brotli_decompressor::Decompressor::new(input, BUFFER)),
            Coding::Zstd => {
                // Nothing comes out before it is full.
                progress.made(working.window);
                buffered(Frames::new(input, working.window as u64))
            }
        };
    }
    Some(reader)
}

fn buffered(reader: impl Read + Send + 'static) -> Reader {
    Box::new(BufReader::with_capacity(BUFFER, reader))
}

/// What a decoder needs for a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Working {
    /// The most memory that it takes.
    memory: usize,
    /// The window of the stream.
    window: usize,
}

impl Working {
    /// For a stream that begins with `start`; `None` when that is too much, or it is no such stream.
    fn of(coding: Coding, start: &[u8], most: usize) -> Option<Self> {
        let window = match coding {
            Coding::Gzip | Coding::Deflate => return Some(Self { memory: DEFLATE, window: 0 }),
            Coding::Brotli => brotli_window(*start.first()?)?,
            Coding::Zstd => usize::try_from(Head::first_window(start)?).ok()?,
        };
        if window > WINDOW.max(most) {
            return None;
        }
        let memory = if coding == Coding::Brotli { window + BROTLI } else { zstd_ring(window) + ZSTD };
        Some(Self { memory, window })
    }
}

/// The most memory that the ring of a decoder of zstd takes, with the one from which it is copied when it grows. It is two
/// blocks longer than a power of two, and what one broken block makes beyond the window is less than four.
fn zstd_ring(window: usize) -> usize {
    let longest = (window + 2 * zstd::BLOCK).next_power_of_two();
    longest + longest / 2 + 5 * zstd::BLOCK
}

/// The window of a brotli stream by its first byte (RFC 7932, section 9.1); `None` for a large one, which is no part of
/// that.
fn brotli_window(first: u8) -> Option<usize> {
    let bits = match (first & 1, first >> 1 & 7, first >> 4 & 7) {
        (0, ..) => 16,
        (_, 0, 0) => 17,
        (_, 0, 1) => return None,
        (_, 0, n) => 8 + n,
        (_, n, _) => 17 + n,
    };
    Some(1 << bits)
}

/// The members of a gzip file, one after another (RFC 1952, section 2.2).
struct Members {
    /// `None` behind the last one.
    now: Option<GzDecoder<BufReader<Bound<Reader>>>>,
    /// Whether it has come to its end.
    ended: bool,
    read: usize,
}

impl Members {
    fn new(input: BufReader<Bound<Reader>>) -> Self {
        Self { now: Some(GzDecoder::new(input)), ended: false, read: 1 }
    }
}

impl Read for Members {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(now) = &mut self.now {
            if !self.ended {
                match now.read(buffer)? {
                    0 if !buffer.is_empty() => self.ended = true,
                    read => return Ok(read),
                }
            }
            let more = !now.get_mut().fill_buf()?.is_empty();
            self.read += 1;
            if more && self.read > MEMBERS {
                return Err(io::Error::other("too many members"));
            }
            self.now = self.now.take().filter(|_| more).map(|now| GzDecoder::new(now.into_inner()));
            self.ended = false;
        }
        Ok(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_of_brotli_is_in_the_first_byte() {
        // The examples of the RFC: 16, 17, 18, 24, 10 and 15 bits; then a large window.
        let brotli = [0b0, 0b1, 0b11, 0b1111, 0b10_0001, 0b111_0001, 0b1_0001];
        let bits = [Some(16), Some(17), Some(18), Some(24), Some(10), Some(15), None];
        assert_eq!(brotli.map(brotli_window), bits.map(|bits: Option<u32>| bits.map(|bits| 1_usize << bits)));
    }

    #[test]
    fn a_window_may_be_as_long_as_the_text() {
        // 16 MiB, and 32.
        let of = |window, most| {
            let working = Working::of(Coding::Zstd, &[0x28, 0xb5, 0x2f, 0xfd, 0, window], most);
            working.map(|working| working.window)
        };
        assert_eq!([of(0x70, 1 << 20), of(0x70, 16 << 20), of(0x78, 16 << 20)], [None, Some(16 << 20), None]);
        assert_eq!(of(0x68, 1 << 20), Some(8 << 20));
    }
}
