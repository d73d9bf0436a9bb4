use std::time::Duration;

use bytes::Bytes;
use picker_core::Hot;
use picker_core::config::Scope;
use picker_core::endpoint::{EndpointId, EndpointSpec, Labels, Slots};
use picker_core::request::Headers;
use picker_core::view::{Reading, Signals};
use serde_json::json;

use super::*;

/// Three pods, of which these requests wait.
fn view(waiting: [f32; 3]) -> View {
    let mut slots = Slots::default();
    let rows = waiting.into_iter().enumerate().map(|(n, waiting)| {
        let endpoint = slots.admit(EndpointSpec {
            id: EndpointId { pod_uid: format!("uid-{n}").into(), port: 8000, rank: 0 },
            pod: format!("pod-{n}"),
            namespace: "ns".to_owned(),
            address: ([10, 0, 0, n as u8], 8000).into(),
            labels: Labels::from([("track".to_owned(), ["stable", "stable", "canary"][n].to_owned())]),
        });
        let signals = Signals { waiting: Some(waiting), ..Signals::default() };
        (Arc::new(endpoint), Reading { signals, at: Some(std::time::Instant::now()) })
    });
    View::build(rows.collect(), std::time::Instant::now(), Duration::from_secs(60))
}

fn strategy(pods: &str) -> Arc<Strategy> {
    let hot = Hot::default();
    let routing = json!({
        "plugins": [
            {"type": "label-selector-filter", "name": "track", "parameters": {"matchLabels": {"track": pods}}},
            {"type": "queue-scorer"},
            {"type": "active-request-scorer"},
        ],
        "schedulingProfiles": [{"name": "default", "plugins": [
            {"pluginRef": "track"},
            {"pluginRef": "queue-scorer", "weight": 2},
            {"pluginRef": "active-request-scorer"},
        ]}],
        "explain": {"samplePercent": 100},
    });
    hot.offer(&routing, Scope::Resource);
    hot.current().unwrap()
}

fn request(id: &str) -> Request {
    let headers = Headers(vec![("x-request-id".into(), Bytes::copy_from_slice(id.as_bytes()))]);
    Request { headers, ..Request::default() }
}

fn route(decisions: &Decisions, strategy: &Strategy, id: &str) {
    let mut cx = Cx::new(std::time::Instant::now(), 1);
    let _ =
        decisions.route(strategy, &request(id), &view([4.0, 1.0, 0.0]), None, Prepared::default(), &mut cx);
}

/// Whoever reads it can work out the choice: the highest sum of weight times score.
#[test]
fn every_step_is_kept_and_the_choice_follows_from_it() {
    let decisions = Decisions::default();
    let strategy = strategy("stable");
    assert!((strategy.explained - 1.0).abs() < 1e-9);
    route(&decisions, &strategy, "id-1");
    let kept = decisions.kept();
    let [kept] = &*kept else { panic!("{kept:?}") };
    let steps = vec![
        Step::Profile("default".to_owned()),
        Step::Filtered { plugin: "track".to_owned(), left: vec![0, 1] },
        Step::Scored { plugin: "queue-scorer".to_owned(), weight: 2.0, scores: vec![(0, 0.0), (1, 1.0)] },
        Step::Scored {
            plugin: "active-request-scorer".to_owned(),
            weight: 1.0,
            scores: vec![(0, 1.0), (1, 1.0)],
        },
        Step::Picked { plugin: "max-score-picker".to_owned(), picked: vec![1] },
    ];
    assert_eq!(kept.steps, steps);
    assert_eq!((kept.outcome, kept.request_id.as_deref()), (Ok(1), Some("id-1")));
    assert_eq!(kept.revision, strategy.revision);
    let mut totals = [0.0; 3];
    for step in &kept.steps {
        if let Step::Scored { weight, scores, .. } = step {
            scores.iter().for_each(|(i, score)| totals[*i] += weight * score);
        }
    }
    assert_eq!(totals, [1.0, 3.0, 0.0]);
}

#[test]
fn a_refused_request_is_kept_with_the_reason() {
    let decisions = Decisions::default();
    route(&decisions, &strategy("none"), "id-1");
    let kept = decisions.kept();
    assert_eq!(kept[0].outcome, Err("all-filtered"));
    let left = Step::Filtered { plugin: "track".to_owned(), left: vec![] };
    assert_eq!(kept[0].steps[1], left);
}

/// However many there are, and whatever clients write into their headers.
#[test]
fn the_newest_are_kept_within_a_bound_of_bytes() {
    let decisions = Decisions::default();
    let strategy = strategy("stable");
    for n in 0..5000 {
        route(&decisions, &strategy, &format!("{n}-{}", "ä".repeat(n % 300)));
    }
    let kept = decisions.kept();
    let bytes: usize = kept.iter().map(|kept| kept.bytes()).sum();
    assert!(bytes <= MAX_BYTES && bytes > MAX_BYTES - 4096, "{bytes}");
    assert_eq!(decisions.0.lock().unwrap().bytes, bytes);
    let ids: Vec<_> = kept.iter().map(|kept| kept.request_id.clone().unwrap()).collect();
    assert!(ids.iter().all(|id| id.len() <= MAX_NAME));
    let number = |id: &String| id.split('-').next().unwrap().parse::<usize>().unwrap();
    let numbers: Vec<_> = ids.iter().map(number).collect();
    assert_eq!(numbers, (5000 - kept.len()..5000).rev().collect::<Vec<_>>());
}
