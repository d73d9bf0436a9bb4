//! Token counts of the picker against those of vLLM, for every API that it serves.

use anyhow::{Result, ensure};
use e2e::test_env::Checks;
use e2e::tools::vllm::{ADAPTER, MODEL};
use e2e::until;
use serde_json::{Value, json};

use crate::PATIENCE;
use crate::gateway::{Gateway, words};
use crate::server::Server;

/// Tokens of prompts, those of them that were cached, and tokens that were made.
type Counts = [u64; 3];

/// One request of each kind that vLLM counts tokens of, and whether its answer says them. None asks for several choices:
/// vLLM's own counters have the prompt once for each, its answers once.
fn requests() -> Vec<(&'static str, Value, bool)> {
    let text = words(40, 60);
    let messages = json!([{"role": "user", "content": text}]);
    let usage = json!({"include_usage": true});
    let each = json!({"include_usage": true, "continuous_usage_stats": true});
    vec![
        ("/v1/completions", json!({"prompt": text, "max_tokens": 3}), true),
        ("/v1/completions", json!({"prompt": [text, words(41, 60)], "max_tokens": 3}), true),
        (
            "/v1/completions",
            json!({"prompt": text, "max_tokens": 3, "stream": true, "stream_options": usage}),
            true,
        ),
        (
            "/v1/completions",
            json!({"prompt": text, "max_tokens": 3, "stream": true, "stream_options": each}),
            true,
        ),
        ("/v1/completions", json!({"prompt": text, "max_tokens": 3, "stream": true}), false),
        ("/v1/chat/completions", json!({"messages": messages, "max_tokens": 3}), true),
        ("/v1/chat/completions", json!({"model": ADAPTER, "messages": messages, "max_tokens": 3}), true),
        (
            "/v1/chat/completions",
            json!({"messages": messages, "max_tokens": 3, "stream": true, "stream_options": each}),
            true,
        ),
        ("/v1/responses", json!({"input": text, "max_output_tokens": 3}), true),
        ("/v1/responses", json!({"input": text, "max_output_tokens": 3, "stream": true}), true),
        ("/v1/messages", json!({"messages": messages, "max_tokens": 3}), true),
        ("/v1/messages", json!({"messages": messages, "max_tokens": 3, "stream": true}), true),
    ]
}

/// Sends each request twice, the second time with its prompt in a cache, and compares what is counted more.
pub async fn are_counted_as_vllm_counts_them(
    gateway: &Gateway,
    servers: &[Server],
    checks: &Checks,
) -> Result<()> {
    let mut equal = 0;
    let all: Vec<_> = requests().into_iter().flat_map(|request| [request.clone(), request]).collect();
    for (path, mut body, said) in all.iter().cloned() {
        if body["model"].is_null() {
            body["model"] = json!(MODEL);
        }
        let before = (vllm(gateway, servers).await?, picker(gateway).await?);
        let (status, answer) = gateway.post(path, &body).await?;
        ensure!(status == 200, "{path}: {status}: {answer}");
        // vLLM counts a request after it has answered.
        let counted = until("vLLM to count the request", PATIENCE, || async {
            let counted = more(vllm(gateway, servers).await?, before.0);
            ensure!(counted[0] > 0 && counted[2] > 0, "{counted:?}");
            Ok(counted)
        });
        let counted = counted.await?;
        let mut wanted = if said { counted } else { [0; 3] };
        if body["prompt"].is_array() {
            // Of several prompts vLLM's answer says how much of the last one was cached, and its counter how much of all.
            wanted[1] = cached(&answer)?;
        }
        let same = until("the same counts", std::time::Duration::from_secs(2), || async {
            let ours = more(picker(gateway).await?, before.1);
            let streamed = if body["stream"] == true { ", streamed" } else { "" };
            ensure!(ours == wanted, "{path}{streamed}: the picker counts {ours:?}, vLLM {counted:?}");
            Ok(())
        });
        match same.await {
            Ok(()) => equal += 1,
            Err(error) => checks.check(false, error.root_cause().to_string()),
        }
    }
    checks.measured(format!("tokens of {equal} of {} requests counted as vLLM counts them", all.len()));
    Ok(())
}

/// The cached tokens of the prompt, by an answer.
fn cached(answer: &str) -> Result<u64> {
    let answer: Value = serde_json::from_str(answer)?;
    let cached = &answer["usage"]["prompt_tokens_details"]["cached_tokens"];
    ensure!(cached.is_u64() || cached.is_null(), "{answer}");
    Ok(cached.as_u64().unwrap_or_default())
}

fn more(after: Counts, before: Counts) -> Counts {
    std::array::from_fn(|at| after[at] - before[at])
}

async fn vllm(gateway: &Gateway, servers: &[Server]) -> Result<Counts> {
    let mut sums = [0; 3];
    for server in servers {
        let metrics = server.metrics(gateway.client()).await?;
        let names = ["prompt_tokens_total", "prompt_tokens_cached_total", "generation_tokens_total"];
        for (sum, name) in sums.iter_mut().zip(names) {
            *sum += metrics.sum(&format!("vllm:{name}"), &[]) as u64;
        }
    }
    Ok(sums)
}

async fn picker(gateway: &Gateway) -> Result<Counts> {
    let metrics = gateway.metrics().await?;
    let names = ["prompt_tokens_total", "cached_prompt_tokens_total", "completion_tokens_total"];
    Ok(names.map(|name| metrics.sum(&format!("waypost_picker_{name}"), &[]) as u64))
}
