//! Bounds on what decompression reads: in all without anything coming out, and at a time.
//!
//! Blocks without content cost time and make no text: tables of Huffman codes are built for each. No honest body is longer
//! than its text by more than a little, and by what a decoder keeps of the text for itself.

use std::io::{self, ErrorKind, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// So many bytes may be read beyond those that came out: blocks are read whole, and buffers filled.
const AHEAD: usize = 256 << 10;
/// So many bytes are read at a time.
const PAUSE: usize = 64 << 10;

/// How many bytes have come out at the end, or may be kept on the way.
#[derive(Clone, Debug, Default)]
pub(super) struct Progress(Arc<AtomicUsize>);

impl Progress {
    /// So many more bytes have come out, or are kept by a decoder until it has more: a window.
    pub(super) fn made(&self, bytes: usize) {
        self.0.fetch_add(bytes, Ordering::Relaxed);
    }

    /// `inner`, which fails when more is read of it than comes out at the end, and pauses now and then ([`pause`]).
    pub(super) fn bound<R: Read>(&self, inner: R) -> Bound<R> {
        Bound { inner, read: 0, pause: PAUSE, progress: self.clone() }
    }
}

/// The error of a reader that is to be read on when others have had their turn.
pub(super) fn pause() -> io::Error {
    ErrorKind::WouldBlock.into()
}

/// Whether `error` is [`pause`].
pub(super) fn is_pause(error: &io::Error) -> bool {
    error.kind() == ErrorKind::WouldBlock
}

/// A reader that fails when too much is read of it.
#[derive(Debug)]
pub(super) struct Bound<R> {
    inner: R,
    read: usize,
    /// Where it pauses next.
    pause: usize,
    progress: Progress,
}

impl<R: Read> Read for Bound<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.read > self.progress.0.load(Ordering::Relaxed).saturating_add(AHEAD) {
            return Err(io::Error::other("nothing comes out"));
        }
        if self.read >= self.pause {
            self.pause = self.read + PAUSE;
            return Err(pause());
        }
        let most = buffer.len().min(PAUSE);
        let read = self.inner.read(&mut buffer[..most])?;
        self.read += read;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads so many bytes; returns how often it paused.
    fn read_on(bound: &mut Bound<io::Repeat>, bytes: usize) -> io::Result<usize> {
        let (mut buffer, mut left, mut pauses) = (vec![0; 10_000], bytes, 0);
        while left > 0 {
            let most = left.min(buffer.len());
            match bound.read(&mut buffer[..most]) {
                Ok(read) => left -= read,
                Err(error) if is_pause(&error) => pauses += 1,
                Err(error) => return Err(error),
            }
        }
        Ok(pauses)
    }

    #[test]
    fn what_makes_nothing_is_not_read_to_its_end() {
        let progress = Progress::default();
        let mut bound = progress.bound(io::repeat(0));
        assert!(read_on(&mut bound, 64 << 20).is_err());
        progress.made(64 << 20);
        assert!(read_on(&mut bound, 64 << 20).is_ok());
        assert!(read_on(&mut bound, 64 << 20).is_err());
    }

    #[test]
    fn it_pauses_now_and_then() {
        let progress = Progress::default();
        progress.made(1 << 20);
        let mut bound = progress.bound(io::repeat(0));
        assert_eq!(read_on(&mut bound, PAUSE).unwrap(), 0);
        assert_eq!(read_on(&mut bound, 1).unwrap(), 1);
        let pauses = read_on(&mut bound, 1 << 20).unwrap();
        assert!((13..=16).contains(&pauses), "{pauses}");
    }
}
