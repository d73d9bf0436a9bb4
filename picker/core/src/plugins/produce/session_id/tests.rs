use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Value, json};

use super::*;
use crate::request::Headers;
use crate::request::Request;
use crate::testing::{Instance, build, unknown, with_headers};

const KIND: &str = SessionIdProducer::TYPE;

fn found(parameters: Value, request: &Request) -> Option<Bytes> {
    let mut producer = Instance::new(KIND, parameters).unwrap();
    producer.produce(request, &unknown(1));
    producer.fact::<SessionId>().id.clone()
}

#[rstest]
#[case::header(json!({"headerName": "X-Session-ID"}), &[("x-session-id", " s\t")], Some("s"))]
#[case::no_header(json!({"headerName": "x-session-id"}), &[("cookie", "x-session-id=s")], None)]
#[case::empty_header(json!({"headerName": "x-session-id"}), &[("x-session-id", " ")], None)]
#[case::cookie(json!({"cookieName": "s"}), &[("cookie", "a=1; s=2; b=3")], Some("2"))]
#[case::cookie_alone(json!({"cookieName": "s"}), &[("cookie", "s=2")], Some("2"))]
#[case::no_cookie(json!({"cookieName": "s"}), &[("cookie", "a=s; ss=2; S=3; s")], None)]
#[case::no_cookies(json!({"cookieName": "s"}), &[("s", "2")], None)]
#[case::first_cookie(json!({"cookieName": "s"}), &[("cookie", "s=1; s=2")], Some("1"))]
#[case::first_cookie_is_empty(json!({"cookieName": "s"}), &[("cookie", "s=; s=2")], None)]
#[case::further_header(json!({"cookieName": "s"}), &[("cookie", "a=1"), ("cookie", "s=2")], Some("2"))]
#[case::equals_signs(json!({"cookieName": "s"}), &[("cookie", "s=a=b==")], Some("a=b=="))]
#[case::quotes(json!({"cookieName": "s"}), &[("cookie", "s=\"a b\"")], Some("\"a b\""))]
#[case::an_empty_parameter_is_none(json!({"headerName": "", "cookieName": " s "}), &[("cookie", "s=1")], Some("1"))]
fn the_id_is_in_the_header_or_the_cookie(
    #[case] parameters: Value,
    #[case] headers: &[(&str, &str)],
    #[case] id: Option<&str>,
) {
    let found = found(parameters, &with_headers(headers.iter().copied()));
    assert_eq!(found.as_deref(), id.map(str::as_bytes));
}

#[test]
fn a_long_id_is_none() {
    for (length, is_one) in [(MAX_ID, true), (MAX_ID + 1, false), (1 << 20, false)] {
        let id = "x".repeat(length);
        let by_header = found(json!({"headerName": "s"}), &with_headers([("s", id.as_str())]));
        let by_cookie =
            found(json!({"cookieName": "s"}), &with_headers([("cookie", format!("s={id}").as_str())]));
        let expected = is_one.then(|| Bytes::from(id));
        assert_eq!((by_header, by_cookie), (expected.clone(), expected), "{length}");
    }
}

#[rstest]
#[case(json!({}), "headerName: is required, or cookieName in its place")]
#[case(json!({"headerName": " "}), "headerName: is required, or cookieName in its place")]
#[case(
    json!({"headerName": "a", "cookieName": "b"}),
    "cookieName: is there beside headerName; write one of them alone"
)]
#[case(json!({"headerName": "a b"}), "headerName: \"a b\" is no name of a header")]
#[case(json!({"cookieName": "a=b"}), "cookieName: \"a=b\" is no name of a cookie")]
fn exactly_one_of_the_two_is_needed(#[case] parameters: Value, #[case] expected: &str) {
    let error = build(KIND, parameters).err().map(|e| e.to_string());
    assert_eq!(error, Some(format!("plugins[0].parameters.{expected}")));
}

#[test]
fn nothing_of_a_request_stays_behind_its_decision() {
    let value = Bytes::from(format!("chat-session={}", "s".repeat(100)));
    let strategy = crate::testing::strategy(SessionIdProducer::SAMPLE);
    let request = Request { headers: Headers(vec![("cookie".into(), value.clone())]), ..Request::default() };
    assert!(strategy.route(&request, &unknown(1), None, &mut crate::Cx::live()).is_ok());
    drop(request);
    assert!(value.is_unique());
}

proptest! {
    /// The published rule: pairs are separated by semicolons, the white space around a pair doesn't count, and the value of the first
    /// one of that name is the id.
    #[test]
    fn the_published_rule_holds(list in "[ab =;\t]{0,24}") {
        let mut id = "";
        for pair in list.split(';').map(str::trim) {
            if let Some((name, value)) = pair.split_once('=') && name == "a" {
                id = value.trim();
                break;
            }
        }
        let found = found(json!({"cookieName": "a"}), &with_headers([("cookie", list.as_str())]));
        prop_assert_eq!(found.unwrap_or_default(), id.as_bytes());
    }

    #[test]
    fn no_cookie_is_too_strange(list in prop::collection::vec(any::<u8>(), 0..200), header in any::<bool>()) {
        let name = if header { "a" } else { "cookie" };
        let headers = Headers(vec![(Bytes::from(name), Bytes::from(list.clone()))]);
        let request = Request { headers, ..Request::default() };
        let parameters = if header { json!({"headerName": "a"}) } else { json!({"cookieName": "a"}) };
        let id = found(parameters, &request).unwrap_or_default();
        prop_assert!(id.is_empty() || list.windows(id.len()).any(|part| part == id));
    }
}
