//! Strategies that change while requests are under way.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use futures::{StreamExt, poll};
use picker_core::config::{Scope, revision};
use picker_core::hot::Outcome;
use picker_proto::processing_mode::BodySendMode::FullDuplexStreamed;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::Fixture;
use super::client::Picker;
use super::words::*;
use crate::extproc::grpc::process;

const RED: &str = "10.0.0.1:8000";
const BLUE: &str = "10.0.0.2:8000";

/// Requests for the adapter `blue` go to its endpoint when `weight` is above 0, and to the other below.
fn weighted(weight: f64) -> Value {
    json!({
        "plugins": [{"type": "lora-affinity-scorer"}],
        "schedulingProfiles": [
            {"name": "default", "plugins": [{"pluginRef": "lora-affinity-scorer", "weight": weight}]}
        ],
    })
}

fn swap(fixture: &Fixture, routing: &Value) {
    let outcome = fixture.pool.hot.offer(routing, Scope::Resource);
    assert_eq!(outcome, Outcome::Swapped { resets: Vec::new(), warnings: Box::default() });
}

#[tokio::test]
async fn an_exchange_keeps_the_revision_it_began_with() {
    let (old, new) = (weighted(1.0), weighted(-1.0));
    let fixture = Fixture::new(Some(old.clone()), &[RED, BLUE]);
    let (beginning, end) = (ask("blue").slice(..20), ask("blue").slice(20..));
    let begin = || {
        let (tx, rx) = futures::channel::mpsc::unbounded();
        tx.unbounded_send(Ok(first(chat(), false, FullDuplexStreamed, FullDuplexStreamed))).unwrap();
        tx.unbounded_send(Ok(body(beginning.clone(), false))).unwrap();
        (tx, process(fixture.pool.clone(), rx))
    };
    // These wait for the rest of their bodies across the swap, and one comes after it.
    let mut waiting: Vec<_> = (0..3).map(|_| begin()).collect();
    for (_, answers) in &mut waiting {
        assert!(poll!(answers.next()).is_pending());
    }
    swap(&fixture, &new);
    let before = waiting.into_iter().map(|exchange| (exchange, BLUE, revision(&old)));
    let after = [(begin(), RED, revision(&new))];
    for ((rest, mut answers), destination, revision) in before.chain(after) {
        rest.unbounded_send(Ok(body(end.clone(), true))).unwrap();
        let routed = Routed { destination, revision, removed: Vec::new() };
        assert_eq!(answers.next().await.unwrap().unwrap(), routed.in_headers());
        assert_eq!(answers.next().await.unwrap().unwrap(), echo(ask("blue"), true));
        drop(rest);
        assert!(answers.next().await.is_none());
    }
}

/// Which bodies are read is a part of the strategy: after an edit of its parsers, bodies are waited for or not.
#[tokio::test]
async fn an_edit_of_the_parsers_holds_from_the_next_request_on() {
    let with = |parsers: &[&str]| {
        let parsers: Vec<_> = parsers.iter().map(|name| json!({"pluginRef": name})).collect();
        let mut routing = weighted(1.0);
        routing["requestHandler"] = json!({"parsers": parsers});
        routing
    };
    let (reads, others) = (with(&["openai-parser"]), with(&["anthropic-parser"]));
    let fixture = Fixture::new(Some(reads.clone()), &[RED, BLUE]);
    for (strategy, waits) in [(&reads, true), (&others, false), (&reads, true)] {
        if fixture.revision() != revision(strategy) {
            swap(&fixture, strategy);
        }
        let (tx, rx) = futures::channel::mpsc::unbounded();
        tx.unbounded_send(Ok(first(chat(), false, FullDuplexStreamed, FullDuplexStreamed))).unwrap();
        let mut answers = process(fixture.pool.clone(), rx);
        assert_eq!(poll!(answers.next()).is_pending(), waits);
        if waits {
            tx.unbounded_send(Ok(body(ask("blue"), true))).unwrap();
            let blue = Routed { destination: BLUE, revision: revision(strategy), removed: Vec::new() };
            assert_eq!(answers.next().await.unwrap().unwrap(), blue.in_headers());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn swaps_under_load_fail_no_request() {
    const CLIENTS: u32 = 8;
    const EACH: u32 = 25;
    let picker = Arc::new(Picker::start(Fixture::new(Some(weighted(1000.0)), &[RED, BLUE])).await);
    let swaps = Arc::new(AtomicU32::new(0));
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        let (picker, swaps) = (picker.clone(), swaps.clone());
        clients.spawn(async move {
            for _ in 0..EACH {
                let mut stream = picker.open().await;
                stream.send(first(chat(), false, FullDuplexStreamed, FullDuplexStreamed)).await;
                stream.send(body(ask("blue").slice(..20), false)).await;
                // Whichever revision the picker had read by now, there is another one from here on.
                let weight = swaps.fetch_add(1, Ordering::Relaxed) + 1;
                swap(&picker.fixture, &weighted(f64::from(weight)));
                stream.send(body(ask("blue").slice(20..), true)).await;
                let answer = stream.get().await.unwrap().unwrap();
                let known = |weight: &u32| {
                    let revision = revision(&weighted(f64::from(if *weight == 0 { 1000 } else { *weight })));
                    answer == Routed { destination: BLUE, revision, removed: Vec::new() }.in_headers()
                };
                assert!((0..=CLIENTS * EACH).any(|weight| known(&weight)), "{answer:?}");
                assert_eq!(stream.get().await.unwrap(), Some(echo(ask("blue"), true)));
                stream.requests = None;
                assert_eq!(stream.get().await.unwrap(), None);
            }
        });
    }
    clients.join_all().await;
    assert_eq!(swaps.load(Ordering::Relaxed), CLIENTS * EACH);
    assert_eq!(picker.fixture.in_flight(), [0, 0]);
    assert_eq!(
        picker.fixture.lines("waypost_picker_requests_total"),
        [format!(
            r#"waypost_picker_requests_total{{model="blue",status="none",reason="routed"}} {}"#,
            CLIENTS * EACH
        )]
    );
}
