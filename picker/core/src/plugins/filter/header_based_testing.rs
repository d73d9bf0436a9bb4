//! `header-based-testing-filter`: the client names the endpoints itself.

use smallvec::SmallVec;

use crate::ask::Ask;
use crate::cx::Cx;
use crate::plugin::{BuildCx, BuildError, Plugin, Role, Roles};
use crate::plugins::NoParameters;
use crate::request::header;
use crate::role::Filter;
use crate::view::{Address, Candidates};

#[cfg(test)]
mod tests;

/// Keeps the candidates that the header `test-epp-endpoint-selection` names.
#[derive(Debug)]
pub struct HeaderBasedTestingFilter;

impl Plugin for HeaderBasedTestingFilter {
    const TYPE: &'static str = "header-based-testing-filter";
    const SUMMARY: &'static str = "For tests: keeps the endpoints that the request header test-epp-endpoint-selection names \
         (addresses separated by commas, in that order); without the header, none. An address without a port \
         names all endpoints at it, one with a port that endpoint alone; ones that are no endpoints are passed over.";
    const ROLES: &'static [Role] = &[Role::Filter];
    const SAMPLE: &'static str = "\
plugins:
- type: header-based-testing-filter
";
    type Params = NoParameters;

    fn build(_: NoParameters, _: &mut BuildCx<'_>) -> Result<Roles, BuildError> {
        Ok(Roles { filter: Some(std::sync::Arc::new(Self)), ..Roles::default() })
    }
}

impl Filter for HeaderBasedTestingFilter {
    fn filter(&self, ask: &Ask<'_>, _: &mut Cx, keep: &mut Candidates) {
        let Ask { request, view, .. } = *ask;
        let wanted: SmallVec<[Address; 4]> = request
            .headers
            .text(header::TEST_ENDPOINT_SELECTION)
            .unwrap_or_default()
            .split(',')
            .filter_map(Address::parse)
            .collect();
        keep.retain(|i| wanted.iter().any(|w| w.names(view.endpoints[i].address)));
        // An endpoint that is named twice has its first place.
        keep.sort_by_key(|i| wanted.iter().position(|w| w.names(view.endpoints[i].address)));
    }
}
