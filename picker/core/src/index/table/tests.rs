use std::sync::Barrier;
use std::thread;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::*;
use crate::index::Memory;

/// The hash of a block that stands alone.
fn block(n: u64) -> u64 {
    xxh3_64_with_seed(&n.to_le_bytes(), 3)
}

fn table_of(capacity: u32) -> Table {
    table_in(capacity, usize::MAX)
}

fn table_in(capacity: u32, bytes: usize) -> Table {
    Table::new(capacity, |wanted| Arc::new(Memory::new(bytes)).grant(wanted, 0))
}

fn holds(table: &Table, n: u64) -> bool {
    table.depth(&[block(n)], 1) == 1
}

#[test]
fn the_least_recently_used_blocks_are_pushed_out() {
    let capacity = 10_000;
    let table = table_of(capacity);
    let all = 5 * u64::from(capacity);
    (0..all).for_each(|n| table.insert(capacity, &[block(n)]));

    let (old, recent) = (0..all - u64::from(capacity), all - u64::from(capacity)..all);
    assert_eq!(old.filter(|&n| holds(&table, n)).count(), 0);
    let lost = recent.filter(|&n| !holds(&table, n)).count();
    assert!(lost < capacity as usize / 200, "{lost}");
    // The younger half is lost far less often.
    let lost = (all - u64::from(capacity) / 2..all).filter(|&n| !holds(&table, n)).count();
    assert!(lost < capacity as usize / 2000, "{lost}");
}

#[test]
fn a_block_that_is_used_stays() {
    let table = table_of(1000);
    for n in 1..20_000 {
        if n % 100 == 0 {
            table.insert(1000, &[block(0)]);
        }
        table.insert(1000, &[block(n)]);
        assert!(n < 100 || holds(&table, 0), "{n}");
    }
}

#[test]
fn a_chain_that_is_longer_than_the_capacity_keeps_its_beginning() {
    let table = table_of(64);
    let chain: Vec<_> = (0..200).map(block).collect();
    table.insert(64, &chain);
    assert_eq!(table.depth(&chain, 1), 64);
}

#[test]
fn the_guess_changes_the_work_and_not_the_result() {
    let table = table_of(1000);
    let chain: Vec<_> = (0..50).map(block).collect();
    for held in [0, 1, 2, 25, 49, 50] {
        let table = Table { clock: table.clock.clone(), ..table_of(1000) };
        table.insert(1000, &chain[..held]);
        let found: Vec<_> = (0..60).map(|guess| table.depth(&chain, guess)).collect();
        assert_eq!(found, [held; 60]);
    }
    assert_eq!(table.depth(&[], 1), 0);
}

#[test]
fn a_smaller_capacity_takes_effect_at_once() {
    let table = table_of(1000);
    (0..500).for_each(|n| table.insert(1000, &[block(n)]));
    assert!((0..500).all(|n| holds(&table, n)));
    table.insert(100, &[block(500)]);
    assert_eq!((0..=500).filter(|&n| holds(&table, n)).collect::<Vec<_>>(), (401..=500).collect::<Vec<_>>());
}

#[test]
fn the_clock_may_wrap() {
    let table = table_of(100);
    table.clock.now.store(u32::MAX - 20, Ordering::Relaxed);
    for n in 0..500 {
        table.insert(100, &[block(n)]);
        assert!((n.saturating_sub(30)..=n).all(|n| holds(&table, n)), "{n}");
        assert!(n < 100 || !holds(&table, n - 100), "{n}");
    }
}

#[test]
fn a_table_takes_no_more_memory_than_it_may() {
    assert_eq!(table_of(1).bytes(), 64);
    assert_eq!(table_of(1000).bytes(), 313 * 64);
    assert_eq!(table_of(u32::MAX).bytes(), 20 << 20);
    assert_eq!(table_in(u32::MAX, 1000).bytes(), 15 * 64);
}

#[test]
fn a_table_without_memory_holds_nothing() {
    let table = table_in(1000, 63);
    table.insert(1000, &[block(1)]);
    assert_eq!((table.bytes(), holds(&table, 1)), (0, false));
}

#[test]
fn threads_that_write_to_one_bucket_lose_nothing() {
    const THREADS: u64 = WAYS as u64;
    let barrier = Barrier::new(WAYS);
    let tables: Vec<_> = (0..500).map(|_| table_of(1)).collect();
    thread::scope(|scope| {
        for t in 0..THREADS {
            let (barrier, tables) = (&barrier, &tables);
            scope.spawn(move || {
                for table in tables {
                    barrier.wait();
                    table.insert(100, &[block(t)]);
                }
            });
        }
    });
    for (n, table) in tables.iter().enumerate() {
        let held: Vec<_> = (0..THREADS).filter(|&t| holds(table, t)).collect();
        assert_eq!(held, (0..THREADS).collect::<Vec<_>>(), "table {n}");
    }
}

#[test]
fn bucket_is_a_cache_line() {
    assert_eq!((size_of::<Bucket>(), align_of::<Bucket>()), (64, 64));
}
