use std::sync::Arc;
use std::thread;

use proptest::prelude::*;

use super::*;
use crate::endpoint::{Endpoint, Slots};
use crate::testing::{spec, unknown, view_of};

/// The chain of a prompt whose blocks are `blocks`.
fn chain_of(blocks: &[u8]) -> Vec<u64> {
    let mut out = Vec::new();
    chain::extend(1, [blocks].into_iter(), 1, usize::MAX, &mut out);
    out
}

/// A chain of `len` blocks that no other `n` has.
fn chain_no(n: u64, len: usize) -> Vec<u64> {
    let mut out = Vec::new();
    chain::extend(chain::seed(&n.to_string(), None), [vec![0; len].as_slice()].into_iter(), 1, len, &mut out);
    out
}

fn index() -> PrefixIndex {
    PrefixIndex::new(Arc::default())
}

fn matched(index: &PrefixIndex, view: &View, hashes: &[u64]) -> Vec<u32> {
    let mut out = vec![99];
    index.matches(hashes, view, &Candidates::of(&view.endpoints, None), &mut out);
    out
}

proptest! {
    /// The model: an endpoint has as much of a prompt as the longest beginning that it shares with any
    /// prompt that it got.
    #[test]
    fn agrees_with_a_naive_model_while_nothing_is_pushed_out(
        steps in prop::collection::vec((0..4_usize, prop::collection::vec(0..3_u8, 1..12)), 1..40),
    ) {
        let (view, index) = (unknown(4), index());
        let mut seen: [Vec<Vec<u8>>; 4] = Default::default();
        for (endpoint, prompt) in steps {
            let hashes = chain_of(&prompt);
            let shared = |other: &Vec<u8>| prompt.iter().zip(other).take_while(|(a, b)| a == b).count() as u32;
            let expected: Vec<_> = seen.iter().map(|s| s.iter().map(shared).max().unwrap_or(0)).collect();
            let found = matched(&index, &view, &hashes);
            if seen.iter().all(Vec::is_empty) {
                prop_assert_eq!(found, Vec::<u32>::new());
            } else {
                prop_assert_eq!(found, expected);
            }
            index.insert(&view, endpoint, 30_000, &hashes);
            seen[endpoint].push(prompt);
        }
    }
}

#[test]
fn only_candidates_are_looked_up() {
    let (view, index) = (unknown(3), index());
    let hashes = chain_of(&[1, 2, 3]);
    (0..3).for_each(|n| index.insert(&view, n, 100, &hashes));
    let mut candidates = Candidates::of(&view.endpoints, None);
    candidates.retain(|i| i != 1);
    let mut out = Vec::new();
    index.matches(&hashes, &view, &candidates, &mut out);
    assert_eq!(out, [3, 0, 3]);
    index.matches(&[], &view, &candidates, &mut out);
    assert!(out.is_empty());
}

#[test]
fn a_new_endpoint_in_an_old_slot_starts_with_nothing() {
    let (mut slots, index, hashes) = (Slots::default(), index(), chain_of(&[1, 2]));
    let old = Arc::new(slots.admit(spec(0)));
    let before = view_of([old.clone()]);
    index.insert(&before, 0, 100, &hashes);
    slots.release(&old);
    let after = view_of([Arc::new(slots.admit(spec(1)))]);
    assert_eq!(matched(&index, &after, &hashes), [0]);

    index.insert(&after, 0, 100, &hashes[..1]);
    assert_eq!(matched(&index, &after, &hashes), [1]);
    // A request that was decided before the old one went away.
    index.insert(&before, 0, 100, &hashes);
    assert_eq!(matched(&index, &after, &hashes), [1]);
}

#[test]
fn the_memory_of_endpoints_that_are_gone_is_given_back() {
    let mut slots = Slots::default();
    let endpoints: Vec<_> = (0..10).map(|n| Arc::new(slots.admit(spec(n)))).collect();
    let (all, one) = (view_of(endpoints.clone()), view_of(endpoints[..1].to_vec()));
    let (index, hashes) = (index(), chain_of(&[1, 2]));
    (0..10).for_each(|n| index.insert(&all, n, 1000, &hashes));
    let each = index.bytes() / 10;
    index.insert(&one, 0, 1000, &hashes);
    assert_eq!(index.bytes(), each);
    assert_eq!(matched(&index, &all, &hashes), [2, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
}

#[test]
fn a_view_that_is_behind_takes_nothing_from_newer_endpoints() {
    let mut slots = Slots::default();
    let endpoints: Vec<Arc<Endpoint>> = (0..2).map(|n| Arc::new(slots.admit(spec(n)))).collect();
    let (behind, current) = (view_of(endpoints[..1].to_vec()), view_of(endpoints));
    let (index, hashes) = (index(), chain_of(&[1, 2]));
    (0..2).for_each(|n| index.insert(&current, n, 1000, &hashes));
    let before = index.directory.load_full();
    index.insert(&behind, 0, 1000, &hashes);
    assert!(Arc::ptr_eq(&before, &index.directory.load_full()), "nothing was to be done");
    assert_eq!(matched(&index, &current, &hashes), [2, 2]);
}

#[test]
fn ten_million_blocks_on_64_endpoints_take_200_megabytes() {
    let (view, index) = (unknown(64), index());
    (0..64).for_each(|n| index.insert(&view, n, 156_250, &chain_of(&[1])));
    // 156,250 blocks, two and a half times as much room, 8 bytes each, in whole buckets of 64 bytes.
    assert_eq!(index.bytes(), 64 * 48_829 * 64);
}

#[test]
fn large_caches_take_a_quarter_of_a_gibibyte_at_most() {
    let (view, index) = (unknown(32), index());
    let hashes = chain_of(&[1, 2]);
    (0..32).for_each(|n| index.insert(&view, n, MAX_CAPACITY, &hashes));
    assert!(index.bytes() <= 256 << 20, "{}", index.bytes());
    assert_eq!(matched(&index, &view, &hashes), [2; 32]);
}

#[test]
fn memory_is_shared_fairly_when_it_is_short() {
    let max = 1 << 20;
    let (view, index) = (unknown(64), PrefixIndex::new(Arc::new(Memory::new(max))));
    let hashes = chain_of(&[1, 2, 3]);
    let mut sizes = Vec::new();
    for n in 0..64 {
        let before = index.bytes();
        index.insert(&view, n, u32::MAX, &hashes);
        sizes.push(index.bytes() - before);
    }
    assert_eq!(matched(&index, &view, &hashes), [3; 64]);
    assert!(index.bytes() <= max, "{}", index.bytes());
    // At least two thirds of a fair share.
    assert!(sizes.iter().all(|&size| size >= max / 96), "{sizes:?}");
}

#[test]
fn memory_never_passes_its_limit() {
    let (max, hashes, mut slots) = (10_000, chain_of(&[1, 2, 3]), Slots::default());
    let index = PrefixIndex::new(Arc::new(Memory::new(max)));
    let mut endpoints = Vec::new();
    for n in 0..100 {
        endpoints.push(Arc::new(slots.admit(spec(n))));
        index.insert(&view_of(endpoints.clone()), n as usize, u32::MAX, &hashes);
        assert!(index.bytes() <= max, "{n}");
    }
}

#[test]
fn all_indexes_share_one_memory() {
    let (view, hashes) = (unknown(16), chain_of(&[1, 2]));
    let memory = Arc::new(Memory::new(1 << 20));
    let indexes: [_; 8] = std::array::from_fn(|_| PrefixIndex::new(memory.clone()));
    for n in 0..16 {
        indexes.iter().for_each(|index| index.insert(&view, n, MAX_CAPACITY, &hashes));
        assert!(memory.taken() <= 1 << 20, "{}", memory.taken());
    }
    let bytes: Vec<_> = indexes.iter().map(PrefixIndex::bytes).collect();
    assert_eq!(bytes.iter().sum::<usize>(), memory.taken());
    assert_eq!(indexes.each_ref().map(|index| matched(index, &view, &hashes)), [const { [2; 16] }; 8]);
    drop(indexes);
    assert_eq!(memory.taken(), 0);
}

#[test]
fn an_index_that_found_no_memory_grows_when_there_is_some() {
    let (view, hashes) = (unknown(4), chain_of(&[1, 2]));
    let memory = Arc::new(Memory::new(1 << 20));
    let taken = memory.grant(1 << 20, 0);
    let index = PrefixIndex::new(memory.clone());
    index.insert(&view, 0, MAX_CAPACITY, &hashes);
    assert_eq!((index.bytes(), matched(&index, &view, &hashes)), (0, vec![0; 4]));
    drop(taken);
    index.insert(&view, 0, MAX_CAPACITY, &hashes);
    assert_eq!((index.bytes(), matched(&index, &view, &hashes)), ((1 << 20) * 3 / 16, vec![2, 0, 0, 0]));
    // And stays what it is then.
    let before = index.directory.load_full();
    index.insert(&view, 0, MAX_CAPACITY, &hashes);
    assert!(Arc::ptr_eq(&before, &index.directory.load_full()));
}

#[test]
fn nothing_is_lost_when_many_write_at_once() {
    let (view, index) = (unknown(4), index());
    thread::scope(|scope| {
        for t in 0..8 {
            let (view, index) = (&view, &index);
            scope.spawn(move || {
                for n in 0..200 {
                    // Half of the chains are written by all threads, in different orders.
                    let shared = chain_no((n * 7 + t) % 200, 10);
                    let own = chain_no(1000 * (t + 1) + n, 10);
                    for chain in [shared, own] {
                        (0..4).for_each(|endpoint| index.insert(view, endpoint, 200_000, &chain));
                    }
                }
            });
        }
    });
    for n in (0..200).chain((1..9).flat_map(|t| 1000 * t..1000 * t + 200)) {
        assert_eq!(matched(&index, &view, &chain_no(n, 10)), [10; 4], "{n}");
    }
}

#[test]
fn readers_and_writers_of_a_table_that_is_too_small_disturb_nobody() {
    let (view, index) = (unknown(2), index());
    thread::scope(|scope| {
        for t in 0..4 {
            let (view, index) = (&view, &index);
            scope.spawn(move || {
                for n in 0..500 {
                    let chain = chain_no(n * 4 + t, 20);
                    index.insert(view, (n % 2) as usize, 100, &chain);
                    matched(index, view, &chain);
                }
            });
        }
    });
    // What was written last, and alone, is there.
    let last = chain_no(9999, 20);
    index.insert(&view, 0, 100, &last);
    assert_eq!(matched(&index, &view, &last), [20, 0]);
}
