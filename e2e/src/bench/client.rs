//! An external processor's client that behaves as Envoy does: a stream for each exchange, headers and body at once,
//! the answers awaited, then the response piece by piece, then the end of its side.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use bytes::{Buf, Bytes, BytesMut};
use h2::RecvStream;
use h2::client::SendRequest;
use http::Request;
use picker_proto::ProcessingResponse;
use picker_proto::body_mutation::Mutation;
use picker_proto::processing_response::Response;
use prost::Message;
use tokio::net::TcpStream;

use super::exchange::Exchange;

/// Envoy's windows, as its default is since 1.36: what a stream and a connection may send unread.
const STREAM_WINDOW: u32 = 16 << 20;
const CONNECTION_WINDOW: u32 = 24 << 20;

/// A connection to a server.
#[derive(Clone)]
pub struct Client {
    send: SendRequest<Bytes>,
}

impl Client {
    /// Connects; the connection is driven in the background until the last clone is dropped.
    ///
    /// # Errors
    /// When nothing listens, or it does not speak HTTP/2.
    pub async fn connect(address: &str) -> Result<Self> {
        let io = TcpStream::connect(address).await.with_context(|| format!("connecting to {address}"))?;
        io.set_nodelay(true)?;
        let (send, connection) = h2::client::Builder::new()
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .handshake(io)
            .await?;
        tokio::spawn(connection);
        Ok(Self { send })
    }

    /// One exchange. Gives back how long the decision took: from sending the last of the request to holding the
    /// answer to its headers and the last of its body.
    ///
    /// # Errors
    /// When the server does not answer as it must.
    pub async fn exchange(&self, exchange: &Exchange) -> Result<Duration> {
        let request = Request::post("http://picker/envoy.service.ext_proc.v3.ExternalProcessor/Process")
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(())?;
        let (response, mut stream) = self.send.clone().ready().await?.send_request(request, false)?;
        for message in &exchange.request {
            stream.send_data(message.clone(), false)?;
        }
        let sent = Instant::now();
        let mut answers = Answers { body: response.await?.into_body(), buffer: BytesMut::new() };
        match answers.next().await? {
            Response::RequestHeaders(headers) => {
                let set = headers.response.and_then(|common| common.header_mutation);
                ensure!(set.is_some_and(|set| !set.set_headers.is_empty()), "no destination");
            }
            other => bail!("no answer to the headers but {other:?}"),
        }
        answers.echo(exchange.body).await.context("the request's body")?;
        let decided = sent.elapsed();

        stream.send_data(exchange.response.clone(), false)?;
        let answer = answers.next().await?;
        ensure!(matches!(answer, Response::ResponseHeaders(_)), "to the response's headers: {answer:?}");
        // In full duplex Envoy sends on what comes, and waits for no piece before the next.
        for piece in &exchange.pieces {
            stream.send_data(piece.clone(), false)?;
        }
        answers.echo(exchange.answer).await.context("the response's body")?;
        stream.send_data(Bytes::new(), true)?;
        answers.end().await?;
        Ok(decided)
    }
}

/// The answers of a server, one after the other.
struct Answers {
    body: RecvStream,
    buffer: BytesMut,
}

impl Answers {
    async fn next(&mut self) -> Result<Response> {
        loop {
            if let Some(header) = self.buffer.first_chunk::<5>() {
                let length = u32::from_be_bytes([header[1], header[2], header[3], header[4]]) as usize;
                if self.buffer.len() >= 5 + length {
                    self.buffer.advance(5);
                    let message = self.buffer.split_to(length).freeze();
                    let answer = ProcessingResponse::decode(message)?;
                    return answer.response.context("an empty answer");
                }
            }
            ensure!(self.more().await?, "the stream ended early");
        }
    }

    /// Awaits so many bytes of a body.
    async fn echo(&mut self, mut length: usize) -> Result<()> {
        while length > 0 {
            let (Response::RequestBody(body) | Response::ResponseBody(body)) = self.next().await? else {
                bail!("something else");
            };
            let mutation =
                body.response.and_then(|common| common.body_mutation).and_then(|body| body.mutation);
            let Some(Mutation::StreamedResponse(piece)) = mutation else { bail!("no piece: {mutation:?}") };
            length = length.checked_sub(piece.body.len()).context("more than was sent")?;
        }
        Ok(())
    }

    /// Awaits the end of the stream, and that it was a good one.
    async fn end(&mut self) -> Result<()> {
        ensure!(!self.more().await? && self.buffer.is_empty(), "more than was asked for");
        let trailers = self.body.trailers().await?.context("no trailers")?;
        let status = trailers.get("grpc-status").context("no status")?;
        ensure!(status == "0", "status {status:?}: {:?}", trailers.get("grpc-message"));
        Ok(())
    }

    async fn more(&mut self) -> Result<bool> {
        let Some(data) = self.body.data().await.transpose()? else { return Ok(false) };
        self.body.flow_control().release_capacity(data.len())?;
        self.buffer.extend_from_slice(&data);
        Ok(true)
    }
}
