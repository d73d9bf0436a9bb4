//! The queue of reconciles: it decides which strategy is reconciled next, and reconciles each at most once at a time.
//!
//! It has two lanes. What somebody waits for, an edit or the word of a picker about one, does not stand behind what the
//! start of many strategies makes: the urgent lane is served first, and has room of its own.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::future::Future;
use std::panic::resume_unwind;
use std::time::Duration;

use kube::api::ObjectMeta;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

/// Namespace and name of a strategy.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StrategyKey {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl StrategyKey {
    /// The key of the strategy with this metadata.
    pub fn of(metadata: &ObjectMeta) -> Self {
        Self {
            namespace: metadata.namespace.clone().unwrap_or_default(),
            name: metadata.name.clone().unwrap_or_default(),
        }
    }
}

/// A lane of the queue. The first in order is served first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lane {
    /// Somebody waits for it.
    Urgent,
    /// Everything else.
    Usual,
}

/// A request for the reconcile of a strategy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The strategy.
    pub strategy: StrategyKey,
    /// The lane in which it waits.
    pub lane: Lane,
}

/// When to reconcile a strategy next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// When something changes.
    Change,
    /// After this time, or when something changes.
    After(Duration),
    /// After this time, in the lane in which it was: it failed.
    Retry(Duration),
}

/// Reconciles the strategies that are asked for, once `ready` and until `stopped`; what runs then is finished. Up to `room`
/// run at a time in the usual lane, and as many again of the urgent one.
pub async fn run<F>(
    mut requests: UnboundedReceiver<Request>,
    room: usize,
    ready: impl Future<Output = ()>,
    stopped: impl Future<Output = ()>,
    reconcile: impl Fn(StrategyKey) -> F,
) where
    F: Future<Output = Next> + Send + 'static,
{
    let mut queue = Queue { room, ..Queue::default() };
    let mut running = JoinSet::new();
    let (mut ready, mut stopped) = (std::pin::pin!(ready), std::pin::pin!(stopped));
    let mut is_ready = false;
    loop {
        queue.wake(Instant::now());
        while is_ready && let Some(strategy) = queue.next() {
            let work = reconcile(strategy.clone());
            running.spawn(async move { (strategy, work.await) });
        }
        let due = queue.due();
        tokio::select! {
            () = &mut stopped => break,
            // What is asked for until then is gathered here, each strategy once.
            () = &mut ready, if !is_ready => is_ready = true,
            Some(done) = running.join_next() => match done {
                Ok((strategy, next)) => queue.done(&strategy, next, Instant::now()),
                Err(error) => {
                    if let Ok(panic) = error.try_into_panic() {
                        resume_unwind(panic);
                    }
                }
            },
            request = requests.recv() => match request {
                Some(request) => {
                    queue.ask(request);
                    // All that are there, before one of them is chosen.
                    while let Ok(request) = requests.try_recv() {
                        queue.ask(request);
                    }
                }
                None => break,
            },
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {}
        }
    }
    while running.join_next().await.is_some() {}
}

#[derive(Debug, Default)]
struct Queue {
    /// How many may run in the usual lane.
    room: usize,
    /// What waits in each lane, in the order in which it came.
    lanes: BTreeMap<Place, StrategyKey>,
    /// The place at which each of these strategies waits.
    waiting: HashMap<StrategyKey, Place>,
    /// How many places were given.
    places: u64,
    running: HashMap<StrategyKey, Running>,
    /// What comes later, in order, and when each strategy's time is.
    later: BTreeSet<(Instant, StrategyKey)>,
    times: HashMap<StrategyKey, (Instant, Lane)>,
}

/// A lane, and a number that is larger for what came later.
type Place = (Lane, u64);

#[derive(Debug)]
struct Running {
    lane: Lane,
    /// What was asked for meanwhile.
    again: Option<Lane>,
}

impl Queue {
    fn ask(&mut self, Request { strategy, lane }: Request) {
        if let Some(running) = self.running.get_mut(&strategy) {
            running.again = Some(running.again.map_or(lane, |known| known.min(lane)));
            return;
        }
        if let Some((at, _)) = self.times.remove(&strategy) {
            self.later.remove(&(at, strategy.clone()));
        }
        if self.waiting.get(&strategy).is_none_or(|(known, _)| lane < *known) {
            let place = (lane, self.places);
            self.places += 1;
            if let Some(earlier) = self.waiting.insert(strategy.clone(), place) {
                self.lanes.remove(&earlier);
            }
            self.lanes.insert(place, strategy);
        }
    }

    /// The strategy to reconcile now.
    fn next(&mut self) -> Option<StrategyKey> {
        let usual = self.running.values().filter(|running| running.lane == Lane::Usual).count();
        let urgent = self.running.len() - usual;
        let first = |lane| self.lanes.range((lane, 0)..=(lane, u64::MAX)).next().map(|(place, _)| *place);
        let place = (urgent < self.room).then(|| first(Lane::Urgent)).flatten();
        let place = place.or_else(|| (usual < self.room).then(|| first(Lane::Usual)).flatten())?;
        let strategy = self.lanes.remove(&place)?;
        self.waiting.remove(&strategy);
        self.running.insert(strategy.clone(), Running { lane: place.0, again: None });
        Some(strategy)
    }

    fn done(&mut self, strategy: &StrategyKey, next: Next, now: Instant) {
        let Some(Running { lane, again }) = self.running.remove(strategy) else { return };
        let later = match next {
            Next::Change => None,
            Next::After(wait) => Some((wait, Lane::Usual)),
            Next::Retry(wait) => Some((wait, lane)),
        };
        if let Some(lane) = again {
            // What failed as an edit is one still.
            let lane = later.map_or(lane, |(_, later)| lane.min(later));
            self.ask(Request { strategy: strategy.clone(), lane });
        } else if let Some((wait, lane)) = later {
            self.times.insert(strategy.clone(), (now + wait, lane));
            self.later.insert((now + wait, strategy.clone()));
        }
    }

    /// When the first of those that come later is due.
    fn due(&self) -> Option<Instant> {
        self.later.first().map(|(at, _)| *at)
    }

    /// Asks for those whose time has come.
    fn wake(&mut self, now: Instant) {
        while let Some((at, strategy)) = self.later.pop_first() {
            if at > now {
                self.later.insert((at, strategy));
                break;
            }
            if let Some((_, lane)) = self.times.remove(&strategy) {
                self.ask(Request { strategy, lane });
            }
        }
    }
}

#[cfg(test)]
mod tests;
