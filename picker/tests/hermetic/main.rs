//! The hermetic cases of llm-d Router's integration tests, with the same three pods, against the picker's process.
//!
//! Names and pods are those of `test/integration/epp` there. Their model servers are a fake in the process; here they are
//! ports that answer scrapes. Theirs rename models on the way: ours don't, so clients name the adapter themselves. Where
//! another answer is expected on purpose, the case says why.

#![allow(clippy::unwrap_used)]

mod exchange;
mod pods;
#[path = "../running/mod.rs"]
mod running;

use rstest::rstest;

use exchange::{Answer, Ask, Body, ask};
use pods::{Pod, Pods, pod};

/// The configuration of their tests.
const DEFAULT: &str = "- type: queue-scorer
- type: kv-cache-utilization-scorer
- type: prefix-cache-scorer
- type: lora-affinity-scorer
- type: openai-parser
schedulingProfiles:
- name: default
  plugins:
  - pluginRef: queue-scorer
  - pluginRef: kv-cache-utilization-scorer
  - pluginRef: prefix-cache-scorer
  - pluginRef: lora-affinity-scorer
requestHandler:
  parsers:
  - pluginRef: openai-parser
";

const PASSTHROUGH: &str = "- type: queue-scorer
- type: kv-cache-utilization-scorer
- type: passthrough-parser
schedulingProfiles:
- name: default
  plugins:
  - pluginRef: queue-scorer
  - pluginRef: kv-cache-utilization-scorer
requestHandler:
  parsers:
  - pluginRef: passthrough-parser
";

const MY_MODEL: &str = "my-model-12345";
const SQL_LORA: &str = "sql-lora-1fdg2";
const SHEDDABLE: &str = "sql-lora-1fdg3";
const DIRECT: &str = "direct-model";

/// The body of a completion, in one piece.
fn llm(prompt: &str, model: &str) -> Body {
    Body::Pieces(vec![format!(
        r#"{{"max_tokens":100,"model":"{model}","prompt":"{prompt}","temperature":0}}"#
    )])
}

fn raw(pieces: &[&str]) -> Body {
    Body::Pieces(pieces.iter().map(|&piece| piece.to_owned()).collect())
}

#[rstest]
#[case::select_lower_queue_and_kv_cache(
    DEFAULT, llm("test1", MY_MODEL), &[],
    vec![pod(3, 0.2, &[]), pod(0, 0.1, &[]), pod(10, 0.2, &[])],
    Answer::Pod(1),
)]
#[case::select_active_lora_low_queue(
    DEFAULT, llm("test2", SQL_LORA), &[],
    vec![pod(0, 0.2, &["foo", "bar"]), pod(0, 0.1, &["foo", SQL_LORA]), pod(10, 0.2, &["foo", "bar"])],
    Answer::Pod(1),
)]
#[case::select_lora_despite_higher_kv_cache(
    DEFAULT, llm("test3", SQL_LORA), &[],
    vec![pod(10, 0.2, &["foo", "bar"]), pod(10, 0.4, &["foo", SQL_LORA]), pod(10, 0.3, &["foo"])],
    Answer::Pod(1),
)]
#[case::passthrough_parser_success(
    PASSTHROUGH, raw(&["passthrough-parser"]), &[],
    vec![pod(3, 0.2, &[]), pod(0, 0.1, &[]), pod(10, 0.2, &[])],
    Answer::Pod(1),
)]
#[case::do_not_shed_requests_by_default(
    DEFAULT, llm("test4", SQL_LORA), &[],
    vec![pod(6, 0.2, &["foo", "bar", SQL_LORA]), pod(0, 0.85, &["foo"]), pod(10, 0.9, &["foo"])],
    Answer::Pod(0),
)]
#[case::invalid_json_body(
    DEFAULT, raw(&["no healthy upstream"]), &[],
    vec![pod(0, 0.2, &["foo", "bar"])],
    Answer::Refused(400, "rejected-bad-body"),
)]
#[case::split_body_across_chunks(
    DEFAULT,
    raw(&[r#"{"max_tokens":100,"model":"sql-lo"#, r#"ra-1fdg3","prompt":"test6","temperature":0}"#]),
    &[],
    vec![pod(4, 0.2, &["foo", "bar", SHEDDABLE]), pod(4, 0.85, &["foo", SHEDDABLE])],
    Answer::Pod(0),
)]
// Theirs answers 500 for a pool without pods: nobody is to blame but the pool.
#[case::no_backend_pods_available(
    DEFAULT, Body::None, &[], vec![],
    Answer::Refused(503, "rejected-no-endpoints"),
)]
// Theirs refuses it with 400: ours leaves it to the model servers, which may have a default model.
#[case::request_missing_model_field(
    DEFAULT, raw(&[r#"{"prompt":"hello world"}"#]), &[],
    vec![pod(3, 0.2, &[]), pod(0, 0.1, &[]), pod(10, 0.2, &[])],
    Answer::Pod(1),
)]
#[case::subsetting_select_best_from_subset(
    DEFAULT, llm("test2", SQL_LORA), &[Some(0), Some(1), Some(2)],
    vec![pod(0, 0.2, &["foo"]), pod(0, 0.1, &["foo", SQL_LORA]), pod(10, 0.2, &["foo"])],
    Answer::Pod(1),
)]
#[case::subsetting_partial_match(
    DEFAULT, llm("test2", SQL_LORA), &[Some(2)],
    vec![pod(0, 0.2, &["foo"]), pod(0, 0.1, &["foo", SQL_LORA]), pod(10, 0.2, &["foo"])],
    Answer::Pod(2),
)]
#[case::subsetting_no_pods_match(
    DEFAULT, llm("test2", SQL_LORA), &[None],
    vec![pod(0, 0.2, &["foo"]), pod(0, 0.1, &["foo", SQL_LORA])],
    Answer::Refused(503, "rejected-no-endpoints"),
)]
#[case::passthrough_model_not_in_objectives(
    DEFAULT,
    raw(&[r#"{"max_tokens":100,"model":"direct-"#, r#"model","prompt":"test6","temperature":0}"#]),
    &[],
    vec![pod(4, 0.2, &["foo", "bar", SHEDDABLE])],
    Answer::Pod(0),
)]
// Theirs renames the model by an InferenceModelRewrite. Here that is not built: the body goes as it came.
#[case::rewrite_request_model(
    DEFAULT, llm("test-rewrite", "model-to-be-rewritten"), &[],
    vec![pod(0, 0.1, &["foo", "rewritten-model"])],
    Answer::Pod(0),
)]
// Theirs picks any pod of the whole pool for a request without a body. Ours decides as for every other one.
#[case::protocol_simple_get_header_only(
    DEFAULT, Body::None, &[],
    vec![pod(3, 0.2, &[]), pod(0, 0.1, &[]), pod(10, 0.2, &[])],
    Answer::Pod(1),
)]
#[tokio::test(flavor = "multi_thread")]
async fn requests_go_where_llm_d_sends_them(
    #[case] routing: &str,
    #[case] body: Body,
    #[case] subset: &[Option<usize>],
    #[case] pods: Vec<Pod>,
    #[case] expected: Answer,
) {
    let pods = Pods::start(routing, pods).await;
    let subset = (!subset.is_empty()).then(|| subset.iter().map(|n| pods.address(*n)).collect());
    let seen = ask(&pods, Ask { body: body.clone(), subset, ..Ask::default() }).await;
    assert_eq!(seen.answer, expected);
    if let (Answer::Pod(_), Body::Pieces(pieces)) = (&expected, &body) {
        // What the server gets is what the client sent, byte for byte.
        assert_eq!(seen.request_body, pieces.concat());
    }
}

/// Theirs buffers what is no stream until its end. Ours hands on each piece as it comes, and is asked about the request
/// first, as by every gateway.
#[rstest]
#[case::response_buffering_multi_chunk_json(
    "application/json",
    &[r#"{"max_tokens":100,"model":"sql-lo"#, r#"ra-sheddable","prompt":"test6","temperature":0}"#],
)]
#[case::response_buffering_invalid_json("application/json", &["no healthy upstream"])]
#[case::response_buffering_empty_eos_chunk_json(
    "application/json",
    &[r#"{"max_tokens":100,"model":"sql-lora-sheddable","prompt":"test6","temperature":0}"#, ""],
)]
#[case::response_streaming_sse_token_counting(
    "text/event-stream",
    &[
        "data: {}",
        "data: {\"usage\":{\"prompt_tokens\":7,\"total_tokens\":17,\"completion_tokens\":10}}\ndata: [DONE]",
        "",
    ],
)]
#[tokio::test(flavor = "multi_thread")]
async fn answers_pass_unchanged_and_their_tokens_are_counted(
    #[case] content_type: &'static str,
    #[case] pieces: &[&str],
) {
    let pods = Pods::start(DEFAULT, vec![pod(4, 0.2, &[SHEDDABLE])]).await;
    let response = Some((content_type, pieces.iter().map(|&piece| piece.to_owned()).collect()));
    let seen = ask(&pods, Ask { body: llm("test6", DIRECT), response, ..Ask::default() }).await;
    assert_eq!((seen.answer, seen.response_body), (Answer::Pod(0), pieces.concat()));
    if content_type == "text/event-stream" {
        let count =
            |name: &str, count: u32| format!("waypost_picker_{name}_total{{model=\"{DIRECT}\"}} {count}");
        let counts = [count("prompt_tokens", 7), count("completion_tokens", 10)];
        pods.picker.until("/metrics", |page| counts.iter().all(|count| page.contains(count))).await;
    }
}

/// A routing whose profile has this plugin of sessions.
fn sessions(plugin: &str) -> String {
    format!(
        "- type: {plugin}
  name: sessions
- type: agent-identity
- type: queue-scorer
- type: max-score-picker
schedulingProfiles:
- name: default
  plugins:
  - pluginRef: sessions
  - pluginRef: queue-scorer
  - pluginRef: max-score-picker
"
    )
}

#[rstest]
#[case::session_affinity_filter_request_flow("session-affinity-filter")]
#[case::session_affinity_scorer_request_flow("session-affinity-scorer")]
#[tokio::test(flavor = "multi_thread")]
async fn a_session_stays_where_its_token_says(#[case] plugin: &str) {
    let pods = Pods::start(&sessions(plugin), vec![pod(0, 0.1, &[MY_MODEL]), pod(0, 0.1, &[MY_MODEL])]).await;
    let send = async |headers: Vec<(&'static str, String)>| {
        let response = Some(("application/json", vec!["{}".to_owned()]));
        ask(&pods, Ask { body: llm("hello", MY_MODEL), headers, response, ..Ask::default() }).await
    };
    let first = send(vec![]).await;
    let token = first.response_headers.iter().find(|(name, _)| name == "x-session-token").unwrap().1.clone();
    for _ in 0..8 {
        let next = send(vec![("x-session-token", token.clone())]).await;
        assert_eq!(next.answer, first.answer);
    }
}

#[rstest]
#[case::session_affinity_filter_session_id_header_strategy("session-affinity-filter")]
#[case::session_affinity_scorer_session_id_header_strategy("session-affinity-scorer")]
#[tokio::test(flavor = "multi_thread")]
async fn a_session_stays_where_its_first_request_went(#[case] plugin: &str) {
    let sources = "{strategy: session_id, sessionIdConfig: {sources: [{header: x-session-id}, {attribute: agent-identity}]}}";
    let routing =
        sessions(plugin).replace("  name: sessions", &format!("  name: sessions\n  parameters: {sources}"));
    let pods = Pods::start(&routing, vec![pod(0, 0.1, &[MY_MODEL]), pod(0, 0.1, &[MY_MODEL])]).await;
    let send = async |headers: &[(&'static str, &str)]| {
        let headers = headers.iter().map(|&(name, value)| (name, value.to_owned())).collect();
        ask(&pods, Ask { body: llm("hello", MY_MODEL), headers, ..Ask::default() }).await.answer
    };
    let (session, agent) = (("x-session-id", "sess-A"), ("x-claude-code-session-id", "agent-B"));
    for headers in [&[session][..], &[agent]] {
        let first = send(headers).await;
        for _ in 0..8 {
            assert_eq!(send(headers).await, first);
        }
    }
    // The first source that has an id counts: of an agent that is at the other server, if chance brings one there.
    let at = send(&[session]).await;
    for n in 0..64 {
        let other = format!("agent-{n}");
        let other = ("x-claude-code-session-id", other.as_str());
        if send(&[other]).await != at {
            assert_eq!(send(&[session, other]).await, at);
            return;
        }
    }
    panic!("64 agents are at one server");
}
