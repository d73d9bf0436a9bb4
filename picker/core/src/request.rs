//! A request as plugins see it: headers, and what was read from its body.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use smallvec::SmallVec;

use crate::trust::Trust;

pub use crate::header;

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

    /// The value of the first cookie called `name`. HTTP/2 may bring cookies in several headers (RFC 9113, section 8.2.3).
    pub fn cookie(&self, name: &str) -> Option<Bytes> {
        let lists = self.0.iter().filter(|(header, _)| &header[..] == b"cookie").map(|(_, value)| value);
        let mut cookies =
            lists.flat_map(|list| list.split(|byte| *byte == b';').map(move |pair| (list, pair)));
        cookies.find_map(|(list, pair)| {
            let pair = pair.trim_ascii();
            let equals = memchr::memchr(b'=', pair)?;
            (&pair[..equals] == name.as_bytes()).then(|| list.slice_ref(pair[equals + 1..].trim_ascii()))
        })
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
    /// The model under which it goes on to the model server, where that is another than the client asked for
    /// ([`rewrite`](crate::rewrite)).
    pub target_model: Option<Arc<str>>,
    /// Which of its headers are believed.
    pub trust: Trust,
}

/// What was read from a body, as positions in it. All absent when the body is of no known form.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Content {
    /// The model that the client asks for.
    pub model: Option<Text>,
    /// Where another model could be written.
    pub model_place: ModelPlace,
    /// Salt that keeps prefix caches apart.
    pub cache_salt: Option<Text>,
    /// The prompt: parts of the body whose equal beginnings mean equal beginnings of the prompt, in the
    /// order in which an engine's template puts them (tools, system, messages or input).
    pub prompt: SmallVec<[Range<usize>; 2]>,
    /// How many of the first parts of the prompt are token ids as Protocol Buffers pack them: numbers of seven bits in each
    /// byte, the lowest ones first, the last byte of each being below 128.
    pub packed_tokens: usize,
    /// Whether a stream of events was asked for.
    pub stream: bool,
    /// The client's limit of output tokens.
    pub max_tokens: Option<u64>,
    /// Where the messages or the input lie that have a part which is an image, audio or video
    /// ([`parse::media`](crate::parse::media)); empty without any.
    pub media: SmallVec<[Range<usize>; 1]>,
}

/// Where a body names its model, and how another name would be written there. Ranges and positions are those of the body as
/// it came: a name can be put there by a splice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ModelPlace {
    /// Nowhere: the body is of no form that is known, was not read to its end, or is a message of a
    /// binary protocol.
    #[default]
    Fixed,
    /// In a JSON string. The range is its inside, without the quotes, so that what is written there has JSON's escapes. Where
    /// `model` is there several times it is the last one, which counts.
    Json {
        /// The inside of the string.
        value: Range<usize>,
    },
    /// A JSON `null` in place of a string: what is written there has quotes.
    Null {
        /// The four letters.
        value: Range<usize>,
    },
    /// In a part of a form (`multipart/form-data`), as it is.
    Form {
        /// The content of the part.
        value: Range<usize>,
    },
    /// In no field of the JSON object that the body is: a field can be put in.
    Absent {
        /// The position behind the opening bracket of the object.
        insert_at: usize,
        /// Whether it has no other field, so that no comma follows.
        object_is_empty: bool,
    },
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
    /// The model that the model server is asked for: the one that a rule names, or else the client's.
    pub fn model(&self) -> Option<&str> {
        self.target_model.as_deref().or_else(|| self.client_model())
    }

    /// The model that the client asks for.
    pub fn client_model(&self) -> Option<&str> {
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
