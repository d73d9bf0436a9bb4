//! The events of a Kubernetes watch that is retried for ever, with short pauses: an edit must be live seconds after the
//! API server is back.

use std::fmt::Debug;
use std::time::Duration;

use futures::stream::BoxStream;
use futures::{Stream, StreamExt};
use kube::runtime::watcher::{self, Config, Event};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep_until};

use crate::metrics::{Metrics, Watch};

#[cfg(test)]
mod tests;

/// The first pause.
const FIRST: Duration = Duration::from_millis(100);
/// The longest pause. An API server that comes back refuses for a while, so two of these may have to fit into what it takes
/// until an edit is live again.
const LONGEST: Duration = Duration::from_secs(1);

/// How often a kind is looked for that isn't there: one that is installed is known within ten seconds.
const ABSENT: Duration = Duration::from_secs(8);

/// Pauses that double from 100 ms to 1 s.
#[derive(Clone, Debug)]
pub struct Pauses {
    next: Duration,
}

impl Default for Pauses {
    fn default() -> Self {
        Self { next: FIRST }
    }
}

impl Pauses {
    /// The next pause, and a longer one after it.
    pub fn longer(&mut self) -> Duration {
        let pause = self.next;
        self.next = (pause * 2).min(LONGEST);
        pause
    }

    /// Begins anew, after a success.
    pub fn reset(&mut self) {
        *self = Self::default();
    }
}

/// The events of a watch. Failures are counted, told, and tried again; the log has the first of them and
/// their end.
pub struct Events<'a, K> {
    stream: BoxStream<'static, watcher::Result<Event<K>>>,
    metrics: &'a Metrics,
    name: &'static str,
    /// Whether it is no failure that the kind is not installed, or not granted.
    optional: bool,
    pauses: Pauses,
    again: Option<Instant>,
}

impl<'a, K> Events<'a, K>
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    /// The events of what `config` selects, under `name` in metrics and log.
    pub fn of(api: Api<K>, config: Config, metrics: &'a Metrics, name: &'static str) -> Self {
        Self::over(watcher::watcher(api, config), metrics, name)
    }

    /// The same of a kind that need not be installed. While it isn't, or may not be read, it has no objects, and is
    /// looked for every eight seconds.
    pub fn of_optional(api: Api<K>, config: Config, metrics: &'a Metrics, name: &'static str) -> Self {
        Self { optional: true, ..Self::of(api, config, metrics, name) }
    }
}

impl<'a, K: Send + 'static> Events<'a, K> {
    fn over(
        stream: impl Stream<Item = watcher::Result<Event<K>>> + Send + 'static,
        metrics: &'a Metrics,
        name: &'static str,
    ) -> Self {
        let (stream, pauses) = (stream.boxed(), Pauses::default());
        Self { stream, metrics, name, optional: false, pauses, again: None }
    }

    /// The next event. Nothing is lost when this is dropped before it is ready.
    pub async fn next(&mut self) -> Event<K> {
        loop {
            if let Some(again) = self.again {
                sleep_until(again).await;
                self.again = None;
            }
            match self.stream.next().await {
                // The attempt to list begins; it says nothing about its success.
                Some(Ok(Event::Init)) => return Event::Init,
                Some(Ok(event)) => {
                    self.works();
                    return event;
                }
                Some(Err(error)) if self.optional && is_absent(&error) => {
                    self.metrics.scraping.watch_up.remove(&Watch { watch: self.name });
                    self.again = Some(Instant::now() + ABSENT);
                    return Event::InitDone;
                }
                Some(Err(error)) => self.failed(&error),
                // A watcher never ends.
                None => std::future::pending().await,
            }
        }
    }

    fn failed(&mut self, error: &watcher::Error) {
        let label = Watch { watch: self.name };
        self.metrics.scraping.watch_errors.get_or_create(&label).inc();
        self.metrics.scraping.watch_up.get_or_create(&label).set(0);
        let error = chain(error);
        let pause = self.pauses.longer();
        self.again = Some(Instant::now() + pause);
        if pause == FIRST {
            tracing::warn!(watch = self.name, error, "a watch fails; what is known goes on serving");
        } else {
            tracing::debug!(watch = self.name, error, "a watch still fails");
        }
    }

    fn works(&mut self) {
        self.metrics.scraping.watch_up.get_or_create(&Watch { watch: self.name }).set(1);
        if self.pauses.next != FIRST {
            self.pauses.reset();
            tracing::info!(watch = self.name, "a watch works again");
        }
    }
}

/// Whether the API server doesn't know the kind, or doesn't let it be read: where it is not installed, rights are
/// looked at first.
fn is_absent(error: &watcher::Error) -> bool {
    let code = match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status)) => status.code,
        watcher::Error::WatchError(status) => status.code,
        _ => return false,
    };
    matches!(code, 403 | 404)
}

/// An error with its causes: the outer ones say little.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        next = cause.source();
    }
    text
}
