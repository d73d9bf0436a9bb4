//! The scan of a request's body against `serde_json` making a tree of it: the time of the one as a share of the other, for
//! bodies of 4 KB, 60 KB and 450 KB of several kinds. It fails where the scan takes longer.
//!
//! ```sh
//! cargo bench -p picker-core --bench scan
//! ```
#![allow(clippy::expect_used, reason = "a benchmark of what fails measures nothing")]
#![allow(clippy::disallowed_methods, reason = "it measures times")]

use std::hint::black_box;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use bytes::Bytes;
use picker_core::parse::parse;
use picker_core::request::Headers;
use serde_json::{Value, json};

/// As the picker has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SIZES: [usize; 3] = [4 << 10, 60 << 10, 450 << 10];

/// Each is measured so often, and the quickest counts.
const ROUNDS: usize = 40;

const ENGLISH: &str =
    "Explain, step by step, how the scheduler decides which of the waiting requests it runs next. ";

/// A body of about `size` bytes, its path, and what it is.
type Make = (&'static str, &'static str, fn(usize) -> Value);

const KINDS: [Make; 6] = [
    ("few long messages", "/v1/chat/completions", |size| {
        let turn = ENGLISH.repeat(size / ENGLISH.len() / 4 + 1);
        let turns =
            ["system", "user", "assistant", "user"].map(|role| json!({"role": role, "content": turn}));
        json!({"messages": turns, "model": "m", "stream": true})
    }),
    ("many short messages", "/v1/chat/completions", |size| {
        let turn = json!({"role": "user", "content": [{"type": "text", "text": "And then?"}]});
        json!({"messages": vec![turn; size / 70], "model": "m", "tools": [{"type": "function"}]})
    }),
    ("code with escapes", "/v1/chat/completions", |size| {
        let code = "\tif (a == \"b\") {\n\t\treturn '\\\\';\n\t}\n".repeat(size / 50);
        json!({"model": "m", "messages": [{"role": "user", "content": code}]})
    }),
    ("text beyond ASCII", "/v1/messages", |size| {
        let text = "Объясни, как планировщик выбирает запрос. スケジューラ。".repeat(size / 95);
        json!({"model": "m", "max_tokens": 10, "messages": [{"role": "user", "content": text}]})
    }),
    ("token ids", "/inference/v1/generate", |size| {
        let ids: Vec<u32> = (0..size as u32 / 7).map(|n| n.wrapping_mul(2_654_435_761) % 152_000).collect();
        json!({"token_ids": ids, "sampling_params": {"max_tokens": 16}, "model": "m"})
    }),
    ("an image within", "/v1/chat/completions", |size| {
        let url = format!("data:image/png;base64,{}", "iVBORw0KGgoAAAANSUhEUgAA".repeat(size / 24));
        let parts =
            json!([{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": "What?"}]);
        json!({"model": "m", "messages": [{"role": "user", "content": parts}]})
    }),
];

fn main() -> ExitCode {
    let mut worst = 0.0_f64;
    println!("{:<20} {:>7} {:>10} {:>10} {:>6}", "body", "bytes", "scan ns", "tree ns", "ratio");
    for (name, path, make) in KINDS {
        for size in SIZES {
            let body = make(size).to_string().into_bytes();
            let headers = [(":path", path), ("content-type", "application/json")];
            let headers =
                Headers(headers.map(|(name, value)| (Bytes::from(name), Bytes::from(value))).into());
            let repeats = (1 << 20) / body.len() + 1;
            let (mut scan, mut tree) = (Duration::MAX, Duration::MAX);
            for _ in 0..ROUNDS {
                scan = scan
                    .min(time(repeats, || drop(black_box(parse(&headers, black_box(&body)).expect("JSON")))));
                tree = tree.min(time(repeats, || {
                    drop(black_box(serde_json::from_slice::<Value>(black_box(&body)).expect("JSON")));
                }));
            }
            let ratio = scan.as_secs_f64() / tree.as_secs_f64();
            worst = worst.max(ratio);
            let each = |all: Duration| all.as_nanos() / repeats as u128;
            println!("{name:<20} {:>7} {:>10} {:>10} {ratio:>6.3}", body.len(), each(scan), each(tree));
        }
    }
    println!("the worst: {worst:.3}, where at most 1 is allowed");
    if worst <= 1.0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn time(repeats: usize, mut work: impl FnMut()) -> Duration {
    let began = Instant::now();
    (0..repeats).for_each(|_| work());
    began.elapsed()
}
