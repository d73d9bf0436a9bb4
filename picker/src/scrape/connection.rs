//! The keep-alive connection to the metrics of one model server.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, HOST, LOCATION, USER_AGENT};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use picker_core::view::Signals;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::either::Either;

use super::head_cap::{Allowance, Capped};
use super::narrow::Narrow;
use super::outcome::{Failure, Page};
use super::place::{Place, Wire};
use super::reader::PageReader;
use super::redirect;
use super::table::Hint;

/// The most of a redirect's text that is read to keep the connection, in bytes.
const REDIRECT_CAP: usize = 16 << 10;

/// The most bytes that are read before the head of an answer is there, informational ones among them.
const HEAD_CAP: usize = 64 << 10;

/// How many times as many bytes of an answer as of its text may be on the wire, where each piece of it may come as a chunk of
/// its own.
const WIRE: usize = 4;

/// The number of scrapes after which the other paths of a server are tried, whose page is there and says nothing.
const PROBE: u32 = 20;

type Stream = Either<TcpStream, TlsStream<TcpStream>>;
type Sender = http1::SendRequest<Empty<Bytes>>;
type Driver = http1::Connection<TokioIo<Capped<Stream>>, Empty<Bytes>>;

/// A connection that is made when it is needed, and again when the server closed it.
#[derive(Debug)]
pub struct Connection {
    address: SocketAddr,
    host: HeaderValue,
    /// The name that the server's certificate has to be for; `None` is its address.
    name: Option<Arc<str>>,
    place: Place,
    /// The one of its paths that was last found to say something.
    path: usize,
    /// Where the server has the page of each path, if it named another place.
    moved: Vec<Option<PathAndQuery>>,
    /// What is known of the narrow page of each path.
    narrow: Vec<Narrow>,
    /// Pages in a row that said nothing.
    silent: u32,
    open: Option<(Sender, Driver)>,
    /// What may still be read of the connection.
    allowance: Allowance,
}

/// An answer with a page, or with its place.
enum Answer {
    /// A page of this length was read, whole or up to the cap.
    Page { length: usize, cut: bool },
    /// It is elsewhere.
    Moved(StatusCode, HeaderValue),
}

impl Connection {
    /// A connection to the metrics at `place` of the server at `address`, not open yet.
    pub fn new(mut address: SocketAddr, place: Place) -> Self {
        address.set_port(place.port.unwrap_or(address.port()));
        // An address is always a legal header value.
        let host = HeaderValue::from_str(&address.to_string()).unwrap_or(HeaderValue::from_static(""));
        let moved = vec![None; place.paths.len()];
        let narrow = place.paths.iter().map(|_| Narrow::default()).collect();
        let allowance = Allowance::default();
        Self { address, host, name: None, place, path: 0, moved, narrow, silent: 0, open: None, allowance }
    }

    /// The same to a server that is called `name`.
    #[must_use]
    pub fn called(mut self, name: Option<Arc<str>>) -> Self {
        if let Some(name) = name {
            if let Ok(host) = HeaderValue::from_str(&format!("{name}:{}", self.address.port())) {
                self.host = host;
            }
            self.name = Some(name);
        }
        self
    }

    /// Reads the metrics, with `reader`. Where they are not, or say nothing, the other paths are tried, and
    /// the one that says something is read from then on. After an error, or when dropped half way, the
    /// connection is closed and the reader has read a part of a text.
    ///
    /// # Errors
    /// When there was no answer with status 200, or it was not complete.
    pub async fn scrape(&mut self, reader: &mut impl PageReader, hint: &Hint) -> Result<Page, Failure> {
        let nothing = Signals::default();
        let known = self.page(self.path, reader, hint).await;
        let elsewhere = match &known {
            Ok(Page { signals, .. }) if *signals == nothing => {
                self.silent = self.silent.wrapping_add(1);
                self.silent % PROBE == 1
            }
            Err(Failure::Status(StatusCode::NOT_FOUND)) => true,
            _ => false,
        };
        if elsewhere {
            let (first, count) = (self.path, self.place.paths.len());
            for path in (1..count).map(|step| (first + step) % count) {
                reader.reset();
                let other = self.page(path, reader, hint).await;
                if let Ok(page) = other
                    && page.signals != nothing
                {
                    (self.path, self.silent) = (path, 0);
                    return Ok(page);
                }
            }
        } else if known.as_ref().is_ok_and(|page| page.signals != nothing) {
            self.silent = 0;
        }
        known
    }

    /// Other metrics are wanted from now on.
    pub fn want_others(&mut self) {
        self.narrow.fill_with(Narrow::default);
    }

    /// Whether the last page was one with the wanted metrics alone.
    pub fn is_narrow(&self) -> bool {
        self.narrow[self.path].page().is_some()
    }

    /// Reads the page of the path at this position.
    async fn page(
        &mut self,
        path: usize,
        reader: &mut impl PageReader,
        hint: &Hint,
    ) -> Result<Page, Failure> {
        if let Some(narrow) = self.narrow[path].page().cloned() {
            match self.ask(&narrow.path, reader).await {
                Ok(Answer::Page { length, cut: false }) => {
                    let signals = reader.signals(hint)?;
                    if narrow.is_told(length, &signals) {
                        return Ok(Page { signals, cut: false });
                    }
                }
                Ok(_) | Err(Failure::Status(_) | Failure::Encoded(_)) => reader.reset(),
                Err(failure) => return Err(failure),
            }
            self.narrow[path].failed();
        }
        let (length, cut) = self.get(path, reader).await?;
        if cut {
            reader.cut();
        }
        let signals = reader.signals(hint)?;
        let at = self.moved[path].as_ref().unwrap_or(&self.place.paths[path]);
        if self.place.may_be_narrow() {
            self.narrow[path].whole(at, length, &signals, reader.metrics());
        }
        Ok(Page { signals, cut })
    }

    /// Fetches the whole page of the path at this position and feeds its text to `reader`; its length and whether it was
    /// cut. One redirect is followed, and remembered.
    async fn get(&mut self, path: usize, reader: &mut impl PageReader) -> Result<(usize, bool), Failure> {
        if let Some(moved) = self.moved[path].take() {
            match self.ask(&moved, reader).await {
                Ok(Answer::Page { length, cut }) => {
                    self.moved[path] = Some(moved);
                    return Ok((length, cut));
                }
                // It is no longer there.
                Ok(Answer::Moved(..)) | Err(Failure::Status(_)) => reader.reset(),
                Err(failure) => {
                    self.moved[path] = Some(moved);
                    return Err(failure);
                }
            }
        }
        let first = self.place.paths[path].clone();
        let (status, location) = match self.ask(&first, reader).await? {
            Answer::Page { length, cut } => return Ok((length, cut)),
            Answer::Moved(status, location) => (status, location),
        };
        let scheme = if matches!(self.place.wire, Wire::Plain) { "http" } else { "https" };
        let host = self.host.to_str().unwrap_or_default();
        let there = location.to_str().ok().and_then(|to| redirect::same_server(to, scheme, host, &first));
        let Some(there) = there else { return Err(not_followed(status, &location)) };
        match self.ask(&there, reader).await? {
            Answer::Page { length, cut } => {
                self.moved[path] = Some(there);
                Ok((length, cut))
            }
            Answer::Moved(status, location) => Err(not_followed(status, &location)),
        }
    }

    /// Asks for `path`, on the connection that is open, or on a new one if there is none or the server has closed it: that is
    /// no failure of the server, as long as nothing of an answer has come.
    async fn ask(&mut self, path: &PathAndQuery, reader: &mut impl PageReader) -> Result<Answer, Failure> {
        if let Some((sender, mut driver)) = self.open.take() {
            let closed =
                std::future::poll_fn(|cx| Poll::Ready(Pin::new(&mut driver).poll(cx).is_ready())).await;
            if !closed {
                match self.exchange(sender, driver, path, reader).await {
                    Err(Failure::NoAnswer(_)) => {}
                    other => return other,
                }
            }
        }
        let io = Capped::new(self.connect().await?, self.allowance.clone());
        let (sender, driver) = http1::handshake(TokioIo::new(io)).await.map_err(Failure::NoAnswer)?;
        self.exchange(sender, driver, path, reader).await
    }

    async fn connect(&self) -> Result<Stream, Failure> {
        if matches!(self.place.wire, Wire::Broken) {
            return Err(Failure::Tls(std::io::Error::other("its certificate files can't be used")));
        }
        let stream = TcpStream::connect(self.address).await.map_err(Failure::Connect)?;
        stream.set_nodelay(true).map_err(Failure::Connect)?;
        let Wire::Tls(config) = &self.place.wire else { return Ok(Either::Left(stream)) };
        let connector = TlsConnector::from(config.clone());
        let name = match &self.name {
            Some(name) => ServerName::try_from(name.to_string())
                .map_err(|error| Failure::Tls(std::io::Error::other(error)))?,
            None => ServerName::IpAddress(self.address.ip().into()),
        };
        Ok(Either::Right(connector.connect(name, stream).await.map_err(Failure::Tls)?))
    }

    /// One request and its answer; keeps the connection if it can be used again.
    async fn exchange(
        &mut self,
        mut sender: Sender,
        driver: Driver,
        path: &PathAndQuery,
        reader: &mut impl PageReader,
    ) -> Result<Answer, Failure> {
        self.allowance.set(HEAD_CAP);
        let mut driver = Some(driver);
        let (answer, whole) = {
            // One task for both sides of the exchange: no wake-up from one to the other.
            let request = self.request(path);
            let cap = self.place.cap();
            let mut fetch = std::pin::pin!(fetch(&mut sender, request, reader, &self.allowance, cap));
            loop {
                let Some(running) = &mut driver else { break fetch.await? };
                tokio::select! {
                    biased;
                    done = &mut fetch => break done?,
                    // The connection has ended. Without the driver, the fetch sees what is left of the answer and then
                    // the end: with it, it would wait for what nobody sends.
                    _ = running => driver = None,
                }
            }
        };
        self.open = driver.filter(|_| whole).map(|driver| (sender, driver));
        Ok(answer)
    }

    fn request(&self, path: &PathAndQuery) -> Request<Empty<Bytes>> {
        let mut request = Request::new(Empty::new());
        *request.method_mut() = Method::GET;
        *request.uri_mut() = path.clone().into();
        let headers = request.headers_mut();
        headers.insert(HOST, self.host.clone());
        headers.insert(ACCEPT, self.place.accept());
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        headers.insert(USER_AGENT, HeaderValue::from_static("waypost-picker"));
        request
    }
}

/// The answer to `request`, whose text goes to `reader`, and whether all of it was read.
async fn fetch(
    sender: &mut Sender,
    request: Request<Empty<Bytes>>,
    reader: &mut impl PageReader,
    allowance: &Allowance,
    cap: usize,
) -> Result<(Answer, bool), Failure> {
    sender.ready().await.map_err(Failure::NoAnswer)?;
    let response = sender.send_request(request).await.map_err(Failure::NoAnswer)?;
    allowance.set(WIRE * cap);
    let (head, body) = response.into_parts();
    if redirect::is_redirect(head.status)
        && let Some(location) = head.headers.get(LOCATION)
    {
        let whole = read(body, REDIRECT_CAP, |_| {}).await?;
        return Ok((Answer::Moved(head.status, location.clone()), whole));
    }
    if head.status != StatusCode::OK {
        return Err(Failure::Status(head.status));
    }
    if let Some(encoding) = encoding(&head.headers) {
        return Err(Failure::Encoded(encoding));
    }
    let mut length = 0;
    let whole = read(body, cap, |text| {
        length += text.len();
        reader.feed(text);
    });
    let whole = whole.await?;
    Ok((Answer::Page { length, cut: !whole }, whole))
}

/// Reads at most `cap` bytes of a body; whether that is all.
async fn read(mut body: Incoming, cap: usize, mut each: impl FnMut(&[u8])) -> Result<bool, Failure> {
    let mut room = cap;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(Failure::Broken)?.into_data() else { continue };
        each(&data[..data.len().min(room)]);
        if data.len() > room {
            return Ok(false);
        }
        room -= data.len();
    }
    Ok(true)
}

fn not_followed(status: StatusCode, location: &HeaderValue) -> Failure {
    Failure::Redirect(status, String::from_utf8_lossy(location.as_bytes()).into())
}

/// The encoding of a body that is not plain.
fn encoding(headers: &HeaderMap) -> Option<String> {
    let encodings =
        headers.get_all(CONTENT_ENCODING).iter().map(|value| String::from_utf8_lossy(value.as_bytes()));
    let mut names = encodings.map(|encoding| encoding.trim().to_owned());
    names.find(|name| !name.is_empty() && !name.eq_ignore_ascii_case("identity"))
}

#[cfg(test)]
mod tests;
