//! An ext_proc client that behaves as Envoy does: a stream for each exchange, headers and body at once,
//! the answers awaited, then the response piece by piece, then the end of its side.

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use bytes::{Buf, Bytes, BytesMut};
use h2::client::{ResponseFuture, SendRequest};
use h2::{RecvStream, SendStream};
use http::Request;
use picker_proto::body_mutation::Mutation;
use picker_proto::processing_response::Response;
use picker_proto::{Fields, ProcessingResponse};
use prost::Message;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::corked_io::corked;
use super::exchange::Exchange;
use super::tls::Identity;

/// Envoy's windows, as its default is since 1.36: what a stream and a connection may send unread.
const STREAM_WINDOW: u32 = 16 << 20;
const CONNECTION_WINDOW: u32 = 24 << 20;
/// `h2` closes a connection on which too much of this is unread; Envoy never does.
const SMALL_FRAMES: usize = usize::MAX;

/// A connection to a server.
#[derive(Clone)]
pub struct Client {
    send: SendRequest<Bytes>,
    ended: Arc<OnceLock<String>>,
}

/// A decision that was made.
#[derive(Clone, Debug)]
pub struct Decision {
    /// When the last of the request was sent.
    pub sent: Instant,
    /// When the answer to its headers and the last of its body were here.
    pub here: Instant,
    metadata: Option<Fields>,
}

/// An exchange whose request is decided, and whose response has yet to come.
pub struct Open {
    stream: SendStream<Bytes>,
    answers: Answers,
}

impl Client {
    /// Connects, by TLS if there is an identity to expect; the connection is driven in the background until the last
    /// clone is dropped.
    ///
    /// # Errors
    /// When nothing listens, or it does not speak HTTP/2, or shows another identity.
    pub async fn connect(address: &str, identity: Option<&Identity>) -> Result<Self> {
        let io = TcpStream::connect(address).await.with_context(|| format!("connecting to {address}"))?;
        io.set_nodelay(true)?;
        match identity {
            Some(identity) => Self::over(identity.connect(io).await?).await,
            None => Self::over(io).await,
        }
    }

    async fn over(io: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Result<Self> {
        let mut builder = h2::client::Builder::new();
        builder
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .data_frame_budget(SMALL_FRAMES);
        let (send, connection) = corked(io, |io| builder.handshake(io)).await?;
        let ended = Arc::new(OnceLock::new());
        let why = ended.clone();
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                let _ = why.set(error.to_string());
            }
        });
        Ok(Self { send, ended })
    }

    /// Why the connection has ended, if it has, and not well.
    pub fn ended(&self) -> Option<&str> {
        self.ended.get().map(String::as_str)
    }

    /// One exchange, from its beginning to its end.
    ///
    /// # Errors
    /// When the server does not answer as it must.
    pub async fn exchange(&self, exchange: &Exchange) -> Result<Decision> {
        let (decision, mut open) = self.decide(exchange).await?;
        open.respond(exchange).await?;
        // In full duplex Envoy sends on what comes, and waits for no piece before the next.
        for piece in &exchange.pieces {
            open.stream.send_data(piece.clone(), false)?;
        }
        open.answers.echo(exchange.answer).await.context("the response's body")?;
        open.stream.send_data(Bytes::new(), true)?;
        open.answers.end().await?;
        Ok(decision)
    }

    /// Sends a request, and awaits where it goes.
    ///
    /// # Errors
    /// When the server does not answer as it must.
    pub async fn decide(&self, exchange: &Exchange) -> Result<(Decision, Open)> {
        let request = Request::post("http://picker/envoy.service.ext_proc.v3.ExternalProcessor/Process")
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(())?;
        let (response, mut stream) = self.send.clone().ready().await?.send_request(request, false)?;
        for message in &exchange.request {
            stream.send_data(message.clone(), false)?;
        }
        let sent = Instant::now();
        let mut answers = Answers::of(response).await?;
        let answer = answers.next().await?;
        match answer.response {
            Some(Response::RequestHeaders(headers)) => {
                let set = headers.response.and_then(|common| common.header_mutation);
                ensure!(set.is_some_and(|set| !set.set_headers.is_empty()), "no destination");
            }
            other => bail!("no answer to the headers but {other:?}"),
        }
        answers.echo(exchange.body).await.context("the request's body")?;
        let decision = Decision { sent, here: Instant::now(), metadata: answer.dynamic_metadata };
        Ok((decision, Open { stream, answers }))
    }
}

impl Decision {
    /// The revision of the strategy that made it, where the server tells one.
    pub fn revision(&self) -> Option<&str> {
        self.metadata.as_ref()?.get_str("waypost.dev", "revision")
    }
}

impl Open {
    /// Sends the headers of the response, and awaits the answer to them.
    ///
    /// # Errors
    /// When the server does not answer as it must.
    pub async fn respond(&mut self, exchange: &Exchange) -> Result<()> {
        self.stream.send_data(exchange.response.clone(), false)?;
        let answer = self.answers.next().await?.response;
        ensure!(
            matches!(answer, Some(Response::ResponseHeaders(_))),
            "to the response's headers: {answer:?}"
        );
        Ok(())
    }

    /// Its two directions.
    pub fn split(self) -> (SendStream<Bytes>, Answers) {
        (self.stream, self.answers)
    }
}

/// The answers of a server, one after the other.
pub struct Answers {
    body: RecvStream,
    buffer: BytesMut,
}

impl Answers {
    async fn of(response: ResponseFuture) -> Result<Self> {
        Ok(Self { body: response.await?.into_body(), buffer: BytesMut::new() })
    }

    async fn next(&mut self) -> Result<ProcessingResponse> {
        loop {
            if let Some(header) = self.buffer.first_chunk::<5>() {
                let length = u32::from_be_bytes([header[1], header[2], header[3], header[4]]) as usize;
                if self.buffer.len() >= 5 + length {
                    self.buffer.advance(5);
                    let message = self.buffer.split_to(length).freeze();
                    return Ok(ProcessingResponse::decode(message)?);
                }
            }
            ensure!(self.more().await?, "the stream ended early");
        }
    }

    /// Awaits so many bytes of a body.
    ///
    /// # Errors
    /// When something else comes.
    pub async fn echo(&mut self, mut length: usize) -> Result<()> {
        while length > 0 {
            let answer = self.next().await?.response;
            let Some(Response::RequestBody(body) | Response::ResponseBody(body)) = answer else {
                bail!("something else: {answer:?}");
            };
            let mutation =
                body.response.and_then(|common| common.body_mutation).and_then(|body| body.mutation);
            let Some(Mutation::StreamedResponse(piece)) = mutation else { bail!("no piece: {mutation:?}") };
            length = length.checked_sub(piece.body.len()).context("more than was sent")?;
        }
        Ok(())
    }

    /// Awaits the end of the stream, and that it was a good one.
    ///
    /// # Errors
    /// When it was none.
    pub async fn end(&mut self) -> Result<()> {
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

#[cfg(test)]
mod tests {
    use picker_proto::build::{metadata, text, within};

    use super::*;

    #[test]
    fn the_revision_is_in_the_metadata() {
        let decision = |metadata| Decision { sent: Instant::now(), here: Instant::now(), metadata };
        let told = metadata([("waypost.dev", within([("revision", text("abc"))]))]);
        assert_eq!(decision(Some(told)).revision(), Some("abc"));
        assert_eq!(decision(Some(metadata([("envoy.lb", text("abc"))]))).revision(), None);
        assert_eq!(decision(None).revision(), None);
    }
}
