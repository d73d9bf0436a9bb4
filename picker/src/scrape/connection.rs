//! The keep-alive connection to the metrics of one model server.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{ACCEPT, HOST, USER_AGENT};
use http::uri::PathAndQuery;
use http::{HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use picker_core::scrape::MetricsSource;
use picker_core::view::Signals;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::either::Either;

use super::scan::Scanner;
use super::table::Hint;

/// The longest metrics text that is read, in bytes: five times what a server with all its histograms writes.
const BODY_CAP: usize = 4 << 20;

/// The paths at which engines have their metrics: TensorRT-LLM's server tells its iterations in JSON at the first of them.
const PATHS: [&str; 2] = ["/metrics", "/prometheus/metrics"];

/// The number of scrapes after which the other paths of a server are tried, whose page is there and says nothing.
const PROBE: u32 = 20;

/// The paths and the port at which model servers have their metrics, and the protocol.
#[derive(Clone, Debug, PartialEq)]
pub struct Place {
    paths: Arc<[PathAndQuery]>,
    port: Option<u16>,
    wire: Wire,
}

/// The protocol of a scrape.
#[derive(Clone, Debug)]
pub enum Wire {
    /// In plaintext.
    Plain,
    /// By TLS.
    Tls(Arc<ClientConfig>),
    /// By TLS, of which a file is no good: not at all.
    Broken,
}

impl PartialEq for Wire {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Plain, Self::Plain) | (Self::Broken, Self::Broken) => true,
            (Self::Tls(one), Self::Tls(other)) => Arc::ptr_eq(one, other),
            _ => false,
        }
    }
}

impl Default for Place {
    /// On the serving port, where any of the known engines has them.
    fn default() -> Self {
        Self {
            paths: PATHS.into_iter().map(PathAndQuery::from_static).collect(),
            port: None,
            wire: Wire::Plain,
        }
    }
}

impl Place {
    /// At `path` alone, and on `port`; `None` is what [`Self::default`] says.
    pub fn new(path: Option<PathAndQuery>, port: Option<u16>) -> Self {
        let paths = path.map_or_else(|| Self::default().paths, |path| Arc::from([path]));
        Self { paths, port, wire: Wire::Plain }
    }

    /// Whether it is the port at which the server with this address serves requests.
    pub fn is_served_at(&self, address: SocketAddr) -> bool {
        self.port.is_none_or(|port| port == address.port())
    }

    /// Where `source` says, and where it says nothing here; by `wire`.
    #[must_use]
    pub fn with(&self, source: &MetricsSource, wire: Wire) -> Self {
        // What is no path was refused when the strategy was compiled.
        let path = source.path.as_deref().and_then(|path| path.parse().ok());
        let paths = path.map_or_else(|| self.paths.clone(), |path: PathAndQuery| Arc::from([path]));
        Self { paths, port: source.port.or(self.port), wire }
    }
}

/// The reason why a scrape failed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// No connection.
    #[error("cannot connect: {0}")]
    Connect(#[source] std::io::Error),
    /// No TLS.
    #[error("cannot begin TLS: {0}")]
    Tls(#[source] std::io::Error),
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
    /// Whether it says that nobody is there.
    pub fn is_refusal(&self) -> bool {
        use std::io::ErrorKind::{ConnectionRefused, HostUnreachable};
        matches!(self, Self::Connect(error) if matches!(error.kind(), ConnectionRefused | HostUnreachable))
    }

    /// The failure in a word, as a label.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Connect(_) => "connect",
            Self::Tls(_) => "tls",
            Self::Broken(_) => "broken",
            Self::Status(_) => "status",
            Self::TooLarge => "too-large",
            Self::Timeout => "timeout",
        }
    }
}

type Stream = Either<TcpStream, TlsStream<TcpStream>>;
type Open = (http1::SendRequest<Empty<Bytes>>, http1::Connection<TokioIo<Stream>, Empty<Bytes>>);

/// A connection that is made when it is needed, and again when the server closed it.
#[derive(Debug)]
pub struct Connection {
    address: SocketAddr,
    host: HeaderValue,
    place: Place,
    /// The one of its paths that was last found to say something.
    path: usize,
    /// Pages in a row that said nothing.
    silent: u32,
    open: Option<Open>,
}

impl Connection {
    /// A connection to the metrics at `place` of the server at `address`, not open yet.
    pub fn new(mut address: SocketAddr, place: Place) -> Self {
        address.set_port(place.port.unwrap_or(address.port()));
        // An address is always a legal header value.
        let host = HeaderValue::from_str(&address.to_string()).unwrap_or(HeaderValue::from_static(""));
        Self { address, host, place, path: 0, silent: 0, open: None }
    }

    /// Reads the metrics, with `scanner`. Where they are not, or say nothing, the other paths are tried, and
    /// the one that says something is read from then on. After an error, or when dropped half way, the
    /// connection is closed and the scanner has read a part of a text.
    ///
    /// # Errors
    /// When there was no complete answer with status 200.
    pub async fn scrape(&mut self, scanner: &mut Scanner, hint: &Hint) -> Result<Signals, Failure> {
        let nothing = Signals::default();
        let known = self.get(self.path, scanner).await.map(|()| scanner.finish(hint));
        let elsewhere = match &known {
            Ok(signals) if *signals == nothing => {
                self.silent = self.silent.wrapping_add(1);
                self.silent % PROBE == 1
            }
            Err(Failure::Status(StatusCode::NOT_FOUND)) => true,
            _ => false,
        };
        if elsewhere {
            let (first, count) = (self.path, self.place.paths.len());
            for path in (1..count).map(|step| (first + step) % count) {
                scanner.reset();
                let other = self.get(path, scanner).await.map(|()| scanner.finish(hint));
                if let Ok(signals) = other
                    && signals != nothing
                {
                    (self.path, self.silent) = (path, 0);
                    return Ok(signals);
                }
            }
        } else if known.as_ref().is_ok_and(|signals| *signals != nothing) {
            self.silent = 0;
        }
        known
    }

    /// Fetches the page at `path` and feeds its text to `scanner`.
    async fn get(&mut self, path: usize, scanner: &mut Scanner) -> Result<(), Failure> {
        if let Some(open) = self.open.take() {
            match self.exchange(open, path, scanner).await {
                // Closed by the server while it was idle: no failure of the server.
                Err(Failure::Broken(_)) => scanner.reset(),
                other => return other,
            }
        }
        let open = http1::handshake(TokioIo::new(self.connect().await?)).await?;
        self.exchange(open, path, scanner).await
    }

    async fn connect(&self) -> Result<Stream, Failure> {
        if matches!(self.place.wire, Wire::Broken) {
            return Err(Failure::Tls(std::io::Error::other("its certificate files can't be used")));
        }
        let stream = TcpStream::connect(self.address).await.map_err(Failure::Connect)?;
        stream.set_nodelay(true).map_err(Failure::Connect)?;
        let Wire::Tls(config) = &self.place.wire else { return Ok(Either::Left(stream)) };
        let connector = TlsConnector::from(config.clone());
        let name = ServerName::IpAddress(self.address.ip().into());
        Ok(Either::Right(connector.connect(name, stream).await.map_err(Failure::Tls)?))
    }

    /// One request and its answer; keeps the connection if it can be used again.
    async fn exchange(
        &mut self,
        (mut sender, mut wire): Open,
        path: usize,
        scanner: &mut Scanner,
    ) -> Result<(), Failure> {
        let mut closed = false;
        {
            // One task for both sides of the exchange: no wake-up from one to the other.
            let mut fetch = std::pin::pin!(fetch(&mut sender, self.request(path), scanner));
            loop {
                tokio::select! {
                    biased;
                    done = &mut fetch => break done?,
                    // If it broke off before the end of the answer, the fetch fails too; if after it, as when a server
                    // ends TLS without a word, that is no matter.
                    _ = &mut wire, if !closed => closed = true,
                }
            }
        }
        self.open = (!closed).then_some((sender, wire));
        Ok(())
    }

    fn request(&self, path: usize) -> Request<Empty<Bytes>> {
        let mut request = Request::new(Empty::new());
        *request.method_mut() = Method::GET;
        *request.uri_mut() = self.place.paths[path].clone().into();
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
