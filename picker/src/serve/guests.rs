//! How many connections each peer has, so that none can take the places of all others.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The peers that are connected. Clones share them.
#[derive(Clone, Debug)]
pub struct Guests {
    most: usize,
    seats: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

impl Guests {
    /// Nobody yet, and at most `most` connections of each address.
    pub fn new(most: usize) -> Self {
        Self { most, seats: Arc::default() }
    }

    /// A place for a connection of `peer`, or none when it has too many.
    pub fn seat(&self, peer: IpAddr) -> Option<Seat> {
        // One machine may come as 10.0.0.1 and as ::ffff:10.0.0.1.
        let peer = peer.to_canonical();
        let mut seats = self.seats();
        let taken = seats.entry(peer).or_default();
        if *taken >= self.most {
            return None;
        }
        *taken += 1;
        drop(seats);
        Some(Seat { guests: self.clone(), peer })
    }

    fn seats(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The place of a connection, free again when this is dropped.
#[derive(Debug)]
pub struct Seat {
    guests: Guests,
    peer: IpAddr,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut seats = self.guests.seats();
        if let Some(taken) = seats.get_mut(&self.peer) {
            *taken -= 1;
            if *taken == 0 {
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
        assert_eq!(guests.seats().clone(), HashMap::from([(a, 2), (b, 1)]));
        drop(seats);
        assert_eq!(guests.seats().clone(), HashMap::new());
    }
}
