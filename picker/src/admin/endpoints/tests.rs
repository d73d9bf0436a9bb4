use std::sync::Arc;
use std::time::Duration;

use picker_core::endpoint::{EndpointId, EndpointSpec};
use picker_core::scrape::SourceId;
use picker_core::view::Signals;

use super::*;
use crate::scrape::outcome::{Failure, Page};
use crate::watch::endpoint_set::EndpointSet;

/// The page about these pods when each was scraped so, by a strategy that reads queues, KV caches' sizes and one metric of
/// its own.
fn shown(outcomes: Vec<Option<Result<Page, Failure>>>) -> Vec<Value> {
    let spec = |n: usize| EndpointSpec {
        id: EndpointId { pod_uid: format!("u{n}").into(), port: 8000, rank: 0 },
        pod: format!("p{n}"),
        namespace: "default".to_owned(),
        address: "10.0.0.1:8000".parse().unwrap(),
        labels: Default::default(),
    };
    let mut endpoints = EndpointSet::default();
    endpoints.apply((0..outcomes.len()).map(spec));
    let targets: Vec<Target> = endpoints.targets().cloned().collect();
    let now = Instant::now();
    for (target, outcome) in targets.iter().zip(outcomes) {
        match outcome {
            Some(Ok(page)) => target.readout.record(SourceId::default(), Ok(page), now, Duration::ZERO),
            Some(Err(failure)) => {
                target.readout.record(SourceId::default(), Err(&failure), now, Duration::ZERO)
            }
            None => {}
        }
    }
    let plan = ScrapePlan {
        attributes: vec![("x/depth".to_owned(), Column::KV_USAGE)],
        ..ScrapePlan::of(&[Column::CACHE_CONFIG])
    };
    let serving = Serving { scrape: Some(Arc::new(plan)), ..Serving::default() };
    let rows = targets.iter().map(|target| (target.endpoint.clone(), target.readout.reading())).collect();
    let page = page(&View::build(rows, now, Duration::from_secs(1)), &targets, &serving);
    page["endpoints"].as_array().unwrap().clone()
}

/// The reasons on it, by figure; each has a time.
fn reasons(endpoint: &Value) -> Value {
    let mut unknown = endpoint["unknown"].clone();
    for (_, why) in unknown.as_object_mut().into_iter().flatten() {
        let since = why["since"].as_str().map(|since| since.parse::<jiff::Timestamp>().unwrap());
        assert!(since.is_none_or(|since| since <= jiff::Timestamp::now()), "{why}");
        *why = why["reason"].take();
    }
    unknown
}

#[test]
fn whatever_is_unknown_says_why() {
    let some = Signals { waiting: Some(2.0), block_size: Some(16), ..Signals::default() };
    let page = |cut| Some(Ok(Page { signals: some.clone(), cut }));
    let all = Signals { running: Some(1.0), kv_usage: Some(0.5), num_blocks: Some(9), ..some.clone() };
    let shown = shown(vec![
        None,
        Some(Err(Failure::Timeout)),
        page(false),
        page(true),
        Some(Ok(Page { signals: all, cut: false })),
    ]);
    let same = |reason: &str| {
        json!({
            "waiting": reason, "running": reason, "kvUsage": reason, "blockSize": reason, "blocks": reason,
            "lora": "no plugin reads it", "x/depth": reason,
        })
    };
    assert_eq!(reasons(&shown[0]), same("not scraped yet"));
    assert_eq!(reasons(&shown[1]), same("no answer in time"));
    let missing = |reason: &str| json!({"running": reason, "kvUsage": reason, "blocks": reason, "lora": "no plugin reads it", "x/depth": reason});
    assert_eq!(reasons(&shown[2]), missing("series absent"));
    assert_eq!(reasons(&shown[3]), missing("page too large: not in the part of it that is read"));
    assert_eq!(reasons(&shown[4]), json!({"lora": "no plugin reads it"}));
    let expected = json!([2.0, 1.0, 0.5, 16, 9, 144, null, {"x/depth": 0.5}]);
    let fields =
        ["waiting", "running", "kvUsage", "blockSize", "blocks", "cacheTokens", "lora", "attributes"];
    assert_eq!(json!(fields.map(|field| &shown[4][field])), expected);
}
