//! The decision and its parts, each ready to be done again and again.

use std::fmt;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use picker_core::ask::{Ask, Scored};
use picker_core::column::Column;
use picker_core::fact::Facts;
use picker_core::index::PrefixIndex;
use picker_core::parse::parse;
use picker_core::plugins::pick;
use picker_core::plugins::score::{KvCacheUtilizationScorer, QueueScorer};
use picker_core::role::Scorer;
use picker_core::view::Candidates;
use picker_core::{Cx, Request, Strategy, View};
use serde_json::Value;
use xxhash_rust::xxh3::xxh3_64;

use crate::workload::{
    BLOCKS, Chat, Chats, Size, booked_strategy, default_strategy, hash, headers, spread, view,
};

/// What is done with a chat.
pub type Work = Box<dyn FnMut(&Chat)>;

/// Something to measure.
pub struct Case {
    /// What it is called.
    pub name: &'static str,
    /// How long the chats are.
    pub size: Size,
    /// Makes all that it needs.
    pub ready: fn(&mut Chats) -> Work,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

const fn short(name: &'static str, ready: fn(&mut Chats) -> Work) -> Case {
    Case { name, size: Size::Short, ready }
}

const fn long(name: &'static str, ready: fn(&mut Chats) -> Work) -> Case {
    Case { name, size: Size::Long, ready }
}

/// With bodies of 4 KB, or none; at 8 and at 1,000 endpoints where they matter.
pub const SHORT: &[Case] = &[
    short("decision-4KB-8", |chats| decide(chats, 8, default_strategy())),
    short("decision-4KB-8-booked", |chats| decide(chats, 8, booked_strategy())),
    short("decision-4KB-1000", |chats| decide(chats, 1000, default_strategy())),
    short("parse-4KB", |_| read()),
    short("hash-4KB", |_| hashed()),
    short("match-4KB-8", |chats| matched(chats, 8)),
    short("match-4KB-1000", |chats| matched(chats, 1000)),
    short("insert-4KB", |chats| insert(chats)),
    short("score-8", |_| score(8)),
    short("score-1000", |_| score(1000)),
    short("pick-8", |_| picked(8)),
    short("pick-1000", |_| picked(1000)),
];

/// With bodies of 450 KB.
pub const LONG: &[Case] = &[
    long("decision-450KB-8", |chats| decide(chats, 8, default_strategy())),
    long("parse-450KB", |_| read()),
    long("hash-450KB", |_| hashed()),
    long("match-450KB-8", |chats| matched(chats, 8)),
    long("insert-450KB", |chats| insert(chats)),
];

/// What a decision is held against.
pub const YARDSTICKS: &[Case] = &[short("4KB", |_| read_whole()), long("450KB", |_| read_whole())];

/// From a body to an endpoint, booked and remembered.
fn decide(chats: &mut Chats, endpoints: u16, strategy: Arc<Strategy>) -> Work {
    let (view, headers) = (view(endpoints), headers());
    spread(&strategy, &view, chats);
    let (now, mut seed) = (Instant::now(), 0);
    Box::new(move |chat| {
        seed += 1;
        let mut cx = Cx::new(now, seed);
        let request = Request::new(headers.clone(), chat.body.clone()).expect("a sound body");
        black_box(strategy.route(&request, &view, None, &mut cx)).expect("endpoints");
    })
}

fn read() -> Work {
    let headers = headers();
    Box::new(move |chat| {
        black_box(parse(&headers, &chat.body)).expect("a sound body");
    })
}

fn hashed() -> Work {
    let mut out = Vec::new();
    Box::new(move |chat| {
        hash(&chat.request, &mut out);
        black_box(&out);
    })
}

/// An index in which each endpoint of `view` has got a chat, and at least 256 chats were sent.
fn index(view: &View, chats: &mut Chats) -> PrefixIndex {
    let index = PrefixIndex::new(Arc::default());
    for n in 0..view.len().max(256) {
        index.insert(view, n % view.len(), BLOCKS, &chats.next().hashes);
    }
    index
}

fn matched(chats: &mut Chats, endpoints: u16) -> Work {
    let view = view(endpoints);
    let (index, candidates) = (index(&view, chats), Candidates::of(&view.endpoints, None));
    let mut matched = Vec::new();
    Box::new(move |chat| {
        index.matches(&chat.hashes, &view, &candidates, &mut matched);
        black_box(&matched);
    })
}

fn insert(chats: &mut Chats) -> Work {
    let view = view(8);
    let index = index(&view, chats);
    // Each family at one endpoint, as the scorers have it.
    Box::new(move |chat| index.insert(&view, chat.hashes[BLOCK_OF_FAMILY] as usize % 8, BLOCKS, &chat.hashes))
}

/// A block that differs from family to family, and is the same for all of one.
const BLOCK_OF_FAMILY: usize = 4;

/// What a role that looks at endpoints alone is asked. A decision makes it once for all roles, so it is not counted; it
/// stays in memory until the program ends, to be lent to the work.
fn ask(endpoints: u16) -> Ask<'static> {
    let kept: &'static (Request, View, Facts) =
        Box::leak(Box::new((Request::default(), view(endpoints), Facts::default())));
    let (request, view, facts) = kept;
    Ask { request, view, facts, done: &[], now: Instant::now() }
}

/// Without the prefix, whose part is a product for each endpoint.
fn score(endpoints: u16) -> Work {
    let ask = ask(endpoints);
    let candidates = Candidates::of(&ask.view.endpoints, None);
    let mut out = vec![0.0; candidates.len()];
    Box::new(move |_| {
        for scorer in [&QueueScorer as &dyn Scorer, &KvCacheUtilizationScorer] {
            scorer.score(&ask, &candidates, &mut out);
            black_box(&out);
        }
    })
}

fn picked(endpoints: u16) -> Work {
    let (ask, picker) = (ask(endpoints), pick::default());
    let mut cx = Cx::new(ask.now, 1);
    let (candidates, totals) = (Candidates::of(&ask.view.endpoints, None), ask.view.column(Column::KV_USAGE));
    Box::new(move |_| {
        black_box(picker.pick(&ask, &mut cx, Scored { candidates: &candidates, totals }));
    })
}

fn read_whole() -> Work {
    Box::new(|chat| {
        black_box(serde_json::from_slice::<Value>(&chat.body)).expect("JSON");
        black_box(xxh3_64(&chat.body));
    })
}
