//! The text of a request body that came in another form than plugins read: in UTF-16 or UTF-32. It is for the decision
//! alone; the body goes on to the server as it came.

use bytes::Bytes;
use picker_core::parse::is_json;
use picker_core::parse::wide::{Transcoder, Wide};
use picker_core::request::Headers;
use tokio::task::yield_now;

use super::body_budget::BodyShare;

/// Whether plugins can't read `body` as it came, and [`decode`] may make a text of it.
pub fn is_needed(headers: &Headers, body: &[u8]) -> bool {
    Wide::of(body).is_some() && is_json(headers)
}

/// The text of `body` in UTF-8, whose bytes `held` takes too. `None` when there is no place for it, or it is no text; such
/// a request is routed by load. Others on the same connection have their turn meanwhile.
pub async fn decode(body: &Bytes, held: &mut BodyShare<'_>) -> Option<Bytes> {
    let wide = Wide::of(body)?;
    let longest = wide.longest(body.len());
    if !held.take(longest) {
        return None;
    }
    let mut text = String::with_capacity(longest);
    let mut transcoder = Transcoder::new(wide, body);
    while transcoder.step(&mut text) {
        yield_now().await;
    }
    Some(text.into())
}
