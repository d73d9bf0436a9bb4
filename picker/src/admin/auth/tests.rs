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
    let tokens: Vec<_> = (0..AT_ONCE + QUEUED + 3).map(|n| n.to_string()).collect();
    let began = Instant::now();
    let all = tokens.iter().map(async |token| (auth.verdict(token, "/metrics").await, began.elapsed()));
    let mut all = std::pin::pin!(join_all(all));
    assert!(timeout(Duration::from_secs(4), &mut all).await.is_err());
    assert_eq!(log.lock().unwrap().len(), AT_ONCE);
    let outcome = |(verdict, after): (Result<Verdict, Failed>, Duration)| match verdict {
        Err(Failed::Busy) => ("busy", after.as_secs()),
        Err(Failed::Away(_)) => ("away", after.as_secs()),
        Ok(_) => ("told", after.as_secs()),
    };
    let mut expected = vec![("away", DEADLINE.as_secs()); AT_ONCE + QUEUED];
    // One for which there is no permit need not wait to learn it.
    expected.extend([("busy", 0); 3]);
    assert_eq!(all.await.into_iter().map(outcome).collect::<Vec<_>>(), expected);
}

#[tokio::test(start_paused = true)]
async fn unverified_tokens_do_not_keep_a_verified_one_waiting() {
    let (client, _) = fake_api::client(|asked| match asked.body["spec"]["token"].as_str() {
        Some("monitoring") => Answer::Object(json!({"status": {"authenticated": true, "user": {}}})),
        Some("nobody") => Answer::Object(json!({"status": {"authenticated": false}})),
        Some(_) => Answer::Silence,
        None => Answer::Object(json!({"status": {"allowed": true}})),
    });
    let auth = Auth::new(client);
    let ask = async |token: &str| auth.verdict(token, "/metrics").await.unwrap();
    assert_eq!([ask("monitoring").await, ask("nobody").await], [Verdict::Allowed, Verdict::Unknown]);
    // The answers are no longer good, and there is no permit left.
    tokio::time::advance(GOOD_FOR).await;
    let tokens: Vec<_> = (0..AT_ONCE + QUEUED).map(|n| n.to_string()).collect();
    let unverified = join_all(tokens.iter().map(|token| auth.verdict(token, "/metrics")));
    let others = async {
        let nobody = auth.verdict("nobody", "/metrics").await;
        assert!(matches!(nobody, Err(Failed::Busy)), "{nobody:?}");
        ask("monitoring").await
    };
    tokio::select! {
        biased;
        _ = unverified => unreachable!("they wait"),
        verdict = others => assert_eq!(verdict, Verdict::Allowed),
    }
}
