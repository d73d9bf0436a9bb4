use std::future::ready;
use std::sync::Mutex;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use rstest::rstest;
use serde_json::{Value, json};

use super::*;
use crate::compile::compile;
use crate::config::Scope;
use crate::fact::Finding;
use crate::http::{HttpClient, Post, PostError};
use crate::request::{Headers, Request};
use crate::role::Outside;
use crate::store::StateStore;
use crate::testing::{Instance, build, request, unknown};

const KIND: &str = TokenProducer::TYPE;

#[test]
fn prompts_are_counted_and_what_is_known_stays() {
    let mut producer = Instance::new(KIND, json!({})).unwrap();
    let (request, view) = (request("m", "twelve bytes"), unknown(1));
    producer.produce(&request, &view);
    assert_eq!(producer.fact::<PromptTokens>(), &PromptTokens { count: Some(3), ..PromptTokens::default() });
    let known = PromptTokens { count: Some(7), bytes: vec![1, 2, 3, 4], media: vec![], exact: true };
    producer.produce_knowing(&request, &view, known.clone());
    assert_eq!(producer.fact::<PromptTokens>(), &known);
    producer.produce(&Request::default(), &view);
    assert_eq!(producer.fact::<PromptTokens>().count, Some(0));
}

#[rstest]
#[case::nothing(json!({}), false)]
#[case::an_estimate(json!({"estimate": {}}), false)]
#[case::a_server(json!({"modelName": "m", "vllm": {}}), true)]
#[case::a_model_alone(json!({"modelName": "m"}), true)]
#[case::a_former_tokenizer(json!({"modelName": "m", "udsTokenizerConfig": {"socketFile": "/tmp/x"}}), false)]
#[case::none_of_those(json!({"udsTokenizerConfig": {}}), false)]
fn a_server_is_asked_where_one_is_named(#[case] parameters: Value, #[case] asked: bool) {
    assert_eq!(build(KIND, parameters).unwrap().preparer.is_some(), asked);
}

#[rstest]
#[case::both(json!({"estimate": {}, "modelName": "m"}), "estimate: is given beside a render server (vllm, modelName); take one of them out")]
#[case::both_by_name(json!({"estimate": {}, "vllm": {}}), "estimate: is given beside a render server (vllm, modelName); take one of them out")]
#[case::two_servers(json!({"modelName": "m", "vllm": {}, "udsTokenizerConfig": {"socketFile": "s"}}), "vllm: is given beside udsTokenizerConfig; take that out")]
#[case::no_model(json!({"vllm": {}}), "modelName: is required with vllm: the name of the model there")]
#[case::no_url(json!({"modelName": "m", "vllm": {"url": "a:80"}}), "vllm.url: \"a:80\" is no URL of the scheme http; write one like http://render.default.svc:8000")]
#[case::no_time(json!({"modelName": "m", "vllm": {"timeout": "0s"}}), "vllm.timeout: must be more than 0")]
#[case::no_duration(json!({"modelName": "m", "vllm": {"mmTimeout": "soon"}}), "vllm.mmTimeout: \"soon\" is no duration; write one like 50ms, 2s or 1m30s")]
#[case::no_mode(json!({"estimate": {"image": {"mode": "auto"}}}), "estimate.image.mode: unknown variant `auto`, expected `dynamic` or `static`")]
#[case::no_such_field(json!({"estimate": {"video": {"frame": {}}}}), "estimate.video.frame: unknown field `frame`; the nearest is \"frames\"; known here: tokensPerFrame, frames, defaultResolution, defaultDuration, maxVideoTokens")]
fn wrong_parameters_are_named(#[case] parameters: Value, #[case] expected: &str) {
    let error = build(KIND, parameters).err().unwrap().to_string();
    assert_eq!(error, format!("plugins[0].parameters.{expected}"));
}

#[test]
fn a_former_name_and_a_former_tokenizer_are_taken_with_a_warning() {
    let routing = json!({"plugins": [
        {"type": "tokenizer", "parameters": {"modelName": "m", "udsTokenizerConfig": {"socketFile": "/tmp/x"}}},
        {"type": "prefix-cache-scorer"},
    ]});
    let strategy =
        compile(&routing, Scope::Resource, &StateStore::default()).unwrap_or_else(|e| panic!("{e}")).strategy;
    let warnings: Vec<_> = strategy.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        [
            "plugins[0].type: tokenizer is a former name of token-producer; write that",
            "plugins[0].parameters.udsTokenizerConfig: has no effect: tokens are estimated; write vllm: {url: …} for a render \
         server, or take it out",
        ]
    );
    assert!(!strategy.prepares());
}

/// A client that notes what it is to send, and answers with a text or an error.
struct Client {
    sent: Mutex<Vec<(String, String)>>,
    answer: Result<&'static str, PostError>,
}

impl HttpClient for Client {
    fn post(
        &self,
        mut post: Post,
    ) -> std::pin::Pin<Box<dyn Future<Output = Result<Finding, PostError>> + Send>> {
        let body = String::from_utf8(post.body.concat()).unwrap();
        self.sent.lock().unwrap().push((format!("{}{}", post.server, post.path), body));
        Box::pin(ready(self.answer.and_then(|answer| {
            post.answer.feed(answer.as_bytes());
            post.answer.finish().ok_or(PostError::Unreadable)
        })))
    }
}

fn posted(path: &str, body: &str) -> Request {
    let text = |text: &str| Bytes::copy_from_slice(text.as_bytes());
    let headers = [(":path", path), ("content-type", "application/json")];
    let headers = headers.map(|(name, value)| (text(name), text(value))).to_vec();
    Request::new(Headers(headers), text(body)).unwrap()
}

/// What is sent about `request`, and what comes of it: the tokens, or the reason why there are none.
fn asked(
    instance: &mut Instance,
    request: &Request,
    client: &Client,
) -> Option<Result<PromptTokens, &'static str>> {
    let (view, preparer) = (unknown(1), instance.roles.preparer.clone().unwrap());
    let outside = Outside { http: client, timer: &|_| Box::pin(std::future::pending()) };
    let mut work = preparer.prepare(&instance.ask(request, &view, &[]), &outside)?;
    let Poll::Ready(found) = work.as_mut().poll(&mut Context::from_waker(Waker::noop())) else {
        panic!("it waits")
    };
    Some(found.map(|finding| {
        instance.facts.learn([finding]);
        instance.fact::<PromptTokens>().clone()
    }))
}

fn server(parameters: Value) -> Instance {
    Instance::new(KIND, json!({"modelName": "base \"1\"", "vllm": parameters})).unwrap()
}

fn client(answer: Result<&'static str, PostError>) -> Client {
    Client { sent: Mutex::default(), answer }
}

#[test]
fn the_server_gets_the_request_as_it_is_for_the_model_that_it_knows() {
    let mut instance = server(json!({"url": "http://render:9000/base/"}));
    let one = client(Ok(r#"{"token_ids":[1,2,3]}"#));
    for (path, body, to, sent) in [
        (
            "/tenant/v1/chat/completions?x=1",
            r#"{"model":"lora","messages":[{"role":"user","content":"hi"}],"reasoning":1}"#,
            "/v1/chat/completions/render",
            r#"{"model":"base \"1\"","messages":[{"role":"user","content":"hi"}],"reasoning":1}"#,
        ),
        (
            "/v1/completions",
            r#"{"prompt":"hi"} "#,
            "/v1/completions/render",
            r#"{"prompt":"hi","model":"base \"1\""}"#,
        ),
        (
            "/v1/messages",
            r#"{"model":"a\u0062c","messages":[{"role":"user","content":"hi"}]}"#,
            "/v1/messages/render",
            r#"{"model":"a\u0062c","messages":[{"role":"user","content":"hi"}],"model":"base \"1\""}"#,
        ),
        (
            "/v1/responses",
            r#"{"model":"","input":"hi"}"#,
            "/v1/responses/render",
            r#"{"model":"base \"1\"","input":"hi"}"#,
        ),
    ] {
        let found = asked(&mut instance, &posted(path, body), &one).unwrap().unwrap();
        assert_eq!((found.count, found.exact), (Some(3), true));
        let sent = (format!("http://render:9000/base{to}"), sent.to_owned());
        assert_eq!(one.sent.lock().unwrap().pop(), Some(sent));
    }
}

#[test]
fn requests_that_no_server_renders_are_not_sent() {
    let mut instance = server(json!({}));
    let one = client(Ok(r#"{"token_ids":[1,2,3]}"#));
    let chat = r#"{"messages":[{"role":"user","content":"hi"}]}"#;
    let mut cut = posted("/v1/chat/completions", chat);
    cut.partial = true;
    for request in [
        posted("/v1/embeddings", r#"{"input":"hi"}"#),
        posted("/v1/chat/completions", r#"{"messages":[]}"#),
        posted("/v1/models", ""),
        posted("/v1/completions", r#"{"prompt":[1,2,3]}"#),
        posted("/v1/chat/completions/render", chat),
        cut,
    ] {
        assert_eq!(asked(&mut instance, &request, &one), None, "{}", request.headers.path());
    }
    assert_eq!(one.sent.lock().unwrap().len(), 0);
}

#[test]
fn an_error_says_its_reason_and_the_estimate_takes_its_place() {
    let mut instance = server(json!({}));
    let chat = posted("/v1/chat/completions", r#"{"messages":[{"role":"user","content":"hi"}]}"#);
    let unreadable = client(Ok("<html>"));
    assert_eq!(asked(&mut instance, &chat, &unreadable), Some(Err("unreadable")));
    let refused = client(Err(PostError::Connect));
    assert_eq!(asked(&mut instance, &chat, &refused), Some(Err("connect")));
    assert_eq!(asked(&mut instance, &chat, &refused), Some(Err("connect")));
    // Three in a row.
    assert_eq!(asked(&mut instance, &chat, &refused), Some(Err("resting")));
    assert_eq!(refused.sent.lock().unwrap().len(), 2);
    instance.produce(&chat, &unknown(1));
    assert_eq!(instance.fact::<PromptTokens>().count, Some(chat.estimated_prompt_tokens()));
}

#[test]
fn what_a_request_waits_for_depends_on_what_is_in_it() {
    let instance = server(json!({"timeout": "1s", "mmTimeout": "7s"}));
    let default = server(json!({}));
    let view = unknown(1);
    let text = posted("/v1/chat/completions", r#"{"messages":[{"content":[{"type":"text","text":"hi"}]}]}"#);
    let image = posted(
        "/v1/chat/completions",
        r#"{"messages":[{"content":[{"type":"image_url","image_url":{"url":"a"}}]}]}"#,
    );
    let deadlines = |instance: &Instance| {
        [&text, &image].map(|request| {
            instance.roles.preparer.as_ref().unwrap().deadline(&instance.ask(request, &view, &[]))
        })
    };
    assert_eq!(deadlines(&instance), [1, 7].map(Duration::from_secs));
    assert_eq!(deadlines(&default), [5, 30].map(Duration::from_secs));
}
