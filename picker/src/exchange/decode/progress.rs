//! A bound on what decompression reads without anything coming out.
//!
//! Blocks without content cost time and make no text: tables of Huffman codes are built for each. No honest body is longer
//! than its text by more than a little.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// So many bytes may be read beyond those that came out: blocks are read whole, and buffers filled.
const AHEAD: usize = 256 << 10;

/// How many bytes have come out at the end.
#[derive(Clone, Debug, Default)]
pub(super) struct Progress(Arc<AtomicUsize>);

impl Progress {
    /// So many more bytes have come out.
    pub(super) fn made(&self, bytes: usize) {
        self.0.fetch_add(bytes, Ordering::Relaxed);
    }

    /// `inner`, which fails when more is read of it than comes out at the end.
    pub(super) fn bound<R: Read>(&self, inner: R) -> Bound<R> {
        Bound { inner, read: 0, progress: self.clone() }
    }
}

/// A reader that fails when too much is read of it.
#[derive(Debug)]
pub(super) struct Bound<R> {
    inner: R,
    read: usize,
    progress: Progress,
}

impl<R: Read> Read for Bound<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.read > self.progress.0.load(Ordering::Relaxed) + AHEAD {
            return Err(io::Error::other("nothing comes out"));
        }
        let read = self.inner.read(buffer)?;
        self.read += read;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_makes_nothing_is_not_read_to_its_end() {
        let progress = Progress::default();
        let mut bound = progress.bound(io::repeat(0));
        let mut read_on = || io::copy(&mut bound.by_ref().take(64 << 20), &mut io::sink()).is_ok();
        assert!(!read_on());
        progress.made(64 << 20);
        assert!(read_on());
        assert!(!read_on());
    }
}
