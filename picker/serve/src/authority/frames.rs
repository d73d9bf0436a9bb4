//! The search for header blocks in the bytes of an HTTP/2 client (RFC 9113, 4.1).

use super::block::{Block, Grown};
use super::frame_header::{FrameHeader, HEADERS, LENGTH, payload_length};

/// The preface, which a client sends before its first frame (RFC 9113, 3.4).
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The part of the connection that the next byte belongs to.
#[derive(Debug)]
enum State {
    /// The connection preface, of which so much was seen.
    Preface(usize),
    /// A frame header, of which so much was seen.
    Header(usize),
    /// The payload of a frame that is no header block: so much is still to come.
    Payload(usize),
    /// A header block: the next byte is its first.
    Block(Block),
    /// Not HTTP/2: nothing is looked at any more.
    Opaque,
}

/// A reader of the frames of one connection, which rewrites header blocks.
#[derive(Debug)]
pub(super) struct Frames {
    state: State,
    header: FrameHeader,
}

impl Frames {
    pub(super) fn new() -> Self {
        Self { state: State::Preface(0), header: [0; LENGTH] }
    }

    /// Looks at the next bytes, rewriting complete header blocks in place. Returns how many of them can go
    /// on; the rest, if any, is the beginning of an incomplete block: the caller holds it and asks
    /// [`held`](Self::held).
    pub(super) fn scan(&mut self, data: &mut [u8]) -> usize {
        let mut at = 0;
        while at < data.len() {
            let rest = &mut data[at..];
            match &mut self.state {
                State::Preface(seen) => {
                    let n = (PREFACE.len() - *seen).min(rest.len());
                    if rest[..n] != PREFACE[*seen..*seen + n] {
                        self.state = State::Opaque;
                        continue;
                    }
                    *seen += n;
                    at += n;
                    if *seen == PREFACE.len() {
                        self.state = State::Header(0);
                    }
                }
                State::Header(seen) => {
                    let n = (LENGTH - *seen).min(rest.len());
                    self.header[*seen..*seen + n].copy_from_slice(&rest[..n]);
                    *seen += n;
                    at += n;
                    if *seen == LENGTH {
                        self.state = after_header(&self.header);
                    }
                }
                State::Payload(left) => {
                    let n = (*left).min(rest.len());
                    *left -= n;
                    at += n;
                    if *left == 0 {
                        self.state = State::Header(0);
                    }
                }
                State::Block(block) => match block.grow(rest) {
                    Grown::Whole => {
                        block.rewrite(&mut rest[..block.end()]);
                        at += block.end();
                        self.state = State::Header(0);
                    }
                    Grown::TooLong => self.state = State::Payload(block.end()),
                    Grown::Needs(_) => return at,
                },
                State::Opaque => return data.len(),
            }
        }
        at
    }

    /// Looks at what is held, the beginning of a header block. How many more bytes it needs, none of which
    /// lies behind the block's last frame, or `None` when everything held can go on.
    pub(super) fn held(&mut self, data: &mut [u8]) -> Option<usize> {
        if let State::Block(block) = &mut self.state
            && let Grown::Needs(more) = block.grow(data)
        {
            return Some(more);
        }
        let released = self.scan(data);
        debug_assert_eq!(released, data.len());
        None
    }

    /// The client has gone in the middle of a block: what is held goes on as it is.
    pub(super) fn give_up(&mut self) {
        self.state = State::Opaque;
    }
}

fn after_header(header: &FrameHeader) -> State {
    match (payload_length(header), header[3]) {
        (_, HEADERS) => State::Block(Block::new(header)),
        (0, _) => State::Header(0),
        (length, _) => State::Payload(length),
    }
}
