//! Waiting for what preparers find out, before a decision.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use smallvec::SmallVec;

use crate::ask::Ask;
use crate::fact::{Facts, Finding};
use crate::http::HttpClient;
use crate::request::Request;
use crate::role::{Outside, Preparation, Preparer};
use crate::strategy::Strategy;
use crate::view::View;

#[cfg(test)]
mod tests;

/// What preparers found out about a request. Empty without any, and then without memory of the heap.
#[derive(Debug, Default)]
pub struct Prepared {
    pub(crate) findings: Vec<Finding>,
    /// For each preparer that found out nothing, the reason in a word; [`LATE`] where its deadline came first.
    pub failed: SmallVec<[&'static str; 1]>,
}

/// The reason of what was not done by its deadline.
pub const LATE: &str = "late";

impl Prepared {
    /// How many preparers found something out.
    pub fn found(&self) -> usize {
        self.findings.len()
    }
}

impl Strategy {
    /// Whether a decision may have to wait for preparers.
    pub fn prepares(&self) -> bool {
        !self.preparers.is_empty()
    }

    /// Lets all preparers work at the same time, each until its deadline. `sleep` makes the clock that these are
    /// measured by and that their work may wait for, and `http` sends what they ask of others.
    pub async fn prepare<S>(
        &self,
        request: &Request,
        view: &View,
        now: Instant,
        http: &dyn HttpClient,
        sleep: impl Fn(Duration) -> S,
    ) -> Prepared
    where
        S: Future<Output = ()> + Send + 'static,
    {
        let mut prepared = Prepared::default();
        let mut working: Vec<Working<'_, S>> = {
            let mut facts = Facts::default();
            facts.fit(&self.layout);
            let ask = Ask { request, view, facts: &facts, done: &[], now };
            let outside = Outside { http, timer: &|time| Box::pin(sleep(time)) };
            let preparers = self.preparers.iter().map(|preparer| &*preparer.role);
            let begun = preparers.filter_map(|preparer| {
                let (work, time) = (preparer.prepare(&ask, &outside)?, preparer.deadline(&ask));
                Some(Working { preparer, work, deadline: Box::pin(sleep(time)), late_at: now + time })
            });
            begun.collect()
        };
        poll_fn(|cx| {
            working.retain_mut(|working| match working.work.as_mut().poll(cx) {
                Poll::Ready(Ok(finding)) => {
                    prepared.findings.push(finding);
                    false
                }
                Poll::Ready(Err(reason)) => {
                    prepared.failed.push(reason);
                    false
                }
                Poll::Pending if working.deadline.as_mut().poll(cx).is_ready() => {
                    prepared.failed.push(LATE);
                    working.preparer.late(working.late_at);
                    false
                }
                Poll::Pending => true,
            });
            if working.is_empty() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        prepared
    }
}

/// The work of one preparer.
struct Working<'a, S> {
    preparer: &'a dyn Preparer,
    work: Preparation,
    deadline: Pin<Box<S>>,
    late_at: Instant,
}
