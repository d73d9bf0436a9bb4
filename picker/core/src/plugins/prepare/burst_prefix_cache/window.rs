//! Requests that wait for the same end, and are placed together then.

use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::{Duration, Instant};

use super::placement::{Rule, place};
use crate::ask::Ask;
use crate::column::Column;
use crate::endpoint::MAX_SLOTS;

/// Blocks of all prompts of a window, 32 MiB of hashes: with more it is full.
const MAX_BLOCKS: usize = 4 << 20;

/// The most blocks of a prompt that are compared, whatever is said.
pub(super) const MAX_PROMPT: u32 = 1 << 16;

/// The most requests of a window, those too whose clients have gone.
const MAX_PLACES: usize = 20_000;

/// Bytes of a block of a prompt, of a request beside its blocks, and of an endpoint.
const BLOCK: usize = size_of::<u64>();
const REQUEST: usize = size_of::<Option<Vec<u64>>>() + size_of::<Option<Waker>>();
const ENDPOINT: usize = size_of::<u64>();

/// The most bytes of a window. It is full with the request with which it has too many blocks.
pub(super) const MAX_BYTES: usize =
    (MAX_BLOCKS + MAX_PROMPT as usize) * BLOCK + MAX_PLACES * REQUEST + MAX_SLOTS * ENDPOINT;

/// Requests that wait.
#[derive(Debug)]
pub(super) struct Window {
    end: Instant,
    rule: Rule,
    /// Keys of the endpoints that requests are placed at, those first that are preferred.
    endpoints: Box<[u64]>,
    requests: Mutex<Requests>,
}

#[derive(Debug, Default)]
struct Requests {
    stage: Stage,
    /// Their prompts, as chains of hashes; `None` of one whose client has gone.
    prompts: Vec<Option<Vec<u64>>>,
    wakers: Vec<Option<Waker>>,
    /// How many are there.
    waiting: usize,
    blocks: usize,
}

#[derive(Debug, Default)]
enum Stage {
    /// The window is open, or nobody has seen its end yet.
    #[default]
    Open,
    /// One request places all.
    Placing,
    /// Each has its endpoint, by its key.
    Placed(Box<[Option<u64>]>),
}

/// What has become of a request's prompt.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Placed {
    /// The prompt.
    pub hashes: Vec<u64>,
    /// Key of its endpoint, if it has one.
    pub endpoint: Option<u64>,
}

/// The place of a request in a window.
pub(super) struct Place {
    /// Its number.
    pub n: usize,
    /// Whether the window is full with it.
    pub is_last: bool,
}

/// The lock; what a thread left that panicked is as good as any.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Window {
    /// A window that opens with the request of `ask`.
    pub fn open(ask: &Ask<'_>, rule: Rule, duration: Duration) -> Self {
        let (view, running) = (ask.view, ask.view.column(Column::RUNNING));
        let mut order: Vec<usize> = (0..view.len()).filter(|&i| view.is_healthy(i, ask.now)).collect();
        if order.is_empty() {
            order.extend(0..view.len());
        }
        // NaN is none.
        let running = |i: usize| running[i].max(0.0);
        order.sort_by(|&a, &b| {
            let (first, second) = (&view.endpoints[a], &view.endpoints[b]);
            running(a).total_cmp(&running(b)).then_with(|| {
                (&first.namespace, &first.name, first.key).cmp(&(&second.namespace, &second.name, second.key))
            })
        });
        let endpoints = order.into_iter().map(|i| view.places[i].1).collect();
        Self { end: ask.now + duration, rule, endpoints, requests: Mutex::default() }
    }

    /// How long it is to its end.
    pub fn left(&self, now: Instant) -> Duration {
        self.end.saturating_duration_since(now)
    }

    /// Takes in a request with the prompt `hashes`, of `most` at the most.
    pub fn join(&self, hashes: Vec<u64>, most: usize) -> Place {
        let mut requests = lock(&self.requests);
        let n = requests.prompts.len();
        requests.blocks += hashes.len();
        requests.waiting += 1;
        requests.prompts.push(Some(hashes));
        requests.wakers.push(None);
        let is_last = requests.waiting >= most || requests.blocks >= MAX_BLOCKS || n + 1 >= MAX_PLACES;
        Place { n, is_last }
    }

    /// The client of the request `n` has gone.
    pub fn leave(&self, n: usize) {
        let requests = &mut *lock(&self.requests);
        requests.waiting -= 1;
        // It is elsewhere while all are placed.
        if let Some(prompt) = requests.prompts.get_mut(n).and_then(Option::take) {
            requests.blocks -= prompt.len();
        }
        if let Some(waker) = requests.wakers.get_mut(n) {
            *waker = None;
        }
    }

    /// Bytes that it takes, about.
    pub fn bytes(&self) -> usize {
        let requests = lock(&self.requests);
        requests.blocks * BLOCK + requests.prompts.len() * REQUEST + self.endpoints.len() * ENDPOINT
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        lock(&self.requests).waiting == 0
    }

    /// Places all requests, unless another one of them does. Nobody may join any more.
    pub fn place(&self) {
        let mut requests = lock(&self.requests);
        if !matches!(requests.stage, Stage::Open) {
            return;
        }
        requests.stage = Stage::Placing;
        let prompts = mem::take(&mut requests.prompts);
        drop(requests);
        let hashes: Vec<&[u64]> =
            prompts.iter().map(|prompt| prompt.as_deref().unwrap_or_default()).collect();
        let placed = place(&hashes, self.endpoints.len(), self.rule);
        let key = |server: Option<u32>| server.map(|server| self.endpoints[server as usize]);
        let placed = placed.into_iter().map(key).collect();
        let mut requests = lock(&self.requests);
        requests.prompts = prompts;
        requests.stage = Stage::Placed(placed);
        let wakers = mem::take(&mut requests.wakers);
        drop(requests);
        wakers.into_iter().flatten().for_each(Waker::wake);
    }

    /// What has become of the request `n`, if all are placed; else `waker` is called then.
    pub fn result(&self, n: usize, waker: &Waker) -> Option<Placed> {
        let requests = &mut *lock(&self.requests);
        if let Stage::Placed(endpoints) = &requests.stage {
            let hashes = requests.prompts[n].take().unwrap_or_default();
            return Some(Placed { hashes, endpoint: endpoints[n] });
        }
        match &mut requests.wakers[n] {
            Some(known) => known.clone_from(waker),
            place => *place = Some(waker.clone()),
        }
        None
    }
}
