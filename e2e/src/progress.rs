//! Progress output: a line when a long step begins, regularly while it runs, and when it ends.

use std::fmt::Display;
use std::future::Future;
use std::io::Write;
use std::time::{Duration, Instant};

/// Prints one line when a step begins to take long, a sign of life while it does, and one line when it ends.
#[derive(Clone, Debug)]
pub struct Progress {
    visible: bool,
    started: Instant,
}

/// How often a running step says that it is still running.
const HEARTBEAT: Duration = Duration::from_secs(20);

impl Progress {
    /// Progress on standard output, one line an event, readable in a terminal and in a CI log alike.
    pub fn stdout() -> Self {
        Self { visible: true, started: Instant::now() }
    }

    /// Says nothing.
    pub fn silent() -> Self {
        Self { visible: false, started: Instant::now() }
    }

    /// A line of its own.
    pub fn say(&self, line: impl Display) {
        if self.visible {
            let at = self.started.elapsed().as_secs_f64();
            // A closed pipe (`| head`) is no reason to stop bringing a cluster up.
            let _ = writeln!(std::io::stdout(), "[{at:>6.1}s] {line}");
        }
    }

    /// Runs `work` as the step `label`: announced, kept alive every 20 s, and closed with its duration.
    ///
    /// # Errors
    /// Those of `work`.
    pub async fn step<T, E: Display>(
        &self,
        label: impl Display,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let label = label.to_string();
        self.say(format_args!("{label} …"));
        let started = Instant::now();
        let mut beat = tokio::time::interval_at(tokio::time::Instant::now() + HEARTBEAT, HEARTBEAT);
        tokio::pin!(work);
        let outcome = loop {
            tokio::select! {
                outcome = &mut work => break outcome,
                _ = beat.tick() => self.say(format_args!("{label} … {:.0} s so far", started.elapsed().as_secs_f64())),
            }
        };
        let took = started.elapsed().as_secs_f64();
        match &outcome {
            Ok(_) => self.say(format_args!("{label}: done in {took:.1} s")),
            Err(_) => self.say(format_args!("{label}: FAILED after {took:.1} s")),
        }
        outcome
    }
}
