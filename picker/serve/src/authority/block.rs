//! A header block: the payload of a HEADERS frame and of the CONTINUATION frames after it (RFC 9113, 6.2
//! and 6.10).

use std::ops::Range;

use super::frame_header::{CONTINUATION, END_HEADERS, FrameHeader, LENGTH, PADDED, PRIORITY, payload_length};
use super::hpack;

/// The longest block, in bytes with the frame headers within, that is held back to be looked at. What is
/// longer goes on unseen, for hyper takes no more than 16 KiB of headers from a client.
pub(super) const MAX_BLOCK: usize = 128 << 10;

/// A header block of which the end may not be known yet. Positions count from the start of the HEADERS payload.
#[derive(Debug)]
pub(super) struct Block {
    /// The end of the HEADERS payload; beyond it are CONTINUATION frames with their headers.
    first: usize,
    /// The end of the last frame whose header is known.
    end: usize,
    /// Whether that frame ends the block.
    last: bool,
    flags: u8,
    stream: [u8; 4],
}

/// The knowledge of a block's end after a look at the bytes at hand.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Grown {
    /// The block is complete up to its [`end`](Block::end).
    Whole,
    /// It is longer than [`MAX_BLOCK`].
    TooLong,
    /// At least so many more bytes belong to it.
    Needs(usize),
}

impl Block {
    /// The block that a HEADERS frame with this header begins.
    pub(super) fn new(head: &FrameHeader) -> Self {
        let length = payload_length(head);
        let flags = head[4];
        Self {
            first: length,
            end: length,
            last: flags & END_HEADERS != 0,
            flags,
            stream: [head[5], head[6], head[7], head[8]],
        }
    }

    pub(super) fn end(&self) -> usize {
        self.end
    }

    /// Looks for the end of the block in `data`, which begins with it and only ever grows between calls.
    pub(super) fn grow(&mut self, data: &[u8]) -> Grown {
        loop {
            if self.end > MAX_BLOCK {
                return Grown::TooLong;
            }
            if data.len() < self.end {
                return Grown::Needs(self.end - data.len());
            }
            if self.last {
                return Grown::Whole;
            }
            let Some(head) = data[self.end..].first_chunk::<LENGTH>() else {
                return Grown::Needs(self.end + LENGTH - data.len());
            };
            if head[3] != CONTINUATION || head[5..] != self.stream {
                // Nothing but a CONTINUATION may follow here: the connection will be refused.
                self.last = true;
                return Grown::Whole;
            }
            self.end += LENGTH + payload_length(head);
            self.last = head[4] & END_HEADERS != 0;
        }
    }

    /// Rewrites the block, given from its start to its [`end`](Self::end).
    pub(super) fn rewrite(&self, data: &mut [u8]) {
        let mut start = 0;
        let mut stop = self.first;
        if self.flags & PADDED != 0 {
            let Some(padding) = data.first() else { return };
            start += 1;
            stop = stop.saturating_sub(usize::from(*padding));
        }
        if self.flags & PRIORITY != 0 {
            start += 5;
        }
        if start > stop {
            return;
        }
        if self.first == self.end {
            hpack::rewrite(&mut data[start..stop]);
        } else {
            self.rewrite_pieces(data, start, stop);
        }
    }

    /// Rewrites a block of several frames. Fields may lie across frames, so the pieces are joined, rewritten and put
    /// back.
    fn rewrite_pieces(&self, data: &mut [u8], start: usize, stop: usize) {
        let mut pieces: Vec<Range<usize>> = std::iter::once(start..stop).collect();
        let mut at = self.first;
        while let Some(head) = data[at..].first_chunk::<LENGTH>() {
            let end = at + LENGTH + payload_length(head);
            pieces.push(at + LENGTH..end);
            at = end;
        }
        let mut joined: Vec<u8> = pieces.iter().flat_map(|piece| &data[piece.clone()]).copied().collect();
        hpack::rewrite(&mut joined);
        let mut from = joined.as_slice();
        for piece in pieces {
            let (bytes, rest) = from.split_at(piece.len());
            data[piece].copy_from_slice(bytes);
            from = rest;
        }
    }
}
