use crds::RoutingStrategy;
use serde_json::json;

use super::*;

fn label() -> StrategyLabels {
    StrategyLabels { namespace: "llm".to_owned(), name: "chat".to_owned() }
}

#[test]
fn strategies_are_told_as_they_are_in_the_cache() {
    let cache = Cache::default();
    let metrics = Metrics::of(&cache);
    let pool = |name: &str, state: &str, traffic: &str| json!({"name": name, "bound": true, "state": state, "traffic": traffic});
    let condition = |kind: &str, status: &str| {
        json!({"type": kind, "status": status, "reason": "X", "message": "",
            "lastTransitionTime": "2026-01-01T00:00:00Z"})
    };
    let strategy: RoutingStrategy = serde_json::from_value(json!({
        "apiVersion": "waypost.dev/v1alpha1", "kind": "RoutingStrategy",
        "metadata": {"name": "chat", "namespace": "llm"}, "spec": {"pools": []},
        "status": {
            "conditions": [condition("Ready", "False"), condition("Accepted", "True")],
            "pools": [pool("a", "Ready", "Pickers"), pool("b", "Ready", "Pickers"), pool("c", "Degraded", "FailOpen")],
        },
    }))
    .unwrap();
    cache.strategies.insert("llm", "chat", Arc::new(strategy));
    let mine = |text: String| -> Vec<String> {
        let lines = text.lines().filter(|line| line.starts_with("waypost_strategy_")).map(str::to_owned);
        lines.filter(|line| line.contains("chat")).collect()
    };
    assert_eq!(
        mine(metrics.text()),
        [
            r#"waypost_strategy_condition{namespace="llm",name="chat",type="Ready",status="False"} 1"#,
            r#"waypost_strategy_condition{namespace="llm",name="chat",type="Accepted",status="True"} 1"#,
            r#"waypost_strategy_pools{namespace="llm",name="chat",state="Degraded",traffic="FailOpen"} 1"#,
            r#"waypost_strategy_pools{namespace="llm",name="chat",state="Ready",traffic="Pickers"} 2"#,
        ]
    );
    cache.strategies.remove("llm", "chat");
    assert_eq!(mine(metrics.text()), Vec::<String>::new());
    metrics.edit_to_live.get_or_create(&label()).observe(0.3);
    let told = metrics.text();
    let bucket = r#"waypost_strategy_edit_to_live_seconds_bucket{le="0.5",namespace="llm",name="chat"} 1"#;
    assert!(told.contains(bucket), "{told}");
    // Of a strategy that is gone nothing stays.
    metrics.lags([("llm".to_owned(), "chat".to_owned(), 0)]);
    metrics.lags([]);
    assert_eq!(mine(metrics.text()), Vec::<String>::new());
}

#[test]
fn shows_what_was_counted() {
    let metrics = Metrics::default();
    metrics.wrote("apply", "Deployment", "ok");
    metrics.lags([("llm".to_owned(), "chat".to_owned(), 2)]);
    let text = metrics.text();
    for line in [
        r#"waypost_operator_writes_total{verb="apply",kind="Deployment",result="ok"} 1"#,
        r#"waypost_operator_generation_lag{namespace="llm",name="chat"} 2"#,
        "waypost_operator_leader 0",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
    // The series is the same one, not another in its place.
    let series = || metrics.generation_lag.get_or_create(&label()).clone();
    let before = series();
    metrics.lags([("llm".to_owned(), "chat".to_owned(), 3)]);
    before.inc();
    assert_eq!(series().get(), 4);
    metrics.lags([]);
    assert!(!metrics.text().contains("chat"));
}
