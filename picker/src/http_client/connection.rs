//! One connection of the client.

use std::pin::Pin;
use std::task::Poll;

use bytes::Bytes;
use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE, HOST, USER_AGENT};
use http::{HeaderValue, Method, Request};
use http_body_util::BodyExt;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use picker_core::http::{PostError, Server};
use smallvec::SmallVec;
use tokio::net::{TcpStream, lookup_host};

use super::pieces::Pieces;
use super::reader::Reader;
use crate::reserved_address::is_metadata_service;

/// The most bytes of an answer that hyper holds before they are read, its head included.
const BUFFER: usize = 64 << 10;

type Sender = http1::SendRequest<Pieces>;
type Driver = http1::Connection<TokioIo<TcpStream>, Pieces>;

/// An open connection.
#[derive(Debug)]
pub(super) struct Connection {
    sender: Sender,
    driver: Driver,
}

/// The request for `path` of `server`.
pub(super) fn request(
    server: &Server,
    path: &str,
    body: SmallVec<[Bytes; 3]>,
) -> Result<Request<Pieces>, PostError> {
    let mut request = Request::new(Pieces::new(body));
    *request.method_mut() = Method::POST;
    // What is no path was refused when the strategy was compiled.
    *request.uri_mut() = format!("{}{path}", server.prefix).parse().map_err(|_| PostError::Connect)?;
    let host = HeaderValue::from_str(&server.authority).map_err(|_| PostError::Connect)?;
    let headers = request.headers_mut();
    headers.insert(HOST, host);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    headers.insert(USER_AGENT, HeaderValue::from_static("waypost-picker"));
    Ok(request)
}

impl Connection {
    /// A new connection to `server`.
    pub(super) async fn open(server: &Server) -> Result<Self, PostError> {
        let found = lookup_host((server.host.as_str(), server.port)).await.map_err(|_| PostError::Connect)?;
        let addresses: Vec<_> = found.filter(|address| !is_metadata_service(address.ip())).collect();
        let stream = TcpStream::connect(&addresses[..]).await.map_err(|_| PostError::Connect)?;
        stream.set_nodelay(true).map_err(|_| PostError::Connect)?;
        let handshake = http1::Builder::new().max_buf_size(BUFFER).handshake(TokioIo::new(stream));
        let (sender, driver) = handshake.await.map_err(|_| PostError::Connect)?;
        Ok(Self { sender, driver })
    }

    /// One request and its answer. The connection comes back if it can be used again.
    pub(super) async fn exchange(
        self,
        request: Result<Request<Pieces>, PostError>,
        reader: &mut Reader<'_>,
    ) -> Result<Option<Self>, PostError> {
        let Self { mut sender, mut driver } = self;
        let request = request?;
        let closed = std::future::poll_fn(|cx| Poll::Ready(Pin::new(&mut driver).poll(cx).is_ready())).await;
        if closed {
            return Err(PostError::Connect);
        }
        let mut driver = Some(driver);
        {
            // One task for both sides of the exchange: none is left behind when it is given up.
            let mut fetch = std::pin::pin!(fetch(&mut sender, request, reader));
            loop {
                let Some(running) = &mut driver else { break fetch.await? };
                tokio::select! {
                    biased;
                    done = &mut fetch => break done?,
                    // What came before its end is still there for the fetch.
                    _ = running => driver = None,
                }
            }
        }
        Ok(driver.map(|driver| Self { sender, driver }))
    }
}

/// Sends `request`, and lets `reader` read the body of the answer.
async fn fetch(
    sender: &mut Sender,
    request: Request<Pieces>,
    reader: &mut Reader<'_>,
) -> Result<(), PostError> {
    sender.ready().await.map_err(|_| PostError::Broken)?;
    let response = sender.send_request(request).await.map_err(|_| PostError::Broken)?;
    let (head, mut body) = response.into_parts();
    if !head.status.is_success() {
        return Err(PostError::Status(head.status.as_u16()));
    }
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| PostError::Broken)?.into_data() else { continue };
        reader.feed(&data)?;
    }
    Ok(())
}
