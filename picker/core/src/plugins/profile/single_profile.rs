//! `single-profile-handler`: one profile, run for every request.

use std::sync::Arc;

use crate::ask::Ask;
use crate::plugin::{BuildCx, BuildError, Origin, Plugin, Role, Roles, Task};
use crate::plugins::NoParameters;
use crate::role::{BoundHandler, Next, ProfileHandler};

/// Runs the only profile.
#[derive(Debug)]
pub struct SingleProfileHandler;

impl Plugin for SingleProfileHandler {
    const TYPE: &'static str = "single-profile-handler";
    const TASK: Task = Task::Choice;
    const ORIGIN: Origin = Origin::Gie;
    const SUMMARY: &'static str =
        "Runs the one scheduling profile for every request. Used when no profile handler is named.";
    const ROLES: &'static [Role] = &[Role::ProfileHandler];
    const SAMPLE: &'static str = "\
plugins:
- type: single-profile-handler
- type: queue-scorer
";
    type Params = NoParameters;

    fn build(_: NoParameters, _: &mut BuildCx<'_>) -> Result<Roles, BuildError> {
        Ok(Roles { profile_handler: Some(Arc::new(Self)), ..Roles::default() })
    }
}

impl ProfileHandler for SingleProfileHandler {
    fn bind(&self, names: &[&str]) -> Result<Arc<dyn BoundHandler>, String> {
        if names.len() == 1 {
            return Ok(Arc::new(Self));
        }
        Err(format!(
            "single-profile-handler runs exactly one scheduling profile, and there are {}; leave one",
            names.len()
        ))
    }
}

impl BoundHandler for SingleProfileHandler {
    fn next(&self, ask: &Ask<'_>) -> Next {
        if ask.done.is_empty() { Next::Run(0) } else { Next::Done { primary: 0 } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::refusal::RefusalKind;
    use crate::testing::{strategy, unknown};

    #[test]
    fn accepts_exactly_one_profile() {
        let accepted = [0, 1, 2].map(|n| SingleProfileHandler.bind(&vec!["p"; n]).is_ok());
        assert_eq!(accepted, [false, true, false]);
    }

    #[test]
    fn runs_the_profile_once_and_its_result_is_the_destination() {
        let route = |routing| {
            let (view, request) = (unknown(1), crate::Request::default());
            strategy(routing)
                .route(&request, &view, None, &mut crate::Cx::live())
                .map(|f| f.endpoint().pod.clone())
        };
        assert_eq!(route("plugins: [{type: random-picker}]"), Ok("pod-0".to_owned()));
        let none = "plugins: [{type: label-selector-filter, parameters: {matchLabels: {a: b}}}]";
        assert_eq!(route(none), Err(RefusalKind::AllFiltered.into()));
    }
}
