use std::time::Duration;

use picker_core::View;
use picker_core::config::Scope;
use picker_core::endpoint::{EndpointId, EndpointSpec, Labels, Slots};
use picker_core::trace::Step;
use picker_core::view::Reading;
use serde_json::{Value, json};

use super::*;
use crate::view;

/// Two pods, of which nothing is known.
pub(crate) fn dry_runs(routing: &Value) -> DryRuns {
    let mut slots = Slots::default();
    let rows = (0..2).map(|n| {
        let endpoint = slots.admit(EndpointSpec {
            id: EndpointId { pod_uid: format!("uid-{n}").into(), port: 8000, rank: 0 },
            pod: format!("pod-{n}"),
            namespace: "ns".to_owned(),
            address: ([10, 0, 0, n], 8000).into(),
            labels: Labels::new(),
        });
        (Arc::new(endpoint), Reading::default())
    });
    let (hot, view) = (Arc::new(Hot::default()), view::empty());
    view.store(Arc::new(View::build(rows.collect(), Instant::now(), Duration::from_secs(60))));
    hot.offer(routing, Scope::Resource);
    DryRuns { hot, view, policies: Policies::default() }
}

fn tried(headers: &[(&str, &str)], body: &str) -> DryRunRequest {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    DryRunRequest { path: default_path(), headers, body: body.to_owned() }
}

fn by_prefix() -> Value {
    json!({"plugins": [{"type": "prefix-cache-scorer"}, {"type": "active-request-scorer"}]})
}

/// As often as it is done, it finds no prompt cached, and nothing in flight.
#[test]
fn a_dry_run_leaves_nothing_behind() {
    let dry_runs = dry_runs(&by_prefix());
    let prompt = "many words ".repeat(100);
    let body = json!({"model": "m", "messages": [{"role": "user", "content": prompt}]}).to_string();
    for _ in 0..5 {
        let kept = dry_runs.decide(tried(&[("X-Request-ID", " id-1 ")], &body)).unwrap();
        assert_eq!((kept.request_id.as_deref(), kept.model.as_deref()), (Some("id-1"), Some("m")));
        let read = |step: &Step| match step {
            Step::Scored { inputs, .. } => {
                Some(inputs.iter().map(|i| (i.name.to_string(), i.value(1))).collect::<Vec<_>>())
            }
            _ => None,
        };
        let read: Vec<_> = kept.steps.iter().filter_map(read).collect();
        assert_eq!(read[0][0], ("matchedBlocks".to_owned(), 0.0));
        assert!(read[0][1].1 > 1.0, "{read:?}");
        assert_eq!(read[1], [("inFlight".to_owned(), 0.0)]);
        assert!(kept.outcome.is_ok() && kept.step_took.len() == kept.steps.len());
    }
}

/// As with requests that are sent: of a strategy that reads no bodies, a model is not known.
#[test]
fn a_body_that_nobody_reads_is_not_read() {
    let dry_runs = dry_runs(&json!({"plugins": [{"type": "random-picker"}]}));
    let kept = dry_runs.decide(tried(&[], "{ this is no JSON")).unwrap();
    assert_eq!((kept.model, kept.outcome.is_ok()), (None, true));
}

#[test]
fn what_is_no_request_is_told() {
    let dry_runs = dry_runs(&by_prefix());
    let told = |tried: DryRunRequest| dry_runs.decide(tried).unwrap_err().to_string();
    let mut path = tried(&[], "");
    path.path = "v1".to_owned();
    assert_eq!(told(path), "path: must begin with /");
    let many = vec![("a", "b"); MAX_HEADERS + 1];
    assert_eq!(told(tried(&many, "")), "headers: there may be 256 of them");
    for name in ["", ":path", "a b", "ü"] {
        let expected = format!("headers[1]: {name:?} is no name of a header");
        assert_eq!(told(tried(&[("a", "b"), (name, "c")], "")), expected);
    }
    let none = DryRuns { hot: Arc::default(), ..dry_runs.clone() };
    assert_eq!(none.decide(tried(&[], "")).unwrap_err(), DryRunError::NoStrategy);
}

#[test]
fn a_refusal_is_a_decision_too() {
    let dry_runs = dry_runs(&by_prefix());
    dry_runs.view.store(Arc::new(View::empty()));
    assert_eq!(dry_runs.decide(tried(&[], "")).unwrap().outcome, Err("no-endpoints"));
}
