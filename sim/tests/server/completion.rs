//! `/v1/completions`

use serde_json::{Value, json};

use crate::support::{config, start};

const COMPLETIONS: &str = "/v1/completions";

fn texts(reply: &Value) -> Vec<&str> {
    reply["choices"].as_array().unwrap().iter().map(|choice| choice["text"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn answers_with_sixteen_tokens_unless_told() {
    let (_server, api) = start(config()).await;
    let mut reply = api.post(COMPLETIONS, &json!({"model": "m", "prompt": "Once upon a time"})).await.json();
    let text = reply["choices"][0]["text"].take();
    assert_eq!(text.as_str().unwrap().len(), 64);
    assert!(reply["id"].as_str().unwrap().starts_with("cmpl-"));
    reply["id"].take();
    reply["created"].take();
    assert_eq!(
        reply,
        json!({
            "id": null,
            "object": "text_completion",
            "created": null,
            "model": "m",
            "choices": [{
                "index": 0, "text": null, "logprobs": null, "finish_reason": "length", "stop_reason": null,
                "token_ids": null, "prompt_logprobs": null, "prompt_token_ids": null,
            }],
            "service_tier": null,
            "system_fingerprint": "pod-1",
            "usage": {
                "prompt_tokens": 4, "total_tokens": 20, "completion_tokens": 16,
                "prompt_tokens_details": {"cached_tokens": 0},
            },
            "kv_transfer_params": null,
        })
    );
}

#[tokio::test]
async fn a_prompt_may_be_several_or_tokens() {
    let (_server, api) = start(config()).await;
    let ask = async |prompt: Value| {
        api.post(COMPLETIONS, &json!({"prompt": prompt, "max_tokens": 2, "n": 2})).await.json()
    };
    let two = ask(json!(["once", "twice"])).await;
    assert_eq!((texts(&two).len(), &two["usage"]["prompt_tokens"]), (4, &json!(3)));
    let once = ask(json!("once")).await;
    assert_eq!(texts(&once), texts(&two)[..2]);

    // The token of "once" is its four bytes.
    let id = u32::from_le_bytes(*b"once");
    assert_eq!(texts(&ask(json!([id])).await), texts(&once));
    let lists = ask(json!([[id], [1, 2, 3]])).await;
    assert_eq!((&texts(&lists)[..2], &lists["usage"]["prompt_tokens"]), (&texts(&once)[..], &json!(4)));
}

#[tokio::test]
async fn streams() {
    let (_server, api) = start(config()).await;
    let whole = api.post(COMPLETIONS, &json!({"prompt": "once", "max_tokens": 3})).await.json();
    let events =
        api.post(COMPLETIONS, &json!({"prompt": "once", "max_tokens": 3, "stream": true})).await.events();
    let streamed: String = events.iter().map(|event| texts(event)[0]).collect();
    assert_eq!(streamed, texts(&whole)[0]);
    let ends: Vec<&Value> = events.iter().map(|event| &event["choices"][0]["finish_reason"]).collect();
    assert_eq!(ends, [&Value::Null, &Value::Null, &json!("length")]);
    assert!(events.iter().all(|event| event["object"] == "text_completion"));
}

#[tokio::test]
async fn ends_by_itself_unless_forbidden() {
    let (_server, api) = start(config()).await;
    let free = api.post(COMPLETIONS, &json!({"prompt": "once", "max_tokens": 1000})).await.json();
    let length = free["usage"]["completion_tokens"].as_u64().unwrap();
    assert_eq!(free["choices"][0]["finish_reason"], "stop");
    assert!((64..=192).contains(&length), "{length}");
    let forced =
        api.post(COMPLETIONS, &json!({"prompt": "once", "max_tokens": 250, "ignore_eos": true})).await.json();
    assert_eq!(
        (&forced["usage"]["completion_tokens"], &forced["choices"][0]["finish_reason"]),
        (&json!(250), &json!("length"))
    );
}
