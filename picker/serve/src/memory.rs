//! The memory that connections and their streams hold: counted where it is taken, and bounded by a budget that they
//! share with whoever else takes from it.
//!
//! Streams count what they hold at the [`Meter`] of their connection: plain counters, which the task of the connection
//! alone touches. After each poll that task has a ledger (`ledger`) compare the sum with what the connection has
//! reserved in the [`Budget`], which is thus seldom asked.

use std::fmt::Debug;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

/// About the memory of a stream of which nothing has come but its headers, in bytes, with all that is kept for it.
pub const STREAM: usize = 4 << 10;

/// A connection of which so many streams were refused in one turn has to wait for its next one.
pub(crate) const REFUSED: usize = 64;

/// A budget of bytes.
pub trait Budget: Debug + Send + Sync {
    /// Takes so many bytes, or none and returns false when there are not enough.
    fn take(&self, bytes: usize) -> bool;
    /// Gives so many bytes back.
    fn give(&self, bytes: usize);
    /// How many bytes there are.
    fn left(&self) -> usize;
    /// How many there would be if nobody but connections took from it. The share of each peer is measured by this: what
    /// others take for the requests of a gateway makes the share of that gateway no smaller.
    fn left_by_connections(&self) -> usize {
        self.left()
    }
}

/// The counters of a connection. Clones share them.
#[derive(Clone, Debug)]
pub struct Meter(Arc<Counters>);

#[derive(Debug, Default)]
struct Counters {
    /// Bytes that streams hold.
    held: AtomicUsize,
    /// The most that they may hold until the budget is asked again.
    limit: AtomicUsize,
    /// Streams that are open.
    open: AtomicUsize,
    /// Streams whose answer waits until the peer reads.
    stuck: AtomicUsize,
    /// How often such a wait has ended.
    unstuck: AtomicUsize,
    /// Streams that have ended or were refused, wrapping around.
    gone: AtomicUsize,
    /// Streams that did what they were opened for.
    worked: AtomicUsize,
    /// Streams that were gone before anything was done for them.
    void: AtomicUsize,
    /// Streams that were refused since there was no room for them.
    refused: AtomicUsize,
    /// Bytes that were read from the peer, wrapping around.
    read: AtomicUsize,
    /// Bytes that were written to the peer, wrapping around.
    written: AtomicUsize,
    /// Bytes in the buffer of what is to be written.
    unwritten: AtomicUsize,
    /// How many there are of `unsent`.
    unsent_count: AtomicUsize,
    /// How much was written when it was last looked which of `unsent` were sent.
    looked_at: AtomicUsize,
    /// The last frames of streams that have ended, which the connection has not sent yet.
    unsent: Mutex<Vec<Bytes>>,
}

impl Default for Meter {
    /// Without a limit.
    fn default() -> Self {
        Self(Arc::new(Counters { limit: AtomicUsize::new(usize::MAX), ..Counters::default() }))
    }
}

impl Meter {
    /// Opens a stream; `None` when the connection holds as much as it may.
    pub fn open(&self) -> Option<OpenStream> {
        if !self.has_room() {
            self.refused();
            self.0.gone.fetch_add(1, Relaxed);
            return None;
        }
        self.0.open.fetch_add(1, Relaxed);
        self.0.held.fetch_add(STREAM, Relaxed);
        Some(OpenStream { meter: self.clone(), stuck: false, begun: false, last: Bytes::new() })
    }

    /// Memory of a stream of this connection, none yet.
    pub fn hold(&self) -> Held {
        Held { meter: self.clone(), bytes: 0 }
    }

    /// A stream was refused since there was no room for it. A connection with many of them waits for its turns.
    pub fn refused(&self) {
        self.0.refused.fetch_add(1, Relaxed);
    }

    /// Streams that were refused so, since it was last taken.
    pub(crate) fn refusals(&self) -> usize {
        self.0.refused.load(Relaxed)
    }

    /// The same, which begins anew.
    pub(crate) fn take_refusals(&self) -> usize {
        if self.refusals() == 0 { 0 } else { self.0.refused.swap(0, Relaxed) }
    }

    /// A stream did what it was opened for.
    pub fn worked(&self) {
        self.0.worked.fetch_add(1, Relaxed);
    }

    /// A stream has ended, and `last` may still wait to be sent: if so, the stream is counted until it was.
    fn ended(&self, last: Bytes) {
        self.0.gone.fetch_add(1, Relaxed);
        if !last.is_empty() && !last.is_unique() {
            self.0.held.fetch_add(STREAM, Relaxed);
            self.unsent().push(last);
            self.0.unsent_count.fetch_add(1, Relaxed);
        }
    }

    fn unsent(&self) -> MutexGuard<'_, Vec<Bytes>> {
        self.0.unsent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks which last frames were sent, if anything was written since it looked.
    pub(crate) fn look_at_unsent(&self) {
        if self.0.unsent_count.load(Relaxed) == 0 {
            return;
        }
        // While a peer reads nothing they only become more.
        let written = self.written();
        if self.0.looked_at.swap(written, Relaxed) == written && self.unwritten() > 0 {
            return;
        }
        let mut unsent = self.unsent();
        let before = unsent.len();
        unsent.retain(|last| !last.is_unique());
        let sent = before - unsent.len();
        self.0.held.fetch_sub(sent * STREAM, Relaxed);
        self.0.unsent_count.fetch_sub(sent, Relaxed);
    }

    /// How many streams did.
    pub fn works(&self) -> usize {
        self.0.worked.load(Relaxed)
    }

    /// How many streams are open.
    pub fn streams(&self) -> usize {
        self.0.open.load(Relaxed)
    }

    /// Bytes that its streams hold.
    pub fn held(&self) -> usize {
        self.0.held.load(Relaxed)
    }

    fn has_room(&self) -> bool {
        self.0.held.load(Relaxed) < self.0.limit.load(Relaxed)
    }

    /// The most that streams may hold from now on. The server sets it for its connections by their budget.
    pub fn set_limit(&self, bytes: usize) {
        self.0.limit.store(bytes, Relaxed);
    }

    pub(crate) fn count_read(&self, bytes: usize) {
        self.0.read.fetch_add(bytes, Relaxed);
    }

    pub(crate) fn count_written(&self, bytes: usize, left: usize) {
        self.0.written.fetch_add(bytes, Relaxed);
        self.0.unwritten.store(left, Relaxed);
    }

    /// How many streams have an answer that waits until the peer reads.
    pub fn stuck_streams(&self) -> usize {
        self.0.stuck.load(Relaxed)
    }

    pub(crate) fn read(&self) -> usize {
        self.0.read.load(Relaxed)
    }

    pub(crate) fn unwritten(&self) -> usize {
        self.0.unwritten.load(Relaxed)
    }

    /// Whether something waits until the peer reads.
    pub(crate) fn waits(&self) -> bool {
        self.stuck_streams() > 0 || self.unwritten() > 0 || self.0.unsent_count.load(Relaxed) > 0
    }

    /// How often a stream whose answer waited could go on, wrapping around.
    pub(crate) fn unstuck(&self) -> usize {
        self.0.unstuck.load(Relaxed)
    }

    /// Bytes that were written to the peer, wrapping around.
    pub(crate) fn written(&self) -> usize {
        self.0.written.load(Relaxed)
    }

    /// Streams that have ended or were refused, wrapping around. Each may have an answer in the buffers of the connection.
    pub(crate) fn gone(&self) -> usize {
        self.0.gone.load(Relaxed)
    }

    /// Streams that were gone before anything was done for them, since it was last asked.
    pub(crate) fn take_void(&self) -> usize {
        if self.0.void.load(Relaxed) == 0 { 0 } else { self.0.void.swap(0, Relaxed) }
    }
}

/// A stream that is open, until it is dropped.
#[derive(Debug)]
pub struct OpenStream {
    meter: Meter,
    stuck: bool,
    begun: bool,
    last: Bytes,
}

impl OpenStream {
    /// The meter of its connection.
    pub fn meter(&self) -> &Meter {
        &self.meter
    }

    /// Something is done for the stream.
    pub fn begin(&mut self) {
        self.begun = true;
    }

    /// `last` was handed on last, and is counted with the stream until it was sent, also after the stream has ended. Nothing
    /// else may keep its memory then.
    pub fn set_last(&mut self, last: Bytes) {
        self.last = last;
    }

    /// An answer is handed on, and waits until the peer reads. The connection has worked.
    pub fn answer(&mut self) {
        self.set_stuck(true);
        self.meter.worked();
    }

    /// Whether an answer waits until the peer reads.
    pub fn set_stuck(&mut self, stuck: bool) {
        let counters = &self.meter.0;
        match (std::mem::replace(&mut self.stuck, stuck), stuck) {
            (false, true) => _ = counters.stuck.fetch_add(1, Relaxed),
            (true, false) => {
                counters.stuck.fetch_sub(1, Relaxed);
                counters.unstuck.fetch_add(1, Relaxed);
            }
            _ => {}
        }
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.set_stuck(false);
        self.meter.ended(std::mem::take(&mut self.last));
        let counters = &self.meter.0;
        counters.open.fetch_sub(1, Relaxed);
        counters.held.fetch_sub(STREAM, Relaxed);
        if !self.begun {
            counters.void.fetch_add(1, Relaxed);
        }
    }
}

/// Memory that a stream holds. It is no longer counted when this is dropped.
#[derive(Debug)]
pub struct Held {
    meter: Meter,
    bytes: usize,
}

impl Held {
    /// The stream holds so many bytes from now on. False, and nothing changes, when that is more than before and the
    /// connection holds as much as it may: the stream is refused then.
    #[must_use]
    pub fn set(&mut self, bytes: usize) -> bool {
        let held = &self.meter.0.held;
        if bytes > self.bytes {
            if !self.meter.has_room() {
                self.meter.refused();
                return false;
            }
            held.fetch_add(bytes - self.bytes, Relaxed);
        } else if bytes < self.bytes {
            held.fetch_sub(self.bytes - bytes, Relaxed);
        }
        self.bytes = bytes;
        true
    }

    /// The stream holds so many bytes from now on, whether there is room for them or not.
    pub fn keep(&mut self, bytes: usize) {
        self.meter.0.held.fetch_add(bytes, Relaxed);
        self.meter.0.held.fetch_sub(self.bytes, Relaxed);
        self.bytes = bytes;
    }

    /// The stream holds nothing more of it.
    pub fn clear(&mut self) {
        let cleared = self.set(0);
        debug_assert!(cleared);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_count_what_they_hold_until_they_end() {
        let meter = Meter::default();
        let (stream, mut held) = (meter.open().unwrap(), meter.hold());
        assert!(held.set(100) && held.set(70));
        assert_eq!((meter.held(), meter.streams()), (STREAM + 70, 1));
        meter.set_limit(STREAM + 70);
        assert_eq!([held.set(71), held.set(60)], [false, true]);
        assert!(meter.open().is_some());
        drop((stream, held));
        assert_eq!((meter.held(), meter.streams()), (0, 0));
    }

    #[test]
    fn there_is_no_stream_beyond_the_limit() {
        let meter = Meter::default();
        meter.set_limit(2 * STREAM);
        let streams = [(); 3].map(|()| meter.open());
        assert_eq!(streams.each_ref().map(Option::is_some), [true, true, false]);
        drop(streams);
        assert!(meter.open().is_some());
    }

    #[test]
    fn a_stream_counts_until_its_last_frame_was_sent() {
        let meter = Meter::default();
        let last = Bytes::from(vec![7; 10]);
        meter.ended(last.clone());
        meter.look_at_unsent();
        assert_eq!((meter.held(), meter.waits()), (STREAM, true));
        drop(last);
        meter.look_at_unsent();
        assert_eq!((meter.held(), meter.waits()), (0, false));
        meter.ended(Bytes::from(vec![7; 10]));
        assert_eq!(meter.held(), 0);
    }

    #[test]
    fn what_came_to_nothing_and_what_waits_is_counted_once() {
        let meter = Meter::default();
        let (void, mut begun) = (meter.open().unwrap(), meter.open().unwrap());
        begun.begin();
        begun.set_stuck(true);
        begun.set_stuck(true);
        assert_eq!(meter.stuck_streams(), 1);
        drop((void, begun));
        assert_eq!((meter.stuck_streams(), meter.unstuck(), meter.gone()), (0, 1, 2));
        assert_eq!((meter.take_void(), meter.take_void()), (1, 0));
    }
}
