//! `header-based-testing-filter`: the client names the endpoints itself.

use schemars::JsonSchema;
use serde::Deserialize;
use smallvec::SmallVec;

use crate::ask::Ask;
use crate::cx::Cx;
use crate::plugin::{BuildCx, BuildError, Origin, Plugin, Role, Roles, Task};
use crate::request::header;
use crate::role::Filter;
use crate::view::{Address, Candidates};

#[cfg(test)]
mod tests;

/// How many addresses of the header are read: more than a pool has endpoints that a test would name. Later ones are passed
/// over.
const MAX_NAMES: usize = 4096;

/// Parameters of `header-based-testing-filter`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Parameters {
    /// What is kept of a request without the header: no endpoint (`none`, the default), or every one (`all`), which the
    /// conformance tests of the Gateway API Inference Extension need: they send such requests and expect an answer.
    when_absent: WhenAbsent,
}

/// What is kept of a request without the header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum WhenAbsent {
    /// No endpoint, so that a test which forgets the header fails.
    #[default]
    None,
    /// Every endpoint.
    All,
}

/// Keeps the candidates that the header `test-epp-endpoint-selection` names.
#[derive(Debug)]
pub struct HeaderBasedTestingFilter {
    when_absent: WhenAbsent,
}

impl Plugin for HeaderBasedTestingFilter {
    const TYPE: &'static str = "header-based-testing-filter";
    const TASK: Task = Task::OwnRules;
    const ORIGIN: Origin = Origin::Gie;
    const SUMMARY: &'static str = "For tests: keeps the endpoints that the request header test-epp-endpoint-selection names \
         (addresses separated by commas, in that order); without the header, none, or all with whenAbsent. An address without a port \
         names all endpoints at it, one with a port that endpoint alone; ones that are no endpoints are passed over.";
    const ROLES: &'static [Role] = &[Role::Filter];
    const SAMPLE: &'static str = "\
plugins:
- type: header-based-testing-filter
";
    type Params = Parameters;

    fn build(params: Parameters, _: &mut BuildCx<'_>) -> Result<Roles, BuildError> {
        let filter = Self { when_absent: params.when_absent };
        Ok(Roles { filter: Some(std::sync::Arc::new(filter)), ..Roles::default() })
    }
}

impl Filter for HeaderBasedTestingFilter {
    fn filter(&self, ask: &Ask<'_>, _: &mut Cx, keep: &mut Candidates) {
        let Ask { request, view, .. } = *ask;
        let absent = request.headers.get(header::TEST_ENDPOINT_SELECTION).is_none();
        if absent && self.when_absent == WhenAbsent::All {
            return;
        }
        // What is no text names nothing.
        let text = request.headers.text(header::TEST_ENDPOINT_SELECTION).unwrap_or_default();
        let named = text.split(',').take(MAX_NAMES).filter_map(Address::parse);
        let mut wanted: SmallVec<[(Address, usize); 4]> = named.zip(0..).collect();
        // However many there are, each endpoint costs little. One that is named twice has its first place.
        wanted.sort_unstable();
        let first = |address: Address| {
            let from = wanted.partition_point(|(other, _)| *other < address);
            wanted.get(from).filter(|(other, _)| *other == address).map(|(_, place)| *place)
        };
        let place = |i: usize| {
            let address = view.endpoints[i].address;
            let places = [Address::at(address.ip()), Address::from(address)].into_iter().filter_map(first);
            places.min()
        };
        keep.retain(|i| place(i).is_some());
        keep.sort_by_cached_key(place);
    }

    fn why(&self, _: &Ask<'_>, _: usize) -> Option<String> {
        Some(format!("the header {} does not name it", header::TEST_ENDPOINT_SELECTION))
    }
}
