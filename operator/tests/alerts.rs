//! The alerts of the Helm chart are about metrics that there are, and each has a paragraph in docs/troubleshoot.md.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;
use std::sync::Arc;

use crds::RoutingStrategy;
use operator::cache::Cache;
use operator::metrics::Metrics;
use serde_json::json;

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)).unwrap()
}

/// The values of `field` in the chart's PrometheusRule.
fn all_of(rule: &str, field: &str) -> Vec<String> {
    let lines = rule.lines().filter_map(|line| line.trim_start_matches([' ', '-']).strip_prefix(field));
    lines.map(|value| value.trim().to_owned()).collect()
}

/// The names and labels of all series of an operator with one strategy.
fn exposition() -> String {
    let cache = Cache::default();
    let metrics = Metrics::of(&cache);
    let strategy: RoutingStrategy = serde_json::from_value(json!({
        "apiVersion": "waypost.dev/v1alpha1", "kind": "RoutingStrategy",
        "metadata": {"name": "chat", "namespace": "llm"}, "spec": {"pools": []},
        "status": {
            "conditions": [{"type": "Ready", "status": "True", "reason": "Ready", "message": "",
                "lastTransitionTime": "2026-01-01T00:00:00Z"}],
            "pools": [{"name": "a", "bound": true, "state": "Ready", "traffic": "Pickers"}],
        },
    }))
    .unwrap();
    cache.strategies.insert("llm", "chat", Arc::new(strategy));
    metrics.lags([("llm".to_owned(), "chat".to_owned(), 0)]);
    metrics.text()
}

#[test]
fn alerts_are_about_metrics_that_there_are() {
    let (rule, text) = (read("charts/waypost/templates/prometheusrule.yaml"), exposition());
    let expressions = all_of(&rule, "expr:");
    assert!(!expressions.is_empty());
    for expression in expressions {
        let words = expression.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let metrics: Vec<_> = words.filter(|word| word.starts_with("waypost_")).collect();
        assert!(!metrics.is_empty(), "{expression}");
        for metric in metrics {
            let series: Vec<_> = text.lines().filter(|line| line.starts_with(metric)).collect();
            assert!(!series.is_empty(), "{metric} of {expression}");
            // Labels of selectors and groups are those of the metric.
            for label in ["namespace", "name", "type", "status", "state", "traffic"] {
                let asks = [
                    format!("{metric}{{{label}="),
                    format!("({label},"),
                    format!(" {label},"),
                    format!(" {label})"),
                ];
                let is_label = asks.iter().any(|asked| expression.contains(asked.as_str()));
                let has = series.iter().any(|line| line.contains(&format!("{label}=\"")));
                assert!(!is_label || has, "{label} of {expression}");
            }
        }
    }
}

#[test]
fn every_alert_has_a_paragraph() {
    let rule = read("charts/waypost/templates/prometheusrule.yaml");
    let (alerts, page) = (all_of(&rule, "alert:"), read("docs/troubleshoot.md"));
    let runbooks: Vec<String> = alerts.iter().map(|alert| format!("#{}", alert.to_lowercase())).collect();
    let told: Vec<String> = all_of(&rule, "runbook_url:")
        .iter()
        .map(|url| url.split_once('#').map(|(_, anchor)| format!("#{anchor}")).unwrap_or_default())
        .collect();
    assert_eq!(told, runbooks);
    let headings: Vec<&str> = page.lines().filter_map(|line| line.strip_prefix("### Waypost")).collect();
    let named: Vec<&str> = alerts.iter().filter_map(|alert| alert.strip_prefix("Waypost")).collect();
    assert_eq!(headings, named);
}
