//! Questions to the pages of a picker.

use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use bytes::Bytes;
use http::{Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

/// The longest that an answer may take.
const DEADLINE: Duration = Duration::from_secs(30);

/// The most bytes of an answer that are read.
const MAX_ANSWER: usize = 256 << 20;

/// Whom to ask, and as whom.
#[derive(Debug)]
pub(super) struct Asked<'a> {
    /// The picker's port for pages.
    pub address: &'a Uri,
    /// A bearer token.
    pub token: Option<String>,
}

impl Asked<'_> {
    /// The page at `path`.
    pub async fn get(&self, path: &str) -> Result<Value> {
        self.answer(Method::GET, path, Vec::new()).await
    }

    /// The answer to `body`.
    pub async fn post(&self, path: &str, body: Vec<u8>) -> Result<Value> {
        self.answer(Method::POST, path, body).await
    }

    async fn answer(&self, method: Method, path: &str, body: Vec<u8>) -> Result<Value> {
        let asking = self.bytes(method, path, body);
        let answer = timeout(DEADLINE, asking).await;
        let (status, bytes) =
            answer.map_err(|_| anyhow!("{} does not answer in time", self.address))?.with_context(|| {
                format!(
                    "{} can't be asked; is `kubectl port-forward` running, or --address right?",
                    self.address
                )
            })?;
        if status == StatusCode::OK {
            return serde_json::from_slice(&bytes)
                .context("the answer is no JSON; is this the port of a picker?");
        }
        let told = String::from_utf8_lossy(&bytes[..bytes.len().min(1000)]).trim().to_owned();
        match status {
            StatusCode::NOT_FOUND if told.is_empty() => bail!("{} has no page {path}", self.address),
            StatusCode::UNAUTHORIZED => bail!("{told}: name the file of one by --token-file"),
            _ => bail!("the picker answers {status}: {told}"),
        }
    }

    async fn bytes(&self, method: Method, path: &str, body: Vec<u8>) -> Result<(StatusCode, Bytes)> {
        let host = self.address.authority().context("an address without a host")?;
        // In brackets where it is an address of IPv6.
        let name = host.host().trim_start_matches('[').trim_end_matches(']');
        let stream = TcpStream::connect((name, host.port_u16().unwrap_or(80))).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let _connection = AbortOnDropHandle::new(tokio::spawn(connection));
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, host.as_str())
            .header(header::CONTENT_TYPE, "application/json");
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let response = sender.send_request(request.body(Full::new(Bytes::from(body)))?).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), MAX_ANSWER)
            .collect()
            .await
            .map_err(anyhow::Error::from_boxed)?;
        Ok((status, body.to_bytes()))
    }
}
