//! How many connections each peer has, so that none can take the places of all others.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A peer may have so many times as many connections in all as take new streams: others live on to the end of their
/// last stream.
const LIVING_ON: usize = 4;

/// The peers that are connected. Clones share them.
#[derive(Clone, Debug)]
pub struct Guests {
    most: usize,
    seats: Arc<Mutex<HashMap<IpAddr, Taken>>>,
}

/// The places of a peer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Taken {
    /// By connections that take new streams.
    active: usize,
    /// By all.
    all: usize,
}

impl Guests {
    /// Nobody yet, and at most `most` connections of each address that take new streams.
    pub fn new(most: usize) -> Self {
        Self { most, seats: Arc::default() }
    }

    /// A place for a connection of `peer`, or none when it has too many.
    pub fn seat(&self, peer: IpAddr) -> Option<Seat> {
        // One machine may come as 10.0.0.1 and as ::ffff:10.0.0.1.
        let peer = peer.to_canonical();
        let mut seats = self.seats();
        let taken = seats.entry(peer).or_default();
        if taken.active >= self.most || taken.all >= self.most.saturating_mul(LIVING_ON) {
            return None;
        }
        *taken = Taken { active: taken.active + 1, all: taken.all + 1 };
        drop(seats);
        Some(Seat { guests: self.clone(), peer, active: true })
    }

    fn seats(&self) -> MutexGuard<'_, HashMap<IpAddr, Taken>> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The place of a connection, free again when this is dropped.
#[derive(Debug)]
pub struct Seat {
    guests: Guests,
    peer: IpAddr,
    active: bool,
}

impl Seat {
    /// The connection takes no new streams: its peer may open another one.
    pub fn lives_on(&mut self) {
        if std::mem::take(&mut self.active)
            && let Some(taken) = self.guests.seats().get_mut(&self.peer)
        {
            taken.active -= 1;
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.lives_on();
        let mut seats = self.guests.seats();
        if let Some(taken) = seats.get_mut(&self.peer) {
            taken.all -= 1;
            if taken.all == 0 {
                seats.remove(&self.peer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_peer_has_its_own_places() {
        let [a, mapped, b] = ["10.0.0.1", "::ffff:10.0.0.1", "10.0.0.2"].map(|ip| ip.parse().unwrap());
        let guests = Guests::new(2);
        let seats = [guests.seat(a), guests.seat(mapped), guests.seat(a), guests.seat(b)];
        assert_eq!(seats.each_ref().map(Option::is_some), [true, true, false, true]);
        let of = |count| Taken { active: count, all: count };
        assert_eq!(guests.seats().clone(), HashMap::from([(a, of(2)), (b, of(1))]));
        drop(seats);
        assert_eq!(guests.seats().clone(), HashMap::new());
    }

    #[test]
    fn connections_that_live_on_make_room_up_to_a_limit() {
        let peer = "10.0.0.1".parse().unwrap();
        let guests = Guests::new(1);
        let mut living = Vec::new();
        while let Some(mut seat) = guests.seat(peer) {
            seat.lives_on();
            living.push(seat);
        }
        assert_eq!(living.len(), LIVING_ON);
        assert_eq!(guests.seats()[&peer], Taken { active: 0, all: LIVING_ON });
        living.pop();
        assert!(guests.seat(peer).is_some());
        living.clear();
        assert_eq!(guests.seats().clone(), HashMap::new());
    }
}
