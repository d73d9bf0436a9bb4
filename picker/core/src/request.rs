//! A request as plugins see it: headers, and what was read from its body.

use std::ops::Range;

use bytes::Bytes;
use smallvec::SmallVec;

/// Names of request headers that the project reads.
pub mod header {
    /// `host:port` list that tests use to choose the endpoint themselves.
    pub const TEST_ENDPOINT_SELECTION: &str = "test-epp-endpoint-selection";
    /// Name of the InferenceObjective that a request belongs to, the newer name of the header first.
    pub const OBJECTIVE: [&str; 2] = ["x-llm-d-inference-objective", "x-gateway-inference-objective"];
}

/// Names and values of headers in the order in which they came; names in lower case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers(pub Vec<(Bytes, Bytes)>);

impl Headers {
    /// Value of the first header called `name` (lower case).
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.0.iter().find(|(n, _)| n == name.as_bytes()).map(|(_, v)| v.as_ref())
    }

    /// The same as text; `None` too when it is no UTF-8.
    pub fn text(&self, name: &str) -> Option<&str> {
        std::str::from_utf8(self.get(name)?).ok()
    }

    /// The `:path` without its query.
    pub fn path(&self) -> &str {
        let path = self.text(":path").unwrap_or("/");
        path.split(['?', '#']).next().unwrap_or(path)
    }
}

/// A request to be routed. Ranges are positions in `body`; nothing is copied out of it.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// The headers.
    pub headers: Headers,
    /// The whole body, or nothing when no plugin needs it.
    pub body: Bytes,
    /// What the body says.
    pub content: Content,
    /// How important it is, higher before lower: that of the InferenceObjective which it names, else 0. What is below
    /// 0 may be turned away under load.
    pub priority: i32,
}

/// What was read from a body, as positions in it. All absent when the body is of no known form.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Content {
    /// The model that the client asks for.
    pub model: Option<Text>,
    /// Salt that keeps prefix caches apart.
    pub cache_salt: Option<Text>,
    /// The prompt: parts of the body whose equal beginnings mean equal beginnings of the prompt, in the
    /// order in which an engine's template puts them (tools, system, messages or input).
    pub prompt: SmallVec<[Range<usize>; 2]>,
    /// Whether a stream of events was asked for.
    pub stream: bool,
    /// The client's limit of output tokens.
    pub max_tokens: Option<u64>,
}

/// Text in a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Text {
    /// As it stands there.
    Plain(Range<usize>),
    /// With its escapes resolved.
    Unescaped(Box<str>),
}

impl Request {
    /// The model that the client asks for.
    pub fn model(&self) -> Option<&str> {
        self.text(self.content.model.as_ref()?)
    }

    /// Salt that keeps prefix caches apart.
    pub fn cache_salt(&self) -> Option<&str> {
        self.text(self.content.cache_salt.as_ref()?)
    }

    /// The parts of the prompt, in order.
    pub fn prompt(&self) -> impl Iterator<Item = &[u8]> {
        self.content.prompt.iter().map(|range| &self.body[range.clone()])
    }

    fn text<'a>(&'a self, text: &'a Text) -> Option<&'a str> {
        match text {
            Text::Plain(range) => std::str::from_utf8(self.body.get(range.clone())?).ok(),
            Text::Unescaped(text) => Some(text),
        }
    }
}
