use bytes::Bytes;
use serde_json::json;

use crate::request::{Request, header};
use crate::testing::{Instance, unknown};

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

#[test]
fn keeps_nothing_without_the_header() {
    assert_eq!(kept(None), Vec::<usize>::new());
}
