//! The ledger of a connection: reserves what the connection and its streams hold in the budget that all share, and
//! says when the connection has to end.

use std::sync::Arc;

use tokio::time::{Duration, Instant};

use crate::io_buffer;
use crate::memory::{Budget, Meter, REFUSED};
use crate::peer_limits::ConnectionPermit;

/// About the memory of a connection without streams, in bytes.
const CONNECTION: usize = 24 << 10;

/// Reservations grow by so many bytes at least.
const STEP: usize = 16 << 10;

/// What is reserved beyond this and not held is given back.
const SPARE: usize = 128 << 10;

/// A connection ends when so many bytes wait for its peer to read, and there is no place for them.
const OVER: usize = 64 << 10;

/// The most that is kept for a stream whose answer waits for its peer: what lies unread (the window of a stream), and
/// the answers that are made.
const STUCK: usize = 600 << 10;

/// What lies in buffers takes so many times its bytes, with the buffers and what holds them.
const LYING: usize = 2;

/// About what the answer to a stream that is gone takes in buffers, its headers and trailers alone.
const ANSWER: usize = 1 << 10;

/// The time between two looks at whether a peer reads.
pub(crate) const PATROL: Duration = Duration::from_secs(10);

/// A connection on which something waits for its peer ends after so many looks at which nothing at all was read.
const STRIKES: u32 = 3;

/// A connection whose peer reads, pings at least, but takes nothing of any answer that waits, ends after so many looks.
/// Longer than a gateway's slowest client pauses.
const STUCK_STRIKES: u32 = 12;

/// The reason why a connection has to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Excess {
    #[error("it holds more memory than there is for it (--max-held-bytes of the picker)")]
    Memory,
    #[error("too many of its streams were reset before anything was done for them")]
    Resets,
    #[error("its peer does not read")]
    Unread,
}

/// What a connection has reserved, given back when this is dropped.
#[derive(Debug)]
pub(crate) struct Ledger {
    meter: Meter,
    permit: ConnectionPermit,
    budget: Option<Arc<dyn Budget>>,
    reserved: usize,
    /// How much was read when no stream waited for the peer.
    read: usize,
    /// How many streams were gone when all was written.
    gone: usize,
    /// Looks at which nothing had moved.
    unread: Strikes,
    stuck: Strikes,
}

/// The number of looks at which a figure was as before.
#[derive(Debug, Default)]
struct Strikes {
    count: u32,
    figure: usize,
}

impl Strikes {
    /// Looks at the `figure` of what waits or doesn't.
    fn look(&mut self, waits: bool, figure: usize) -> u32 {
        self.count = if waits && figure == self.figure { self.count + 1 } else { 0 };
        self.figure = figure;
        self.count
    }
}

impl Ledger {
    /// The ledger of a connection that `meter` counts.
    ///
    /// # Errors
    /// When there is no memory for the connection.
    pub(crate) fn open(
        meter: Meter,
        permit: ConnectionPermit,
        budget: Option<Arc<dyn Budget>>,
    ) -> Result<Self, Excess> {
        let (unread, stuck) = Default::default();
        let mut ledger = Self { meter, permit, budget, reserved: 0, read: 0, gone: 0, unread, stuck };
        if !ledger.reserve(STEP) {
            return Err(Excess::Memory);
        }
        Ok(ledger)
    }

    /// The connection takes no new streams any more.
    pub(crate) fn lives_on(&mut self) {
        self.permit.lives_on();
    }

    /// Tells the streams how much they may take until the ledger is settled.
    pub(crate) fn begin(&self) {
        let Some(budget) = &self.budget else { return };
        let room = self.permit.room(budget.left_by_connections()).min(budget.left());
        self.meter.set_limit(self.reserved.saturating_add(room).saturating_sub(CONNECTION));
    }

    /// Reserves what is held now, or gives back what no longer is.
    ///
    /// # Errors
    /// When the connection has to end.
    pub(crate) fn settle(&mut self) -> Result<(), Excess> {
        let void = self.meter.take_void();
        if void > 0 && !self.permit.came_to_nothing(void, Instant::now()) {
            return Err(Excess::Resets);
        }
        if self.budget.is_none() {
            return Ok(());
        }
        self.meter.look_at_unsent();
        let waiting = self.waiting();
        let held = CONNECTION + self.meter.held() + LYING * waiting;
        if held > self.reserved {
            let more = (held - self.reserved).next_multiple_of(STEP);
            // Streams are refused, and end by themselves; what lies unread does not.
            if !self.reserve(more) && waiting > OVER {
                return Err(Excess::Memory);
            }
        } else if self.reserved - held > SPARE {
            self.let_go(self.reserved - held.next_multiple_of(STEP));
        }
        Ok(())
    }

    /// Whether so many of its streams were refused for lack of memory, since it was last asked, that others go first:
    /// a peer that tries again and again would take all the time there is.
    pub(crate) fn has_to_wait(&self) -> bool {
        self.meter.take_refusals() >= REFUSED
    }

    /// Looks whether the peer reads what waits for it; to be called every [`PATROL`].
    ///
    /// # Errors
    /// When it has not for too long.
    pub(crate) fn patrol(&mut self) -> Result<(), Excess> {
        let unstuck = self.meter.unstuck();
        let progress = unstuck.wrapping_add(self.meter.written());
        let unread = self.unread.look(self.meter.waits(), progress);
        let stuck = self.stuck.look(self.meter.stuck_streams() > 0, unstuck);
        if unread >= STRIKES || stuck >= STUCK_STRIKES { Err(Excess::Unread) } else { Ok(()) }
    }

    /// The bytes that lie in buffers because the peer doesn't read. What came since everything was read is the most
    /// that there can be.
    fn waiting(&mut self) -> usize {
        let gone = self.meter.gone();
        let unwritten = if self.meter.unwritten() > 0 {
            io_buffer::SIZE + ANSWER * gone.wrapping_sub(self.gone)
        } else {
            self.gone = gone;
            0
        };
        let (read, stuck) = (self.meter.read(), self.meter.stuck_streams());
        if stuck == 0 {
            self.read = read;
            return unwritten;
        }
        unwritten + read.wrapping_sub(self.read).min(stuck.saturating_mul(STUCK))
    }

    fn reserve(&mut self, bytes: usize) -> bool {
        let Some(budget) = &self.budget else { return true };
        if bytes > self.permit.room(budget.left_by_connections()) || !budget.take(bytes) {
            return false;
        }
        self.reserved += bytes;
        self.permit.reserve(bytes);
        true
    }

    fn let_go(&mut self, bytes: usize) {
        let Some(budget) = &self.budget else { return };
        self.reserved -= bytes;
        self.permit.let_go(bytes);
        budget.give(bytes);
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        self.let_go(self.reserved);
    }
}

#[cfg(test)]
mod tests;
