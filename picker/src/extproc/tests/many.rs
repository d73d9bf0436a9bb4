//! Streamed tokens of thousands of requests on one connection: small messages that lie unread for a while,
//! for which `h2` closes a connection that was not prepared for them.

use picker_proto::processing_mode::BodySendMode::FullDuplexStreamed;
use tokio::task::JoinSet;

use super::client::Picker;
use super::words::*;
use super::{Fixture, at_random};

const STREAMS: usize = 5000;
const TOKENS: usize = 10;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_thousand_streams_of_tokens_share_a_connection() {
    let picker = Picker::start(Fixture::new(Some(at_random()), &["10.0.0.1:8000"])).await;
    let mut streams = Vec::new();
    for _ in 0..STREAMS {
        let stream = picker.open().await;
        stream.send(first(chat(), true, FullDuplexStreamed, FullDuplexStreamed)).await;
        streams.push(stream);
    }
    let token = format!("data: {}\n\n", "t".repeat(52));
    assert_eq!(token.len(), 60);
    let mut clients = JoinSet::new();
    for mut stream in streams {
        let token = token.clone();
        clients.spawn(async move {
            stream.send(response_headers("text/event-stream", false)).await;
            // All tokens are sent before the first answer is read.
            for n in 1..=TOKENS {
                stream.send(response_body(token.clone(), n == TOKENS)).await;
            }
            stream.get().await.unwrap().unwrap();
            assert_eq!(stream.get().await.unwrap(), Some(go_on_response_headers()));
            for n in 1..=TOKENS {
                assert_eq!(stream.get().await.unwrap(), Some(echo_response(token.clone(), n == TOKENS)));
            }
        });
    }
    clients.join_all().await;
    assert_eq!(picker.fixture.in_flight(), [0]);
    assert_eq!(
        picker.fixture.lines("waypost_picker_requests_total"),
        [format!(
            r#"waypost_picker_requests_total{{model="unknown",status="200",reason="routed"}} {STREAMS}"#
        )]
    );
}
