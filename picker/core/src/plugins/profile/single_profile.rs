//! `single-profile-handler`: one profile, run for every request.

use std::sync::Arc;

use crate::plugin::{BuildCx, BuildError, Plugin, ProfileHandler, Role, Roles};
use crate::plugins::NoParameters;
use crate::request::Request;
use crate::schedule::Picked;

/// Runs the only profile.
#[derive(Debug)]
pub struct SingleProfileHandler;

impl Plugin for SingleProfileHandler {
    const TYPE: &'static str = "single-profile-handler";
    const SUMMARY: &'static str =
        "Runs the one scheduling profile for every request. Used when no profile handler is named.";
    const ROLES: &'static [Role] = &[Role::ProfileHandler];
    type Params = NoParameters;

    fn build(_: NoParameters, _: &mut BuildCx<'_>) -> Result<Roles, BuildError> {
        Ok(Roles { profile_handler: Some(Arc::new(Self)), ..Roles::default() })
    }
}

impl ProfileHandler for SingleProfileHandler {
    fn accepts(&self, profiles: usize) -> Result<(), String> {
        if profiles == 1 {
            return Ok(());
        }
        Err(format!(
            "single-profile-handler runs exactly one scheduling profile, and there are {profiles}; leave one"
        ))
    }

    fn next(&self, _: &Request, done: &[(usize, Option<Picked>)]) -> Option<usize> {
        done.is_empty().then_some(0)
    }

    fn primary(&self, done: &[(usize, Option<Picked>)]) -> Option<usize> {
        done.iter().position(|(_, picked)| picked.is_some())
    }
}

#[cfg(test)]
mod tests {
    use smallvec::smallvec;

    use super::*;

    #[test]
    fn accepts_exactly_one_profile() {
        let errors: Vec<_> = [0, 1, 2].map(|n| SingleProfileHandler.accepts(n).is_err()).into();
        assert_eq!(errors, [true, false, true]);
    }

    #[test]
    fn runs_the_profile_once_and_its_result_is_the_destination() {
        let request = Request::default();
        assert_eq!(SingleProfileHandler.next(&request, &[]), Some(0));
        let done = [(0, Some(smallvec![3]))];
        assert_eq!(SingleProfileHandler.next(&request, &done), None);
        assert_eq!(SingleProfileHandler.primary(&done), Some(0));
    }

    #[test]
    fn has_no_destination_when_the_profile_found_none() {
        assert_eq!(SingleProfileHandler.next(&Request::default(), &[(0, None)]), None);
        assert_eq!(SingleProfileHandler.primary(&[(0, None)]), None);
    }
}
