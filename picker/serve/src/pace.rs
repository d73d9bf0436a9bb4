//! The pace at which each peer may do something, as to open connections: so many times at once, and so many more in
//! each second.

use std::collections::HashMap;
use std::net::IpAddr;

use tokio::time::Instant;

/// So many peers may be known before those are forgotten that may do it as often as ever.
const KNOWN: usize = 1 << 10;

/// The paces of all peers.
#[derive(Debug)]
pub struct Paces {
    at_once: f64,
    per_second: f64,
    /// What each peer has left, and when that was so.
    peers: HashMap<IpAddr, (f64, Instant)>,
}

impl Paces {
    /// Each peer may do it `at_once` times, and `per_second` times more each second.
    pub fn new(at_once: usize, per_second: usize) -> Self {
        Self { at_once: at_once as f64, per_second: per_second as f64, peers: HashMap::new() }
    }

    /// Whether `peer` may do it, which is counted then.
    pub fn take(&mut self, peer: IpAddr, now: Instant) -> bool {
        let (at_once, per_second) = (self.at_once, self.per_second);
        let left = |(left, at): &(f64, Instant)| {
            at_once.min(left + now.saturating_duration_since(*at).as_secs_f64() * per_second)
        };
        if self.peers.len() >= KNOWN {
            self.peers.retain(|_, known| left(known) < at_once);
        }
        let known = self.peers.entry(peer.to_canonical()).or_insert((at_once, now));
        let left = left(known);
        let may = left >= 1.0;
        *known = (if may { left - 1.0 } else { left }, now);
        may
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_peer_opens_some_at_once_and_then_at_its_pace() {
        let (mut paces, began) = (Paces::new(10, 2), Instant::now());
        let [one, other] = [1, 2].map(|n| IpAddr::from([10, 0, 0, n]));
        let mut opened = |peer, seconds| {
            let now = began + Duration::from_secs(seconds);
            (0..100).filter(|_| paces.take(peer, now)).count()
        };
        assert_eq!([opened(one, 0), opened(one, 0), opened(other, 0)], [10, 0, 10]);
        assert_eq!([opened(one, 3), opened(one, 100)], [6, 10]);
    }

    #[test]
    fn those_that_may_open_as_many_as_ever_are_forgotten() {
        let (mut paces, began) = (Paces::new(2, 1), Instant::now());
        let peer = |n: usize| IpAddr::from((n as u32).to_be_bytes());
        (0..KNOWN).for_each(|n| assert!(paces.take(peer(n), began)));
        assert!(paces.take(peer(KNOWN), began));
        assert_eq!(paces.peers.len(), KNOWN + 1);
        assert!(paces.take(peer(0), began + Duration::from_secs(1)));
        assert_eq!(paces.peers.len(), 1);
    }
}
