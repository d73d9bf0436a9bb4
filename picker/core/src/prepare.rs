//! Waiting for what preparers find out, before a decision.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use crate::ask::Ask;
use crate::fact::{Facts, Finding};
use crate::request::Request;
use crate::role::Preparation;
use crate::strategy::Strategy;
use crate::view::View;

#[cfg(test)]
mod tests;

/// What preparers found out about a request. Empty without any, and then without memory of the heap.
#[derive(Debug, Default)]
pub struct Prepared {
    pub(crate) findings: Vec<Finding>,
    /// Preparers whose work was not done by its deadline.
    pub late: u32,
}

impl Strategy {
    /// Whether a decision may have to wait for preparers.
    pub fn prepares(&self) -> bool {
        !self.preparers.is_empty()
    }

    /// Lets all preparers work at the same time, each until its deadline. `sleep` makes the clock that these are
    /// measured by.
    pub async fn prepare<S>(
        &self,
        request: &Request,
        view: &View,
        now: Instant,
        sleep: impl Fn(Duration) -> S,
    ) -> Prepared
    where
        S: Future<Output = ()> + Send,
    {
        let mut prepared = Prepared::default();
        let mut working: Vec<Working<S>> = {
            let mut facts = Facts::default();
            facts.fit(&self.layout);
            let ask = Ask { request, view, facts: &facts, done: &[], now };
            let start = |preparer: &dyn crate::role::Preparer| {
                let work = preparer.prepare(&ask)?;
                Some(Working { work, deadline: Box::pin(sleep(preparer.deadline())) })
            };
            self.preparers.iter().filter_map(|preparer| start(&*preparer.role)).collect()
        };
        poll_fn(|cx| {
            working.retain_mut(|Working { work, deadline }| match work.as_mut().poll(cx) {
                Poll::Ready(finding) => {
                    prepared.findings.extend(finding);
                    false
                }
                Poll::Pending => {
                    let late = deadline.as_mut().poll(cx).is_ready();
                    prepared.late += u32::from(late);
                    !late
                }
            });
            if working.is_empty() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        prepared
    }
}

/// The work of one preparer.
struct Working<S> {
    work: Preparation,
    deadline: Pin<Box<S>>,
}
