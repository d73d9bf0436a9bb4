//! Dry runs: decisions that are made and not carried out.

use super::avoid::Trials;
use super::{SCRATCH, Subject, conditional};
use crate::ask::Decision;
use crate::cx::Cx;
use crate::edits::Edits;
use crate::prepare::Prepared;
use crate::refusal::{Refusal, RefusalKind};
use crate::request::Request;
use crate::strategy::Strategy;
use crate::trace::Trace;
use crate::view::View;

impl Strategy {
    /// Decides where `request` would go if no gateway restricted the endpoints, and does nothing else: it books and learns
    /// nothing, and no endpoint that fails gets its trial by it. Preparers take no part, since they ask others and let
    /// requests wait for each other. `trace` is told as of a request that is sent, with the edits that plugins would make.
    ///
    /// # Errors
    /// As [`Strategy::route`].
    pub fn dry_run<T: Trace>(
        &self,
        request: &Request,
        view: &View,
        cx: &mut Cx,
        trace: &mut T,
    ) -> Result<Decision, Refusal> {
        let subject = Subject { request, view, now: cx.now() };
        let mut scratch = SCRATCH.take().unwrap_or_default();
        let decided = self.decide(subject, None, Prepared::default(), cx, trace, &mut scratch, Trials::None);
        let decided = decided.and_then(|decision| {
            if decision.destination().is_none() {
                return Err(RefusalKind::AllFiltered.into());
            }
            conditional::cached(request, &self.prefix_matches, &decision, &scratch.facts)?;
            let ask = subject.ask(&scratch.facts, &decision.results);
            let mut edits = Edits::default();
            self.pre_requests.iter().for_each(|plugin| plugin.role.dry_run(&ask, &decision, &mut edits));
            trace.launched(&ask, &decision, &edits);
            Ok(decision)
        });
        scratch.facts.forget();
        SCRATCH.set(Some(scratch));
        decided
    }
}
