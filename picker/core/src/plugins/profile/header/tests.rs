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
        format!("the header epp-profile names the scheduling profile {said:?}, which does not exist")
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

/// A strategy with these profiles and this handler.
fn with_profiles(parameters: &serde_json::Value, names: &[&str]) -> std::sync::Arc<crate::Strategy> {
    let profiles: Vec<_> = names.iter().map(|name| json!({"name": name})).collect();
    let handler = json!({"type": HeaderProfileHandler::TYPE, "parameters": parameters});
    strategy(&json!({"plugins": [handler], "schedulingProfiles": profiles}).to_string())
}

#[test]
fn a_single_profile_runs_whatever_the_header_says() {
    let strategy = with_profiles(&json!({}), &["prefill"]);
    for header in ["prefill", "decode", "anything", ""] {
        let request = with_headers([("epp-profile", header)]);
        let flight = strategy.route(&request, &labelled(PODS), None, &mut crate::Cx::live());
        assert!(flight.is_ok(), "{header}");
    }
    assert_eq!(*strategy.warnings, []);
}

#[test]
fn empty_names_are_the_defaults() {
    let strategy = with_profiles(&json!({"headerName": "", "defaultProfile": ""}), &["decode", "prefill"]);
    let warnings: Vec<_> = strategy.warnings.iter().map(ToString::to_string).collect();
    let expected = [("headerName", "EPP-Profile"), ("defaultProfile", "decode")].map(|(field, default)| {
        format!("plugins[0].parameters.{field}: \"\" counts as the default, {default:?}; leave it out, or write that")
    });
    assert_eq!(warnings, expected);
    let route = |header| {
        let request = with_headers([("epp-profile", header)]);
        strategy
            .route(&request, &labelled(PODS), None, &mut crate::Cx::live())
            .map(|_| ())
            .map_err(|r| r.kind)
    };
    assert_eq!([route("prefill"), route("x")], [Ok(()), Err(RefusalKind::UnknownProfile)]);
}
