//! A body that comes in chunks, as one slice.

use bytes::{Bytes, BytesMut};

/// The most room that is made for a body by its announced length, which a client may make up.
const AHEAD: usize = 1 << 20;

/// The chunks so far: the first as it is, and a copy from the second one on, so that a flood of tiny chunks
/// takes no more memory than their bytes.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    only: Bytes,
    copy: BytesMut,
    announced: usize,
}

impl Gathered {
    /// Chunks of a body of about so many bytes.
    pub(super) fn expecting(announced: Option<usize>) -> Self {
        Self { announced: announced.unwrap_or_default().min(AHEAD), ..Self::default() }
    }

    pub(super) fn push(&mut self, chunk: Bytes) {
        if chunk.is_empty() {
            return;
        }
        if self.len() == 0 {
            self.only = chunk;
            return;
        }
        if self.copy.is_empty() {
            self.copy.reserve(self.announced);
        }
        self.copy.extend_from_slice(&std::mem::take(&mut self.only));
        self.copy.extend_from_slice(&chunk);
    }

    pub(super) fn len(&self) -> usize {
        self.only.len() + self.copy.len()
    }

    pub(super) fn finish(self) -> Bytes {
        if self.copy.is_empty() { self.only } else { self.copy.freeze() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gathered(chunks: &[Bytes]) -> Gathered {
        let mut gathered = Gathered::default();
        chunks.iter().for_each(|chunk| gathered.push(chunk.clone()));
        gathered
    }

    #[test]
    fn a_single_chunk_is_not_copied() {
        let (chunk, empty) = (Bytes::from_static(b"chunk"), Bytes::new());
        for chunks in [&[chunk.clone()][..], &[empty.clone(), chunk.clone(), empty.clone()]] {
            assert_eq!(gathered(chunks).finish().as_ptr(), chunk.as_ptr());
        }
        assert_eq!(gathered(&[chunk.clone(), chunk.clone(), chunk]).finish(), "chunkchunkchunk");
        assert_eq!(gathered(&[empty]).finish(), "");
    }

    #[test]
    fn an_announced_body_is_copied_once() {
        let chunk = Bytes::from(vec![7; 1000]);
        let mut gathered = Gathered::expecting(Some(100_000));
        gathered.push(chunk.clone());
        gathered.push(chunk.clone());
        let before = gathered.copy.as_ptr();
        (0..98).for_each(|_| gathered.push(chunk.clone()));
        assert_eq!(gathered.copy.as_ptr(), before);
        // What is announced beyond reason is not believed.
        let mut gathered = Gathered::expecting(Some(usize::MAX));
        gathered.push(chunk.clone());
        gathered.push(chunk);
        assert!(gathered.copy.capacity() <= AHEAD + 2000, "{}", gathered.copy.capacity());
    }

    #[test]
    fn tiny_chunks_hold_nothing_but_their_bytes() {
        let source = Bytes::from(vec![7; 100_000]);
        let gathered = gathered(&(0..source.len()).map(|at| source.slice(at..=at)).collect::<Vec<_>>());
        assert_eq!(gathered.len(), source.len());
        assert!(gathered.copy.capacity() <= 2 * source.len(), "{}", gathered.copy.capacity());
        // No chunk is left that would keep its source.
        assert!(gathered.only.is_empty());
        assert_eq!(gathered.finish(), source);
    }
}
