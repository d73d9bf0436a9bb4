//! Readers that undo content codings.

use std::io::{self, BufRead, BufReader, Read};

use bytes::{Buf, Bytes};
use flate2::bufread::{DeflateDecoder, GzDecoder, ZlibDecoder};
use picker_core::parse::coding::Coding;
use ruzstd::decoding::StreamingDecoder;

use super::progress::{Bound, Progress};

/// The most members of one gzip file that are read.
const MEMBERS: usize = 64;
/// Bytes that are buffered between two codings.
const BUFFER: usize = 8 << 10;
/// About the memory of a decoder beside its window: tables, buffers.
const TABLES: usize = 256 << 10;
/// The window of deflate, with the state around it.
const DEFLATE: usize = 64 << 10;
/// The largest window that a decoder has to have (RFC 9659), where the body may not itself be longer.
const WINDOW: usize = 8 << 20;

type Reader = Box<dyn BufRead + Send>;

/// A reader of `body` without its codings. `take` grants the memory that it takes, for a text of `most` bytes at the most;
/// `None` when there is none, or the body is not what its headers say.
pub(super) fn reader(
    codings: &[Coding],
    body: Bytes,
    progress: &Progress,
    most: usize,
    take: &mut impl FnMut(usize) -> bool,
) -> Option<Reader> {
    let mut reader: Reader = Box::new(body.reader());
    for coding in codings.iter().rev() {
        let mut input = BufReader::with_capacity(BUFFER, progress.bound(reader));
        let start = input.fill_buf().ok()?;
        let memory = BUFFER + working(*coding, start, most)?;
        let is_zlib = matches!(start, [a, b, ..] if a & 0xf == 8 && u16::from_be_bytes([*a, *b]) % 31 == 0);
        if !take(memory) {
            return None;
        }
        reader = match coding {
            Coding::Gzip => buffered(Members { now: Some(GzDecoder::new(input)), read: 1 }),
            Coding::Deflate if is_zlib => buffered(ZlibDecoder::new(input)),
            Coding::Deflate => buffered(DeflateDecoder::new(input)),
            Coding::Brotli => buffered(brotli_decompressor::Decompressor::new(input, BUFFER)),
            Coding::Zstd => buffered(StreamingDecoder::new(input).ok()?),
        };
    }
    Some(reader)
}

fn buffered(reader: impl Read + Send + 'static) -> Reader {
    Box::new(BufReader::with_capacity(BUFFER, reader))
}

/// About the memory that a decoder takes for a stream that begins with `start`; `None` when that is too much, or it is no
/// such stream.
fn working(coding: Coding, start: &[u8], most: usize) -> Option<usize> {
    let window = match coding {
        Coding::Gzip | Coding::Deflate => return Some(DEFLATE),
        Coding::Brotli => brotli_window(*start.first()?)?,
        Coding::Zstd => zstd_window(start)?,
    };
    // Blocks of zstd lie beyond its window until they are read.
    (window <= WINDOW.max(most)).then_some(window + TABLES)
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

/// The window of the zstd frame that begins with `start` (RFC 8878, section 3.1.1.1).
fn zstd_window(start: &[u8]) -> Option<usize> {
    let [0x28, 0xb5, 0x2f, 0xfd, descriptor, rest @ ..] = start else { return None };
    if descriptor & 0x20 == 0 {
        let window = *rest.first()?;
        let base = 1_usize << (10 + (window >> 3));
        return Some(base + base / 8 * usize::from(window & 7));
    }
    // The whole content is one segment: its length is the window.
    let content = rest.get([0, 1, 2, 4][usize::from(descriptor & 3)]..)?;
    let length = match descriptor >> 6 {
        0 => u64::from(*content.first()?),
        1 => u64::from(u16::from_le_bytes(*content.first_chunk()?)) + 256,
        2 => u32::from_le_bytes(*content.first_chunk()?).into(),
        _ => u64::from_le_bytes(*content.first_chunk()?),
    };
    usize::try_from(length).ok()
}

/// The members of a gzip file, one after another (RFC 1952, section 2.2).
struct Members {
    /// `None` behind the last one.
    now: Option<GzDecoder<BufReader<Bound<Reader>>>>,
    read: usize,
}

impl Read for Members {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(now) = &mut self.now {
            match now.read(buffer)? {
                0 if !buffer.is_empty() => {
                    let mut rest = self.now.take().map(GzDecoder::into_inner);
                    let more = rest.as_mut().is_some_and(|rest| matches!(rest.fill_buf(), Ok([_, ..])));
                    self.read += 1;
                    if more && self.read > MEMBERS {
                        return Err(io::Error::other("too many members"));
                    }
                    self.now = rest.filter(|_| more).map(GzDecoder::new);
                }
                read => return Ok(read),
            }
        }
        Ok(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_read_from_the_first_bytes() {
        // The examples of the RFC: 16, 17, 18, 24, 10 and 15 bits; then a large window.
        let brotli = [0b0, 0b1, 0b11, 0b1111, 0b10_0001, 0b111_0001, 0b1_0001];
        let bits = [Some(16), Some(17), Some(18), Some(24), Some(10), Some(15), None];
        assert_eq!(brotli.map(brotli_window), bits.map(|bits: Option<u32>| bits.map(|bits| 1_usize << bits)));
        let zstd = |rest: &[u8]| zstd_window(&[&[0x28, 0xb5, 0x2f, 0xfd], rest].concat());
        assert_eq!(zstd(&[0, 0]), Some(1 << 10));
        assert_eq!(zstd(&[0, 0b101_1011]), Some((1 << 21) + 3 * (1 << 18)));
        assert_eq!(zstd(&[0x20, 7]), Some(7));
        assert_eq!(zstd(&[0x60, 1, 1]), Some(257 + 256));
        // With the number of a dictionary of two bytes.
        assert_eq!(zstd(&[0xa2, 9, 9, 0, 0, 1, 0]), Some(1 << 16));
        assert_eq!(zstd(&[0xe0, 0, 0, 0, 0, 0, 1, 0, 0]), Some(1 << 40));
        assert_eq!([zstd(&[]), zstd(&[0x60, 1]), zstd_window(b"\x1f\x8b")], [None; 3]);
        assert_eq!(working(Coding::Zstd, &[0x28, 0xb5, 0x2f, 0xfd, 0, 0x88], 1 << 20), None);
    }
}
