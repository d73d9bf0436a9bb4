//! A body that comes in chunks, as one slice.

use bytes::Bytes;

/// The most room that is made for a body by its announced length before its bytes are there, without counting it: a
/// client may make that length up. Memory that was never written takes none.
const AHEAD: usize = 64 << 10;

/// Bytes of memory that a body asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Room {
    /// Those that it needs.
    Needed(usize),
    /// Those that spare it copies when all that is announced comes. It can do without them.
    Ahead(usize),
}

/// The chunks so far: the first as it is, and a copy from the second one on, so that a flood of tiny chunks
/// takes no more memory than their bytes.
#[derive(Debug, Default)]
pub(super) struct BodyBuffer {
    only: Bytes,
    copy: Vec<u8>,
    announced: usize,
    limit: usize,
    charged: usize,
}

impl BodyBuffer {
    /// Chunks of a body of about so many bytes, for which no room beyond `limit` is made ahead.
    pub(super) fn expecting(announced: Option<usize>, limit: usize) -> Self {
        Self { announced: announced.unwrap_or_default().min(limit), limit, ..Self::default() }
    }

    /// Takes a chunk if `take` grants the bytes of memory that it takes in addition, with the room that is made for
    /// later ones; else leaves it and returns false.
    pub(super) fn push(&mut self, chunk: &mut Bytes, mut take: impl FnMut(Room) -> bool) -> bool {
        let length = self.len() + chunk.len();
        let is_first = self.len() == 0;
        let has = self.copy.capacity();
        let grows = !is_first && length > has;
        let (ample, least) = (if grows { self.ample(length) } else { has }, length.max(has));
        let mut grants = |room, ask: fn(usize) -> Room| {
            let more = owed(length, room).saturating_sub(self.charged);
            let granted = more == 0 || take(ask(more));
            self.charged += if granted { more } else { 0 };
            granted
        };
        let room = if grows && length <= self.announced && grants(self.announced, Room::Ahead) {
            self.announced
        } else if grants(ample, Room::Needed) {
            ample
        } else if grants(least, Room::Needed) {
            // Where there is no place for ample room, there may be one for the bytes.
            least
        } else {
            return false;
        };
        let chunk = std::mem::take(chunk);
        if is_first {
            self.only = chunk;
            return true;
        }
        if chunk.is_empty() {
            return true;
        }
        self.copy.reserve_exact(room.max(length) - self.copy.len());
        self.copy.extend_from_slice(&std::mem::take(&mut self.only));
        self.copy.extend_from_slice(&chunk);
        true
    }

    /// Room for `length` bytes and some more, so that the copy seldom moves.
    fn ample(&self, length: usize) -> usize {
        let grown = if length <= self.announced {
            (4 * self.copy.capacity()).max(AHEAD).min(self.announced)
        } else {
            (2 * self.copy.capacity()).min(self.limit)
        };
        grown.max(length)
    }

    pub(super) fn len(&self) -> usize {
        self.only.len() + self.copy.len()
    }

    pub(super) fn bytes(&self) -> &[u8] {
        if self.copy.is_empty() { &self.only } else { &self.copy }
    }

    pub(super) fn finish(self) -> Bytes {
        if self.copy.is_empty() { self.only } else { self.copy.into() }
    }
}

/// What a body of `length` bytes in `room` for as many counts.
fn owed(length: usize, room: usize) -> usize {
    if room <= AHEAD { length } else { room.max(length) }
}

#[cfg(test)]
mod tests;
