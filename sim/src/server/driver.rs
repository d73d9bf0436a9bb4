//! The engine in real time: one task that owns it, one timer for the end of its step.
//!
//! The engine's steps are chained by its own times, whatever the timer's grain: a driver that wakes late runs the steps
//! that are due one after another, each at the time it should have run.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustc_hash::FxHashMap;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};

use super::metrics::{Recorder, Snapshot};
use crate::engine::{Engine, Output, Request, SequenceId, StepRates};

/// A sequence for the engine, and what the server wants to know of it.
#[derive(Debug)]
pub(super) struct Submission {
    /// `id` is set when it is submitted.
    pub request: Request,
    /// For the metrics: why the answer will end.
    pub finish_reason: &'static str,
}

/// Progress of one of the sequences of a [`Generation`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Progress {
    /// Which, in the order of submission.
    pub sequence: usize,
    /// Tokens of the answer that are there.
    pub tokens: u32,
    /// Tokens of the prompt that came from the cache.
    pub cached_tokens: u32,
    pub finished: bool,
}

enum Command {
    Submit { sequences: Vec<Submission>, every_token: bool, progress: mpsc::UnboundedSender<Progress> },
    Abort(Vec<SequenceId>),
    Rates(StepRates),
    Snapshot(oneshot::Sender<Snapshot>),
}

/// The way to an engine that a [`run`] drives.
#[derive(Clone, Debug)]
pub(super) struct EngineHandle {
    commands: mpsc::UnboundedSender<Command>,
    next_id: Arc<AtomicU64>,
}

impl std::fmt::Debug for Command {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Command")
    }
}

/// A handle, and the future that drives the engine until every handle is gone.
pub(super) fn engine(engine: Engine, recorder: Recorder) -> (EngineHandle, impl Future<Output = ()> + Send) {
    let (commands, receiver) = mpsc::unbounded_channel();
    let handle = EngineHandle { commands, next_id: Arc::default() };
    let driver = Driver { engine, recorder, live: FxHashMap::default(), started: Instant::now() };
    (handle, driver.run(receiver))
}

impl EngineHandle {
    /// Queues sequences that an engine of this size can hold. Progress comes with every token, or only with the last.
    pub fn submit(&self, mut sequences: Vec<Submission>, every_token: bool) -> Generation {
        let first = self.next_id.fetch_add(sequences.len() as u64, Ordering::Relaxed);
        let mut open = Vec::with_capacity(sequences.len());
        for (id, submission) in (first..).zip(&mut sequences) {
            submission.request.id = SequenceId(id);
            open.push(submission.request.id);
        }
        let (sender, progress) = mpsc::unbounded_channel();
        // Without a driver the generation ends at once, which its reader notices.
        let _ = self.commands.send(Command::Submit { sequences, every_token, progress: sender });
        Generation { first, open, progress, engine: self.clone() }
    }

    pub fn set_rates(&self, rates: StepRates) {
        let _ = self.commands.send(Command::Rates(rates));
    }

    /// The metrics of this moment; `None` when the driver has ended.
    pub async fn snapshot(&self) -> Option<Snapshot> {
        let (sender, receiver) = oneshot::channel();
        self.commands.send(Command::Snapshot(sender)).ok()?;
        receiver.await.ok()
    }
}

/// The sequences of one HTTP request. Dropped early, they are aborted.
#[derive(Debug)]
pub(super) struct Generation {
    first: u64,
    open: Vec<SequenceId>,
    progress: mpsc::UnboundedReceiver<Progress>,
    engine: EngineHandle,
}

impl Generation {
    /// The next progress; `None` when all sequences have finished, or the driver has ended.
    pub async fn next(&mut self) -> Option<Progress> {
        let progress = self.progress.recv().await?;
        Some(self.note(progress))
    }

    /// A progress that is already there.
    pub fn ready(&mut self) -> Option<Progress> {
        let progress = self.progress.try_recv().ok()?;
        Some(self.note(progress))
    }

    /// Whether every sequence has finished.
    pub fn is_finished(&self) -> bool {
        self.open.is_empty()
    }

    fn note(&mut self, progress: Progress) -> Progress {
        if progress.finished {
            let id = SequenceId(self.first + progress.sequence as u64);
            self.open.retain(|open| *open != id);
        }
        progress
    }
}

impl Drop for Generation {
    fn drop(&mut self) {
        if !self.open.is_empty() {
            let _ = self.engine.commands.send(Command::Abort(std::mem::take(&mut self.open)));
        }
    }
}

/// A sequence in the engine.
struct Live {
    sequence: usize,
    every_token: bool,
    finish_reason: &'static str,
    progress: mpsc::UnboundedSender<Progress>,
}

struct Driver {
    engine: Engine,
    recorder: Recorder,
    live: FxHashMap<SequenceId, Live>,
    started: Instant,
}

impl Driver {
    async fn run(mut self, mut commands: mpsc::UnboundedReceiver<Command>) {
        let timer = sleep_until(self.started);
        tokio::pin!(timer);
        loop {
            let due = self.engine.next().map(|next| self.started + next);
            if let Some(due) = due
                && timer.deadline() != due
            {
                timer.as_mut().reset(due);
            }
            let command = tokio::select! {
                command = commands.recv() => match command {
                    Some(command) => Some(command),
                    None => return,
                },
                () = &mut timer, if due.is_some() => None,
            };
            let now = self.started.elapsed();
            self.catch_up(now);
            if let Some(command) = command {
                self.apply(command, now);
                while let Ok(command) = commands.try_recv() {
                    self.apply(command, now);
                }
            }
            if self.engine.next().is_none() {
                self.step(now);
            }
        }
    }

    fn catch_up(&mut self, now: Duration) {
        while let Some(next) = self.engine.next().filter(|next| *next <= now) {
            self.step(next);
        }
    }

    fn step(&mut self, now: Duration) {
        let outcome = self.engine.step(now);
        for output in &outcome.outputs {
            self.deliver(output);
        }
        self.recorder.loras(&self.engine);
    }

    fn deliver(&mut self, output: &Output) {
        if let Some(finished) = &output.finished {
            if let Some(live) = self.live.remove(&output.id) {
                self.recorder.finished(finished, live.finish_reason);
                live.send(output);
            }
        } else if let Some(live) = self.live.get(&output.id)
            && live.every_token
        {
            live.send(output);
        }
    }

    fn apply(&mut self, command: Command, now: Duration) {
        match command {
            Command::Submit { sequences, every_token, progress } => {
                for (sequence, submission) in sequences.into_iter().enumerate() {
                    let id = submission.request.id;
                    let finish_reason = submission.finish_reason;
                    match self.engine.submit(now, submission.request) {
                        Ok(()) => {
                            let progress = progress.clone();
                            self.live.insert(id, Live { sequence, every_token, finish_reason, progress });
                        }
                        Err(error) => tracing::error!(%error, "the engine refused a checked request"),
                    }
                }
            }
            Command::Abort(ids) => {
                for id in ids {
                    if self.engine.abort(id) {
                        self.live.remove(&id);
                        self.recorder.aborted();
                    }
                }
            }
            Command::Rates(rates) => {
                if let Err(error) = self.engine.set_rates(rates) {
                    tracing::error!(%error, "the engine refused checked rates");
                }
            }
            Command::Snapshot(reply) => {
                // A scrape that was given up needs no answer.
                let _ = reply.send(self.recorder.snapshot(&self.engine));
            }
        }
    }
}

impl Live {
    fn send(&self, output: &Output) {
        // Nobody listens to a sequence whose abort is on its way.
        let _ = self.progress.send(Progress {
            sequence: self.sequence,
            tokens: output.index + 1,
            cached_tokens: output.cached_tokens,
            finished: output.finished.is_some(),
        });
    }
}
