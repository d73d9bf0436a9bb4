//! The places of a server that are taken, and which connections give theirs up when there is none for new ones.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::time::Duration;

use tokio::task::AbortHandle;
use tokio::time::Instant;

use crate::memory::Meter;

/// A connection that is younger does not give up its place: it has hardly had the time to ask for something.
const YOUNG: Duration = Duration::from_millis(250);

/// So many connections that did nothing give up their places at once, so that not every newcomer has all places looked at.
const AT_ONCE: usize = 64;

/// A connection with its place.
#[derive(Debug)]
pub(crate) struct Place<T = AbortHandle> {
    pub(crate) peer: IpAddr,
    pub(crate) since: Instant,
    pub(crate) meter: Meter,
    pub(crate) task: T,
    /// Whether it was ended for another.
    pub(crate) yielded: bool,
}

/// The connections that give up their places, and for which of the newcomers.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Leaving<K> {
    pub(crate) places: Vec<K>,
    /// Which of the newcomers comes first.
    pub(crate) first: usize,
}

/// Who gives up places for newcomers of these peers; `None` when they have to wait.
///
/// Those that never did anything go first, of the peer with the most of them the oldest. If all have worked, one of
/// the peer with the most places goes, if it still has no fewer than the newcomer then: the oldest of those on which
/// nothing is under way, or of all.
pub(crate) fn leaving<K: Copy + Eq + Hash, T>(
    places: &HashMap<K, Place<T>>,
    newcomers: impl Iterator<Item = IpAddr>,
    now: Instant,
) -> Option<Leaving<K>> {
    // They have not left yet.
    if places.values().any(|place| place.yielded) {
        return None;
    }
    let old = |place: &Place<T>| now.saturating_duration_since(place.since) >= YOUNG;
    let idle = |place: &Place<T>| old(place) && place.meter.works() == 0;
    if let Some((peer, _)) = most(&count(places.values().filter(|place| idle(place)))) {
        let mut of_peer: Vec<_> =
            places.iter().filter(|(_, place)| place.peer.to_canonical() == peer && idle(place)).collect();
        of_peer.sort_unstable_by_key(|(_, place)| place.since);
        let places = of_peer.into_iter().take(AT_ONCE).map(|(id, _)| *id).collect();
        return Some(Leaving { places, first: 0 });
    }
    let all_of = count(places.values());
    let (peer, most) = most(&all_of)?;
    let own = |newcomer: IpAddr| all_of.get(&newcomer.to_canonical()).copied().unwrap_or_default();
    let (first, own) = newcomers.map(own).enumerate().min_by_key(|(_, own)| *own)?;
    if most <= own + 1 {
        return None;
    }
    let of_peer = places.iter().filter(|(_, place)| place.peer.to_canonical() == peer && old(place));
    let (id, _) = of_peer.min_by_key(|(_, place)| (place.meter.streams() > 0, place.since))?;
    Some(Leaving { places: vec![*id], first })
}

fn most(counts: &HashMap<IpAddr, usize>) -> Option<(IpAddr, usize)> {
    counts.iter().max_by_key(|(peer, count)| (**count, **peer)).map(|(peer, count)| (*peer, *count))
}

fn count<'a, T: 'a>(places: impl Iterator<Item = &'a Place<T>>) -> HashMap<IpAddr, usize> {
    let mut counts = HashMap::new();
    for place in places {
        *counts.entry(place.peer.to_canonical()).or_default() += 1;
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(n: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, n])
    }

    /// Places of peers, each with whether it has worked, the oldest first and all of them old.
    fn places(of: &[(u8, bool)]) -> (HashMap<usize, Place<()>>, Instant) {
        let began = Instant::now();
        let place = |(at, (n, worked)): (usize, &(u8, bool))| {
            let meter = Meter::default();
            if *worked {
                meter.worked();
            }
            let since = began + Duration::from_millis(at as u64);
            (at, Place { peer: peer(*n), since, meter, task: (), yielded: false })
        };
        (of.iter().enumerate().map(place).collect(), began + 2 * YOUNG)
    }

    fn leave(
        places: &HashMap<usize, Place<()>>,
        newcomers: &[u8],
        now: Instant,
    ) -> Option<(Vec<usize>, usize)> {
        let leaving = leaving(places, newcomers.iter().map(|n| peer(*n)), now)?;
        Some((leaving.places, leaving.first))
    }

    #[test]
    fn idle_connections_go_before_those_that_work_and_of_the_peer_that_has_most() {
        let (mut places, now) = places(&[(1, true), (2, false), (3, false), (3, false), (1, true)]);
        let mut gone = Vec::new();
        while let Some((left, _)) = leave(&places, &[9], now) {
            left.iter().for_each(|id| drop(places.remove(id)));
            gone.push(left);
        }
        // Of those that work the last of a peer stays.
        assert_eq!(gone, [vec![2, 3], vec![1], vec![0]]);
    }

    #[test]
    fn among_those_that_work_one_that_waits_goes_before_one_that_is_at_work() {
        let (places, now) = places(&[(1, true), (1, true), (1, true), (2, true)]);
        let _busy = places[&0].meter.open();
        assert_eq!(leave(&places, &[2], now), Some((vec![1], 0)));
        // Nobody makes room for one who has as many: another goes before it.
        assert_eq!(leave(&places, &[1], now), None);
        assert_eq!(leave(&places, &[1, 9, 2], now), Some((vec![1], 1)));
    }

    #[test]
    fn the_young_stay_and_others_are_waited_for() {
        let (mut places, now) = places(&[(1, false), (1, false)]);
        assert_eq!(leave(&places, &[2], now - 2 * YOUNG), None);
        places.get_mut(&0).unwrap().yielded = true;
        assert_eq!(leave(&places, &[2], now), None);
    }
}
