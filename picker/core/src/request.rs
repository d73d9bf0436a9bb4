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
    /// On whose behalf a request is made; the second one is the former name.
    pub const FAIRNESS_ID: [&str; 2] = ["x-llm-d-inference-fairness-id", "x-gateway-inference-fairness-id"];

    /// `name` as requests have it: in lower case.
    ///
    /// # Errors
    /// When no header can have that name (RFC 9110, section 5.6.2): what is wrong with it.
    pub fn name(name: &str) -> Result<String, String> {
        if is_token(name) {
            Ok(name.to_ascii_lowercase())
        } else {
            Err(format!("{name:?} is no name of a header"))
        }
    }

    /// Whether `text` is a token (RFC 9110, section 5.6.2), as names of headers and cookies are.
    pub fn is_token(text: &str) -> bool {
        let of_tokens = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
        !text.is_empty() && text.bytes().all(of_tokens)
    }
}

/// What a token of a prompt is estimated to be, in bytes of the request's JSON.
pub const BYTES_PER_TOKEN: u32 = 4;

/// Names and values of headers in the order in which they came; names in lower case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers(pub Vec<(Bytes, Bytes)>);

impl Headers {
    /// Value of the first header called `name` (lower case).
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.bytes(name).map(Bytes::as_ref)
    }

    /// The same, to be kept without a copy.
    pub fn bytes(&self, name: &str) -> Option<&Bytes> {
        self.0.iter().find(|(n, _)| n == name.as_bytes()).map(|(_, v)| v)
    }

    /// The same as text; `None` too when it is no UTF-8.
    pub fn text(&self, name: &str) -> Option<&str> {
        std::str::from_utf8(self.get(name)?).ok()
    }

    /// The `:path` without its query.
    pub fn path(&self) -> &str {
        let path = self.text(":path").unwrap_or("/");
        memchr::memchr2(b'?', b'#', path.as_bytes()).map_or(path, |end| &path[..end])
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
    /// Whether a part of the body was not read: it is its beginning, and may be broken off anywhere.
    pub partial: bool,
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
    /// Where the messages or the input lie that have a part which is an image, audio or video
    /// ([`parse::media`](crate::parse::media)); empty without any.
    pub media: SmallVec<[Range<usize>; 1]>,
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

    /// Whether the prompt has a part that is an image, audio or video.
    pub fn is_multimodal(&self) -> bool {
        !self.content.media.is_empty()
    }

    /// The parts of the prompt, in order.
    pub fn prompt(&self) -> impl Iterator<Item = &[u8]> {
        self.content.prompt.iter().map(|range| &self.body[range.clone()])
    }

    /// Tokens of the prompt, as estimated from its bytes ([`BYTES_PER_TOKEN`]).
    pub fn estimated_prompt_tokens(&self) -> u64 {
        let bytes: usize = self.prompt().map(<[u8]>::len).sum();
        (bytes as u64).div_ceil(u64::from(BYTES_PER_TOKEN))
    }

    fn text<'a>(&'a self, text: &'a Text) -> Option<&'a str> {
        match text {
            Text::Plain(range) => std::str::from_utf8(self.body.get(range.clone())?).ok(),
            Text::Unescaped(text) => Some(text),
        }
    }
}
