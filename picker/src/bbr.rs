//! Body-based routing: the mode that writes what a request's body says into headers, the model above all, before the
//! gateway chooses a route. Routes of gateways match headers, and not bodies.
//!
//! ```text
//! flags ────── plugin_flag ─► fields ─────────────┐
//! ConfigMaps ─ base_models ─► base of each model ─┴─► Bbr ◄─ extproc ◄─ gateways
//! ```
//!
//! It knows no pool, no endpoints and no strategy, and a body that can't be read goes by without the headers. Only a message
//! that no memory was taken for is refused. The names of headers, flags and labels are those of GIE 1.5 (`cmd/bbr`, `pkg/bbr`).

use std::sync::Arc;

use bytes::Bytes;
use picker_core::parse::scalars::scalars;
use picker_core::parse::{Formats, is_form, is_grpc};
use picker_core::request::{Headers, Request};

pub mod base_models;
pub mod fields;
pub mod plugin_flag;

use base_models::SharedBaseModels;
use fields::{Fields, MODEL};

use crate::metrics::{Outcome, RequestsByBody, Traffic};
use crate::pool::Limits;

/// The most bytes of a header's value: no model has a longer name, and gateways limit what all headers may take.
const LONGEST: usize = 1 << 10;

/// What the exchanges of the mode share.
#[derive(Debug)]
pub struct Bbr {
    /// What is read, and the headers that it is written to.
    pub fields: Fields,
    /// The base models of adapters.
    pub base_models: SharedBaseModels,
    /// Where outcomes are counted.
    pub requests: RequestsByBody,
    /// Where exchanges are counted.
    pub traffic: Traffic,
    /// The limits of the process.
    pub limits: Arc<Limits>,
}

/// What was read of a request's body.
#[derive(Clone, Copy, Debug)]
pub struct ReadBody<'a> {
    /// Its bytes, or its text if it came in another form ([`decode`](crate::exchange::decode)).
    pub bytes: &'a Bytes,
    /// Whether they are such a text.
    pub decoded: bool,
    /// Whether they are the beginning alone.
    pub partial: bool,
}

/// Names and values of headers to write.
pub type Written = Vec<(Bytes, Bytes)>;

impl Bbr {
    /// The headers to write for a request with the headers `headers`, of whose body so much was read; none when it says
    /// nothing. The outcome is counted.
    pub fn write(&self, headers: &Headers, body: ReadBody<'_>) -> Written {
        let names = self.fields.names();
        let of_model = |model: String| -> Vec<_> {
            names.iter().map(|name| (*name == MODEL).then(|| model.clone())).collect()
        };
        let values = if is_form(headers) || is_grpc(headers) {
            model_of_other(headers, body).map(of_model)
        } else {
            scalars(body.bytes, body.partial, &names)
                .ok()
                .or_else(|| model_of_other(headers, body).map(of_model))
        };
        let Some(values) = values else {
            self.requests.count(Outcome::Unreadable);
            return Vec::new();
        };
        let mut written = Vec::with_capacity(names.len());
        for (field, value) in self.fields.each().zip(&values) {
            match value.as_deref() {
                None => self.requests.not_found(&field.name),
                Some("") => self.requests.empty(&field.name),
                Some(value) => written.extend(header_value(value).map(|value| (field.header.clone(), value))),
            }
        }
        if let Some(header) = self.fields.base_model_header() {
            let model = names.iter().zip(&values).find(|(name, _)| **name == MODEL);
            let model = model.and_then(|(_, model)| model.as_deref());
            let base_models = self.base_models.load();
            let base = model.and_then(|model| base_models.of(model)).and_then(header_value);
            written.extend(base.map(|base| (header.clone(), base)));
        }
        self.requests.count(if written.is_empty() { Outcome::NoModel } else { Outcome::Set });
        written
    }

    /// The headers of ours that are among `headers`: a client that wrote them would choose its route itself.
    pub fn forged(&self, headers: &Headers) -> Vec<String> {
        let mut forged = self.ours();
        forged.retain(|name| headers.get(name).is_some());
        forged
    }

    /// The names of all headers that may be written.
    pub fn ours(&self) -> Vec<String> {
        self.fields.headers().map(|name| String::from_utf8_lossy(name).into_owned()).collect()
    }
}

/// The model in a body that is no JSON object, where its format says where it stands.
fn model_of_other(headers: &Headers, body: ReadBody<'_>) -> Option<String> {
    let content = match (body.decoded, body.partial) {
        (false, false) => Formats::ALL.parse(headers, body.bytes).ok()?,
        (false, true) => Formats::ALL.parse_beginning(headers, body.bytes),
        (true, false) => Formats::ALL.parse_text(headers, body.bytes),
        (true, true) => Formats::ALL.parse_beginning_of_text(headers, body.bytes),
    };
    let request = Request { body: body.bytes.clone(), content, ..Request::default() };
    request.model().map(str::to_owned)
}

/// `value` as that of a header, if it can be one: gateways refuse control characters, and lose blanks at the ends.
fn header_value(value: &str) -> Option<Bytes> {
    let fits = !value.is_empty() && value.len() <= LONGEST && value.trim().len() == value.len();
    (fits && !value.chars().any(char::is_control)).then(|| Bytes::copy_from_slice(value.as_bytes()))
}
