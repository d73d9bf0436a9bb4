use std::sync::atomic::AtomicBool;

use super::*;

const TTL: Duration = Duration::from_secs(10);

fn after(start: Instant, seconds: f64) -> Instant {
    start + Duration::from_secs_f64(seconds)
}

#[test]
fn a_session_is_where_it_was_bound_until_it_expires() {
    let (table, start) = (Sessions::default(), Instant::now());
    let [a, b] = [b"a", b"b"].map(|id| table.hash(id));
    assert_eq!(table.get(a, start, TTL), None);
    table.bind(a, 0, 7, start, TTL);
    table.bind(b, 0, 8, after(start, 5.0), TTL);
    let at = |seconds| [a, b].map(|session| table.get(session, after(start, seconds), TTL));
    assert_eq!(at(0.0), [Some(7), Some(8)]);
    assert_eq!(at(10.0), [Some(7), Some(8)]);
    assert_eq!(at(10.2), [None, Some(8)]);
    assert_eq!(at(15.2), [None, None]);
    // A longer time to live finds them again.
    assert_eq!(table.get(a, after(start, 15.2), MAX_TTL), Some(7));
}

#[test]
fn a_binding_that_is_used_is_renewed() {
    let (table, start) = (Sessions::default(), Instant::now());
    let session = table.hash(b"a");
    for n in 0..10 {
        table.bind(session, if n == 0 { 0 } else { 7 }, 7, after(start, f64::from(n) * 9.0), TTL);
    }
    assert_eq!(table.get(session, after(start, 90.0), TTL), Some(7));
}

#[test]
fn of_two_requests_that_bind_a_session_at_once_the_first_counts() {
    let (table, start) = (Sessions::default(), Instant::now());
    let session = table.hash(b"a");
    table.bind(session, 0, 7, start, TTL);
    table.bind(session, 0, 8, after(start, 8.0), TTL);
    assert_eq!(table.get(session, after(start, 17.0), TTL), Some(7));
    // Who knows of the binding may change it.
    table.bind(session, 7, 9, after(start, 17.0), TTL);
    assert_eq!(table.get(session, after(start, 17.0), TTL), Some(9));
    // And nobody need know of one that has expired.
    table.bind(session, 0, 5, after(start, 40.0), TTL);
    assert_eq!((table.get(session, after(start, 40.0), TTL), table.len()), (Some(5), 1));
}

#[test]
fn requests_whose_clocks_differ_a_little_agree() {
    let (table, start) = (Sessions::default(), after(Instant::now(), 100.0));
    let session = table.hash(b"a");
    table.bind(session, 0, 7, start, TTL);
    table.bind(session, 7, 7, after(start, 3.0), TTL);
    assert_eq!(table.get(session, start, TTL), Some(7));
    assert_eq!(table.get(session, start - Duration::from_secs(50), TTL), Some(7));
}

#[test]
fn sweeps_empty_what_has_expired() {
    let (table, start) = (Sessions::default(), Instant::now());
    table.sweep(start, TTL);
    for n in 0..1000_u32 {
        table.bind(table.hash(&n.to_le_bytes()), 0, 7, after(start, if n < 400 { 0.0 } else { 5.0 }), TTL);
    }
    let sweep = |seconds| (0..SWEEPS).for_each(|_| table.sweep(after(start, seconds), TTL));
    assert_eq!(table.len(), 1000);
    sweep(10.0);
    assert_eq!(table.len(), 1000);
    sweep(11.0);
    assert_eq!(table.len(), 600);
    assert_eq!(table.get(table.hash(&999_u32.to_le_bytes()), after(start, 11.0), TTL), Some(7));
    sweep(16.0);
    assert_eq!(table.len(), 0);
}

#[test]
fn a_million_sessions_that_are_made_up_keep_to_the_table() {
    let (table, start) = (Sessions::default(), Instant::now());
    let known = table.hash(b"known");
    table.bind(known, 0, 7, start, MAX_TTL);
    for n in 0..1_048_576_u32 {
        table.bind(table.hash(&n.to_le_bytes()), 0, 8, after(start, 1.0), MAX_TTL);
        if n % 4096 == 0 {
            // It goes on all the while, and is never the oldest of its set.
            table.bind(known, 7, 7, after(start, 2.0), MAX_TTL);
        }
    }
    assert!((CAPACITY * 8 / 10..=CAPACITY).contains(&table.len()), "{}", table.len());
    assert_eq!(table.get(known, after(start, 2.0), MAX_TTL), Some(7));
}

#[test]
fn of_a_full_set_the_session_used_longest_ago_gives_way() {
    let (table, start) = (Sessions::default(), Instant::now());
    // Equal in all bits that choose the set.
    let sessions: Vec<u64> = (0..9).map(|n| (1 << 32 | 1 << 48) + 2 + n).collect();
    for (n, session) in sessions[..8].iter().enumerate() {
        table.bind(*session, 0, 1 + n as u64, after(start, n as f64), MAX_TTL);
    }
    table.bind(sessions[0], 1, 1, after(start, 20.0), MAX_TTL);
    table.bind(sessions[8], 0, 9, after(start, 21.0), MAX_TTL);
    let bound: Vec<_> = sessions.iter().map(|s| table.get(*s, after(start, 21.0), MAX_TTL)).collect();
    let expected = [1, 0, 3, 4, 5, 6, 7, 8, 9].map(|n| Some(n).filter(|n| *n > 0));
    assert_eq!(bound, expected);
}

/// Threads bind and sweep sessions that share one set, each to an endpoint of its own.
#[test]
fn sessions_that_threads_bind_and_sweep_at_once_are_never_mixed_up() {
    let (table, start, over) = (Sessions::default(), Instant::now(), AtomicBool::new(false));
    let sessions: Vec<u64> = (2..34).collect();
    std::thread::scope(|scope| {
        for offset in 0..3 {
            let (table, sessions, over) = (&table, &sessions, &over);
            scope.spawn(move || {
                for round in 0..50_000 {
                    let session = sessions[(round * 7 + offset) % sessions.len()];
                    let seen = table.get(session, start, TTL);
                    assert!(seen.is_none_or(|endpoint| endpoint == session), "{session} {seen:?}");
                    table.bind(session, seen.unwrap_or(0), session, start, TTL);
                }
                over.store(true, Ordering::Relaxed);
            });
        }
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                table.sweep(start, TTL);
                table.sweep(start + 2 * TTL, TTL);
            }
        });
    });
    assert!(table.len() <= WAYS, "{}", table.len());
}

/// Two sessions take one entry from each other while both are looked up. Fails within this many rounds when a reader does
/// not look at the session again after it has the binding.
#[test]
fn who_reads_an_entry_while_it_changes_hands_does_not_get_the_binding_of_the_other() {
    let (table, start, over) = (Sessions::default(), Instant::now(), AtomicBool::new(false));
    // The other entries of the set are never the oldest.
    let late = start + MAX_TTL;
    table.bind(100, 0, 100, start, MAX_TTL);
    (101..107).for_each(|session| table.bind(session, 0, session, late, MAX_TTL));
    table.bind(100, 100, 100, late, MAX_TTL);
    std::thread::scope(|scope| {
        for session in [2, 3] {
            let (table, over) = (&table, &over);
            scope.spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    let seen = table.get(session, late, MAX_TTL);
                    assert!(seen.is_none_or(|endpoint| endpoint == session), "{session} {seen:?}");
                }
            });
        }
        for round in 0..1_000_000_u32 {
            let session = u64::from(2 + round % 2);
            table.bind(session, 0, session, start + TICK * (round + 1), MAX_TTL);
        }
        over.store(true, Ordering::Relaxed);
    });
    assert_eq!(table.len(), WAYS);
}

#[test]
fn a_smaller_table_keeps_fewer() {
    for (capacity, most) in [(0, LEAST), (LEAST, LEAST), (5 * LEAST - 1, 4 * LEAST), (usize::MAX, CAPACITY)] {
        let (table, start) = (Sessions::of(capacity), Instant::now());
        for n in 0..3 * most.min(10_000) as u64 {
            let session = table.hash(&n.to_le_bytes());
            table.bind(session, 0, 7, start, TTL);
            assert_eq!(table.get(session, start, TTL), Some(7));
        }
        assert!(table.len() <= most && table.len() > most.min(10_000) / 2, "{capacity}: {}", table.len());
        // All parts are swept, however few segments there are.
        (0..SWEEPS).for_each(|_| table.sweep(start + 2 * TTL, TTL));
        assert_eq!(table.len(), 0, "{capacity}");
    }
}

#[test]
fn a_session_of_a_request_that_came_a_little_later_is_not_the_oldest() {
    let (table, start) = (Sessions::default(), Instant::now());
    let sessions: Vec<u64> = (0..9).map(|n| (1 << 32 | 1 << 48) + 2 + n).collect();
    table.bind(sessions[0], 0, 1, start, MAX_TTL);
    table.bind(sessions[0], 1, 1, after(start, 2.0), MAX_TTL);
    sessions[1..].iter().for_each(|session| table.bind(*session, 0, 9, after(start, 1.0), MAX_TTL));
    assert_eq!(table.get(sessions[0], after(start, 2.0), MAX_TTL), Some(1));
}
