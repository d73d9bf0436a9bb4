//! A rate limit service that gives each tenant a budget of tokens, as Envoy's rate limit filter asks for it.
//!
//! The protocol: `envoy/service/ratelimit/v3/rls.proto` over gRPC. Of a request the descriptors (field 2) are read, of each
//! its first entry (1), whose value (2) is the tenant, and its `hits_addend` (3, a `UInt64Value`).

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

type Used = Arc<Mutex<HashMap<String, u64>>>;

/// The service. It ends with the value.
pub struct Limits {
    pub address: SocketAddr,
    used: Used,
    _serving: JoinSet<()>,
}

impl Limits {
    /// Starts it with a budget for each tenant.
    pub async fn start(budget: u64) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let used = Used::default();
        let mut serving = JoinSet::new();
        let shared = used.clone();
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let used = shared.clone();
                let service = service_fn(move |request| answer(request, used.clone(), budget));
                let connection =
                    http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service);
                // One that breaks off is Envoy's.
                connections.spawn(async { drop(connection.await) });
            }
        });
        Ok(Self { address, used, _serving: serving })
    }

    /// Tokens that `tenant` was charged for.
    pub fn used(&self, tenant: &str) -> u64 {
        let used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        used.get(tenant).copied().unwrap_or_default()
    }
}

type Frames = futures::stream::Iter<std::array::IntoIter<Result<Frame<Bytes>, Infallible>, 2>>;

async fn answer(request: Request<Incoming>, used: Used, budget: u64) -> Result<Response<StreamBody<Frames>>> {
    let body = request.into_body().collect().await?.to_bytes();
    let message = body.get(5..).context("a frame")?;
    let mut over = false;
    for (_, descriptor) in fields(message)?.into_iter().filter(|(field, _)| *field == 2) {
        let (tenant, hits) = charge(descriptor.bytes()?)?;
        let mut used = used.lock().unwrap_or_else(PoisonError::into_inner);
        let used = used.entry(tenant).or_default();
        over |= *used >= budget;
        *used += hits;
    }
    // RateLimitResponse: overall_code is OK or OVER_LIMIT.
    let answer = Bytes::from(vec![0, 0, 0, 0, 2, 0x08, if over { 2 } else { 1 }]);
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    let frames = [Ok(Frame::data(answer)), Ok(Frame::trailers(trailers))];
    let response = Response::builder().header("content-type", "application/grpc");
    Ok(response.body(StreamBody::new(futures::stream::iter(frames)))?)
}

/// The tenant of a descriptor, and what it is charged.
fn charge(descriptor: &[u8]) -> Result<(String, u64)> {
    let (mut tenant, mut hits) = (String::new(), 1);
    for (field, value) in fields(descriptor)? {
        match field {
            1 => {
                for (field, value) in fields(value.bytes()?)? {
                    if field == 2 {
                        tenant = String::from_utf8_lossy(value.bytes()?).into_owned();
                    }
                }
            }
            3 => {
                let number = fields(value.bytes()?)?.into_iter().find(|(field, _)| *field == 1);
                hits = number.map_or(Ok(0), |(_, value)| value.number())?;
            }
            _ => {}
        }
    }
    Ok((tenant, hits))
}

/// The value of a field.
enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

impl<'a> Value<'a> {
    fn bytes(&self) -> Result<&'a [u8]> {
        if let Self::Bytes(bytes) = self { Ok(bytes) } else { anyhow::bail!("a number where bytes belong") }
    }

    fn number(&self) -> Result<u64> {
        if let Self::Number(number) = self {
            Ok(*number)
        } else {
            anyhow::bail!("bytes where a number belongs")
        }
    }
}

/// The fields of a message, with their numbers.
fn fields(mut message: &[u8]) -> Result<Vec<(u64, Value<'_>)>> {
    let mut fields = Vec::new();
    while !message.is_empty() {
        let tag = varint(&mut message)?;
        let value = match tag & 7 {
            0 => Value::Number(varint(&mut message)?),
            2 => {
                let length = usize::try_from(varint(&mut message)?)?;
                let (bytes, rest) = message.split_at_checked(length).context("a message that is cut")?;
                message = rest;
                Value::Bytes(bytes)
            }
            other => anyhow::bail!("a field of type {other}"),
        };
        fields.push((tag >> 3, value));
    }
    Ok(fields)
}

fn varint(message: &mut &[u8]) -> Result<u64> {
    let mut number = 0;
    for at in 0..10 {
        let (byte, rest) = message.split_first().context("a number that is cut")?;
        *message = rest;
        number |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Ok(number);
        }
    }
    anyhow::bail!("a number of more than ten bytes")
}
