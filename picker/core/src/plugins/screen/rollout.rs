//! `disaggregatedset-rollout-screener`: a request stays within one revision of a rollout.

use std::sync::Arc;

use crate::ask::{Ask, Decision};
use crate::cx::Cx;
use crate::edits::Edits;
use crate::endpoint::Endpoint;
use crate::outcome::ResponseHead;
use crate::plugin::{BuildCx, BuildError, Origin, Plugin, Role, Roles, Stability, Task};
use crate::role::{Observer, ResponseWatch, Screener};
use crate::view::Candidates;

mod labels;
mod params;
mod revisions;
#[cfg(test)]
mod tests;

use labels::{Stamp, Strict};
use params::{Checked, Params};
use revisions::{Draw, Revisions};

/// Leaves the endpoints of one revision, and those whose labels have the values that headers ask for.
#[derive(Debug)]
pub struct RolloutScreener {
    /// `None` when all revisions are candidates.
    revisions: Option<Revisions>,
    /// The header by which sessions are known, in lower case.
    session: Option<String>,
    strict: Box<[Strict]>,
    stamps: Arc<[Stamp]>,
}

impl Plugin for RolloutScreener {
    const TYPE: &'static str = "disaggregatedset-rollout-screener";
    const TASK: Task = Task::Disaggregation;
    const ORIGIN: Origin = Origin::LlmD;
    const STABILITY: Stability = Stability::Alpha;
    const SUMMARY: &'static str = "Keeps all servers of a request within one revision of a rollout, so that a prefill server never sends its KV cache to a decode \
         server of another one (DisaggregatedSet). A revision is complete when each required role has a ready pod. Each request gets \
         one complete revision by chance, in proportion to its ready pods; when no revision is complete it is refused with status 503. A session-affinity-filter needs sessionHeaderName, since the server of a session is often of another revision than the one drawn. Headers may ask for \
         the servers with a label (strict; 503 without any, never others in their place), and responses tell the labels of the server that \
         served. Pods are those of the pool; for a pool of each role use the mode disabled, and pass the header on from the first answer.";
    const FORMULA: &'static str = "Share of a complete revision: its ready pods / those of all complete revisions; of all required roles (sum), or of the role with the most (max-role).";
    const ROLES: &'static [Role] = &[Role::Screener, Role::Observer];
    const SAMPLE: &'static str = "\
plugins:
- type: disaggregatedset-rollout-screener
  parameters:
    scope: {labelSelector: disaggregatedset.x-k8s.io/name=chat}
    headerSelectors:
    - {name: revision, headerName: x-disagg-revision, labelKey: disaggregatedset.x-k8s.io/revision, mode: strict}
    revisionGating:
      mode: max-role
      requireRoles: {values: [prefill, decode]}
- type: queue-scorer
";
    type Params = Params;

    fn build(params: Params, _: &mut BuildCx<'_>) -> Result<Roles, BuildError> {
        let Checked { revisions, session, strict, stamps } = params.checked()?;
        let has_stamps = !stamps.is_empty();
        let screener = Arc::new(Self { revisions, session, strict: strict.into(), stamps: stamps.into() });
        Ok(Roles {
            observer: has_stamps.then(|| screener.clone() as Arc<dyn Observer>),
            screener: Some(screener),
            ..Roles::default()
        })
    }
}

impl RolloutScreener {
    /// The strict headers of the request that ask for something.
    fn wanted<'a>(&'a self, ask: &Ask<'a>) -> impl Iterator<Item = (&'a Strict, &'a [u8])> {
        let headers = &ask.request.headers;
        let wanted =
            self.strict.iter().filter_map(|strict| Some((strict, headers.get(&strict.stamp.header)?)));
        wanted.filter(|(_, value)| !value.is_empty())
    }
}

impl Screener for RolloutScreener {
    fn screen(&self, ask: &Ask<'_>, cx: &mut Cx, keep: &mut Candidates) {
        for (strict, wanted) in self.wanted(ask) {
            let label = &strict.stamp.label;
            let values =
                strict.values.of(ask.view, |labels| labels.get(label).map(|value| value.as_str().into()));
            keep.retain(|i| values[i].as_ref().is_some_and(|value| value.as_bytes() == wanted));
        }
        if let Some(revisions) = &self.revisions {
            let session = self.session.as_ref().and_then(|header| ask.request.headers.get(header));
            let names_one = |(strict, _): (&Strict, _)| strict.stamp.label == revisions.label();
            let draw = match session.map(<[u8]>::trim_ascii).filter(|session| !session.is_empty()) {
                _ if self.wanted(ask).any(names_one) => Draw::None,
                Some(session) => Draw::Session(session),
                None => Draw::Chance(cx),
            };
            revisions.screen(ask.view, draw, keep);
        }
    }
}

impl Observer for RolloutScreener {
    fn watch(&self, ask: &Ask<'_>, decision: &Decision) -> Option<Box<dyn ResponseWatch>> {
        let chosen = decision.destination()?[0] as usize;
        let (stamps, endpoints) = (self.stamps.clone(), ask.view.endpoints.clone());
        Some(Box::new(Stamped { stamps, endpoints, chosen }))
    }
}

/// Tells the labels of the server in the head of the response.
struct Stamped {
    stamps: Arc<[Stamp]>,
    /// The endpoints at the time of the decision.
    endpoints: Arc<[Arc<Endpoint>]>,
    /// Position in `endpoints`.
    chosen: usize,
}

impl ResponseWatch for Stamped {
    fn head(&mut self, head: &ResponseHead<'_>, edits: &mut Edits) {
        let served = head.served.and_then(|served| self.endpoints.iter().find(|e| e.address == served));
        let endpoint = served.unwrap_or(&self.endpoints[self.chosen]);
        for Stamp { header, label } in &*self.stamps {
            // A file with endpoints may have labels that no header can have as its value.
            let value =
                endpoint.labels.get(label).filter(|value| value.bytes().all(|b| b.is_ascii_graphic()));
            if let Some(value) = value.filter(|value| !value.is_empty()) {
                edits.set_header(header.clone(), value.clone());
            }
        }
    }
}
