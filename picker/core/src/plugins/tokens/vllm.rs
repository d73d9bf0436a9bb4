//! Asking a vLLM render server for the tokens of a prompt.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use schemars::JsonSchema;
use serde::Deserialize;
use smallvec::{SmallVec, smallvec};

use super::estimate::numbers;
use super::rendered::Rendered;
use super::renders::{PATHS, Renders};
use crate::ask::Ask;
use crate::duration;
use crate::fact::{PromptTokens, Slot};
use crate::http::{Post, Server};
use crate::plugin::BuildError;
use crate::request::{Request, Text};
use crate::role::{Outside, Preparation, Preparer};

const URL: &str = "http://localhost:8000";
const TIMEOUT: Duration = Duration::from_secs(5);
const MM_TIMEOUT: Duration = Duration::from_secs(30);

/// The paths of requests, and those at which a server renders them. The first that fits counts.
const RENDERED: [(&str, &str); PATHS] = [
    ("/chat/completions", "/v1/chat/completions/render"),
    ("/completions", "/v1/completions/render"),
    ("/v1/messages", "/v1/messages/render"),
    ("/responses", "/v1/responses/render"),
];

/// A vLLM render server (`vllm serve`, or `vllm launch render`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Vllm {
    /// Its URL, by `http` alone; `http://localhost:8000` where it is absent. Prompts are sent there as clients write them.
    url: Option<String>,
    /// How long a request with nothing but text waits for it: `5s` where it is absent.
    timeout: Option<String>,
    /// How long one with images, audio or video waits: `30s` where it is absent.
    mm_timeout: Option<String>,
}

impl Vllm {
    /// What asks it for the tokens of prompts for `model`.
    ///
    /// # Errors
    /// When a parameter has a wrong value.
    pub fn asker(
        self,
        model: &str,
        slot: Slot<PromptTokens>,
        renders: Arc<Renders>,
    ) -> Result<Asker, BuildError> {
        let Self { url, timeout, mm_timeout } = self;
        let url = url.filter(|url| !url.is_empty());
        let server =
            Server::parse(url.as_deref().unwrap_or(URL)).map_err(|e| BuildError::invalid("vllm.url", e))?;
        let time = |field, text: Option<String>, default| match text.filter(|text| !text.is_empty()) {
            None => Ok(default),
            Some(text) => match duration::parse(&text) {
                Ok(Duration::ZERO) => Err(BuildError::invalid(field, "must be more than 0")),
                parsed => parsed.map_err(|e| BuildError::invalid(field, e)),
            },
        };
        let quoted = serde_json::Value::from(model).to_string();
        Ok(Asker {
            slot,
            server: Arc::new(server),
            timeout: time("vllm.timeout", timeout, TIMEOUT)?,
            mm_timeout: time("vllm.mmTimeout", mm_timeout, MM_TIMEOUT)?,
            inner: Bytes::copy_from_slice(&quoted.as_bytes()[1..quoted.len() - 1]),
            member: Bytes::from(format!(",\"model\":{quoted}}}")),
            renders,
        })
    }
}

/// Asks a render server.
#[derive(Debug)]
pub(in crate::plugins) struct Asker {
    slot: Slot<PromptTokens>,
    server: Arc<Server>,
    timeout: Duration,
    mm_timeout: Duration,
    /// The name of the model as the inside of a JSON string.
    inner: Bytes,
    /// The same as the last member of an object.
    member: Bytes,
    renders: Arc<Renders>,
}

impl Asker {
    /// The body of `request` for the model that the server knows, in pieces of it; `None` when it is no object that is whole.
    fn body(&self, request: &Request) -> Option<SmallVec<[Bytes; 3]>> {
        let body = &request.body;
        if let Some(Text::Plain(model)) = &request.content.model {
            return Some(smallvec![body.slice(..model.start), self.inner.clone(), body.slice(model.end..)]);
        }
        // Of two members of one name the last counts.
        let rest = body.trim_ascii_end().strip_suffix(b"}")?;
        Some(smallvec![body.slice(..rest.len()), self.member.clone()])
    }
}

impl Preparer for Asker {
    fn prepare(&self, ask: &Ask<'_>, outside: &Outside<'_>) -> Option<Preparation> {
        let request = ask.request;
        let from = request.headers.path();
        let path = RENDERED.iter().position(|(end, _)| from.ends_with(end))?;
        if request.partial || request.content.prompt.is_empty() || numbers(request).is_some() {
            return None;
        }
        let body = self.body(request)?;
        let render = match self.renders.begin(path, ask.now) {
            Ok(render) => render,
            Err(reason) => return Some(Box::pin(std::future::ready(Err(reason)))),
        };
        let answer = Box::new(Rendered::new(self.slot));
        let post = Post { server: self.server.clone(), path: RENDERED[path].1, body, answer };
        let (posted, server) = (outside.http.post(post), self.server.clone());
        Some(Box::pin(async move {
            let found = posted.await;
            let error = found.as_ref().err().copied();
            if render.ended(error) {
                let reason = error.map_or("", |error| error.name());
                tracing::warn!(%server, reason, "the render server fails: tokens are estimated");
            }
            found.map_err(|error| error.name())
        }))
    }

    fn deadline(&self, ask: &Ask<'_>) -> Duration {
        if ask.request.is_multimodal() { self.mm_timeout } else { self.timeout }
    }

    fn late(&self, now: Instant) {
        if self.renders.failed(now) {
            tracing::warn!(server = %self.server, "the render server does not answer in time: tokens are estimated");
        }
    }
}
