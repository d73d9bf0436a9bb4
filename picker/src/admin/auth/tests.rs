use futures::future::join_all;
use serde_json::json;

use super::*;
use crate::fake_api::{self, Answer};

#[tokio::test(start_paused = true)]
async fn the_oldest_answer_makes_room_for_a_new_one() {
    let (client, log) = fake_api::client(|_| Answer::Object(json!({"status": {"authenticated": false}})));
    let auth = Auth::new(client);
    let asked = || log.lock().unwrap().len();
    for n in 0..=REMEMBERED {
        assert_eq!(auth.verdict(&n.to_string(), "/metrics").await.unwrap(), Verdict::Unknown);
        tokio::time::advance(Duration::from_millis(1)).await;
    }
    assert_eq!(asked(), REMEMBERED + 1);
    for (token, more) in [(REMEMBERED, 0), (1, 0), (0, 1)] {
        auth.verdict(&token.to_string(), "/metrics").await.unwrap();
        assert_eq!(asked(), REMEMBERED + 1 + more, "{token}");
    }
}

#[tokio::test(start_paused = true)]
async fn few_ask_at_once_and_nobody_waits_for_long() {
    let (client, log) = fake_api::client(|_| Answer::Silence);
    let auth = Auth::new(client);
    let tokens: Vec<_> = (0..10).map(|n| n.to_string()).collect();
    let mut all = std::pin::pin!(join_all(tokens.iter().map(|token| auth.verdict(token, "/metrics"))));
    let began = Instant::now();
    assert!(timeout(Duration::from_secs(4), &mut all).await.is_err());
    assert_eq!(log.lock().unwrap().len(), AT_ONCE);
    assert!(all.await.iter().all(Result::is_err));
    assert_eq!(began.elapsed().as_secs(), PATIENCE.as_secs());
}
