//! Finding the header blocks in what an HTTP/2 client sends (RFC 9113, 4.1).

use super::block::{Block, Grown};

pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The length of a frame header.
pub(super) const HEAD: usize = 9;

const HEADERS: u8 = 1;

/// What the next byte is part of.
#[derive(Debug)]
enum State {
    /// The connection preface, of which so much was seen.
    Preface(usize),
    /// A frame header, of which so much was seen.
    Head(usize),
    /// The payload of a frame that is no header block: so much is still to come.
    Payload(usize),
    /// A header block: the next byte is its first.
    Block(Block),
    /// Not HTTP/2: nothing is looked at any more.
    Opaque,
}

/// Follows the frames of one connection.
#[derive(Debug)]
pub(super) struct Frames {
    state: State,
    head: [u8; HEAD],
}

impl Frames {
    pub(super) fn new() -> Self {
        Self { state: State::Preface(0), head: [0; HEAD] }
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
                        self.state = State::Head(0);
                    }
                }
                State::Head(seen) => {
                    let n = (HEAD - *seen).min(rest.len());
                    self.head[*seen..*seen + n].copy_from_slice(&rest[..n]);
                    *seen += n;
                    at += n;
                    if *seen == HEAD {
                        self.state = after_head(&self.head);
                    }
                }
                State::Payload(left) => {
                    let n = (*left).min(rest.len());
                    *left -= n;
                    at += n;
                    if *left == 0 {
                        self.state = State::Head(0);
                    }
                }
                State::Block(block) => match block.grow(rest) {
                    Grown::Whole => {
                        block.rewrite(&mut rest[..block.end()]);
                        at += block.end();
                        self.state = State::Head(0);
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

fn after_head(head: &[u8; HEAD]) -> State {
    match (payload_length(head), head[3]) {
        (_, HEADERS) => State::Block(Block::new(head)),
        (0, _) => State::Head(0),
        (length, _) => State::Payload(length),
    }
}

/// The length of the payload that a frame header announces.
pub(super) fn payload_length(head: &[u8; HEAD]) -> usize {
    usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2])
}
