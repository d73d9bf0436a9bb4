use std::sync::Arc;
use std::time::{Duration, SystemTime};

use picker_core::RefusalKind;
use picker_core::View;
use picker_core::endpoint::{EndpointId, EndpointSpec, Slots};
use picker_core::view::{Reading, Signals};

use super::*;
use crate::view;

/// The lines with figures that begin with one of `names`.
fn lines(metrics: &Metrics, names: &[&str]) -> String {
    let text = metrics.text().unwrap();
    let wanted = |line: &&str| names.iter().any(|name| line.starts_with(name));
    text.lines().filter(wanted).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_histogram_counts_from_bound_to_bound() {
    let metrics = Metrics::new(view::empty());
    for micros in [1, 2, 3, 20, 5_000_000] {
        metrics.traffic.pick.observe(Duration::from_micros(micros));
    }
    insta::assert_snapshot!(lines(&metrics, &["waypost_picker_pick"]), @r#"
        waypost_picker_pick_duration_seconds_sum 5.000026
        waypost_picker_pick_duration_seconds_count 5
        waypost_picker_pick_duration_seconds_bucket{le="0.000002"} 2
        waypost_picker_pick_duration_seconds_bucket{le="0.000005"} 3
        waypost_picker_pick_duration_seconds_bucket{le="0.00001"} 3
        waypost_picker_pick_duration_seconds_bucket{le="0.00002"} 4
        waypost_picker_pick_duration_seconds_bucket{le="0.00005"} 4
        waypost_picker_pick_duration_seconds_bucket{le="0.0001"} 4
        waypost_picker_pick_duration_seconds_bucket{le="0.0002"} 4
        waypost_picker_pick_duration_seconds_bucket{le="0.0005"} 4
        waypost_picker_pick_duration_seconds_bucket{le="0.001"} 4
        waypost_picker_pick_duration_seconds_bucket{le="0.002"} 4
        waypost_picker_pick_duration_seconds_bucket{le="0.005"} 4
        waypost_picker_pick_duration_seconds_bucket{le="0.01"} 4
        waypost_picker_pick_duration_seconds_bucket{le="0.1"} 4
        waypost_picker_pick_duration_seconds_bucket{le="1.0"} 4
        waypost_picker_pick_duration_seconds_bucket{le="+Inf"} 5
    "#);
}

#[test]
fn requests_have_bounded_labels() {
    let metrics = Metrics::new(view::empty());
    let requests = &metrics.traffic.requests;
    requests.count(Some("llama"), Reason::Routed);
    requests.count(Some("llama"), Reason::Routed);
    requests.count(Some("llama"), Reason::Refused(RefusalKind::TooLarge));
    requests.count(None, Reason::Refused(RefusalKind::NoEndpoints));
    requests.count(Some(""), Reason::Refused(RefusalKind::NoEndpoints));
    requests.count(Some(&"é".repeat(100)), Reason::Routed);
    // A name that only refusals have seen.
    requests.count(Some("invented"), Reason::Refused(RefusalKind::AllFiltered));
    // A name that is that of a row.
    requests.count(Some("other"), Reason::Routed);
    insta::assert_snapshot!(lines(&metrics, &["waypost_picker_requests"]), @r#"
        waypost_picker_requests_total{model="llama",status="200",reason="routed"} 2
        waypost_picker_requests_total{model="llama",status="413",reason="body-too-large"} 1
        waypost_picker_requests_total{model="éééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééé",status="200",reason="routed"} 1
        waypost_picker_requests_total{model="",status="503",reason="no-endpoints"} 2
        waypost_picker_requests_total{model="other",status="200",reason="routed"} 1
        waypost_picker_requests_total{model="other",status="429",reason="all-filtered"} 1
    "#);

    for i in 0..2000 {
        requests.count(Some(&format!("model-{i}")), Reason::Routed);
    }
    let all = lines(&metrics, &["waypost_picker_requests_total"]);
    assert_eq!(all.lines().count(), 1000 + 1 + 1 + 2);
    let other = lines(&metrics, &["waypost_picker_requests_total{model=\"other\""]);
    insta::assert_snapshot!(other, @r#"
        waypost_picker_requests_total{model="other",status="200",reason="routed"} 1003
        waypost_picker_requests_total{model="other",status="429",reason="all-filtered"} 1
    "#);
}

#[tokio::test(start_paused = true)]
async fn names_that_nobody_uses_make_room_when_there_is_none() {
    let metrics = Metrics::new(view::empty());
    let requests = &metrics.traffic.requests;
    let models = || {
        let all = lines(&metrics, &["waypost_picker_requests_total"]);
        all.lines().map(|line| line.split('"').nth(1).unwrap().to_owned()).collect::<Vec<_>>()
    };
    requests.count(Some("real"), Reason::Routed);
    models();
    tokio::time::advance(Duration::from_secs(3600)).await;
    assert_eq!(models(), ["real"]);

    (0..999).for_each(|i| drop(requests.count(Some(&format!("invented-{i}")), Reason::Routed)));
    requests.count(Some("real"), Reason::Routed);
    requests.count(Some("new"), Reason::Routed);
    assert_eq!(models().len(), 1000 + 1);
    tokio::time::advance(Duration::from_secs(599)).await;
    requests.count(Some("real"), Reason::Routed);
    assert_eq!(models().len(), 1000 + 1);
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(models(), ["real", "other"]);
    requests.count(Some("new"), Reason::Routed);
    assert_eq!(models(), ["new", "real", "other"]);
}

#[test]
fn tokens_are_counted_in_the_rows_of_models() {
    let metrics = Metrics::new(view::empty());
    let requests = &metrics.traffic.requests;
    let names = ["waypost_picker_prompt_tokens", "waypost_picker_cached", "waypost_picker_completion"];
    let llama = requests.count(Some("llama"), Reason::Routed);
    // Nothing is known of its answer.
    requests.count(Some("qwen"), Reason::Routed);
    assert_eq!(lines(&metrics, &names), "");

    llama.took(Tokens { prompt: 100, cached: 64, completion: 20 });
    llama.took(Tokens { prompt: u32::MAX, cached: 0, completion: u32::MAX });
    requests.count(Some("llama"), Reason::Routed).took(Tokens { prompt: 1, ..Tokens::default() });
    requests.count(None, Reason::Routed).took(Tokens { prompt: 7, cached: 0, completion: 8 });
    requests.count(Some("other"), Reason::Routed).took(Tokens { completion: 9, ..Tokens::default() });
    insta::assert_snapshot!(lines(&metrics, &names), @r#"
        waypost_picker_prompt_tokens_total{model="llama"} 4294967396
        waypost_picker_prompt_tokens_total{model=""} 7
        waypost_picker_prompt_tokens_total{model="other"} 0
        waypost_picker_cached_prompt_tokens_total{model="llama"} 64
        waypost_picker_cached_prompt_tokens_total{model=""} 0
        waypost_picker_cached_prompt_tokens_total{model="other"} 0
        waypost_picker_completion_tokens_total{model="llama"} 4294967315
        waypost_picker_completion_tokens_total{model=""} 8
        waypost_picker_completion_tokens_total{model="other"} 9
    "#);
}

#[tokio::test(start_paused = true)]
async fn a_row_stays_while_a_request_of_its_model_is_under_way() {
    let metrics = Metrics::new(view::empty());
    let requests = &metrics.traffic.requests;
    let slow = requests.count(Some("slow"), Reason::Routed);
    (0..999).for_each(|i| drop(requests.count(Some(&format!("invented-{i}")), Reason::Routed)));
    let sums = || lines(&metrics, &["waypost_picker_prompt_tokens"]);
    assert_eq!(sums(), "");
    tokio::time::advance(Duration::from_secs(3600)).await;
    assert_eq!(sums(), "");
    slow.took(Tokens { prompt: 5, ..Tokens::default() });
    assert_eq!(sums(), r#"waypost_picker_prompt_tokens_total{model="slow"} 5"#);
    drop(slow);
    // Now it goes like others, once all rows are taken again.
    (0..999).for_each(|i| drop(requests.count(Some(&format!("more-{i}")), Reason::Routed)));
    assert_eq!(sums(), "");
}

#[test]
fn every_reason_has_its_row_and_its_name() {
    let all: Vec<_> = Reason::all().collect();
    let names: std::collections::BTreeSet<_> = all.iter().map(|reason| reason.name()).collect();
    assert_eq!((names.len(), all.len()), (13, 13));
    let requests = Requests::default();
    all.iter().for_each(|reason| drop(requests.count(None, *reason)));
    let mut registry = Registry::default();
    registry.register_collector(Box::new(requests));
    let mut text = String::new();
    text::encode(&mut text, &registry).unwrap();
    for reason in all {
        let labels = format!("status=\"{}\",reason=\"{}\"}} 1", reason.status(), reason.name());
        assert!(text.contains(&labels), "{labels}: {text}");
    }
}

#[test]
fn endpoints_come_and_go_with_the_view() {
    let view = view::empty();
    let metrics = Metrics::new(view.clone());
    let spec = EndpointSpec {
        id: EndpointId { pod_uid: "u".into(), port: 8000, rank: 0 },
        pod: "a".to_owned(),
        namespace: "default".to_owned(),
        address: "[fd00::1]:8000".parse().unwrap(),
        labels: Default::default(),
    };
    let endpoint = Arc::new(Slots::default().admit(spec));
    let now = std::time::Instant::now();
    let signals = Signals { waiting: Some(3.0), kv_usage: Some(0.5), ..Signals::default() };
    let rows = vec![(endpoint, Reading { signals, at: Some(now) })];
    view.store(Arc::new(View::build(rows, now, Duration::from_secs(2))));
    let names = ["waypost_picker_endpoint", "waypost_picker_in_flight"];
    insta::assert_snapshot!(lines(&metrics, &names), @r#"
        waypost_picker_endpoints 1
        waypost_picker_in_flight{endpoint="a-rank-0",address="[fd00::1]:8000"} 0.0
        waypost_picker_endpoint_health{endpoint="a-rank-0",address="[fd00::1]:8000"} 1.0
        waypost_picker_endpoint_waiting{endpoint="a-rank-0",address="[fd00::1]:8000"} 3.0
        waypost_picker_endpoint_kv_usage{endpoint="a-rank-0",address="[fd00::1]:8000"} 0.5
    "#);
    view.store(Arc::new(View::empty()));
    assert_eq!(lines(&metrics, &names), "waypost_picker_endpoints 0");
}

#[test]
fn the_revision_that_serves_and_whether_the_last_one_was_good() {
    let metrics = Metrics::new(view::empty());
    let names = ["waypost_strategy"];
    insta::assert_snapshot!(lines(&metrics, &names), @r#"
        waypost_strategy_valid 0
        waypost_strategy_swaps_total 0
        waypost_strategy_refusals_total 0
    "#);
    let at = SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_257_011_500);
    metrics.strategy.swapped("r1", at);
    metrics.strategy.swapped("r2", at);
    metrics.strategy.refused();
    insta::assert_snapshot!(lines(&metrics, &names), @r#"
        waypost_strategy_info{revision="r2"} 1
        waypost_strategy_swapped_timestamp_seconds{revision="r2"} 1795257011.5
        waypost_strategy_valid 0
        waypost_strategy_swaps_total 2
        waypost_strategy_refusals_total 1
    "#);
    metrics.strategy.unchanged();
    assert_eq!(lines(&metrics, &["waypost_strategy_valid"]), "waypost_strategy_valid 1");
}
