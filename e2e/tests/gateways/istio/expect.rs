//! Clients that send their body only when they are told to.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use e2e::envoy::HTTP_PORT;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::setup::Setup;

/// Above what curl sends without asking, in bytes.
const BODY: usize = 2_000_000;
/// Of the client, which never sends its body untold.
const PATIENCE: Duration = Duration::from_secs(30);
const SOON: Duration = Duration::from_secs(1);
const REQUESTS: usize = 5;

/// Gets `100 Continue` at once, and its answer soon after its body.
pub async fn is_told_to_continue(setup: &Setup<'_>) -> Result<()> {
    let (mut told, mut took) = (Duration::ZERO, Duration::ZERO);
    for number in 0..REQUESTS {
        let asked = asked(setup).await.with_context(|| format!("request {number}"))?;
        (told, took) = (told.max(asked.0), took.max(asked.1));
    }
    setup.env.measured(format_args!(
        "100-continue: told after {told:.0?}, 2 MB answered after {took:.0?} at most"
    ));
    ensure!(told < SOON, "told to continue after {told:?}");
    Ok(())
}

/// When the client was told to continue, and when it had the whole answer.
async fn asked(setup: &Setup<'_>) -> Result<(Duration, Duration)> {
    let padding = "x".repeat(BODY);
    let body = json!({
        "model": "sim-model",
        "messages": [{"role": "user", "content": "a question"}],
        "max_tokens": 8,
        "user": padding,
    })
    .to_string();
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: gateway\r\ncontent-type: application/json\r\n\
         content-length: {}\r\nexpect: 100-continue\r\nconnection: close\r\n\
         test-epp-endpoint-selection: {}\r\n\r\n",
        body.len(),
        setup.servers[0].address,
    );
    let mut connection = TcpStream::connect((setup.gateway.address, HTTP_PORT)).await?;
    let began = Instant::now();
    connection.write_all(head.as_bytes()).await?;
    let interim =
        timeout(PATIENCE, read_head(&mut connection)).await.context("nothing came before the body")??;
    let told = began.elapsed();
    ensure!(interim.starts_with("HTTP/1.1 100 "), "not told to continue, but {interim}");
    connection.write_all(body.as_bytes()).await?;
    let mut answer = Vec::new();
    timeout(PATIENCE, connection.read_to_end(&mut answer)).await.context("no answer")??;
    let answer = String::from_utf8_lossy(&answer);
    ensure!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    ensure!(answer.contains(&setup.servers[0].pod), "it is not of the pod that was picked: {answer}");
    Ok((told, began.elapsed()))
}

/// The next head on the connection, and not a byte more.
async fn read_head(connection: &mut TcpStream) -> Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(connection.read_u8().await?);
    }
    Ok(String::from_utf8(head)?)
}
