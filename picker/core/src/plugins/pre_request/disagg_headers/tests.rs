use std::time::Instant;

use serde_json::json;

use crate::cx::Cx;
use crate::request::{Content, Request};
use crate::testing::{labelled, strategy};

/// The headers of a request with an image, whose profiles have these names.
fn headers(prefill: &str, encode: &str, parameters: &serde_json::Value) -> Vec<(String, String)> {
    let stages = json!({
        "plugins": [
            {"type": "disagg-headers-handler", "parameters": parameters},
            {"type": "disagg-profile-handler", "parameters": {
                "profiles": {"prefill": prefill, "encode": encode},
                "deciders": {"prefill": "always", "encode": "media"},
            }},
            {"type": "always-disagg-pd-decider", "name": "always"},
            {"type": "always-disagg-multimodal-decider", "name": "media"},
            {"type": "decode-filter"}, {"type": "prefill-filter"}, {"type": "encode-filter"},
        ],
        "schedulingProfiles": [
            {"name": "decode", "plugins": [{"pluginRef": "decode-filter"}]},
            {"name": prefill, "plugins": [{"pluginRef": "prefill-filter"}]},
            {"name": encode, "plugins": [{"pluginRef": "encode-filter"}]},
        ],
    });
    let pods: [&[(&str, &str)]; 3] =
        [&[("llm-d.ai/role", "decode")], &[("llm-d.ai/role", "prefill")], &[("llm-d.ai/role", "encode")]];
    let request = Request {
        content: Content { media: smallvec::smallvec![0..0], ..Content::default() },
        ..Request::default()
    };
    let strategy = strategy(&stages.to_string());
    let view = labelled(pods);
    let flight = strategy.route(&request, &view, None, &mut Cx::new(Instant::now(), 1)).unwrap();
    let booked: Vec<_> = view.endpoints.iter().map(|e| e.live().in_flight()).collect();
    assert_eq!(booked, [1, 1, 1], "booked once each");
    let text = |value: &[u8]| String::from_utf8(value.to_vec()).unwrap();
    let mut headers: Vec<_> =
        flight.edits().headers().iter().map(|(name, value)| (name.to_string(), text(value))).collect();
    headers.sort();
    headers
}

#[test]
fn it_writes_what_the_profile_handler_writes_once() {
    let expected = [
        ("x-encoder-hosts-ports".to_owned(), "10.0.0.2:8000".to_owned()),
        ("x-prefiller-host-port".to_owned(), "10.0.0.1:8000".to_owned()),
    ];
    assert_eq!(headers("prefill", "encode", &json!({})), expected);
    assert_eq!(headers("p", "e", &json!({"prefillProfile": "p", "encodeProfile": "e"})), expected);
    assert_eq!(headers("p", "e", &json!({})), expected, "profiles of other names are the handler's alone");
}
