use std::thread;

use super::*;
use crate::metrics::{Asked, Metrics};
use crate::view;

const USAGE: &str = r#"{"usage":{"prompt_tokens":120,"completion_tokens":30,"prompt_tokens_details":{"cached_tokens":96},
    "completion_tokens_details":{"reasoning_tokens":9}}}"#;

/// The lines of the page about answers: counters, and of histograms the counts.
fn lines(metrics: &Metrics) -> Vec<String> {
    let text = metrics.text().unwrap();
    let counted =
        ["seconds_count{", "bytes_count{", "bytes_sum{", "tokens_count{", "tokens_sum{", "tokens_total{"];
    let wanted = |line: &&str| line.contains("model=\"m\"") && counted.iter().any(|part| line.contains(part));
    let lines = text.lines().filter(wanted).map(|line| line.replacen("waypost_picker_", "", 1));
    lines.map(|line| line.replace("model=\"m\"", "m")).collect()
}

fn answer(metrics: &Metrics, streaming: bool) -> CountedAnswer {
    let asked = Asked { model: Some("m"), objective: "batch", priority: -1 };
    let mut model = metrics.traffic.requests.routed(asked);
    model.sent(4400);
    CountedAnswer::new(model, "/v1/chat/completions", streaming, Instant::now())
}

#[test]
fn between_pieces_little_is_kept() {
    assert!(size_of::<CountedAnswer>() <= 152, "{}", size_of::<CountedAnswer>());
}

#[test]
fn an_answer_that_says_nothing_counts_no_tokens() {
    let metrics = Metrics::new(view::empty());
    let mut silent = answer(&metrics, false);
    silent.head(Some(200), Form::default());
    silent.see(br#"{"usage":null}"#, true);
    assert_eq!(silent.ended(Instant::now()), None);
    assert_eq!(
        lines(&metrics),
        [
            r#"request_duration_seconds_count{m,objective="batch",priority="-1"} 1"#,
            r#"time_to_first_token_seconds_count{m,objective="batch",priority="-1",streaming="false"} 1"#,
            r#"request_size_bytes_sum{m,objective="batch",priority="-1"} 4400.0"#,
            r#"request_size_bytes_count{m,objective="batch",priority="-1"} 1"#,
            r#"response_size_bytes_sum{m,objective="batch",priority="-1"} 14.0"#,
            r#"response_size_bytes_count{m,objective="batch",priority="-1"} 1"#,
        ]
    );
}

#[test]
fn tokens_are_counted_when_the_answer_has_ended_or_is_cut() {
    let metrics = Metrics::new(view::empty());
    let mut cut = answer(&metrics, false);
    cut.head(Some(200), Form::default());
    cut.see(USAGE.as_bytes(), true);
    assert_eq!(lines(&metrics).len(), 3);
    drop(cut);
    assert_eq!(
        lines(&metrics)[..4],
        ["prompt_tokens", "cached_prompt_tokens", "completion_tokens", "reasoning_tokens"]
            .into_iter()
            .zip([120, 96, 30, 9])
            .map(|(name, count)| format!("{name}_total{{m}} {count}"))
            .collect::<Vec<_>>()
    );
    let tokens = lines(&metrics)
        .into_iter()
        .filter(|line| line.starts_with("request_") && line.contains("_tokens_sum"));
    let label = r#"{m,objective="batch",priority="-1"}"#;
    assert_eq!(
        tokens.collect::<Vec<_>>(),
        [("input", 120), ("cached", 96), ("output", 30), ("reasoning", 9)]
            .map(|(name, sum)| format!("request_{name}_tokens_sum{label} {sum}.0"))
    );
}

/// The counts of the metrics of a stream of three arrivals, of which the second has two pieces.
fn stream(metrics: &Metrics, status: u16) {
    let mut answer = answer(metrics, true);
    answer.head(Some(status), Form { encoded: false, events: true });
    for (piece, waited) in [("data: {}", true), ("data: {}", true), ("data: {}", false), (USAGE, true)] {
        // A clock may stand still between two readings.
        thread::yield_now();
        let now = answer.see(piece.as_bytes(), waited);
        assert_eq!(now.is_some(), waited);
    }
    answer.ended(Instant::now());
}

#[test]
fn a_stream_has_times_between_its_arrivals() {
    let metrics = Metrics::new(view::empty());
    stream(&metrics, 200);
    let label = r#"{m,objective="batch",priority="-1"}"#;
    let seconds: Vec<_> = lines(&metrics).into_iter().filter(|line| line.contains("seconds_count")).collect();
    assert_eq!(
        seconds,
        [
            format!("request_duration_seconds_count{label} 1"),
            r#"time_to_first_token_seconds_count{m,objective="batch",priority="-1",streaming="true"} 1"#
                .to_owned(),
            format!("time_per_output_token_seconds_count{label} 1"),
            format!("inter_token_latency_seconds_count{label} 2"),
            format!("normalized_time_per_output_token_seconds_count{label} 1"),
        ]
    );
}

#[test]
fn an_error_has_no_times_and_no_tokens() {
    let metrics = Metrics::new(view::empty());
    stream(&metrics, 200);
    let before = lines(&metrics);
    stream(&metrics, 500);
    let after = lines(&metrics);
    let sizes = |lines: &[String]| {
        let of_requests = lines.iter().filter(|line| line.starts_with("request_size"));
        of_requests.cloned().collect::<Vec<_>>()
    };
    assert_ne!(sizes(&before), sizes(&after));
    let rest = |lines: &[String]| {
        let others = lines.iter().filter(|line| !line.starts_with("request_size"));
        others.cloned().collect::<Vec<_>>()
    };
    assert_eq!(rest(&before), rest(&after));
}
