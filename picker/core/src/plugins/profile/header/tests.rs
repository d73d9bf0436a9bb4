use rstest::rstest;
use serde_json::json;

use super::*;
use crate::config::Scope;
use crate::store::StateStore;
use crate::testing::{labelled, strategy, with_headers};

const PODS: [&[(&str, &str)]; 2] = [&[("llm-d.ai/role", "decode")], &[("llm-d.ai/role", "prefill")]];

fn routed(headers: &[(&str, &str)]) -> Result<String, Refusal> {
    let request = with_headers(headers.iter().copied());
    let flight =
        strategy(HeaderProfileHandler::SAMPLE).route(&request, &labelled(PODS), None, &mut crate::Cx::live());
    flight.map(|flight| flight.endpoint().pod.clone())
}

#[rstest]
#[case::without(&[], "pod-0")]
#[case::empty(&[("epp-profile", " ")], "pod-0")]
#[case::default(&[("epp-profile", "decode")], "pod-0")]
#[case::named(&[("epp-profile", "prefill")], "pod-1")]
#[case::white_space(&[("epp-profile", " prefill\t")], "pod-1")]
#[case::another_header(&[("x-epp-profile", "prefill")], "pod-0")]
fn runs_the_profile_that_the_header_names(#[case] headers: &[(&str, &str)], #[case] pod: &str) {
    assert_eq!(routed(headers), Ok(pod.to_owned()));
}

#[rstest]
#[case("Prefill", "Prefill")]
#[case("encode", "encode")]
#[case(&"x".repeat(10_000), &"x".repeat(64))]
fn an_unknown_profile_is_the_fault_of_the_client(#[case] name: &str, #[case] said: &str) {
    let refusal = routed(&[("epp-profile", name)]).unwrap_err();
    assert_eq!((refusal.kind, refusal.kind.row().status), (RefusalKind::UnknownProfile, 400));
    assert_eq!(
        refusal.message(),
        format!(
            "the header epp-profile names the scheduling profile {said:?}, which does not exist; there are: decode, \
             prefill"
        )
    );
}

#[rstest]
#[case(
    json!({}),
    "plugins[0].parameters.defaultProfile: there is no scheduling profile called \"decode\"; there are: a, b"
)]
#[case(json!({"headerName": "a b", "defaultProfile": "a"}), "plugins[0].parameters.headerName: \"a b\" is no name of a header")]
fn what_cannot_be_is_told_when_it_is_compiled(#[case] parameters: serde_json::Value, #[case] expected: &str) {
    let routing = json!({
        "plugins": [{"type": HeaderProfileHandler::TYPE, "parameters": parameters}],
        "schedulingProfiles": [{"name": "a"}, {"name": "b"}],
    });
    let errors = crate::compile::compile(&routing, Scope::File, &StateStore::default()).err().unwrap();
    assert_eq!(errors.0.iter().map(ToString::to_string).collect::<Vec<_>>(), [expected]);
}
