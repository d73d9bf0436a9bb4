//! From headers and a body to [`Content`]: no tree, no copy.
//!
//! Which formats are read a strategy says ([`Formats`]); each has the paths under which it is found. Bodies are JSON objects,
//! forms, or messages of gRPC.
//!
//! Only a body that claims to be JSON (`application/json` or `…+json`, not compressed) under a path
//! whose format is known can be refused, and only if every engine would: when it is no JSON object as
//! Python's `json.loads` reads it, which vLLM and SGLang use and which takes more than RFC 8259 allows,
//! or, where every engine reads it, its `model` is no text. Whatever else is wrong with it is for the model server to say. Any
//! other body is read as well as it can be, and is routed by load when that is not at all. A body without a
//! byte is never refused: it may just not have been asked for.

use bytes::Bytes;

use crate::request::{Content, Headers, ModelPlace, Request};

pub use bad_body::BadBody;
pub use form::is_form;
use format::{Body, Format, Refused};
pub use formats::Formats;
pub use parser::Parser;
pub use readable::is_grpc;
use wide::Wide;

mod bad_body;
pub mod coding;
mod form;
mod format;
mod formats;
pub mod grpc;
mod ignored;
mod json;
pub mod media;
mod open;
mod parser;
mod protobuf;
mod readable;
pub mod scalars;
mod scan;
#[cfg(test)]
pub(crate) mod tests;
pub mod wide;

/// Reads what `body` says in any format, as [`Formats::parse`] does.
///
/// # Errors
/// As [`Formats::parse`].
pub fn parse(headers: &Headers, body: &[u8]) -> Result<Content, BadBody> {
    Formats::ALL.parse(headers, body)
}

impl Formats {
    /// Reads what `body` says. Of a field that is there twice the last one counts, as with most readers of
    /// JSON. A limit or flag that has the wrong type counts as absent.
    ///
    /// # Errors
    /// When the body claims to be JSON of a known format and isn't.
    pub fn parse(self, headers: &Headers, body: &[u8]) -> Result<Content, BadBody> {
        if body.is_empty() || is_compressed(headers) {
            return Ok(Content::default());
        }
        let Some(format) = self.format(headers.path()) else { return Ok(Content::default()) };
        if format.body != Body::Json
            && let Some(content) = other_than_json(headers, format, body)
        {
            return Ok(content);
        }
        match json::content(body, format) {
            Err(bad)
                if format.refused != Refused::Nothing && is_json(headers) && Wide::of(body).is_none() =>
            {
                Err(bad)
            }
            read => Ok(read.unwrap_or_default()),
        }
    }

    /// Reads what `text` says, which is the body in another form than it came in: as UTF-8, and not compressed. Positions
    /// in what comes back are those of `text`. It is never refused: what is wrong with it would have to be said of the form in
    /// which it came.
    pub fn parse_text(self, headers: &Headers, text: &[u8]) -> Content {
        let Some(format) = self.format(headers.path()) else { return Content::default() };
        match other_than_json(headers, format, text) {
            Some(content) => content,
            None => json::content(text, format).unwrap_or_default(),
        }
    }

    /// Reads what the beginning of a body says, which may be cut off anywhere: of fields that are whole as [`Formats::parse`]
    /// does, and of a prompt that is cut what is there of it. Nothing is refused: what is missing may make it right.
    pub fn parse_beginning(self, headers: &Headers, beginning: &[u8]) -> Content {
        if is_compressed(headers) { Content::default() } else { self.beginning(headers, beginning) }
    }

    /// The same of the beginning of a text, as [`Formats::parse_text`] of all of it.
    pub fn parse_beginning_of_text(self, headers: &Headers, beginning: &[u8]) -> Content {
        Content { model_place: ModelPlace::Fixed, ..self.beginning(headers, beginning) }
    }

    fn beginning(self, headers: &Headers, beginning: &[u8]) -> Content {
        let Some(format) = self.format(headers.path()) else { return Content::default() };
        other_than_json(headers, format, beginning).unwrap_or_else(|| json::beginning(beginning, format))
    }
}

/// What a body says that is no JSON, or its beginning; `None` for one that may be JSON.
fn other_than_json(headers: &Headers, format: &Format, body: &[u8]) -> Option<Content> {
    match format.body {
        Body::Form if is_form(headers) => {
            // Without a boundary nobody can read it.
            let boundary = form::boundary(headers);
            Some(boundary.map(|boundary| form::content(body, &boundary)).unwrap_or_default())
        }
        Body::Grpc(message) if is_grpc(headers) => Some(grpc::content(body, format, message)),
        _ => None,
    }
}

impl Request {
    /// A request with what its body says, in any format.
    ///
    /// # Errors
    /// See [`parse`].
    pub fn new(headers: Headers, body: Bytes) -> Result<Self, BadBody> {
        let content = parse(&headers, &body)?;
        Ok(Self { headers, body, content, ..Self::default() })
    }
}

/// Whether requests to `path` are of Anthropic's Messages API, whose clients read errors in a form of their own.
pub fn is_anthropic(path: &str) -> bool {
    Formats::ALL.format(path).is_some_and(|format| format.anthropic)
}

/// Whether the body claims to be JSON.
pub fn is_json(headers: &Headers) -> bool {
    let Some(kind) = headers.text("content-type") else { return false };
    let kind = kind.split(';').next().unwrap_or(kind).trim().to_ascii_lowercase();
    kind == "application/json" || kind.ends_with("+json")
}

/// Whether the body has a coding, known or not.
fn is_compressed(headers: &Headers) -> bool {
    coding::codings(headers).is_none_or(|codings| !codings.is_empty())
}
