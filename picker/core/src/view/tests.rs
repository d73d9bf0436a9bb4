use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::*;
use crate::column::Columns;

use crate::endpoint::Slots;
use crate::testing::{spec, unknown, view, view_of};

#[test]
fn columns_follow_the_order_of_ids_and_unknown_or_stale_numbers_are_nan() {
    let start = Instant::now();
    let at = |ms| Some(start + Duration::from_millis(ms));
    let mut slots = Slots::default();
    let own = Columns::default().intern("own").unwrap();
    let signals = Signals {
        waiting: Some(3.0),
        running: None,
        kv_usage: Some(0.5),
        block_size: Some(16),
        num_blocks: Some(1000),
        cache_tokens: None,
        lora: Some(Arc::default()),
        models: Some(Arc::default()),
        others: vec![(own, 7.0)],
    };
    let mut row = |n, at| (Arc::new(slots.admit(spec(n))), Reading { signals: signals.clone(), at });
    let rows = vec![row(2, at(0)), row(0, at(1)), row(1, None)];
    let view = View::build(rows, start + Duration::from_millis(1001), Duration::from_secs(1));

    let names: Vec<_> = view.endpoints.iter().map(|e| e.pod.as_str()).collect();
    assert_eq!(names, ["pod-0", "pod-1", "pod-2"]);
    let bits = |column: &[f32]| column.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
    let nan = f32::NAN;
    assert_eq!(bits(view.column(Column::WAITING)), bits(&[3.0, nan, nan]));
    assert_eq!(bits(view.column(Column::RUNNING)), bits(&[nan, nan, nan]));
    assert_eq!(bits(view.column(Column::KV_USAGE)), bits(&[0.5, nan, nan]));
    assert_eq!(bits(view.column(own)), bits(&[7.0, nan, nan]));
    assert_eq!(*view.block_size, [16, 16, 16]);
    assert_eq!(*view.num_blocks, [1000, 1000, 1000]);
    assert_eq!(*view.cache_tokens, [16_000, 16_000, 16_000]);
    assert_eq!(view.lora.iter().map(Option::is_some).collect::<Vec<_>>(), [true, false, false]);
    assert_eq!(*view.places, [(1, 2), (2, 3), (0, 1)]);
    assert_eq!((view.slots, view.len(), view.is_empty()), (3, 3, false));
}

#[test]
fn the_usual_block_size_is_that_of_most_servers() {
    let usual = |sizes: &[u32]| {
        let view = view(sizes.iter().map(|&size| Signals { block_size: Some(size), ..Signals::default() }));
        (view.usual_block_size, view.block_size.to_vec())
    };
    assert_eq!(usual(&[]), (0, vec![]));
    assert_eq!(usual(&[0, 0, 16]), (16, vec![0, 0, 16]));
    assert_eq!(usual(&[16, 32, 16, 64]), (16, vec![16, 32, 16, 64]));
    assert_eq!(usual(&[32, 16, 64, 64, 32]), (64, vec![32, 16, 64, 64, 32]));
    // Nobody has such blocks.
    assert_eq!(usual(&[u32::MAX, 16_385, 16_384]), (16_384, vec![0, 0, 16_384]));
}

#[test]
fn what_a_server_keeps_is_what_it_says_or_what_its_blocks_hold() {
    let signals = |block_size, num_blocks, cache_tokens| Signals {
        block_size,
        num_blocks,
        cache_tokens,
        ..Signals::default()
    };
    let view = view([
        signals(Some(16), Some(1000), None),
        signals(Some(16), Some(1000), Some(5)),
        signals(None, None, Some(7)),
        signals(Some(u32::MAX), Some(u32::MAX), None),
        Signals::default(),
    ]);
    assert_eq!(*view.cache_tokens, [16_000, 5, 7, 0, 0]);
}

#[test]
fn an_empty_view_is_a_view_of_nothing() {
    let now = Instant::now();
    let built = View { built_at: None, ..View::build(Vec::new(), now, Duration::from_secs(1)) };
    assert_eq!(format!("{built:?}"), format!("{:?}", View::empty()));
    assert!(View::empty().is_empty());
}

#[test]
fn an_address_names_an_endpoint_by_ip_and_by_port_if_it_has_one() {
    let v4: SocketAddr = "10.0.0.1:8000".parse().unwrap();
    let v6: SocketAddr = "[fd00::1]:8000".parse().unwrap();
    for (text, names_v4, names_v6) in [
        ("10.0.0.1", true, false),
        (" 10.0.0.1:8000 ", true, false),
        ("10.0.0.1:8001", false, false),
        ("10.0.0.2", false, false),
        ("fd00::1", false, true),
        ("[fd00::1]", false, true),
        ("[fd00::1]:8000", false, true),
        ("[fd00:0::0:1]:8000", false, true),
        ("[fd00::1]:1", false, false),
    ] {
        let address = Address::parse(text).unwrap_or_else(|| panic!("{text}"));
        let names =
            |endpoint: SocketAddr| address == Address::at(endpoint.ip()) || address == endpoint.into();
        assert_eq!((names(v4), names(v6)), (names_v4, names_v6), "{text}");
    }
    for text in ["", "localhost", "10.0.0.1:", "10.0.0.1:http", "256.256.256.256", "[10.0.0.1", "::1]"] {
        assert_eq!(Address::parse(text), None, "{text}");
    }
}

#[test]
fn candidates_are_all_or_the_subset_and_keep_their_order() {
    let view = unknown(5);
    let positions = |c: &Candidates| c.iter().collect::<Vec<_>>();
    let mut candidates = Candidates::of(&view.endpoints, None);
    assert_eq!(positions(&candidates), [0, 1, 2, 3, 4]);
    candidates.retain(|i| i != 2);
    assert_eq!(positions(&candidates), [0, 1, 3, 4]);
    assert_eq!((candidates.at(2), candidates.len(), candidates.is_empty()), (3, 4, false));

    let subset = ["10.0.0.4", "10.0.0.1:8000", "10.0.0.2:1", "10.9.9.9"].map(|a| Address::parse(a).unwrap());
    candidates.reset(&view.endpoints, Some(&subset));
    assert_eq!(positions(&candidates), [1, 4]);
    // A long list in no order, with much that is not there.
    let foreign = (0..1000).map(|n| Address::parse(&format!("10.7.{}.{}", n % 4, n / 4)).unwrap());
    let long: Vec<_> = subset.iter().copied().chain(foreign).chain(subset).rev().collect();
    candidates.reset(&view.endpoints, Some(&long));
    assert_eq!(positions(&candidates), [1, 4]);
    let mut copy = Candidates::of(&view.endpoints, None);
    copy.copy_from(&candidates);
    assert_eq!(copy, candidates);
    assert!(Candidates::of(&view.endpoints, Some(&[])).is_empty());
}

#[test]
fn views_with_the_same_labels_in_the_same_order_hash_equally() {
    let mut slots = Slots::default();
    let [a, b, c] = [0, 1, 2].map(|n| Arc::new(slots.admit(spec(n))));
    let mut labelled = spec(1);
    labelled.labels.insert("role".to_owned(), "decode".to_owned());
    let changed = Arc::new(b.revised(labelled));
    let hash = |endpoints: &[&Arc<Endpoint>]| view_of(endpoints.iter().map(|&e| e.clone())).labels_hash;
    assert_eq!(hash(&[&a, &b]), hash(&[&b, &c]));
    let different = [hash(&[]), hash(&[&a]), hash(&[&a, &b]), hash(&[&a, &changed]), hash(&[&changed, &c])];
    assert_eq!(different.iter().collect::<std::collections::BTreeSet<_>>().len(), different.len());
}

#[test]
fn equal_lists_of_endpoints_are_one() {
    let before = unknown(3);
    let of = |endpoints: &[Arc<Endpoint>]| crate::testing::view_of(endpoints.iter().cloned());
    let shared = |view: View| Arc::ptr_eq(&view.sharing_endpoints(&before).endpoints, &before.endpoints);
    assert!(shared(of(&before.endpoints)));
    assert!(!shared(of(&before.endpoints[1..])));
    let (mut changed, mut slots) = (before.endpoints.to_vec(), crate::endpoint::Slots::default());
    changed[1] = Arc::new(slots.admit(crate::testing::spec(1)));
    assert!(!shared(of(&changed)));
}
