use rstest::rstest;
use serde_json::json;

use super::LABEL;
use crate::request::Request;
use crate::testing::{Instance, ROLES, labelled};

#[rstest]
#[case("decode-filter", &["decode", "prefill-decode", "both", "encode-prefill-decode", "without the label"])]
#[case("prefill-filter", &["prefill", "prefill-decode", "both", "encode-prefill", "encode-prefill-decode"])]
#[case("encode-filter", &["encode", "encode-prefill", "encode-prefill-decode"])]
fn keeps_the_pods_of_its_stage(#[case] kind: &str, #[case] expected: &[&str]) {
    let labels = ROLES.map(|role| [(LABEL, role)]);
    let view = labelled(labels.iter().map(|labels| &labels[..]).chain([&[("app", "decode")][..]]));
    let kept = Instance::new(kind, json!({})).unwrap().kept(&Request::default(), &view);
    let name = |i: usize| ROLES.get(i).copied().unwrap_or("without the label");
    assert_eq!(kept.into_iter().map(name).collect::<Vec<_>>(), expected);
}
