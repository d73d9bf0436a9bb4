use std::time::Duration;

use picker_core::View;
use picker_core::config::Scope;
use picker_core::endpoint::{EndpointId, EndpointSpec, Labels, Slots};
use picker_core::http::NoClient;
use picker_core::trace::Step;
use picker_core::view::Reading;
use serde_json::{Value, json};

use super::*;
use crate::view;

/// Two pods, of which nothing is known.
pub(crate) fn rehearsals(routing: &Value) -> Rehearsals {
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
    Rehearsals { hot, view, priorities: SharedPriorities::default(), http: Arc::new(NoClient) }
}

fn tried(headers: &[(&str, &str)], body: &str) -> Tried {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Tried { path: default_path(), headers, body: body.to_owned() }
}

fn by_prefix() -> Value {
    json!({"plugins": [{"type": "prefix-cache-scorer"}, {"type": "active-request-scorer"}]})
}

/// As often as it is tried, it finds no prompt cached, and nothing in flight.
#[tokio::test]
async fn a_request_that_is_tried_leaves_nothing_behind() {
    let rehearsals = rehearsals(&by_prefix());
    let prompt = "many words ".repeat(100);
    let body = json!({"model": "m", "messages": [{"role": "user", "content": prompt}]}).to_string();
    for _ in 0..5 {
        let kept = rehearsals.decide(tried(&[("X-Request-ID", " id-1 ")], &body)).await.unwrap();
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
#[tokio::test]
async fn a_body_that_nobody_reads_is_not_read() {
    let rehearsals = rehearsals(&json!({"plugins": [{"type": "random-picker"}]}));
    let kept = rehearsals.decide(tried(&[], "{ this is no JSON")).await.unwrap();
    assert_eq!((kept.model, kept.outcome.is_ok()), (None, true));
}

#[tokio::test]
async fn what_can_not_be_tried_is_told() {
    let rehearsals = rehearsals(&by_prefix());
    let told = |tried: Tried| {
        let rehearsals = &rehearsals;
        async move { rehearsals.decide(tried).await.unwrap_err().to_string() }
    };
    let mut path = tried(&[], "");
    path.path = "v1".to_owned();
    assert_eq!(told(path).await, "path: must begin with /");
    let many = vec![("a", "b"); MAX_HEADERS + 1];
    assert_eq!(told(tried(&many, "")).await, "headers: there may be 256 of them");
    for name in ["", ":path", "a b", "ü"] {
        let expected = format!("headers[1]: {name:?} is no name of a header");
        assert_eq!(told(tried(&[("a", "b"), (name, "c")], "")).await, expected);
    }
    let none = Rehearsals { hot: Arc::default(), ..rehearsals.clone() };
    assert_eq!(none.decide(tried(&[], "")).await.unwrap_err(), Untried::NoStrategy);
}

#[tokio::test]
async fn a_refusal_is_a_decision_too() {
    let rehearsals = rehearsals(&by_prefix());
    rehearsals.view.store(Arc::new(View::empty()));
    assert_eq!(rehearsals.decide(tried(&[], "")).await.unwrap().outcome, Err("no-endpoints"));
}
