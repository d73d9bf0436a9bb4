use super::*;
use crate::fake_api::{self, Answer, Log};
use crate::view;

#[test]
fn there_is_nothing_to_say_before_something_was_read() {
    assert_eq!(entry(&Serving::default()), None);
}

#[test]
fn an_entry_says_what_serves_and_what_is_wrong() {
    let serving = Serving {
        revision: Some("r1".to_owned()),
        generation: Some(3),
        error: Some("é".repeat(3000)),
        ..Serving::default()
    };
    let expected = PickerStatus {
        revision: Some("r1".to_owned()),
        generation: Some(3),
        error: Some("é".repeat(1024)),
        version: Some(env!("CARGO_PKG_VERSION").to_owned()),
    };
    assert_eq!(entry(&serving), Some(expected));
}

#[test]
fn a_patch_touches_one_entry_and_takes_away_what_it_lacks() {
    let entry =
        PickerStatus { revision: Some("r1".to_owned()), generation: Some(3), ..PickerStatus::default() };
    assert_eq!(
        patch("chat-picker-0", &entry),
        json!({"status": {"pickers": {
            "chat-picker-0": {"revision": "r1", "generation": 3, "error": null, "version": null},
        }}})
    );
}

#[test]
fn many_replicas_take_turns() {
    assert_eq!(stagger(10), Duration::ZERO);
    let turns: Vec<_> = (0..200).map(|_| stagger(60)).collect();
    assert!(turns.iter().all(|turn| *turn <= PER_REPLICA * 60));
    assert!(turns.iter().max() > turns.iter().min());
}

/// Lets the reporter do what it can do without the clock moving.
async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

fn serves(revision: &str) -> Serving {
    Serving { revision: Some(revision.to_owned()), generation: Some(1), ..Serving::default() }
}

fn stored(pickers: &[(&str, &Serving)]) -> Stored {
    let entries = pickers.iter().map(|(pod, serving)| ((*pod).to_owned(), entry(serving).unwrap()));
    Stored { pickers: Some(entries.collect()) }
}

/// Revisions that were written, in order.
fn written(log: &Log) -> Vec<String> {
    let log = log.lock().unwrap();
    log.iter()
        .map(|asked| {
            assert_eq!(
                asked.what,
                "PATCH /apis/waypost.dev/v1alpha1/namespaces/llm/routingstrategies/chat/status?&fieldManager=waypost-picker"
            );
            asked.body["status"]["pickers"]["p0"]["revision"].as_str().unwrap().to_owned()
        })
        .collect()
}

#[tokio::test(start_paused = true)]
async fn each_change_is_written_once_and_nothing_else() {
    let object = json!({"apiVersion": "waypost.dev/v1alpha1", "kind": "RoutingStrategy", "metadata": {"name": "chat"}});
    let (client, log) = fake_api::client(move |_| Answer::Object(object.clone()));
    let serving = watch::Sender::new(Serving::default());
    let status = watch::Sender::new(Stored::default());
    let metrics = Metrics::new(view::empty());
    let strategy = StrategyRef { namespace: "llm".to_owned(), name: "chat".to_owned() };
    let report = run(client, strategy, "p0", serving.subscribe(), status.subscribe(), &metrics);
    let steps = async {
        // Nothing is known of the strategy yet, and nothing serves.
        settle().await;
        serving.send_replace(serves("r1"));
        settle().await;
        assert_eq!(written(&log), [""; 0]);

        // The strategy is there, and says nothing of this pod.
        let other = serves("r0");
        status.send_replace(stored(&[("p1", &other)]));
        settle().await;
        assert_eq!(written(&log), ["r1"]);

        // What was written shows, with other changes: nothing to do.
        status.send_replace(stored(&[("p0", &serves("r1")), ("p1", &other)]));
        settle().await;
        status.send_replace(stored(&[("p0", &serves("r1"))]));
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(written(&log), ["r1"]);

        serving.send_replace(serves("r2"));
        settle().await;
        assert_eq!(written(&log), ["r1", "r2"]);
        // The watch is behind the write, which is no reason to write again; not so if it stays that way.
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(written(&log), ["r1", "r2"]);
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(written(&log), ["r1", "r2", "r2"]);
        status.send_replace(stored(&[("p0", &serves("r2"))]));
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(written(&log), ["r1", "r2", "r2"]);
        drop((serving, status));
    };
    tokio::join!(report, steps);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_away_is_asked_again() {
    let (client, log) = fake_api::client(|_| Answer::Error(503));
    let serving = watch::Sender::new(serves("r1"));
    let status = watch::Sender::new(stored(&[]));
    let metrics = Metrics::new(view::empty());
    let strategy = StrategyRef { namespace: "llm".to_owned(), name: "chat".to_owned() };
    let report = run(client, strategy, "p0", serving.subscribe(), status.subscribe(), &metrics);
    let outcome = tokio::time::timeout(Duration::from_millis(4900), report).await;
    assert!(outcome.is_err());
    // After 0, 100, 300, 700, 1500, 2500, 3500 and 4500 ms.
    assert_eq!(written(&log), ["r1"; 8]);
    assert_eq!(metrics.scraping.report_errors.get(), 8);
}
