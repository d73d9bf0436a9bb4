use clap::Parser;
use rstest::rstest;
use serde_json::json;

use super::*;
use crate::args::{Cli, Command};

fn args(line: &[&str]) -> Result<ExplainArgs, String> {
    let cli =
        Cli::try_parse_from(["picker", "explain"].iter().chain(line)).map_err(|error| error.to_string())?;
    match cli.command {
        Some(Command::Explain(args)) => Ok(args),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_request_to_try_is_told_by_flags() {
    let told =
        args(&["--body", "-", "--header", "A: b:c", "--header=d:", "--path", "/v1/x", "-o", "json"]).unwrap();
    let expected = ExplainArgs {
        request_id: None,
        body: Some("-".into()),
        header: vec![("A".into(), "b:c".into()), ("d".into(), String::new())],
        path: Some("/v1/x".into()),
        address: "http://127.0.0.1:9090".parse().unwrap(),
        token_file: None,
        output: Form::Json,
    };
    assert_eq!(told, expected);
}

#[rstest]
#[case(&[], "<REQUEST_ID>")]
#[case(&["id", "--body", "-"], "cannot be used with")]
#[case(&["--header", "a"], "must be NAME:VALUE")]
#[case(&["--header", ":a"], "must be NAME:VALUE")]
#[case(&["id", "--address", "https://x"], "must be like http://127.0.0.1:9090")]
#[case(&["id", "--address", "127.0.0.1:9090"], "must be like http://127.0.0.1:9090")]
fn what_is_wrong_is_said(#[case] line: &[&str], #[case] part: &str) {
    let error = args(line).unwrap_err();
    assert!(error.contains(part), "{error}");
}

#[test]
fn ids_are_written_into_the_query_as_they_are() {
    assert_eq!(escaped("a-B_1.~"), "a-B_1.~");
    assert_eq!(escaped("a&b=c d/ü\n"), "a%26b%3Dc%20d%2F%C3%BC%0A");
}

/// What clients choose can't tell a terminal anything.
#[test]
fn a_decision_as_a_table() {
    let decision = json!({
        "at": "2026-01-02T03:04:05Z", "tookMicroseconds": 12.34, "requestId": "id\u{1b}[2J\n1", "model": "m",
        "revision": "r1", "endpoint": "pod-1-rank-0", "address": "10.0.0.1:8000", "refused": null,
        "candidates": ["pod-0-rank-0", "pod-1-rank-0", "pod-2-rank-0"],
        "steps": [
            {"producer": "p", "tookMicroseconds": 1.0},
            {"profile": "default"},
            {"ejected": ["pod-9-rank-0"], "applied": true},
            {"filter": "track", "remaining": ["pod-0-rank-0", "pod-1-rank-0"], "tookMicroseconds": 0.25,
             "removed": [{"endpoint": "pod-2-rank-0", "why": "label track is canary", "inputs": {"waiting": 3.0}}]},
            {"scorer": "queue-scorer", "weight": 2.0, "scores": [
                {"endpoint": "pod-0-rank-0", "score": 0.333_333, "inputs": {"waiting": 4.0}},
                {"endpoint": "pod-1-rank-0", "score": 1.0, "inputs": {"waiting": null}}]},
            {"picker": "max-score-picker", "picked": ["pod-1-rank-0"], "ties": [], "totals": [
                {"endpoint": "pod-0-rank-0", "total": 0.666_666}, {"endpoint": "pod-1-rank-0", "total": 2.0}]},
            {"destination": "default", "edits": {"headers": {"x-prefiller-host-port": "10.0.0.3:8000"}}},
        ],
    });
    insta::assert_snapshot!(table::table(&decision), @r"
    request id id�[2J�1
    model      m
    decided    2026-01-02T03:04:05Z, 12.3 µs
    revision   r1
    goes to    pod-1-rank-0 (10.0.0.1:8000)
    candidates 3

    profile default
      pod-9-rank-0 fail, and are left out
      filter track leaves 2 of 3, 0.2 µs
          - pod-2-rank-0  label track is canary [waiting 3]
        ENDPOINT      queue-scorer × 2    TOTAL
        pod-1-rank-0  1 [waiting ?]       2       picked
        pod-0-rank-0  0.3333 [waiting 4]  0.6667
      picker max-score-picker picks pod-1-rank-0

    destination is that of profile default
      sets x-prefiller-host-port: 10.0.0.3:8000
    ");
}

#[test]
fn a_refusal_as_a_table() {
    let decision =
        json!({"revision": "r1", "refused": "no-endpoints", "endpoint": null, "candidates": [], "steps": []});
    insta::assert_snapshot!(table::table(&decision), @r"
    decided
    revision   r1
    refused    no-endpoints
    candidates 0
    ");
}
