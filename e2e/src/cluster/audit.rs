//! Requests to the API server, read from its audit log.

use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::Value;

/// The audit log from one moment on.
#[derive(Clone, Debug)]
pub struct Audit {
    file: PathBuf,
    from: u64,
}

/// A request that was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`.
    pub verb: String,
    /// Plural of the kind, with `/` and the subresource if there is one; the path of a request that is about no
    /// object.
    pub resource: String,
    /// Namespace and name, as far as the request names them.
    pub object: String,
    /// Status code of the answer.
    pub code: u16,
}

impl Request {
    /// Whether it may have changed something.
    pub fn writes(&self) -> bool {
        !["get", "list", "watch"].contains(&self.verb.as_str())
    }
}

impl std::fmt::Display for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} {} ({})", self.verb, self.resource, self.object, self.code)
    }
}

impl Audit {
    /// The log in `file`, from now on.
    pub(super) fn from_now(file: &Path) -> Result<Self> {
        let length = std::fs::metadata(file).with_context(|| format!("looking at {}", file.display()))?.len();
        Ok(Self { file: file.to_owned(), from: length })
    }

    /// What the user `user` has asked since, in the order of the answers.
    ///
    /// # Errors
    /// When the log can't be read.
    pub fn requests_of(&self, user: &str) -> Result<Vec<Request>> {
        let context = || format!("reading {}", self.file.display());
        let mut file = std::fs::File::open(&self.file).with_context(context)?;
        file.seek(SeekFrom::Start(self.from)).with_context(context)?;
        let mut text = String::new();
        file.read_to_string(&mut text).with_context(context)?;
        Ok(text.lines().filter_map(|line| request(line, user)).collect())
    }
}

/// The request of one line. Requests that last are told when they begin, too: that counts, the end doesn't.
fn request(line: &str, user: &str) -> Option<Request> {
    let event: Value = serde_json::from_str(line).ok()?;
    let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str);
    let watch_ends = text("/verb") == Some("watch") && text("/env") == Some("ResponseComplete");
    if text("/user/username") != Some(user) || watch_ends {
        return None;
    }
    let part = |field: &str| text(&format!("/objectRef/{field}"));
    let joined = |parts: [Option<&str>; 2]| parts.into_iter().flatten().collect::<Vec<_>>().join("/");
    let resource = joined([part("resource"), part("subresource")]);
    Some(Request {
        verb: text("/verb")?.to_owned(),
        resource: if resource.is_empty() { text("/requestURI")?.to_owned() } else { resource },
        object: joined([part("namespace"), part("name")]),
        code: event.pointer("/responseStatus/code")?.as_u64()?.try_into().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn line(user: &str, verb: &str, env: &str) -> String {
        let event = json!({
            "verb": verb, "env": env, "user": {"username": user},
            "objectRef": {"resource": "routingstrategies", "subresource": "status", "namespace": "llm", "name": "chat"},
            "responseStatus": {"code": 200},
        });
        event.to_string()
    }

    #[test]
    fn requests_of_one_user_are_told_once() {
        let expected = Request {
            verb: "patch".to_owned(),
            resource: "routingstrategies/status".to_owned(),
            object: "llm/chat".to_owned(),
            code: 200,
        };
        assert_eq!(request(&line("o", "patch", "ResponseComplete"), "o"), Some(expected));
        assert_eq!(request(&line("x", "patch", "ResponseComplete"), "o"), None);
        assert!(!request(&line("o", "watch", "ResponseStarted"), "o").unwrap().writes());
        assert_eq!(request(&line("o", "watch", "ResponseComplete"), "o"), None);
        assert_eq!(request("half a li", "o"), None);
    }
}
