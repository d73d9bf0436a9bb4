use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::json;

use super::MAX_NAMES;
use crate::endpoint::{EndpointId, EndpointSpec, Slots};
use crate::request::{Request, header};
use crate::testing::{Instance, spec, unknown, view_of, with_headers};
use crate::view::Candidates;

fn kept(value: Option<&'static str>) -> Vec<usize> {
    let view = unknown(4);
    let mut request = Request::default();
    if let Some(value) = value {
        request.headers.0.push((header::TEST_ENDPOINT_SELECTION.into(), Bytes::from(value)));
    }
    Instance::new("header-based-testing-filter", json!({})).unwrap().kept(&request, &view)
}

#[test]
fn keeps_what_the_header_names_in_its_order() {
    for (value, expected) in [
        ("10.0.0.2", vec![2]),
        ("10.0.0.2:8000", vec![2]),
        ("10.0.0.3, 10.0.0.1:8000 ,10.0.0.3", vec![3, 1]),
        ("10.0.0.3:8000,10.0.0.2,10.0.0.1,10.0.0.3", vec![3, 2, 1]),
        ("10.0.0.2:8001", vec![]),
        ("256.256.256.256", vec![]),
        ("pod-1,10.0.0.0", vec![0]),
        (" ", vec![]),
    ] {
        assert_eq!(kept(Some(value)), expected, "{value}");
    }
}

/// A header is as long as its client likes, and a pool is as large as it is.
#[test]
fn a_long_header_costs_a_large_pool_little() {
    let mut slots = Slots::default();
    let address = |n: u16| SocketAddr::from(([10, 1, (n >> 8) as u8, n as u8], 8000));
    let view = view_of((0..1000).map(|n| {
        let id = EndpointId { pod_uid: format!("uid-{n:04}").into(), port: 8000, rank: 0 };
        Arc::new(slots.admit(EndpointSpec { id, address: address(n), ..spec(0) }))
    }));
    // 3,000 addresses that are no endpoints, and the pool backwards, in some 60 kB.
    let strangers = (0..3000).map(|n| format!("10.9.{}.{}:8000", n >> 8, n & 255));
    let backwards = (0..1000).rev().map(|n| address(n).to_string());
    let value = strangers.chain(backwards).collect::<Vec<_>>().join(",");
    assert!(value.len() > 50_000);
    let request = with_headers([(header::TEST_ENDPOINT_SELECTION, &*value)]);
    let mut instance = Instance::new("header-based-testing-filter", json!({})).unwrap();
    let began = std::time::Instant::now();
    let kept = instance.kept_of(&request, &view, Candidates::of(&view.endpoints, None));
    let took = began.elapsed();
    assert_eq!(kept, (0..1000).rev().collect::<Vec<_>>());
    // Half a second in a build without optimisations, when each endpoint is compared with each address.
    assert!(took < std::time::Duration::from_millis(100), "{took:?}");
}

#[test]
fn names_beyond_the_most_are_passed_over() {
    let value = "10.9.9.9,".repeat(MAX_NAMES - 1) + "10.0.0.1,10.0.0.2";
    let request = with_headers([(header::TEST_ENDPOINT_SELECTION, &*value)]);
    let mut instance = Instance::new("header-based-testing-filter", json!({})).unwrap();
    assert_eq!(instance.kept(&request, &unknown(4)), [1]);
}

#[test]
fn without_the_header_keeps_nothing_or_all() {
    assert_eq!(kept(None), Vec::<usize>::new());
    let (view, request) = (unknown(4), Request::default());
    let kept =
        |parameters| Instance::new("header-based-testing-filter", parameters).unwrap().kept(&request, &view);
    assert_eq!(kept(json!({"whenAbsent": "none"})), Vec::<usize>::new());
    assert_eq!(kept(json!({"whenAbsent": "all"})), [0, 1, 2, 3]);
}

/// A header that names nothing is there: a test that means no endpoint gets none.
#[test]
fn with_the_header_only_what_it_names_is_kept() {
    let mut instance = Instance::new("header-based-testing-filter", json!({"whenAbsent": "all"})).unwrap();
    for (value, expected) in [("", vec![]), ("10.9.9.9", vec![]), ("10.0.0.2,10.0.0.0", vec![2, 0])] {
        let request = with_headers([(header::TEST_ENDPOINT_SELECTION, value)]);
        assert_eq!(instance.kept(&request, &unknown(4)), expected, "{value:?}");
    }
}
