//! `/v1/chat/completions`

use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::{Reply, config, start};

const CHAT: &str = "/v1/chat/completions";

fn ask(text: &str) -> Value {
    json!({"model": "m", "messages": [{"role": "user", "content": text}], "max_tokens": 4})
}

fn with(mut body: Value, fields: Value) -> Value {
    body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    body
}

#[tokio::test]
async fn answers_whole() {
    let (server, api) = start(config()).await;
    let request = api.request(Method::POST, CHAT).header("x-request-id", "r-1");
    let reply = Reply::read(api.send(request, ask("hello").to_string().into()).await).await;

    assert_eq!(reply.status, StatusCode::OK);
    assert_eq!(
        (reply.header("x-sim-pod"), reply.header("x-sim-port")),
        ("pod-1", server.address().port().to_string().as_str())
    );
    let mut answer = reply.json();
    assert!(answer["created"].take().as_u64().unwrap() > 1_700_000_000);
    let content = answer["choices"][0]["message"]["content"].take();
    assert_eq!(content.as_str().unwrap().len(), 16);
    assert_eq!(
        answer,
        json!({
            "id": "chatcmpl-r-1",
            "object": "chat.completion",
            "created": null,
            "model": "m",
            "choices": [{
                "index": 0,
                "message": {
                    "role": "assistant", "content": null, "refusal": null, "annotations": null, "audio": null,
                    "function_call": null, "tool_calls": [], "reasoning_content": null,
                },
                "logprobs": null,
                "finish_reason": "length",
                "stop_reason": null,
                "token_ids": null,
            }],
            "service_tier": null,
            "system_fingerprint": "pod-1",
            "usage": {
                "prompt_tokens": 11, "total_tokens": 15, "completion_tokens": 4,
                "prompt_tokens_details": {"cached_tokens": 0},
            },
            "kv_transfer_params": null,
            "prompt_logprobs": null,
            "prompt_token_ids": null,
        })
    );
}

#[tokio::test]
async fn streams_the_same_words_one_token_an_event() {
    let (_server, api) = start(config()).await;
    let whole = api.post(CHAT, &ask("hello")).await.json();
    let text = whole["choices"][0]["message"]["content"].as_str().unwrap();

    let stream = with(ask("hello"), json!({"stream": true, "stream_options": {"include_usage": true}}));
    let reply = api.post(CHAT, &stream).await;
    assert_eq!(reply.header("x-sim-pod"), "pod-1");
    let events = reply.events();
    let head = |choices: Value, usage: Value| {
        json!({
            "id": events[0]["id"], "object": "chat.completion.chunk", "created": events[0]["created"], "model": "m",
            "system_fingerprint": "pod-1", "choices": choices, "usage": usage,
        })
    };
    let delta = |delta: Value| json!([{"index": 0, "delta": delta, "logprobs": null, "finish_reason": null}]);
    let mut expected = vec![head(delta(json!({"role": "assistant", "content": ""})), Value::Null)];
    for word in 0..3 {
        expected.push(head(delta(json!({"content": text[word * 4..word * 4 + 4]})), Value::Null));
    }
    let mut last = delta(json!({"content": text[12..]}));
    last[0]["finish_reason"] = json!("length");
    last[0]["stop_reason"] = Value::Null;
    expected.push(head(last, Value::Null));
    let usage = json!({
        "prompt_tokens": 11, "total_tokens": 15, "completion_tokens": 4,
        "prompt_tokens_details": {"cached_tokens": 0},
    });
    expected.push(head(json!([]), usage));
    assert_eq!(events, expected);
}

#[tokio::test]
async fn streams_no_usage_unasked() {
    let (_server, api) = start(config()).await;
    let events = api.post(CHAT, &with(ask("hello"), json!({"stream": true}))).await.events();
    assert_eq!(events.len(), 5);
    assert!(events.iter().all(|event| event.get("usage").is_none()));
}

#[tokio::test]
async fn several_choices_differ_and_stream_side_by_side() {
    let (_server, api) = start(config()).await;
    let whole = api.post(CHAT, &with(ask("hello"), json!({"n": 3}))).await.json();
    let mut texts: Vec<String> = Vec::new();
    for (index, choice) in whole["choices"].as_array().unwrap().iter().enumerate() {
        assert_eq!(choice["index"], index);
        texts.push(choice["message"]["content"].as_str().unwrap().to_owned());
    }
    assert_eq!(texts.len(), 3);
    assert!(texts[0] != texts[1] && texts[1] != texts[2]);
    assert_eq!(
        (&whole["usage"]["prompt_tokens"], &whole["usage"]["completion_tokens"]),
        (&json!(11), &json!(12))
    );

    let mut streamed = vec![String::new(); 3];
    for event in api.post(CHAT, &with(ask("hello"), json!({"n": 3, "stream": true}))).await.events() {
        let choice = &event["choices"][0];
        let index = choice["index"].as_u64().unwrap() as usize;
        streamed[index].push_str(choice["delta"]["content"].as_str().unwrap());
    }
    assert_eq!(streamed, texts);
}

#[tokio::test]
async fn a_repeated_beginning_comes_from_the_cache() {
    let (_server, api) = start(config()).await;
    let cached = |reply: &Reply| reply.json()["usage"]["prompt_tokens_details"]["cached_tokens"].clone();
    let long = "All happy families are alike; every unhappy family is unhappy in its own way. ".repeat(10);

    let first = api.post(CHAT, &with(ask(&long), json!({"max_tokens": 40}))).await;
    assert_eq!(cached(&first), 0);
    // 3 tokens before the text, 195 of it, 5 after it: 12 whole blocks.
    assert_eq!(cached(&api.post(CHAT, &ask(&long)).await), 192);

    // The next turn of the conversation finds the answer's blocks too: 203 + 39 computed tokens are 15 blocks.
    let answer = first.json()["choices"][0]["message"]["content"].clone();
    let next = json!({"model": "m", "max_tokens": 4, "messages": [
        {"role": "user", "content": long}, {"role": "assistant", "content": answer},
        {"role": "user", "content": "Why?"},
    ]});
    assert_eq!(cached(&api.post(CHAT, &next).await), 240);
    assert_eq!(cached(&api.post(CHAT, &with(ask(&long), json!({"cache_salt": "x"}))).await), 0);
}

#[tokio::test]
async fn an_adapter_is_a_model_with_a_cache_of_its_own() {
    let mut config = config();
    config.loras = vec!["sql".to_owned()];
    let (_server, api) = start(config).await;
    let long = "x".repeat(400);
    api.post(CHAT, &ask(&long)).await;
    let reply = api.post(CHAT, &with(ask(&long), json!({"model": "sql"}))).await.json();
    assert_eq!(
        (&reply["model"], &reply["usage"]["prompt_tokens_details"]["cached_tokens"]),
        (&json!("sql"), &json!(0))
    );
    let models = api.get("/v1/models").await.json();
    let names: Vec<(&Value, &Value)> =
        models["data"].as_array().unwrap().iter().map(|model| (&model["id"], &model["parent"])).collect();
    assert_eq!(names, [(&json!("m"), &Value::Null), (&json!("sql"), &json!("m"))]);
}

#[tokio::test]
async fn a_stop_text_ends_the_answer() {
    let (_server, api) = start(config()).await;
    let ask = with(ask("hello"), json!({"max_tokens": 12}));
    let whole = api.post(CHAT, &ask).await.json();
    let text = whole["choices"][0]["message"]["content"].as_str().unwrap();
    let stop = &text[18..22];
    let shown = &text[..text.find(stop).unwrap()];

    let cut = api.post(CHAT, &with(ask.clone(), json!({"stop": stop}))).await.json();
    let choice = &cut["choices"][0];
    assert_eq!(
        (&choice["message"]["content"], &choice["finish_reason"], &choice["stop_reason"]),
        (&json!(shown), &json!("stop"), &json!(stop))
    );
    let stream = with(ask, json!({"stop": [stop], "stream": true}));
    let streamed: String = api
        .post(CHAT, &stream)
        .await
        .events()
        .iter()
        .map(|event| event["choices"][0]["delta"]["content"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(streamed, shown);
}

#[tokio::test]
async fn content_may_come_in_parts_and_limits_by_their_new_name() {
    let (_server, api) = start(config()).await;
    let body = json!({
        "messages": [{"role": "user", "content": [{"type": "text", "text": "hello"}]}, {"role": "assistant"}],
        "max_completion_tokens": 3, "max_tokens": 9,
    });
    let reply = api.post(CHAT, &body).await.json();
    assert_eq!((&reply["model"], &reply["usage"]["completion_tokens"]), (&json!("m"), &json!(3)));
}

#[tokio::test]
async fn takes_bodies_of_several_mebibytes() {
    let mut config = config();
    config.engine.max_model_len = 1 << 21;
    config.engine.num_blocks = 1 << 17;
    let (_server, api) = start(config).await;
    let reply = api.post(CHAT, &ask(&"word".repeat(1 << 20))).await;
    assert_eq!(reply.json()["usage"]["prompt_tokens"], (1 << 20) + 9);
}

#[tokio::test]
async fn every_chunk_tells_the_usage_up_to_it_when_asked() {
    let (_server, api) = start(config()).await;
    let options = json!({"include_usage": true, "continuous_usage_stats": true});
    let stream =
        with(ask("hello"), json!({"stream": true, "stream_options": options, "reasoning_effort": "medium"}));
    let events = api.post(CHAT, &stream).await.events();
    let made: Vec<_> = events.iter().map(|event| event["usage"]["completion_tokens"].as_u64()).collect();
    assert_eq!(made, [0, 1, 2, 3, 4, 4].map(Some));
    assert_eq!(events[2]["usage"], json!({"prompt_tokens": 11, "total_tokens": 13, "completion_tokens": 2}));
    assert_eq!(
        events[5]["usage"],
        json!({
            "prompt_tokens": 11, "total_tokens": 15, "completion_tokens": 4,
            "prompt_tokens_details": {"cached_tokens": 0}, "completion_tokens_details": {"reasoning_tokens": 2},
        })
    );
}
