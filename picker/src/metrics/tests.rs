use std::sync::Arc;
use std::time::{Duration, SystemTime};

use picker_core::RefusalKind;
use picker_core::View;
use picker_core::endpoint::{EndpointId, EndpointSpec, Slots};
use picker_core::view::{Reading, Signals};

use super::*;
use crate::view;

/// No model.
const NONE: Option<&str> = None;

/// A request for `model` that was answered with 200.
fn served(requests: &Requests, model: Option<&str>) -> Model {
    let mut model = requests.routed(model);
    model.answered(Some(200));
    model
}

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
    served(requests, Some("llama"));
    served(requests, Some("llama"));
    requests.count(Some("llama"), Reason::Refused(RefusalKind::TooLarge));
    requests.count(NONE, Reason::Refused(RefusalKind::NoEndpoints));
    requests.count(Some(""), Reason::Refused(RefusalKind::NoEndpoints));
    // A model of that name.
    requests.count(Some("unknown"), Reason::Refused(RefusalKind::NoEndpoints));
    served(requests, Some(&"é".repeat(100)));
    // A name that only refusals have seen.
    requests.count(Some("invented"), Reason::Refused(RefusalKind::AllFiltered));
    // A name that is that of a row.
    served(requests, Some("other"));
    insta::assert_snapshot!(lines(&metrics, &["waypost_picker_requests"]), @r#"
        waypost_picker_requests_total{model="llama",status="200",reason="routed"} 2
        waypost_picker_requests_total{model="llama",status="413",reason="body-too-large"} 1
        waypost_picker_requests_total{model="éééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééé",status="200",reason="routed"} 1
        waypost_picker_requests_total{model="unknown",status="503",reason="no-endpoints"} 3
        waypost_picker_requests_total{model="other",status="200",reason="routed"} 1
        waypost_picker_requests_total{model="other",status="429",reason="all-filtered"} 1
    "#);

    for i in 0..2000 {
        served(requests, Some(&format!("model-{i}")));
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
    served(requests, Some("real"));
    models();
    tokio::time::advance(Duration::from_secs(3600)).await;
    assert_eq!(models(), ["real"]);

    (0..999).for_each(|i| drop(served(requests, Some(&format!("invented-{i}")))));
    served(requests, Some("real"));
    served(requests, Some("new"));
    assert_eq!(models().len(), 1000 + 1);
    tokio::time::advance(Duration::from_secs(599)).await;
    served(requests, Some("real"));
    assert_eq!(models().len(), 1000 + 1);
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(models(), ["real", "other"]);
    served(requests, Some("new"));
    assert_eq!(models(), ["new", "real", "other"]);
}

#[test]
fn tokens_are_counted_in_the_rows_of_models() {
    let metrics = Metrics::new(view::empty());
    let requests = &metrics.traffic.requests;
    let names = [
        "waypost_picker_prompt_tokens",
        "waypost_picker_cached",
        "waypost_picker_completion",
        "waypost_picker_reasoning_tokens",
    ];
    let mut llama = served(requests, Some("llama"));
    // Nothing is known of its answer.
    served(requests, Some("qwen"));
    assert_eq!(lines(&metrics, &names), "");

    llama.took(Tokens { prompt: 100, cached: 64, completion: 20, reasoning: 0 });
    llama.took(Tokens { prompt: u32::MAX, cached: 0, completion: u32::MAX, reasoning: 5 });
    served(requests, Some("llama")).took(Tokens { prompt: 1, ..Tokens::default() });
    served(requests, None).took(Tokens { prompt: 7, cached: 0, completion: 8, reasoning: 0 });
    served(requests, Some("other")).took(Tokens { completion: 9, ..Tokens::default() });
    insta::assert_snapshot!(lines(&metrics, &names), @r#"
        waypost_picker_prompt_tokens_total{model="llama"} 4294967396
        waypost_picker_prompt_tokens_total{model="unknown"} 7
        waypost_picker_prompt_tokens_total{model="other"} 0
        waypost_picker_cached_prompt_tokens_total{model="llama"} 64
        waypost_picker_cached_prompt_tokens_total{model="unknown"} 0
        waypost_picker_cached_prompt_tokens_total{model="other"} 0
        waypost_picker_completion_tokens_total{model="llama"} 4294967315
        waypost_picker_completion_tokens_total{model="unknown"} 8
        waypost_picker_completion_tokens_total{model="other"} 9
        waypost_picker_reasoning_tokens_total{model="llama"} 5
        waypost_picker_reasoning_tokens_total{model="unknown"} 0
        waypost_picker_reasoning_tokens_total{model="other"} 0
    "#);
}

#[tokio::test(start_paused = true)]
async fn a_row_stays_while_a_request_of_its_model_is_under_way() {
    let metrics = Metrics::new(view::empty());
    let requests = &metrics.traffic.requests;
    let mut slow = served(requests, Some("slow"));
    (0..999).for_each(|i| drop(served(requests, Some(&format!("invented-{i}")))));
    let sums = || lines(&metrics, &["waypost_picker_prompt_tokens"]);
    assert_eq!(sums(), "");
    tokio::time::advance(Duration::from_secs(3600)).await;
    assert_eq!(sums(), "");
    slow.took(Tokens { prompt: 5, ..Tokens::default() });
    assert_eq!(sums(), r#"waypost_picker_prompt_tokens_total{model="slow"} 5"#);
    drop(slow);
    // Now it goes like others, once all rows are taken again.
    (0..999).for_each(|i| drop(served(requests, Some(&format!("more-{i}")))));
    assert_eq!(sums(), "");
}

#[test]
fn a_request_is_counted_once_with_the_status_of_its_answer() {
    let metrics = Metrics::new(view::empty());
    let requests = &metrics.traffic.requests;
    for statuses in [&[Some(200)][..], &[Some(404)], &[Some(503), Some(200)], &[Some(418)], &[None], &[]] {
        let mut model = requests.routed(Some("llama"));
        statuses.iter().for_each(|status| model.answered(*status));
    }
    requests.routed(NONE).answered(Some(200));
    requests.count_nothing(Some(413));
    requests.count_nothing(None);
    insta::assert_snapshot!(lines(&metrics, &["waypost_picker_requests"]), @r#"
        waypost_picker_requests_total{model="llama",status="200",reason="routed"} 1
        waypost_picker_requests_total{model="llama",status="404",reason="routed"} 1
        waypost_picker_requests_total{model="llama",status="503",reason="routed"} 1
        waypost_picker_requests_total{model="llama",status="4xx",reason="routed"} 1
        waypost_picker_requests_total{model="llama",status="none",reason="routed"} 2
        waypost_picker_requests_total{model="unknown",status="200",reason="routed"} 1
        waypost_picker_requests_total{model="unknown",status="413",reason="nothing-to-route"} 1
        waypost_picker_requests_total{model="unknown",status="none",reason="nothing-to-route"} 1
    "#);
}

#[tokio::test(start_paused = true)]
async fn names_that_the_pool_does_not_have_take_few_rows() {
    let metrics = Metrics::new(view::empty());
    let requests = &metrics.traffic.requests;
    let rows = || lines(&metrics, &["waypost_picker_requests_total"]).lines().count();
    let ask = |name: String, status| requests.routed(Some(name.as_str())).answered(status);
    (0..5000).for_each(|i| ask(format!("invented-{i}"), Some(404)));
    assert_eq!(rows(), 100 + 1);
    // Nor do they when their answers are never seen.
    (0..5000).for_each(|i| ask(format!("cut-{i}"), None));
    assert_eq!(rows(), 100 + 2);
    // Others have their rows, also one that was among them.
    (0..900).for_each(|i| ask(format!("real-{i}"), Some(200)));
    ask("invented-0".to_owned(), Some(200));
    assert_eq!(rows(), 1000 + 1 + 2);
    tokio::time::advance(Duration::from_secs(600)).await;
    ask("real-0".to_owned(), Some(200));
    rows();
    // What nobody asks for any more makes room for the next.
    ask("nope".to_owned(), Some(404));
    let nope = lines(&metrics, &["waypost_picker_requests_total{model=\"nope\""]);
    assert_eq!(nope, r#"waypost_picker_requests_total{model="nope",status="404",reason="routed"} 1"#);
}

/// A request for `model` under an objective, that was answered with this status.
fn asked(requests: &Requests, model: &str, objective: &str, priority: i32, status: u16) -> Model {
    let mut model = requests.routed(Asked { model: Some(model), objective, priority });
    model.answered(Some(status));
    model
}

#[test]
fn requests_are_told_apart_by_objective_and_priority() {
    let metrics = Metrics::new(view::empty());
    let requests = &metrics.traffic.requests;
    let names = ["waypost_picker_routed", "waypost_picker_request_errors", "waypost_picker_running"];
    assert_eq!(lines(&metrics, &names), "");
    let under_way = asked(requests, "llama", "batch", -1, 200);
    drop(asked(requests, "llama", "batch", -1, 503));
    drop(asked(requests, "llama", "", 0, 200));
    // Its priority was changed meanwhile.
    drop(asked(requests, "llama", "batch", -2, 200));
    let labels = Asked { model: Some("llama"), objective: "batch", priority: -1 };
    requests.count(labels, Reason::Refused(RefusalKind::Shed));
    // A model that never answered.
    drop(asked(requests, "qwen", "chat", 5, 404));
    requests.count(Asked { model: Some("qwen"), ..labels }, Reason::Refused(RefusalKind::Shed));
    insta::assert_snapshot!(lines(&metrics, &names), @r#"
        waypost_picker_routed_requests_total{model="llama",objective="",priority="0"} 1
        waypost_picker_routed_requests_total{model="llama",objective="batch",priority="-2"} 1
        waypost_picker_routed_requests_total{model="llama",objective="batch",priority="-1"} 2
        waypost_picker_routed_requests_total{model="other",objective="batch",priority="-1"} 0
        waypost_picker_routed_requests_total{model="other",objective="chat",priority="5"} 1
        waypost_picker_request_errors_total{model="llama",objective="batch",priority="-1",reason="routed"} 1
        waypost_picker_request_errors_total{model="llama",objective="batch",priority="-1",reason="shed"} 1
        waypost_picker_request_errors_total{model="other",objective="batch",priority="-1",reason="shed"} 1
        waypost_picker_request_errors_total{model="other",objective="chat",priority="5",reason="routed"} 1
        waypost_picker_running_requests{model="llama",objective="",priority="0"} 0
        waypost_picker_running_requests{model="llama",objective="batch",priority="-2"} 0
        waypost_picker_running_requests{model="llama",objective="batch",priority="-1"} 1
        waypost_picker_running_requests{model="other",objective="batch",priority="-1"} 0
        waypost_picker_running_requests{model="other",objective="chat",priority="5"} 0
    "#);
    drop(under_way);
    let running = lines(&metrics, &["waypost_picker_running"]);
    assert!(running.lines().all(|line| line.ends_with("} 0")), "{running}");
}

#[tokio::test(start_paused = true)]
async fn series_are_bounded_and_make_room() {
    let metrics = Metrics::new(view::empty());
    let requests = &metrics.traffic.requests;
    let routed = |model: &str| {
        let all = lines(&metrics, &["waypost_picker_routed"]);
        let of = format!("model=\"{model}");
        all.lines().filter(|line| line.contains(&of)).count()
    };
    // Of one model.
    (0..100).for_each(|i| drop(asked(requests, "llama", &format!("o{i}"), i, 200)));
    assert_eq!([routed("llama"), routed("other")], [64, 36]);
    // Of all models, and of those that have no room.
    (0..500).for_each(|i| drop(asked(requests, &format!("m{i}"), "", 0, 200)));
    (0..100).for_each(|i| drop(asked(requests, &format!("m{i}"), &format!("p{i}"), 0, 200)));
    assert_eq!([routed("llama"), routed("m"), routed("other")], [64, 192, 64]);
    // What is counted as of nobody in particular is counted.
    let rest = lines(
        &metrics,
        &["waypost_picker_routed_requests_total{model=\"other\",objective=\"\",priority=\"0\"}"],
    );
    assert_eq!(rest.rsplit(' ').next().unwrap(), (500 - 192 + 100 - 27).to_string());
    tokio::time::advance(Duration::from_secs(600)).await;
    lines(&metrics, &[]);
    drop(asked(requests, "new", "o", 1, 200));
    assert_eq!([routed("llama"), routed("m"), routed("new")], [0, 0, 1]);
}

#[test]
fn every_reason_has_its_row_and_its_name() {
    let all: Vec<_> = Reason::all().collect();
    let names: std::collections::BTreeSet<_> = all.iter().map(|reason| reason.name()).collect();
    assert_eq!((names.len(), all.len()), (15, 15));
    let requests = Requests::default();
    all.iter().for_each(|reason| requests.count(NONE, *reason));
    served(&requests, None);
    requests.count_nothing(Some(200));
    let mut registry = Registry::default();
    registry.register_collector(Box::new(requests));
    let mut text = String::new();
    text::encode(&mut text, &registry).unwrap();
    for reason in all {
        let status = reason.status().unwrap_or(200);
        let labels = format!("status=\"{status}\",reason=\"{}\"}} 1", reason.name());
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
    let names = ["waypost_picker_endpoint", "waypost_picker_in_flight", "waypost_picker_average"];
    insta::assert_snapshot!(lines(&metrics, &names), @r#"
        waypost_picker_endpoints 1
        waypost_picker_average_waiting 3.0
        waypost_picker_average_kv_usage 0.5
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

#[test]
fn the_memory_of_what_plugins_remember_is_told() {
    let hot = Arc::new(Hot::default());
    let metrics = Metrics::new(view::empty()).with_tables(hot.clone());
    let plugins = [
        serde_json::json!({"type": "session-prefix", "name": "talks", "parameters": {"maxSessions": 256}}),
        serde_json::json!({"type": "slow-start"}),
    ];
    hot.offer(&serde_json::json!({"plugins": plugins}), picker_core::config::Scope::File);
    insta::assert_snapshot!(lines(&metrics, &["waypost_picker_plugin_table"]), @r#"
        waypost_picker_plugin_table_bytes{type="session-prefix",plugin="talks"} 24
        waypost_picker_plugin_table_bytes{type="slow-start",plugin="slow-start"} 0
        waypost_picker_plugin_table_max_bytes{type="session-prefix",plugin="talks"} 4120
        waypost_picker_plugin_table_max_bytes{type="slow-start",plugin="slow-start"} 1572864
    "#);
}

/// Of counters the page has the sums by their names with `_total`.
#[test]
fn every_metric_is_documented() {
    let documented = include_str!("../../../docs/observe.md");
    let metrics = Metrics::new(view::empty()).with_tables(Arc::default());
    served(&metrics.traffic.requests, Some("llama")).took(Tokens { prompt: 1, ..Tokens::default() });
    metrics.strategy.swapped("r1", SystemTime::UNIX_EPOCH);
    let text = metrics.text().unwrap();
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    let names = types.map(|(name, kind)| match kind {
        "counter" => format!("`{name}_total`"),
        _ => format!("`{name}`"),
    });
    let unknown: Vec<_> = names.filter(|name| !documented.contains(name)).collect();
    assert_eq!(unknown, Vec::<String>::new());
}
