use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::memory::STREAM;
use crate::peer_limits::PeerLimits;

#[derive(Debug)]
struct Bytes(AtomicUsize);

impl Budget for Bytes {
    fn take(&self, bytes: usize) -> bool {
        let less = |left: usize| left.checked_sub(bytes);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok()
    }

    fn give(&self, bytes: usize) {
        self.0.fetch_add(bytes, Ordering::Relaxed);
    }

    fn left(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

const BUDGET: usize = 64 << 20;

struct Fixture {
    budget: Arc<Bytes>,
    peers: PeerLimits,
}

impl Fixture {
    fn new() -> Self {
        Self { budget: Arc::new(Bytes(AtomicUsize::new(BUDGET))), peers: PeerLimits::new(100) }
    }

    fn connection(&self, peer: u8) -> Result<(Meter, Ledger), Excess> {
        let (meter, permit) = (Meter::default(), self.peers.permit(IpAddr::from([10, 0, 0, peer])).unwrap());
        let ledger = Ledger::open(meter.clone(), permit, Some(self.budget.clone()))?;
        ledger.begin();
        Ok((meter, ledger))
    }

    /// What the peer can hold at once on a new connection, which is kept.
    fn takes_all(&self, peer: u8) -> (usize, impl Sized + use<>) {
        let (meter, mut ledger) = self.connection(peer).unwrap();
        let mut held = Vec::new();
        loop {
            ledger.begin();
            let mut more = meter.hold();
            if !more.set(64 << 10) {
                return (held.len() * (64 << 10), (held, ledger));
            }
            held.push(more);
            ledger.settle().unwrap();
        }
    }
}

#[test]
fn what_is_reserved_follows_what_is_held_and_goes_with_the_connection() {
    let all = Fixture::new();
    let (meter, mut ledger) = all.connection(1).unwrap();
    let streams: Vec<_> = (0..1000).map(|_| meter.open().unwrap()).collect();
    ledger.settle().unwrap();
    let taken = BUDGET - all.budget.left();
    assert!((1000 * STREAM..1000 * STREAM + 4 * STEP).contains(&taken), "{taken}");
    drop(streams);
    ledger.settle().unwrap();
    assert!(BUDGET - all.budget.left() <= SPARE + 3 * STEP);
    drop(ledger);
    assert_eq!(all.budget.left(), BUDGET);
}

#[test]
fn a_peer_that_takes_all_it_can_leaves_as_much_for_others() {
    let all = Fixture::new();
    let (first, _first) = all.takes_all(1);
    assert!((BUDGET * 2 / 5..=BUDGET / 2 + (64 << 10)).contains(&first), "{first}");
    // More connections give it nothing more.
    let (more, _more) = all.takes_all(1);
    assert!(more <= 4 << 16, "{more}");
    let (second, _second) = all.takes_all(2);
    assert!((BUDGET / 5..=BUDGET / 4 + (64 << 10)).contains(&second), "{second}");
}

#[test]
fn without_memory_streams_are_refused_until_there_is_some() {
    let all = Fixture::new();
    let (meter, mut ledger) = all.connection(1).unwrap();
    let stream = meter.open();
    assert!(all.budget.take(all.budget.left()));
    ledger.begin();
    let few: Vec<_> = std::iter::from_fn(|| meter.open()).collect();
    assert!(few.len() <= 2 * STEP / STREAM, "{}", few.len());
    // Those that are open go on.
    assert_eq!(ledger.settle(), Ok(()));
    assert!(all.connection(2).is_err());
    all.budget.give(1 << 20);
    ledger.begin();
    assert!(meter.open().is_some());
    drop(stream);
}

#[test]
fn what_a_peer_does_not_read_is_counted_until_it_does() {
    let all = Fixture::new();
    let (meter, mut ledger) = all.connection(1).unwrap();
    meter.count_read(1 << 20);
    ledger.settle().unwrap();
    let mut stream = meter.open().unwrap();
    stream.set_stuck(true);
    meter.count_read(200 << 10);
    ledger.settle().unwrap();
    let taken = BUDGET - all.budget.left();
    assert!((400 << 10..480 << 10).contains(&taken), "{taken}");
    // One stream keeps no more than what it may.
    meter.count_read(100 << 20);
    ledger.settle().unwrap();
    assert!(BUDGET - all.budget.left() <= LYING * STUCK + 4 * STEP);
    stream.set_stuck(false);
    ledger.settle().unwrap();
    assert!(BUDGET - all.budget.left() <= SPARE + 3 * STEP);
}

#[test]
fn a_connection_with_too_much_unread_ends() {
    let all = Fixture::new();
    let (meter, mut ledger) = all.connection(1).unwrap();
    let mut streams: Vec<_> = (0..1000).map(|_| meter.open().unwrap()).collect();
    ledger.settle().unwrap();
    streams.iter_mut().for_each(|stream| stream.set_stuck(true));
    meter.count_read(BUDGET / 8);
    assert_eq!(ledger.settle(), Ok(()));
    meter.count_read(BUDGET / 4);
    assert_eq!(ledger.settle(), Err(Excess::Memory));
}

#[test]
fn a_peer_that_never_reads_is_not_waited_for() {
    let all = Fixture::new();
    let (meter, mut ledger) = all.connection(1).unwrap();
    let mut stream = meter.open().unwrap();
    stream.set_stuck(true);
    let looks = |ledger: &mut Ledger, times| (0..times).map(|_| ledger.patrol()).collect::<Vec<_>>();
    assert_eq!(looks(&mut ledger, 2), [Ok(()), Ok(())]);
    // It reads something now.
    stream.set_stuck(false);
    stream.set_stuck(true);
    assert_eq!(looks(&mut ledger, 4), [Ok(()), Ok(()), Ok(()), Err(Excess::Unread)]);
    meter.count_written(1, 0);
    stream.set_stuck(false);
    assert_eq!(looks(&mut ledger, 5), [Ok(()); 5]);
}

#[test]
fn a_peer_that_reads_pings_alone_is_not_waited_for_much_longer() {
    let all = Fixture::new();
    let (meter, mut ledger) = all.connection(1).unwrap();
    let mut stream = meter.open().unwrap();
    stream.set_stuck(true);
    assert_eq!(ledger.patrol(), Ok(()));
    let mut look = || {
        meter.count_written(17, 0);
        ledger.patrol()
    };
    for _ in 2..STUCK_STRIKES {
        assert_eq!(look(), Ok(()));
    }
    assert_eq!(look(), Err(Excess::Unread));
}

#[test]
fn answers_without_a_body_are_counted_while_nothing_is_read() {
    let all = Fixture::new();
    let (meter, mut ledger) = all.connection(1).unwrap();
    let mut answered = |streams, unwritten| {
        meter.count_written(0, unwritten);
        (0..streams).for_each(|_| meter.open().unwrap().begin());
        let settled = ledger.settle();
        ledger.begin();
        (settled, BUDGET - all.budget.left())
    };
    let (settled, taken) = answered(1000, 0);
    assert!(settled.is_ok() && taken <= SPARE, "{taken}");
    let (settled, taken) = answered(1000, 1);
    assert!(settled.is_ok() && taken >= LYING * 1000 * ANSWER, "{taken}");
    let (settled, taken) = answered(1000, 0);
    assert!(settled.is_ok() && taken <= SPARE + 3 * STEP, "{taken}");
    assert_eq!(answered(20_000, 1).0, Err(Excess::Memory));
}

#[tokio::test(start_paused = true)]
async fn streams_that_are_reset_at_once_are_counted_for_the_peer_and_forgiven() {
    let all = Fixture::new();
    let void = |streams| {
        let (meter, mut ledger) = all.connection(1).unwrap();
        (0..streams).for_each(|_| drop(meter.open().unwrap()));
        ledger.settle()
    };
    assert_eq!([void(8000), void(192), void(1)], [Ok(()), Ok(()), Err(Excess::Resets)]);
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!([void(4000), void(200)], [Ok(()), Err(Excess::Resets)]);
    // Those for which something was done do not count.
    let (meter, mut ledger) = all.connection(2).unwrap();
    for _ in 0..10_000 {
        meter.open().unwrap().begin();
    }
    assert_eq!(ledger.settle(), Ok(()));
}

#[test]
fn a_connection_of_which_many_streams_are_refused_has_to_wait_once() {
    let all = Fixture::new();
    let (meter, ledger) = all.connection(1).unwrap();
    meter.set_limit(0);
    (1..REFUSED).for_each(|_| assert!(meter.open().is_none()));
    assert!(!ledger.has_to_wait());
    (0..REFUSED).for_each(|_| meter.refused());
    assert_eq!([ledger.has_to_wait(), ledger.has_to_wait()], [true, false]);
}
