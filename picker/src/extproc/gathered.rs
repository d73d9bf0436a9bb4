//! A body that comes in chunks, as one slice.

use bytes::{Bytes, BytesMut};

/// The chunks so far: the first as it is, and a copy from the second one on, so that a flood of tiny chunks
/// takes no more memory than their bytes.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    only: Bytes,
    copy: BytesMut,
}

impl Gathered {
    pub(super) fn push(&mut self, chunk: Bytes) {
        if chunk.is_empty() {
            return;
        }
        if self.len() == 0 {
            self.only = chunk;
            return;
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
