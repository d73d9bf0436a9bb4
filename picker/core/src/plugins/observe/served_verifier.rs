//! `destination-endpoint-served-verifier`: tells the tests who served.

use std::sync::Arc;

use crate::ask::{Ask, Decision};
use crate::edits::Edits;
use crate::outcome::ResponseHead;
use crate::plugin::{BuildCx, BuildError, Origin, Plugin, Role, Roles, Task};
use crate::plugins::NoParameters;
use crate::role::{Observer, ResponseWatch};

/// The response header that the conformance tests of the Gateway API Inference Extension read.
const SERVED: &str = "x-conformance-test-served-endpoint";

/// What it has when the gateway names nobody, so that a test that fails shows why.
const NOBODY: &str = "fail: the gateway does not say which endpoint served";

/// Tells the endpoint that served in the head of every response.
#[derive(Debug)]
pub struct DestinationEndpointServedVerifier;

impl Plugin for DestinationEndpointServedVerifier {
    const TYPE: &'static str = "destination-endpoint-served-verifier";
    const TASK: Task = Task::Data;
    const ORIGIN: Origin = Origin::Gie;
    const SUMMARY: &'static str = "For tests: tells the endpoint that served, as the gateway names it in the metadata envoy.lb/x-gateway-destination-endpoint-served, \
         in the response header x-conformance-test-served-endpoint. Where the gateway names none, or what it says is no address, the header begins \
         with \"fail:\".";
    const ROLES: &'static [Role] = &[Role::Observer];
    const SAMPLE: &'static str = "\
plugins:
- type: destination-endpoint-served-verifier
- type: header-based-testing-filter
";
    type Params = NoParameters;

    fn build(_: NoParameters, _: &mut BuildCx<'_>) -> Result<Roles, BuildError> {
        Ok(Roles { observer: Some(Arc::new(Self)), ..Roles::default() })
    }
}

impl Observer for DestinationEndpointServedVerifier {
    fn watch(&self, _: &Ask<'_>, _: &Decision) -> Option<Box<dyn ResponseWatch>> {
        Some(Box::new(Self))
    }
}

impl ResponseWatch for DestinationEndpointServedVerifier {
    fn head(&mut self, head: &ResponseHead<'_>, edits: &mut Edits) {
        let text = head.served.map_or_else(|| NOBODY.to_owned(), |served| served.to_string());
        edits.set_header(SERVED, text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cx::Cx;
    use crate::request::{Headers, Request};
    use crate::testing::{strategy, unknown};

    #[test]
    fn responses_say_who_served() {
        let (strategy, view) =
            (strategy("plugins: [{type: destination-endpoint-served-verifier}]"), unknown(2));
        let told = |served: Option<&str>| {
            let mut flight = strategy.route(&Request::default(), &view, None, &mut Cx::live()).unwrap();
            // A server can't say so itself.
            let headers = Headers(vec![(SERVED.into(), "10.0.0.1:8000".into())]);
            let served = served.map(|address| address.parse().unwrap());
            let edits = flight.head(&ResponseHead { status: Some(200), headers: &headers, served });
            edits.headers().iter().map(|(name, value)| format!("{name}: {value:?}")).collect::<Vec<_>>()
        };
        let expected = |value: &str| [format!("x-conformance-test-served-endpoint: b\"{value}\"")];
        assert_eq!(told(Some("10.0.0.1:8000")), expected("10.0.0.1:8000"));
        assert_eq!(told(Some("[fd00::1]:8000")), expected("[fd00::1]:8000"));
        // Not one of the pool, as when the gateway fell back.
        assert_eq!(told(Some("10.9.9.9:1")), expected("10.9.9.9:1"));
        assert_eq!(told(None), expected(NOBODY));
    }
}
