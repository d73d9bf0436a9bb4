//! I/O buffers lent from a pool per thread while they hold data.
//!
//! A picker has thousands of connections, most of which are silent at any time: those hold no memory for I/O.

use std::cell::RefCell;

/// Bytes that a buffer has room for.
pub(crate) const SIZE: usize = 64 << 10;

/// How many empty buffers a thread keeps for the next connection that has data.
const SPARE: usize = 4;

thread_local! {
    static SPARES: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// A buffer of bytes that are put in at one end and taken out at the other.
#[derive(Debug, Default)]
pub(crate) struct IoBuffer {
    bytes: Vec<u8>,
    taken: usize,
}

impl IoBuffer {
    /// What is in it.
    pub(crate) fn left(&self) -> &[u8] {
        &self.bytes[self.taken..]
    }

    /// Where more is put in; there is room for [`SIZE`] bytes if there is nothing yet.
    pub(crate) fn bytes(&mut self) -> &mut Vec<u8> {
        if self.bytes.capacity() == 0 {
            let spare = SPARES.with_borrow_mut(Vec::pop);
            self.bytes = spare.unwrap_or_else(|| Vec::with_capacity(SIZE));
        }
        &mut self.bytes
    }

    /// Takes `count` bytes out. The memory of an empty one is given to whoever needs it next.
    pub(crate) fn take(&mut self, count: usize) {
        self.taken += count;
        if self.taken >= self.bytes.len() {
            self.clear();
        }
    }

    /// Takes all of it out.
    pub(crate) fn clear(&mut self) {
        let mut bytes = std::mem::take(self).bytes;
        bytes.clear();
        if bytes.capacity() == SIZE {
            SPARES.with_borrow_mut(|spares| {
                if spares.len() < SPARE {
                    spares.push(bytes);
                }
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_in_is_taken_out_and_memory_is_used_again() {
        let mut buffer = IoBuffer::default();
        buffer.bytes().extend_from_slice(b"abcde");
        let memory = buffer.bytes().as_ptr();
        buffer.take(2);
        assert_eq!(buffer.left(), b"cde");
        buffer.take(3);
        assert_eq!((buffer.left(), buffer.bytes.capacity()), (&b""[..], 0));
        let mut next = IoBuffer::default();
        assert_eq!((next.bytes().as_ptr(), next.left(), next.bytes.capacity()), (memory, &b""[..], SIZE));
    }

    #[test]
    fn a_thread_keeps_few() {
        let mut buffers: Vec<IoBuffer> = (0..2 * SPARE).map(|_| IoBuffer::default()).collect();
        buffers.iter_mut().for_each(|buffer| buffer.bytes().push(1));
        buffers.iter_mut().for_each(|buffer| buffer.take(1));
        assert_eq!(SPARES.with_borrow(Vec::len), SPARE);
        // One that has grown is not kept.
        let mut large = IoBuffer::default();
        large.bytes().resize(SIZE + 1, 0);
        large.clear();
        assert_eq!(SPARES.with_borrow(Vec::len), SPARE - 1);
    }
}
