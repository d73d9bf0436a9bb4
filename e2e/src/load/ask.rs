//! One chat completion request, and its answer.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};

use super::client::Client;
use super::sse::Stream;

/// The header by which a simulated model server says which pod it is.
const POD: &str = "x-sim-pod";

/// A chat completion to be asked for.
#[derive(Clone, Debug)]
pub struct Ask {
    /// The model's name.
    pub model: String,
    /// The user's words.
    pub prompt: String,
    /// Whether the answer is to be streamed.
    pub stream: bool,
    /// How many tokens to answer with.
    pub max_tokens: u32,
    /// Further headers.
    pub headers: Vec<(String, String)>,
    /// How long the whole answer may take.
    pub within: Duration,
}

impl Ask {
    /// `prompt` for a short answer in one piece.
    pub fn new(prompt: impl Into<String>) -> Self {
        Self {
            model: "sim-model".to_owned(),
            prompt: prompt.into(),
            stream: false,
            max_tokens: 8,
            headers: Vec::new(),
            within: Duration::from_secs(60),
        }
    }

    /// Asks for a streamed answer.
    #[must_use]
    pub fn streamed(mut self) -> Self {
        self.stream = true;
        self
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    fn body(&self) -> Bytes {
        let mut body = json!({
            "model": self.model,
            "messages": [{"role": "user", "content": self.prompt}],
            "max_tokens": self.max_tokens,
            "stream": self.stream,
        });
        if self.stream {
            body["stream_options"] = json!({"include_usage": true});
        }
        body.to_string().into()
    }

    /// Sends it to the gateway at `url` (without a path) and reads the answer to its end.
    ///
    /// # Errors
    /// When the connection fails, the time is over, or the answer is broken: a body or event that is no JSON, a stream
    /// that ends without `data: [DONE]`. An answer with another status than 200 is no error.
    pub async fn send(&self, client: &Client, url: &str) -> Result<Answer> {
        let sent = Instant::now();
        let mut request =
            Request::post(format!("{url}/v1/chat/completions")).header("content-type", "application/json");
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let request = request.body(Full::new(self.body())).context("the request")?;
        let answer = tokio::time::timeout(self.within, self.read(client, request, sent)).await;
        answer.with_context(|| format!("no whole answer within {:?}", self.within))?
    }

    async fn read(&self, client: &Client, request: Request<Full<Bytes>>, sent: Instant) -> Result<Answer> {
        let response = client.send(request).await.context("no response")?;
        let status = response.status();
        let headers = response.headers().clone();
        let mut answer = Answer {
            status,
            headers,
            text: String::new(),
            body: Bytes::new(),
            usage: Usage::default(),
            events: 0,
            first_byte: sent.elapsed(),
            took: Duration::ZERO,
        };
        let mut body = response.into_body();
        let mut whole = Vec::new();
        let mut stream = Stream::default();
        let streamed = self.stream && status == StatusCode::OK;
        while let Some(frame) = body.frame().await {
            let from = answer.pod().unwrap_or("an unnamed pod").to_owned();
            let frame = frame
                .with_context(|| format!("the body from {from} broke off after {} bytes", whole.len()))?;
            let Some(data) = frame.data_ref() else { continue };
            if whole.is_empty() {
                answer.first_byte = sent.elapsed();
            }
            whole.extend_from_slice(data);
            if streamed && let Err(what) = stream.feed(data) {
                bail!("from {from}: {what}");
            }
        }
        answer.took = sent.elapsed();
        answer.body = whole.into();
        if streamed {
            let from = answer.pod().unwrap_or("an unnamed pod");
            ensure!(
                stream.done,
                "the stream from {from} ended without [DONE] after {} events",
                stream.events
            );
            answer.text = stream.text;
            answer.events = stream.events;
            answer.usage = Usage::of(&stream.usage.unwrap_or_default());
        } else if status == StatusCode::OK {
            let value: Value = serde_json::from_slice(&answer.body).context("an answer that is no JSON")?;
            let text =
                value["choices"][0]["message"]["content"].as_str().context("an answer without a message")?;
            answer.text = text.to_owned();
            answer.usage = Usage::of(&value["usage"]);
        }
        Ok(answer)
    }
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The head.
    pub headers: HeaderMap,
    /// The words of the answer, however they came.
    pub text: String,
    /// The body as it was.
    pub body: Bytes,
    /// What the server counted.
    pub usage: Usage,
    /// The events of a streamed answer, `[DONE]` aside.
    pub events: usize,
    /// From sending to the first byte of the body.
    pub first_byte: Duration,
    /// From sending to the end.
    pub took: Duration,
}

impl Answer {
    /// The pod that served it, if a simulated model server did.
    pub fn pod(&self) -> Option<&str> {
        self.headers.get(POD)?.to_str().ok()
    }
}

/// The tokens that a server counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Tokens of the prompt.
    pub prompt: u64,
    /// Those of them that were in the prefix cache.
    pub cached: u64,
    /// Tokens of the answer.
    pub completion: u64,
}

impl Usage {
    fn of(usage: &Value) -> Self {
        let count = |value: &Value| value.as_u64().unwrap_or_default();
        Self {
            prompt: count(&usage["prompt_tokens"]),
            cached: count(&usage["prompt_tokens_details"]["cached_tokens"]),
            completion: count(&usage["completion_tokens"]),
        }
    }
}
