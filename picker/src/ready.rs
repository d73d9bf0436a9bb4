//! The readiness of the picker: whether it can decide, and what it waits for when it can't.

use std::time::Duration;

use tokio::sync::watch;

use crate::source::Serving;
use crate::watch::publish::Progress;

#[cfg(test)]
mod tests;

/// The time after which the log repeats what a picker that isn't ready waits for.
const REPEAT: Duration = Duration::from_secs(10);

/// The states of a picker's life, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Not ready; what it waits for.
    Starting(Vec<String>),
    /// It serves. What happens to strategies and endpoints later doesn't change that.
    Ready,
    /// It is about to end: takes requests, but gateways should go elsewhere.
    Draining,
}

/// The state of the picker, which probes and pages read. Clones share it.
#[derive(Clone, Debug)]
pub struct Readiness {
    state: watch::Sender<State>,
    ready: watch::Sender<bool>,
}

impl Default for Readiness {
    fn default() -> Self {
        let waiting = vec!["the picker has only just started".to_owned()];
        Self { state: watch::Sender::new(State::Starting(waiting)), ready: watch::Sender::new(false) }
    }
}

impl Readiness {
    /// The state now.
    pub fn state(&self) -> State {
        self.state.borrow().clone()
    }

    /// Follows whether the state is [`State::Ready`].
    pub fn subscribe(&self) -> watch::Receiver<bool> {
        self.ready.subscribe()
    }

    /// The picker is about to end.
    pub fn drain(&self) {
        self.enter(State::Draining);
    }

    fn enter(&self, new: State) {
        self.state.send_if_modified(|state| {
            // From draining there is no way back.
            let changes = *state != new && *state != State::Draining;
            if changes {
                *state = new;
            }
            changes
        });
        let ready = *self.state.borrow() == State::Ready;
        self.ready.send_if_modified(|old| std::mem::replace(old, ready) != ready);
    }

    /// Waits until `there` is true, for nothing but `what`, and says so. Ends when it is ready, or when the sender is gone.
    pub async fn after(&self, what: &str, mut there: watch::Receiver<bool>) {
        self.enter(State::Starting(vec![what.to_owned()]));
        if there.wait_for(|there| *there).await.is_ok() {
            self.enter(State::Ready);
            tracing::info!("ready");
        }
    }

    /// Waits until nothing is missing, and says so. Ends when it is ready, or when a sender is gone.
    pub async fn run(&self, mut serving: watch::Receiver<Serving>, mut progress: watch::Receiver<Progress>) {
        let mut repeat = tokio::time::interval(REPEAT);
        repeat.reset();
        loop {
            let missing = missing(&serving.borrow_and_update(), *progress.borrow_and_update());
            if missing.is_empty() {
                self.enter(State::Ready);
                tracing::info!("ready");
                return;
            }
            self.enter(State::Starting(missing.clone()));
            tokio::select! {
                changed = serving.changed() => if changed.is_err() { return },
                changed = progress.changed() => if changed.is_err() { return },
                _ = repeat.tick() => tracing::warn!(waiting_for = missing.join("; "), "not ready yet"),
            }
        }
    }
}

/// The things that a picker lacks to decide: a strategy, knowledge of the endpoints, and one try to read each of
/// them. No endpoints is fine, and so are endpoints without metrics.
fn missing(serving: &Serving, progress: Progress) -> Vec<String> {
    let mut missing = Vec::new();
    if serving.revision.is_none() {
        missing.push(match &serving.error {
            Some(error) => format!("a routing that compiles: {error}"),
            None => "a routing: the API server has not told it yet".to_owned(),
        });
    }
    if !progress.listed {
        missing.push("the list of endpoints".to_owned());
    } else if serving.scrape.is_some() && progress.attempted < progress.endpoints {
        let left = progress.endpoints - progress.attempted;
        missing.push(format!("a first scrape of {left} of {} endpoints", progress.endpoints));
    }
    missing
}
