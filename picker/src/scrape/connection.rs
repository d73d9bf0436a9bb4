//! One keep-alive connection to one model server.

use std::net::SocketAddr;

use bytes::Bytes;
use http::header::{ACCEPT, HOST, USER_AGENT};
use http::{HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::scan::Scanner;

/// The longest metrics text that is read, in bytes: five times what a server with all its histograms writes.
const BODY_CAP: usize = 4 << 20;

/// Why a scrape failed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// No connection.
    #[error("cannot connect: {0}")]
    Connect(#[source] std::io::Error),
    /// The exchange broke off.
    #[error("broke off: {0}")]
    Broken(#[from] hyper::Error),
    /// The server refused.
    #[error("answered {0}")]
    Status(StatusCode),
    /// The text is longer than the cap.
    #[error("more than {BODY_CAP} bytes")]
    TooLarge,
    /// It took longer than its deadline.
    #[error("took longer than the deadline")]
    Timeout,
}

impl Failure {
    /// The failure in a word, as a label.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Connect(_) => "connect",
            Self::Broken(_) => "broken",
            Self::Status(_) => "status",
            Self::TooLarge => "too-large",
            Self::Timeout => "timeout",
        }
    }
}

type Open = (http1::SendRequest<Empty<Bytes>>, http1::Connection<TokioIo<TcpStream>, Empty<Bytes>>);

/// A connection that is made when it is needed, and again when the server closed it.
#[derive(Debug)]
pub struct Connection {
    address: SocketAddr,
    host: HeaderValue,
    open: Option<Open>,
}

impl Connection {
    /// A connection to `address`, not open yet.
    pub fn new(address: SocketAddr) -> Self {
        // An address is always a legal header value.
        let host = HeaderValue::from_str(&address.to_string()).unwrap_or(HeaderValue::from_static(""));
        Self { address, host, open: None }
    }

    /// Fetches `/metrics` and feeds its text to `scanner`. After an error, or when dropped half way, the
    /// connection is closed and the scanner has read a part of a text.
    ///
    /// # Errors
    /// When there was no complete answer with status 200.
    pub async fn scrape(&mut self, scanner: &mut Scanner) -> Result<(), Failure> {
        if let Some(open) = self.open.take() {
            match self.exchange(open, scanner).await {
                // Closed by the server while it was idle: no failure of the server.
                Err(Failure::Broken(_)) => scanner.reset(),
                other => return other,
            }
        }
        let stream = TcpStream::connect(self.address).await.map_err(Failure::Connect)?;
        stream.set_nodelay(true).map_err(Failure::Connect)?;
        let open = http1::handshake(TokioIo::new(stream)).await?;
        self.exchange(open, scanner).await
    }

    /// One request and its answer; keeps the connection if it can be used again.
    async fn exchange(&mut self, (mut sender, mut wire): Open, scanner: &mut Scanner) -> Result<(), Failure> {
        let mut closed = false;
        {
            // One task for both sides of the exchange: no wake-up from one to the other.
            let mut fetch = std::pin::pin!(fetch(&mut sender, self.request(), scanner));
            loop {
                tokio::select! {
                    biased;
                    done = &mut fetch => break done?,
                    ended = &mut wire, if !closed => {
                        ended?;
                        closed = true;
                    }
                }
            }
        }
        self.open = (!closed).then_some((sender, wire));
        Ok(())
    }

    fn request(&self) -> Request<Empty<Bytes>> {
        let mut request = Request::new(Empty::new());
        *request.method_mut() = Method::GET;
        *request.uri_mut() = http::Uri::from_static("/metrics");
        let headers = request.headers_mut();
        headers.insert(HOST, self.host.clone());
        headers.insert(ACCEPT, HeaderValue::from_static("text/plain;version=0.0.4"));
        headers.insert(USER_AGENT, HeaderValue::from_static("waypost-picker"));
        request
    }
}

async fn fetch(
    sender: &mut http1::SendRequest<Empty<Bytes>>,
    request: Request<Empty<Bytes>>,
    scanner: &mut Scanner,
) -> Result<(), Failure> {
    sender.ready().await?;
    let response = sender.send_request(request).await?;
    if response.status() != StatusCode::OK {
        return Err(Failure::Status(response.status()));
    }
    let mut body = response.into_body();
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        length += data.len();
        if length > BODY_CAP {
            return Err(Failure::TooLarge);
        }
        scanner.feed(&data);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
