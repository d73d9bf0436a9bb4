//! Who answers, and the name of each answer.

use std::sync::atomic::{AtomicU64, Ordering};

use http::{HeaderMap, HeaderName, HeaderValue};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::models::unix_time;

const POD: HeaderName = HeaderName::from_static("x-sim-pod");
const PORT: HeaderName = HeaderName::from_static("x-sim-port");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Who answers.
#[derive(Debug)]
pub(super) struct Identity {
    /// Name of the server.
    pub name: String,
    pod: HeaderValue,
    port: HeaderValue,
    seed: u64,
    requests: AtomicU64,
}

impl Identity {
    /// The server `name` on `port`; `None` when the name can't stand in a header.
    pub fn new(name: &str, port: u16) -> Option<Self> {
        Some(Self {
            name: name.to_owned(),
            pod: HeaderValue::from_str(name).ok()?,
            port: HeaderValue::from(port),
            seed: xxh3_64_with_seed(name.as_bytes(), unix_time().as_nanos() as u64),
            requests: AtomicU64::new(0),
        })
    }

    /// The client's own id of the request, or a new one.
    pub fn request_id(&self, headers: &HeaderMap) -> String {
        if let Some(id) = headers.get(REQUEST_ID).and_then(|id| id.to_str().ok()).filter(|id| is_plain(id)) {
            return id.to_owned();
        }
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        format!("{:016x}{number:016x}", self.seed)
    }

    /// Names the server in the headers of a response.
    pub fn sign(&self, headers: &mut HeaderMap) {
        headers.insert(POD, self.pod.clone());
        headers.insert(PORT, self.port.clone());
    }
}

/// Whether a string can stand in JSON as it is.
fn is_plain(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_clients_id_if_it_is_harmless() {
        let identity = Identity::new("pod-1", 80).unwrap();
        let mut headers = HeaderMap::new();
        headers.insert(REQUEST_ID, HeaderValue::from_static("abc-1"));
        assert_eq!(identity.request_id(&headers), "abc-1");
        headers.insert(REQUEST_ID, HeaderValue::from_static("a\"b"));
        let made = identity.request_id(&headers);
        assert_eq!((made.len(), made == identity.request_id(&headers)), (32, false));
    }

    #[test]
    fn refuses_names_that_no_header_can_hold() {
        assert!(Identity::new("a\nb", 80).is_none());
    }
}
