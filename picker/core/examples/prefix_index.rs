//! What a full prefix index takes, and whether it grows: `cargo xtask bench index`.
//!
//! Ten million distinct blocks on 64 endpoints are inserted and looked for. Then new ones push out the old ones for
//! the minutes that the first argument says, while an endpoint goes and another comes each second, and a second thread
//! looks up. Ends with an error when a bar is not held.
#![allow(clippy::disallowed_methods, reason = "it measures time")]

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use picker_core::endpoint::{Endpoint, EndpointId, EndpointSpec, Labels, Slots};
use picker_core::index::{MAX_BYTES, Memory, PrefixIndex};
use picker_core::view::{Candidates, Reading};
use picker_core::{Cx, View};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

/// As the picker has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ENDPOINTS: usize = 64;
const BLOCKS: usize = 10_000_000;
/// Blocks that an endpoint keeps: all of them together just what is inserted.
const CAPACITY: u32 = (BLOCKS / ENDPOINTS) as u32;

/// The most that the full index may take, in bytes.
const MOST: u64 = 400_000_000;
/// So much of what was inserted must be found.
const FOUND: f64 = 0.99;
/// So many times the memory of the beginning may be in use at the end.
const GROWTH: f64 = 1.01;

/// How often it is told what is in use.
const REPORTS: u32 = 10;
/// How long lookups without a writer are measured.
const ALONE: Duration = Duration::from_secs(5);

fn main() -> Result<(), Box<dyn Error>> {
    let minutes: f64 = std::env::args().nth(1).as_deref().unwrap_or("10").parse()?;
    let mut fleet = Fleet::default();
    let before = resident()?;
    let index = PrefixIndex::new(Arc::new(Memory::default()));
    let mut missed = Vec::new();

    let sent = fill(&index, &fleet.view());
    let taken = resident()? - before;
    let blocks: usize = sent.iter().map(|(chain, _)| length(*chain)).sum();
    println!("{blocks} distinct blocks on {ENDPOINTS} endpoints: {} MB more are in use", taken / 1_000_000);
    println!(
        "the index itself says {} MB, and {} MB at most",
        index.bytes() / 1_000_000,
        MAX_BYTES / 1_000_000
    );
    if taken > MOST {
        missed.push(format!("more than {} MB are in use", MOST / 1_000_000));
    }
    let found = found(&index, &fleet.view(), &sent) as f64 / blocks as f64;
    println!("found again: {:.2} %", found * 100.0);
    if found < FOUND {
        missed.push(format!("less than {} % are found again", FOUND * 100.0));
    }

    let written = AtomicU64::new(sent.len() as u64);
    let alone = lookups(&index, &fleet.shared, &written, || false, ALONE);
    println!("lookups of one thread, nobody writes: {alone:.0} a second");
    missed.extend(churn(&index, &mut fleet, &written, Duration::from_secs_f64(minutes * 60.0))?);
    if missed.is_empty() {
        println!("every bar is held");
        return Ok(());
    }
    Err(missed.join("; ").into())
}

/// Blocks of chain `n`: most prompts are short, a few have tens of thousands of tokens.
fn length(n: u64) -> usize {
    [8, 16, 16, 32, 32, 64, 128, 600][n as usize % 8]
}

/// The hashes of chain `n`; no other has one of them.
fn chain(n: u64, out: &mut Vec<u64>) {
    let mut rng = SmallRng::seed_from_u64(n);
    out.clear();
    out.extend((0..length(n)).map(|_| rng.random::<u64>()));
}

/// Endpoints, of which one goes and another comes now and then.
struct Fleet {
    slots: Slots,
    made: u32,
    endpoints: Vec<Arc<Endpoint>>,
    shared: Arc<ArcSwap<View>>,
}

impl Default for Fleet {
    fn default() -> Self {
        let shared = Arc::new(ArcSwap::from_pointee(View::empty()));
        let mut fleet = Self { slots: Slots::default(), made: 0, endpoints: Vec::new(), shared };
        (0..ENDPOINTS).for_each(|_| fleet.admit());
        fleet.publish();
        fleet
    }
}

impl Fleet {
    fn admit(&mut self) {
        self.made += 1;
        let endpoint = self.slots.admit(EndpointSpec {
            id: EndpointId { pod_uid: format!("uid-{:08}", self.made).into(), port: 8000, rank: 0 },
            pod: format!("pod-{}", self.made),
            namespace: "default".to_owned(),
            address: (self.made.to_be_bytes(), 8000).into(),
            labels: Labels::new(),
        });
        self.endpoints.push(Arc::new(endpoint));
    }

    fn publish(&self) {
        let rows = self.endpoints.iter().map(|endpoint| (endpoint.clone(), Reading::default()));
        let view = View::build(rows.collect(), Cx::live().now(), Duration::from_secs(1));
        self.shared.store(Arc::new(view));
    }

    /// The oldest goes, and a new one comes.
    fn replace_one(&mut self) {
        let gone = self.endpoints.remove(0);
        self.slots.release(&gone);
        self.admit();
        self.publish();
    }

    fn view(&self) -> Arc<View> {
        self.shared.load_full()
    }
}

/// Sends chains where the fewest blocks are until all are there. Returns which chain went where.
fn fill(index: &PrefixIndex, view: &View) -> Vec<(u64, usize)> {
    let (mut blocks, mut sent, mut hashes) = ([0; ENDPOINTS], Vec::new(), Vec::new());
    for n in 0.. {
        let least = (0..ENDPOINTS).min_by_key(|at| blocks[*at]).unwrap_or_default();
        if blocks[least] + length(n) > CAPACITY as usize {
            break;
        }
        chain(n, &mut hashes);
        index.insert(view, least, CAPACITY, &hashes);
        blocks[least] += hashes.len();
        sent.push((n, least));
    }
    sent
}

/// How many blocks of what was sent are found where it was sent.
fn found(index: &PrefixIndex, view: &View, sent: &[(u64, usize)]) -> usize {
    let (all, mut hashes, mut matched) = (Candidates::of(&view.endpoints, None), Vec::new(), Vec::new());
    let found = sent.iter().map(|(n, endpoint)| {
        chain(*n, &mut hashes);
        index.matches(&hashes, view, &all, &mut matched);
        matched[*endpoint] as usize
    });
    found.sum()
}

/// Lookups a second at all endpoints, of chains that were written not long ago, until `ended` or the time is over.
fn lookups(
    index: &PrefixIndex,
    view: &ArcSwap<View>,
    written: &AtomicU64,
    ended: impl Fn() -> bool,
    longest: Duration,
) -> f64 {
    let (mut hashes, mut matched, mut all) = (Vec::new(), Vec::new(), Candidates::default());
    let (began, mut rng, mut count) = (Instant::now(), SmallRng::seed_from_u64(1), 0_u32);
    while !ended() && began.elapsed() < longest {
        let view = view.load();
        chain(written.load(Ordering::Relaxed).saturating_sub(rng.random_range(1..10_000)), &mut hashes);
        all.reset(&view.endpoints, None);
        index.matches(&hashes, &view, &all, &mut matched);
        count += 1;
    }
    f64::from(count) / began.elapsed().as_secs_f64()
}

/// Writes new chains for `time`, and says what is in use meanwhile. Returns which bars were not held.
fn churn(
    index: &PrefixIndex,
    fleet: &mut Fleet,
    written: &AtomicU64,
    time: Duration,
) -> Result<Vec<String>, Box<dyn Error>> {
    let ended = AtomicBool::new(false);
    let shared = fleet.shared.clone();
    let mut samples = Vec::new();
    let mut most_bytes = 0;
    let beside = thread::scope(|scope| {
        let reader =
            scope.spawn(|| lookups(index, &shared, written, || ended.load(Ordering::Relaxed), Duration::MAX));
        let (mut rng, mut hashes) = (SmallRng::seed_from_u64(2), Vec::new());
        let (began, mut blocks, mut replaced) = (Instant::now(), 0, 0);
        while began.elapsed() < time {
            let n = written.load(Ordering::Relaxed);
            chain(n, &mut hashes);
            index.insert(&fleet.view(), rng.random_range(0..ENDPOINTS), CAPACITY, &hashes);
            written.store(n + 1, Ordering::Relaxed);
            blocks += hashes.len();
            if began.elapsed().as_secs() > replaced {
                replaced += 1;
                fleet.replace_one();
            }
            most_bytes = most_bytes.max(index.bytes());
            if began.elapsed() > time / REPORTS * (samples.len() as u32 + 1) {
                let (at, used) = (began.elapsed(), resident().unwrap_or(u64::MAX));
                println!(
                    "after {:.0} s: {} MB in use, {blocks} blocks written, {replaced} endpoints replaced",
                    at.as_secs_f64(),
                    used / 1_000_000
                );
                samples.push(used);
            }
        }
        ended.store(true, Ordering::Relaxed);
        println!("blocks written: {:.0} a second", blocks as f64 / began.elapsed().as_secs_f64());
        reader.join()
    });
    let beside = beside.map_err(|_| "the reader failed")?;
    println!("lookups of one thread, another one writes: {beside:.0} a second");
    let (first, last) = (samples.first().copied().unwrap_or(1), resident()?);
    println!("in use at the end: {:.3} times that of the beginning", last as f64 / first as f64);
    let mut missed = Vec::new();
    if last as f64 > first as f64 * GROWTH {
        missed.push("it grew".to_owned());
    }
    if most_bytes > MAX_BYTES {
        missed.push(format!("the index took {most_bytes} bytes"));
    }
    Ok(missed)
}

/// Memory of this process that is in use, in bytes.
fn resident() -> Result<u64, Box<dyn Error>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let kib = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB"));
    Ok(kib.ok_or("no VmRSS")?.trim().parse::<u64>()? * 1024)
}
