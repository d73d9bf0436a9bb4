//! A pool whose pods have the labels that samples speak of, and requests with the headers that they read.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use picker_core::endpoint::{EndpointId, EndpointSpec, Slots};
use picker_core::request::Headers;
use picker_core::view::{LoraState, Reading, Signals};
use picker_core::{Request, View};

/// A view of `count` endpoints with different labels and load: groups of a leader, a prefill and two decode pods.
pub fn view(count: u16) -> View {
    let (now, mut slots) = (Instant::now(), Slots::default());
    let lora = |n: u16| LoraState {
        max: 4,
        running: vec![format!("adapter-{}", n % 5).into(), "base".into()],
        waiting: vec![format!("adapter-{}", n % 3).into()],
    };
    let rows = (0..count).map(|n| {
        let [high, low] = n.to_be_bytes();
        let of = |names: &[&str]| names[usize::from(n) % names.len()].to_owned();
        let labels = [
            ("app", "vllm".to_owned()),
            ("kubernetes.io/hostname", format!("node-{}", n / 8)),
            ("llm-d.ai/context-length-range", of(&["0-2048", "0-32768", "2048-8192"])),
            ("llm-d.ai/role", of(&["decode", "both", "encode-prefill-decode"])),
            ("openfuyao.com/pdGroupID", format!("group-{}", n / 4)),
            ("openfuyao.com/pdRole", of(&["leader", "prefill", "decode", "decode"])),
            ("tenant", format!("tenant-{}", n % 7)),
            ("tier", of(&["gold", "silver"])),
            ("topology.kubernetes.io/region", "eu".to_owned()),
            ("topology.kubernetes.io/zone", of(&["a", "b", "c"])),
        ];
        let endpoint = slots.admit(EndpointSpec {
            id: EndpointId { pod_uid: format!("uid-{n:05}").into(), port: 8000, rank: 0 },
            pod: format!("vllm-llama-3-8b-instruct-decode-{n}"),
            namespace: "default".to_owned(),
            address: ([10, 0, high, low], 8000).into(),
            labels: labels.into_iter().map(|(key, value)| (key.to_owned(), value)).collect(),
        });
        let signals = Signals {
            waiting: Some(f32::from(n * 7 % 10)),
            running: Some(f32::from(n * 13 % 100)),
            kv_usage: Some(f32::from(n * 17 % 100) / 100.0),
            block_size: Some(16),
            num_blocks: Some(4000),
            cache_tokens: None,
            lora: Some(Arc::new(lora(n))),
            models: None,
            others: Vec::new(),
        };
        (Arc::new(endpoint), Reading { signals, at: Some(now) })
    });
    View::build(rows.collect(), now, Duration::from_secs(600))
}

/// The `n`-th request: a chat of 4 KB with an image, of which three quarters are those of one of eight conversations.
pub fn request(n: u64) -> Request {
    let headers = [
        (":method", "POST".to_owned()),
        (":path", "/v1/chat/completions".to_owned()),
        (":authority", "models.example.com".to_owned()),
        ("content-type", "application/json".to_owned()),
        ("user-agent", "OpenAI/Python 1.99.1".to_owned()),
        ("x-session-id", format!("session-{}", n % 100)),
        ("x-tenant", format!("tenant-{}", n % 7)),
        ("x-tier", "gold".to_owned()),
        ("x-zone", "a".to_owned()),
        ("test-epp-endpoint-selection", "10.0.0.1:8000,10.0.0.5,10.0.0.3".to_owned()),
    ];
    let headers = headers.map(|(name, value)| (Bytes::from(name), Bytes::from(value)));
    let (shared, own) = (format!("talk {} ", n % 8).repeat(400), format!("word {n} ").repeat(90));
    let image = r#"{"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}"#;
    let content = format!(r#"[{{"type": "text", "text": "{shared}{own}"}}, {image}]"#);
    let model = n % 5;
    let body = format!(
        r#"{{"model": "adapter-{model}", "messages": [{{"role": "user", "content": {content}}}], "stream": true}}"#
    );
    Request::new(Headers(headers.into()), Bytes::from(body)).expect("a sound body")
}
