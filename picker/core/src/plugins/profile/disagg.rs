//! `disagg-profile-handler`: encode, prefill and decode by different servers.

use std::sync::Arc;

use crate::ask::{Ask, Decision};
use crate::booking::{Launch, Until};
use crate::edits::Edits;
use crate::endpoint::Load;
use crate::plugin::{BuildCx, BuildError, Origin, Plugin, Role, Roles, Task};
use crate::refusal::{Refusal, RefusalKind};
use crate::role::{BoundHandler, Decider, Next, PreRequest, ProfileHandler};

mod params;
#[cfg(test)]
mod tests;

use params::{Stage, StageOrder, Stages};

use super::disagg_headers::{ENCODERS, PREFILLER, encoders, prefiller};

pub use params::Params;

/// Schedules up to three stages of a request, and tells the sidecar of the decode server who does the others.
#[derive(Clone)]
pub struct DisaggProfileHandler {
    /// In the order in which they are scheduled.
    stages: Arc<[Stage]>,
    /// Position of the profile of each stage in the strategy; `None` for one that never runs.
    decode: usize,
    prefill: Option<usize>,
    encode: Option<usize>,
}

impl std::fmt::Debug for DisaggProfileHandler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let profiles: Vec<_> = self.stages.iter().map(|stage| stage.profile).collect();
        f.debug_struct("DisaggProfileHandler").field("profiles", &profiles).finish()
    }
}

impl Plugin for DisaggProfileHandler {
    const TYPE: &'static str = "disagg-profile-handler";
    const TASK: Task = Task::Disaggregation;
    const ORIGIN: Origin = Origin::LlmD;
    const SUMMARY: &'static str = "Schedules disaggregated serving: a decode server, which is the destination, and, where deciders say so, a \
         prefill server and encode servers, which the headers x-prefiller-host-port and x-encoder-hosts-ports tell the \
         sidecar of the decode server. Without a decode server a request is refused; a stage for which no server is \
         found, or only the chosen decode server itself, is left to that.";
    const ROLES: &'static [Role] = &[Role::ProfileHandler, Role::PreRequest];
    const WRITES: &'static [&'static str] = &[PREFILLER, ENCODERS];
    const SAMPLE: &'static str = "\
plugins:
- type: disagg-profile-handler
  parameters:
    deciders:
      prefill: prefix-based-pd-decider
      encode: always-disagg-multimodal-decider
- type: prefix-based-pd-decider
  parameters: {nonCachedTokens: 512}
- type: always-disagg-multimodal-decider
- type: decode-filter
- type: prefill-filter
- type: encode-filter
- type: prefix-cache-scorer
- type: queue-scorer
schedulingProfiles:
- name: decode
  plugins:
  - {pluginRef: decode-filter}
  - {pluginRef: prefix-cache-scorer, weight: 2}
  - {pluginRef: queue-scorer}
- name: prefill
  plugins:
  - {pluginRef: prefill-filter}
  - {pluginRef: prefix-cache-scorer, weight: 2}
  - {pluginRef: queue-scorer}
- name: encode
  plugins: [{pluginRef: encode-filter}, {pluginRef: queue-scorer}]
";
    type Params = Params;

    fn build(params: Params, cx: &mut BuildCx<'_>) -> Result<Roles, BuildError> {
        let Stages { decode, prefill, encode } = params.stages(cx)?;
        let profile = |stage: &Option<Stage>| stage.as_ref().map(|stage| stage.profile);
        let positions = (profile(&prefill), profile(&encode));
        let last = Some(Stage { profile: decode, decider: None });
        let stages = match params.stage_order {
            StageOrder::DecodeFirst => [last, encode, prefill],
            StageOrder::PrefillFirst => [prefill, encode, last],
        };
        let stages = stages.into_iter().flatten().collect();
        let handler = Arc::new(Self { stages, decode, prefill: positions.0, encode: positions.1 });
        Ok(Roles { profile_handler: Some(handler.clone()), pre_request: Some(handler), ..Roles::default() })
    }
}

impl ProfileHandler for DisaggProfileHandler {
    fn bind(&self, _: &[&str]) -> Result<Arc<dyn BoundHandler>, String> {
        // The positions are known since it was made.
        Ok(Arc::new(self.clone()))
    }
}

impl BoundHandler for DisaggProfileHandler {
    fn next(&self, ask: &Ask<'_>) -> Next {
        let ran = |profile: usize| ask.done.iter().position(|result| result.profile == profile);
        let decode = ran(self.decode);
        if decode.is_some_and(|at| ask.done[at].picked.is_none()) {
            let message = "no decode server takes this request now; try again later";
            return Next::Refuse(Refusal::with(RefusalKind::AllFiltered, message));
        }
        // A stage before the last one that ran had its turn.
        let last = ask.done.last().map(|result| result.profile);
        let turn = last.and_then(|last| self.stages.iter().position(|stage| stage.profile == last));
        let mut rest = self.stages[turn.map_or(0, |turn| turn + 1)..].iter();
        match rest.find(|stage| stage.decider.as_ref().is_none_or(|decider| decider.decide(ask))) {
            Some(stage) => Next::Run(stage.profile),
            None => Next::Done { primary: decode.unwrap_or(ask.done.len()) },
        }
    }
}

impl DisaggProfileHandler {
    /// A handler of two stages: decode, and prefill where `decider` says so. Profiles are positions in the strategy.
    pub(super) fn of_two_stages(decode: usize, prefill: usize, decider: Arc<dyn Decider>) -> Self {
        let stages =
            [Stage { profile: decode, decider: None }, Stage { profile: prefill, decider: Some(decider) }];
        Self { stages: stages.into(), decode, prefill: Some(prefill), encode: None }
    }
}

impl PreRequest for DisaggProfileHandler {
    /// The headers of the stages that ran. Those of clients were taken out of the request.
    fn pre_request(&self, ask: &Ask<'_>, decision: &Decision, launch: &mut Launch<'_>) {
        prefiller(self.prefill, ask, decision, &mut launch.edits);
        if let Some(picked) = encoders(self.encode, ask, decision, &mut launch.edits) {
            let decode = decision.destination().map(|picked| picked[0]);
            // The first one is booked already, as that of every profile.
            for &i in picked[1..].iter().filter(|i| Some(**i) != decode) {
                launch.book(i as usize, Load { requests: 1, tokens: 0 }, Until::FirstByte);
            }
        }
    }

    fn dry_run(&self, ask: &Ask<'_>, decision: &Decision, edits: &mut Edits) {
        prefiller(self.prefill, ask, decision, edits);
        encoders(self.encode, ask, decision, edits);
    }
}
