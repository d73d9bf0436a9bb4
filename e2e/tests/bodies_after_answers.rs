//! Bodies that come only after the answer, and bodies that are too long to be held, through a real Envoy: nobody waits for
//! each other, in whichever way Envoy sends bodies.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use e2e::local::{Gateway, Parts, Programs};
use e2e::{Progress, paths, until};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Nothing here takes longer on a machine that is not stuck; a deadlock takes for ever.
const PATIENCE: Duration = Duration::from_secs(20);

#[tokio::test]
#[ignore = "needs Envoy, which `cargo xtask test` brings"]
async fn nobody_waits_for_a_body_that_comes_after_the_answer() {
    let outcome = story().await;
    assert!(outcome.is_ok(), "{:#}", outcome.unwrap_err());
}

async fn story() -> Result<()> {
    let progress = Progress::stdout();
    let programs = Programs::ready(&progress).await?;
    for mode in ["FULL_DUPLEX_STREAMED", "BUFFERED", "BUFFERED_PARTIAL", "STREAMED", "NONE"] {
        let setup = Setup::start(&programs, mode).await?;
        let exchanges = async {
            setup.chat().await.context("a chat")?;
            setup.websocket().await.context("a WebSocket")?;
            setup.expectation().await.context("Expect: 100-continue")?;
            setup.dialogue().await.context("a stream in both directions")?;
            setup.upload("multipart/form-data; boundary=x").await.context("an upload")?;
            setup.upload("application/json").await.context("a long JSON body")
        };
        exchanges.await.with_context(|| format!("bodies in mode {mode}"))?;
    }
    Ok(())
}

/// An Envoy, a picker whose strategy reads bodies, and a model server.
struct Setup {
    gateway: Gateway,
    _server: JoinSet<()>,
}

impl Setup {
    async fn start(Programs { envoy, picker, .. }: &Programs, mode: &str) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let servers = [listener.local_addr()?];
        let mut server = JoinSet::new();
        server.spawn(serve(listener));
        let sample = fs::read_to_string(
            paths::checkout().join("config/samples/without-kubernetes/file-discovery.yaml"),
        )?;
        let config = sample.replace("config/samples/without-kubernetes/endpoints.yaml", "ENDPOINTS");
        let sample = Parts::shipped()?;
        // Envoy refuses what comes above its own limit before a picker's answer does, with this mode alone.
        let buffer = match mode {
            "BUFFERED" => "per_connection_buffer_limit_bytes: 33554432\n    ",
            _ => "",
        };
        ensure!(sample.contains("    filter_chains:\n"), "where a listener's buffer is said");
        let bootstrap = sample
            .replace("filter_chains:\n", &format!("{buffer}filter_chains:\n"))
            .replace("request_body_mode: FULL_DUPLEX_STREAMED", &format!("request_body_mode: {mode}"))
            .replace("stat_prefix: inference", "stat_prefix: inference\n          proxy_100_continue: true");
        let parts = Parts { envoy, picker, config: &config, bootstrap: &bootstrap, servers: &servers };
        let setup = Self { gateway: Gateway::start(parts).await?, _server: server };
        until("the first answer", PATIENCE, || setup.chat()).await?;
        Ok(setup)
    }

    async fn send(&self, request: &str) -> Result<BufReader<TcpStream>> {
        let mut stream = TcpStream::connect(self.gateway.address).await?;
        stream.write_all(request.as_bytes()).await?;
        Ok(BufReader::new(stream))
    }

    /// A short request with its body, which is waited for.
    async fn chat(&self) -> Result<()> {
        let body = r#"{"model":"m","messages":[{"role":"user","content":"Hello"}]}"#;
        let mut stream = self.send(&(post("application/json", body.len()) + "\r\n" + body)).await?;
        answered(&mut stream, body.len()).await
    }

    async fn websocket(&self) -> Result<()> {
        let request = "GET /v1/realtime HTTP/1.1\r\nhost: models\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
            sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
        let mut stream = self.send(request).await?;
        let head = head(&mut stream).await?;
        ensure!(head.starts_with("HTTP/1.1 101"), "{head}");
        for frame in ["first", "second"] {
            stream.write_all(frame.as_bytes()).await?;
            expect(&mut stream, frame).await?;
        }
        Ok(())
    }

    async fn expectation(&self) -> Result<()> {
        const LENGTH: usize = 2_200_000;
        let request = post("application/json", LENGTH) + "expect: 100-continue\r\n\r\n";
        let mut stream = self.send(&request).await?;
        let first = head(&mut stream).await?;
        ensure!(first.starts_with("HTTP/1.1 100"), "{first}");
        stream.write_all(&vec![b' '; LENGTH]).await?;
        answered(&mut stream, LENGTH).await
    }

    async fn dialogue(&self) -> Result<()> {
        let request = "POST /inference.GRPCInferenceService/ModelStreamInfer HTTP/1.1\r\nhost: models\r\n\
            content-type: application/grpc\r\ntransfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n";
        let mut stream = self.send(request).await?;
        let head = head(&mut stream).await?;
        ensure!(head.starts_with("HTTP/1.1 200"), "{head}");
        expect(&mut stream, "5\r\nfirst\r\n").await?;
        stream.write_all(b"6\r\nsecond\r\n").await?;
        expect(&mut stream, "6\r\nsecond\r\n").await?;
        stream.write_all(b"0\r\n\r\n").await?;
        expect(&mut stream, "0\r\n\r\n").await
    }

    /// More than the picker holds of a body, and than Envoy does.
    async fn upload(&self, kind: &str) -> Result<()> {
        const LENGTH: usize = 20_000_000;
        let stream = self.send(&(post(kind, LENGTH) + "\r\n")).await?;
        let (reader, mut writer) = tokio::io::split(stream);
        let send = async {
            writer.write_all(&vec![b' '; LENGTH]).await?;
            Ok::<_, anyhow::Error>(())
        };
        let mut reader = BufReader::new(reader);
        tokio::try_join!(send, answered(&mut reader, LENGTH))?;
        Ok(())
    }
}

fn post(kind: &str, length: usize) -> String {
    format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: models\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n"
    )
}

/// The next head of a message, with its empty line.
async fn head(stream: &mut (impl AsyncBufReadExt + Unpin)) -> Result<String> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        let line = timeout(PATIENCE, stream.read_line(&mut head)).await.context("no head came")??;
        ensure!(line > 0, "the connection ended after {head:?}");
    }
    Ok(head)
}

/// Reads `text` and nothing beyond.
async fn expect(stream: &mut (impl AsyncBufReadExt + Unpin), text: &str) -> Result<()> {
    let mut came = vec![0; text.len()];
    let read = timeout(PATIENCE, stream.read_exact(&mut came)).await;
    read.with_context(|| format!("{text:?} did not come"))??;
    ensure!(came == text.as_bytes(), "{:?} instead of {text:?}", String::from_utf8_lossy(&came));
    Ok(())
}

/// Reads an answer of the model server that it got a body of so many bytes.
async fn answered(stream: &mut (impl AsyncBufReadExt + Unpin), length: usize) -> Result<()> {
    let head = head(stream).await?;
    ensure!(head.starts_with("HTTP/1.1 200"), "{head}");
    ensure!(head.contains(&format!("x-length: {length}\r\n")), "of {length} bytes: {head}");
    Ok(())
}

/// A model server: takes up protocols, asks for bodies that announce themselves, echoes streams, and counts the bytes of
/// all other bodies.
async fn serve(listener: TcpListener) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        // One that breaks off is the gateway's, or ends with the test.
        connections.spawn(async { drop(answer(stream).await) });
    }
}

async fn answer(stream: TcpStream) -> Result<()> {
    let mut stream = BufReader::new(stream);
    let head = head(&mut stream).await?.to_ascii_lowercase();
    if head.contains("upgrade: websocket") {
        let accepted =
            "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\r\n";
        stream.write_all(accepted.as_bytes()).await?;
        return echo(stream).await;
    }
    if head.contains("content-type: application/grpc") {
        let accepted = "HTTP/1.1 200 OK\r\ncontent-type: application/grpc\r\nconnection: close\r\n\
            transfer-encoding: chunked\r\n\r\n";
        stream.write_all(accepted.as_bytes()).await?;
        return echo(stream).await;
    }
    if head.contains("expect: 100-continue") {
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
    }
    let length = length(&mut stream, &head).await?;
    let answer =
        format!("HTTP/1.1 200 OK\r\ncontent-length: 0\r\nx-length: {length}\r\nconnection: close\r\n\r\n");
    stream.write_all(answer.as_bytes()).await?;
    Ok(())
}

/// Sends back what comes, frames and all.
async fn echo(mut stream: BufReader<TcpStream>) -> Result<()> {
    loop {
        let came = stream.fill_buf().await?.to_vec();
        if came.is_empty() {
            return Ok(());
        }
        stream.consume(came.len());
        stream.write_all(&came).await?;
    }
}

/// Reads a body, and counts its bytes.
async fn length(stream: &mut BufReader<TcpStream>, head: &str) -> Result<usize> {
    let announced = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    if let Some(length) = announced {
        let length = length.parse()?;
        stream.read_exact(&mut vec![0; length]).await?;
        return Ok(length);
    }
    if !head.contains("transfer-encoding: chunked") {
        bail!("a request without a body: {head}");
    }
    let mut length = 0;
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await?;
        let chunk = usize::from_str_radix(line.trim(), 16)?;
        stream.read_exact(&mut vec![0; chunk + 2]).await?;
        length += chunk;
        if chunk == 0 {
            return Ok(length);
        }
    }
}
