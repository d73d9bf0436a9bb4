//! Requests that can't be served.

use http::{Method, StatusCode};
use hyper::body::Bytes;
use serde_json::{Value, json};

use crate::support::{Api, Reply, config, start};

const CHAT: &str = "/v1/chat/completions";
const TEXT: &str = "/v1/completions";

async fn refused(api: &Api, path: &str, body: Value) -> (u16, Value) {
    let reply = api.post(path, &body).await;
    (reply.status.as_u16(), reply.json()["error"].clone())
}

#[tokio::test]
async fn says_which_field_is_wrong() {
    let mut config = config();
    config.engine.max_model_len = 50;
    let (_server, api) = start(config).await;
    let user = json!([{"role": "user", "content": "hi"}]);
    let cases = [
        (CHAT, json!({"model": "zz", "messages": user}), 404, "NotFoundError", json!("model")),
        (CHAT, json!({"model": "m"}), 400, "Bad Request", Value::Null),
        (CHAT, json!({"model": "m", "messages": []}), 400, "BadRequestError", json!("messages")),
        (CHAT, json!({"messages": user, "n": 0}), 400, "BadRequestError", json!("n")),
        (CHAT, json!({"messages": user, "max_tokens": 0}), 400, "BadRequestError", json!("max_tokens")),
        (CHAT, json!({"messages": user, "max_tokens": 41}), 400, "BadRequestError", json!("max_tokens")),
        (TEXT, json!({"prompt": "x".repeat(200)}), 400, "BadRequestError", json!("input_tokens")),
        (TEXT, json!({"prompt": ""}), 400, "BadRequestError", json!("prompt")),
        (TEXT, json!({"prompt": []}), 400, "BadRequestError", json!("prompt")),
        (TEXT, json!({"prompt": 7}), 400, "Bad Request", Value::Null),
        (TEXT, json!({"prompt": "x", "n": 5000}), 400, "BadRequestError", json!("n")),
        (TEXT, json!({"prompt": "x", "echo": true}), 400, "BadRequestError", json!("echo")),
    ];
    for (path, body, status, kind, param) in cases {
        let (seen, mut error) = refused(&api, path, body.clone()).await;
        let message = error["message"].take();
        assert!(message.as_str().is_some_and(|message| !message.is_empty()), "{body}");
        let expected = json!({"message": null, "type": kind, "param": param, "code": status});
        assert_eq!((seen, error), (status, expected), "{body}: {message}");
    }
}

#[tokio::test]
async fn messages_name_the_fix() {
    let (_server, api) = start(config()).await;
    let message = async |path, body| refused(&api, path, body).await.1["message"].clone();
    assert_eq!(
        message(CHAT, json!({"model": "zz", "messages": [{"role": "user"}]})).await,
        "The model `zz` does not exist."
    );
    assert_eq!(
        message(TEXT, json!({"prompt": 7})).await,
        "prompt must be a string, a list of strings, a list of token ids or a list of such lists at line 1 column 12"
    );
}

#[tokio::test]
async fn wrong_methods_paths_and_bodies() {
    let (_server, api) = start(config()).await;
    let send = async |method, path, content_type: &str, body: &'static str| {
        let mut request = api.request(method, path);
        request.headers_mut().unwrap().insert("content-type", content_type.parse().unwrap());
        let reply = Reply::read(api.send(request, Bytes::from_static(body.as_bytes())).await).await;
        assert_eq!(reply.header("x-sim-pod"), "pod-1");
        (reply.status, reply.json()["error"]["message"].as_str().unwrap().to_owned())
    };
    let json = "application/json";
    assert_eq!(
        send(Method::GET, CHAT, json, "").await,
        (StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed".to_owned())
    );
    assert_eq!(
        send(Method::POST, "/v1/nothing", json, "").await,
        (StatusCode::NOT_FOUND, "Not Found".to_owned())
    );
    assert_eq!(
        send(Method::POST, CHAT, json, "{").await,
        (StatusCode::BAD_REQUEST, "EOF while parsing an object at line 1 column 1".to_owned())
    );
    assert_eq!(
        send(Method::POST, CHAT, "text/plain", "{}").await,
        (StatusCode::BAD_REQUEST, "Unsupported Media Type: Only 'application/json' is allowed".to_owned())
    );
}
