//! Undoes zstd: frames one after another, a block at a time (RFC 8878, section 3.1).
//!
//! A block is read whole before it is undone, so that reading may pause anywhere, and undone alone, so that one large frame
//! gives others their turn. A decoder keeps the window of a frame until the frame ends; where a body breaks off, the frame
//! is ended in its place, and what was kept comes out.

use std::io::{self, Read};

use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

use super::progress::{is_pause, pause};

/// The most bytes of one block, before and after (RFC 8878, section 3.1.1.2.4).
pub(super) const BLOCK: usize = 128 << 10;
/// The most frames of one body that are read.
const FRAMES: usize = 64;
/// So many blocks are undone at a time, if nothing comes out.
const BLOCKS: usize = 2;
/// A last block without content, and a checksum, which nobody compares.
const END: [u8; 7] = [1, 0, 0, 0, 0, 0, 0];
/// Bytes that are skipped at a time.
const SKIP: usize = 8 << 10;

/// The head of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Head {
    /// Of one with content, with its length, and the window that a decoder has to have.
    Frame { length: usize, window: u64, checksum: bool },
    /// Of one to be skipped, with the length of what follows it.
    Skipped { content: usize },
}

/// The length of the head of a frame to be skipped.
const SKIPPED_HEAD: usize = 8;

impl Head {
    /// The head at the beginning of `start`; `None` where there is none, or not all of it.
    pub(super) fn of(start: &[u8]) -> Option<Self> {
        match start {
            [0x28, 0xb5, 0x2f, 0xfd, descriptor, rest @ ..] => {
                let segment = descriptor & 0x20 != 0;
                let (own, dictionary) = (usize::from(!segment), [0, 1, 2, 4][usize::from(descriptor & 3)]);
                let content = [usize::from(segment), 2, 4, 8][usize::from(descriptor >> 6)];
                let fields = rest.get(..own + dictionary + content)?;
                // Where the whole content is one segment, its length is the window.
                let window = match fields[own + dictionary..] {
                    _ if !segment => {
                        let base = 1_u64 << (10 + (fields[0] >> 3));
                        base + base / 8 * u64::from(fields[0] & 7)
                    }
                    [one] => one.into(),
                    [one, two] => u64::from(u16::from_le_bytes([one, two])) + 256,
                    ref more => more.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte)),
                };
                Some(Self::Frame { length: 5 + fields.len(), window, checksum: descriptor & 4 != 0 })
            }
            [0x50..=0x5f, 0x2a, 0x4d, 0x18, a, b, c, d, ..] => {
                Some(Self::Skipped { content: u32::from_le_bytes([*a, *b, *c, *d]) as usize })
            }
            _ => None,
        }
    }

    /// The window of the first frame of `start` that is not to be skipped.
    pub(super) fn first_window(mut start: &[u8]) -> Option<u64> {
        loop {
            match Self::of(start)? {
                Self::Frame { window, .. } => return Some(window),
                Self::Skipped { content } => start = start.get(SKIPPED_HEAD.checked_add(content)?..)?,
            }
        }
    }
}

/// What comes next in the body.
#[derive(Clone, Copy, Debug)]
enum Next {
    Frame,
    /// So many bytes to be skipped.
    Skipped(usize),
    Block,
    Nothing,
}

/// How many literals the compressed block `content` says that it has (RFC 8878, section 3.1.1.3.1.1). A decoder makes as many,
/// though no block may be longer than [`BLOCK`].
fn literals(content: &[u8]) -> usize {
    let byte = |at| content.get(at).map_or(0, |byte| usize::from(*byte));
    let head = byte(0) | byte(1) << 8 | byte(2) << 16;
    match (head & 2 != 0, head >> 2 & 3) {
        (false, 0 | 2) => (head & 0xff) >> 3,
        (false, 1) => (head & 0xffff) >> 4,
        (false, _) => head >> 4,
        (true, 0 | 1) => head >> 4 & 0x3ff,
        (true, 2) => head >> 4 & 0x3fff,
        (true, _) => head >> 4 & 0x3_ffff,
    }
}

/// A reader of frames.
pub(super) struct Frames<R> {
    input: R,
    /// What came so far of the next head or block.
    part: Vec<u8>,
    next: Next,
    decoder: FrameDecoder,
    /// The longest window that a frame may have.
    window: u64,
    checksum: bool,
    read: usize,
    /// What is wrong with the body, behind what comes out still.
    broken: Option<io::Error>,
}

impl<R: Read> Frames<R> {
    /// The frames of `input`, whose windows are `window` at the most.
    pub(super) fn new(input: R, window: u64) -> Self {
        let (decoder, part) = (FrameDecoder::new(), Vec::new());
        Self { input, part, next: Next::Frame, decoder, window, checksum: false, read: 0, broken: None }
    }

    /// Reads until the part has `length` bytes. Returns whether there are as many.
    fn has(&mut self, length: usize) -> io::Result<bool> {
        let missing = length.saturating_sub(self.part.len());
        self.input.by_ref().take(missing as u64).read_to_end(&mut self.part)?;
        Ok(self.part.len() >= length)
    }

    /// Reads until the part has `length` bytes.
    fn fill(&mut self, length: usize) -> io::Result<()> {
        if self.has(length)? { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }

    /// Reads the next part of the body. Returns whether it was a block.
    fn step(&mut self) -> io::Result<bool> {
        match self.next {
            Next::Frame => self.frame()?,
            Next::Skipped(left) => {
                let now = left.min(SKIP);
                self.fill(now)?;
                self.next = if now == left { Next::Frame } else { Next::Skipped(left - now) };
            }
            Next::Block => {
                self.block()?;
                self.part.clear();
                return Ok(true);
            }
            Next::Nothing => {}
        }
        self.part.clear();
        Ok(false)
    }

    fn frame(&mut self) -> io::Result<()> {
        // As far as the field that tells the length of the rest.
        if !self.has(5)? && self.part.is_empty() && self.read > 0 {
            self.next = Next::Nothing;
            return Ok(());
        }
        let head = loop {
            match Head::of(&self.part) {
                Some(head) => break head,
                None if self.part.len() < 5 + 1 + 4 + 8 => self.fill(self.part.len() + 1)?,
                None => return Err(io::Error::other("no frame")),
            }
        };
        match head {
            Head::Skipped { content } => self.next = Next::Skipped(content),
            Head::Frame { checksum, .. } => {
                self.read += 1;
                if self.read > FRAMES {
                    return Err(io::Error::other("too many frames"));
                }
                self.decoder = FrameDecoder::new();
                self.decoder.set_max_window_size(self.window);
                self.decoder.reset(&self.part[..]).map_err(io::Error::other)?;
                (self.checksum, self.next) = (checksum, Next::Block);
            }
        }
        Ok(())
    }

    fn block(&mut self) -> io::Result<()> {
        self.fill(3)?;
        let head = u32::from_le_bytes([self.part[0], self.part[1], self.part[2], 0]);
        let (last, repeats, size) = (head & 1 == 1, head >> 1 & 3 == 1, (head >> 3) as usize);
        let content = if repeats { 1 } else { size };
        if content > BLOCK {
            return Err(io::Error::other("a block is too long"));
        }
        self.fill(3 + content + if last && self.checksum { 4 } else { 0 })?;
        if head >> 1 & 3 == 2 && literals(&self.part[3..]) > BLOCK {
            return Err(io::Error::other("a block has too many literals"));
        }
        let decoded = self.decoder.decode_blocks(&self.part[..], BlockDecodingStrategy::UptoBlocks(1));
        decoded.map_err(io::Error::other)?;
        if last {
            self.next = Next::Frame;
        }
        Ok(())
    }

    /// Ends the frame that breaks off by `error`.
    fn give_up(&mut self, error: io::Error) {
        if matches!(self.next, Next::Block) {
            // It may be broken too much for that.
            let _ = self.decoder.decode_blocks(&END[..], BlockDecodingStrategy::UptoBlocks(1));
        }
        (self.next, self.broken) = (Next::Nothing, Some(error));
    }
}

impl<R: Read> Read for Frames<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut blocks = 0;
        while self.decoder.can_collect() == 0 {
            if let Some(error) = self.broken.take() {
                return Err(error);
            }
            if matches!(self.next, Next::Nothing) {
                return Ok(0);
            }
            if blocks == BLOCKS {
                return Err(pause());
            }
            match self.step() {
                Ok(block) => blocks += usize::from(block),
                Err(error) if is_pause(&error) => return Err(error),
                Err(error) => self.give_up(error),
            }
        }
        self.decoder.read(buffer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_are_counted_as_their_head_tells() {
        let of = |kind: u32, format: u32, rest: u32| {
            literals(&(rest << 4 | format << 2 | kind).to_le_bytes()[..3])
        };
        assert_eq!(
            [of(0, 0, 15), of(1, 2, 15), of(0, 1, 0xfff), of(1, 3, 0xf_ffff)],
            [30, 31, 0xfff, 0xf_ffff]
        );
        assert_eq!([of(2, 0, !0 >> 4), of(3, 1, !0 >> 4), of(2, 2, !0 >> 4)], [0x3ff, 0x3ff, 0x3fff]);
        assert_eq!([of(3, 3, !0 >> 4), literals(&[0b0101]), literals(&[])], [0x3_ffff, 0, 0]);
    }

    #[test]
    fn heads_tell_the_window() {
        let frame = |rest: &[u8]| Head::of(&[&[0x28, 0xb5, 0x2f, 0xfd], rest].concat());
        let of = |length, window, checksum| Some(Head::Frame { length, window, checksum });
        assert_eq!(frame(&[0, 0]), of(6, 1 << 10, false));
        assert_eq!(frame(&[4, 0b101_1011]), of(6, (1 << 21) + 3 * (1 << 18), true));
        assert_eq!(frame(&[0x20, 7]), of(6, 7, false));
        assert_eq!(frame(&[0x60, 1, 1]), of(7, 257 + 256, false));
        // With the number of a dictionary of two bytes.
        assert_eq!(frame(&[0xa2, 9, 9, 0, 0, 1, 0]), of(11, 1 << 16, false));
        assert_eq!(frame(&[0xe0, 0, 0, 0, 0, 0, 1, 0, 0]), of(13, 1 << 40, false));
        assert_eq!(
            [frame(&[]), frame(&[0x60, 1]), frame(&[0x80, 0, 1, 1, 1]), Head::of(b"\x1f\x8b")],
            [None; 4]
        );
        let skipped = [0x5f, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, 9, 9];
        assert_eq!(Head::of(&skipped), Some(Head::Skipped { content: 2 }));
        let first = |rest: &[u8]| Head::first_window(&[&skipped[..], &skipped, rest].concat());
        assert_eq!(first(&[0x28, 0xb5, 0x2f, 0xfd, 0, 0]), Some(1 << 10));
        assert_eq!([first(&[]), first(&skipped[..9])], [None; 2]);
    }
}
