use proptest::prelude::*;
use rustc_hash::FxHashMap;
use serde_json::json;

use super::*;
use crate::ask::ProfileResult;
use crate::config::Scope;
use crate::endpoint::Slots;
use crate::fact::MediaItem;
use crate::hot::{Hot, Outcome};
use crate::parse::media::MediaKind;
use crate::request::Request;
use crate::store::State;
use crate::testing::{Instance, spec, unknown, view_of};

const KIND: &str = MmEmbeddingsCacheProducer::TYPE;

fn tokens(hashes: &[u64]) -> PromptTokens {
    let item = |&hash| MediaItem { kind: MediaKind::Image, hash, tokens: 1 };
    PromptTokens { media: hashes.iter().map(item).collect(), ..PromptTokens::default() }
}

/// What is found of a request with these items.
fn found(producer: &mut Instance, view: &View, hashes: &[u64]) -> (Vec<u64>, Vec<u32>) {
    producer.produce_knowing(&Request::default(), view, tokens(hashes));
    let EncoderCacheMatch { items, matched } = producer.fact();
    (items.to_vec(), matched.clone())
}

/// Sends the request that was produced last where each profile's result says; `None` for a profile that picked nobody.
fn send(producer: &Instance, view: &View, picked: &[Option<&[u32]>], primary: usize) {
    let results = picked.iter().enumerate().map(|(profile, picked)| ProfileResult {
        profile,
        picked: picked.map(|picked| picked.iter().copied().collect()),
    });
    let decision = Decision { results: results.collect(), primary };
    let request = Request::default();
    let ask = producer.ask(&request, view, &decision.results);
    producer.roles.pre_request.as_ref().unwrap().pre_request(
        &ask,
        &decision,
        &mut Launch::of(&decision, view),
    );
}

#[test]
fn a_server_has_what_was_sent_to_it() {
    let (mut producer, view) = (Instance::new(KIND, json!({})).unwrap(), unknown(3));
    // Equal items count once.
    assert_eq!(found(&mut producer, &view, &[7, 5, 7]), (vec![5, 7], vec![0, 0, 0]));
    send(&producer, &view, &[Some(&[1, 2])], 0);
    assert_eq!(found(&mut producer, &view, &[5, 7, 9]), (vec![5, 7, 9], vec![0, 2, 0]));
    // A request without any changes nothing.
    assert_eq!(found(&mut producer, &view, &[]), (vec![], vec![]));
    send(&producer, &view, &[Some(&[0])], 0);
    assert_eq!(found(&mut producer, &view, &[7]), (vec![7], vec![0, 1, 0]));
}

#[test]
fn the_servers_that_encode_have_them() {
    let (mut producer, view) = (Instance::new(KIND, json!({})).unwrap(), unknown(4));
    found(&mut producer, &view, &[5]);
    // Decode, prefill, encode.
    send(&producer, &view, &[Some(&[0]), None, Some(&[3, 2])], 0);
    // llm-d-router#2626: and nobody else.
    assert_eq!(found(&mut producer, &view, &[5]), (vec![5], vec![0, 0, 1, 1]));
    // Without one, whoever reads the prompt: decode and prefill.
    found(&mut producer, &view, &[6]);
    send(&producer, &view, &[Some(&[0]), Some(&[1, 2]), None], 0);
    assert_eq!(found(&mut producer, &view, &[6]), (vec![6], vec![1, 1, 0, 0]));
    let mut named = Instance::new(KIND, json!({"encodeProfile": "prefill"})).unwrap();
    found(&mut named, &view, &[5]);
    send(&named, &view, &[Some(&[0]), Some(&[1])], 0);
    assert_eq!(found(&mut named, &view, &[5]), (vec![5], vec![0, 1, 0, 0]));
}

#[test]
fn parameters_count_as_published() {
    let capacity = |mib| Params { cache_size_in_mb_per_server: mib, ..Params::default() }.capacity();
    let table = [
        (4096, 2048),
        (2048, 1024),
        (0, 2048),
        (-5, 2048),
        (1, 1),
        (3, 1),
        (i64::MAX, i64::MAX as usize / 2),
    ];
    assert_eq!(table.map(|(mib, _)| (mib, capacity(mib))), table);
    assert_eq!(Params::default().capacity(), 2048);
}

#[test]
fn servers_that_are_gone_are_forgotten_and_a_new_one_begins_with_nothing() {
    let mut slots = Slots::default();
    let [a, b, c] = [0, 1, 2].map(|n| Arc::new(slots.admit(spec(n))));
    let (caches, before) = (EncoderCaches::default(), view_of([a.clone(), b.clone()]));
    caches.insert(&before, 0, 10, &[1, 2]);
    caches.insert(&before, 1, 10, &[3]);
    slots.release(&a);
    let new = Arc::new(slots.admit(spec(3)));
    assert_eq!(new.slot, a.slot);
    let after = view_of([new, b, c]);
    let matched = |view: &View, items: &[u64]| {
        let mut matched = Vec::new();
        caches.matches(items, view, &Candidates::of(&view.endpoints, None), &mut matched);
        matched
    };
    // Pods 1 to 3.
    assert_eq!(matched(&after, &[1, 2, 3]), [1, 0, 0]);
    caches.tidy(&after, 10);
    assert_eq!((caches.len(), matched(&before, &[1, 2, 3])), (1, vec![0, 1]));
    caches.insert(&after, 2, 10, &[1]);
    // A request that was decided before does not take the slot back.
    caches.insert(&before, 0, 10, &[2]);
    assert_eq!((matched(&after, &[1, 2]), matched(&before, &[1, 2])), (vec![0, 0, 1], vec![0, 0]));
    caches.tidy(&View::empty(), 10);
    assert_eq!(caches.len(), 0);
}

#[test]
fn a_million_items_take_a_bounded_table() {
    let (caches, view) = (EncoderCaches::default(), unknown(2));
    for first in (0..4_000_000_u64).step_by(1000) {
        let items: Vec<_> = (first..first + 1000).collect();
        caches.insert(&view, first as usize / 1000 % 2, usize::MAX, &items);
    }
    assert_eq!(caches.len(), 1 << 20);
}

proptest! {
    /// An LRU of so many entries for each server, to which the items of a request are added when it is sent there, and which
    /// looking does not change; as plain lists.
    #[test]
    fn agrees_with_the_published_rule(
        requests in prop::collection::vec((prop::collection::vec(0..12_u64, 0..5), 0..4_u32), 1..60), mib in 2..20_i64,
    ) {
        let (mut producer, view) = (Instance::new(KIND, json!({"cacheSizeInMBPerServer": mib})).unwrap(), unknown(4));
        let mut lists: FxHashMap<u32, Vec<u64>> = FxHashMap::default();
        for (items, chosen) in requests {
            let (unique, matched) = found(&mut producer, &view, &items);
            for (i, matched) in matched.into_iter().enumerate() {
                let known = lists.get(&(i as u32)).map_or(&[][..], Vec::as_slice);
                let expected = unique.iter().filter(|item| known.contains(item)).count();
                prop_assert_eq!(matched as usize, expected);
            }
            send(&producer, &view, &[Some(&[chosen])], 0);
            let list = lists.entry(chosen).or_default();
            for item in unique {
                list.retain(|other| *other != item);
                list.push(item);
            }
            let excess = list.len().saturating_sub((mib / 2) as usize);
            list.drain(..excess);
        }
    }
}

#[test]
fn a_change_of_weight_keeps_what_is_known_and_one_of_size_begins_anew() {
    let hot = Hot::default();
    let resets = |weight: f64, mib: i64| {
        let scorer = "mm-embeddings-cache-scorer";
        let routing = json!({
            "plugins": [{"type": KIND, "parameters": {"cacheSizeInMBPerServer": mib}}, {"type": scorer}],
            "schedulingProfiles": [{"name": "default", "plugins": [{"pluginRef": scorer, "weight": weight}]}],
        });
        match hot.offer(&routing, Scope::Resource) {
            Outcome::Swapped { resets, .. } => resets,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(resets(1.0, 64), [""; 0]);
    assert_eq!(resets(2.0, 64), [""; 0]);
    assert_eq!(resets(2.0, 128), [KIND]);
}

/// The share of a server becomes smaller when others come, and what it has above that makes room for them by and by.
#[test]
fn a_pool_that_grows_takes_no_more_than_before() {
    let (caches, two) = (EncoderCaches::default(), unknown(2));
    let one = view_of([two.endpoints[0].clone()]);
    let most = 1 << 20;
    let all = |first: u64| (first..first + most as u64).collect::<Vec<_>>();
    caches.insert(&one, 0, usize::MAX, &all(0));
    caches.insert(&two, 1, usize::MAX, &all(1 << 40));
    assert_eq!(caches.len(), most + 1);
    caches.tidy(&two, usize::MAX);
    caches.insert(&two, 1, usize::MAX, &all(1 << 40));
    assert_eq!(caches.len(), most);
    assert!(caches.bytes() <= caches.max_bytes());
    // A small cache is no larger for that.
    caches.tidy(&two, 10);
    assert_eq!(caches.len(), 20);
}
