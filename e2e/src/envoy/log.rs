//! Envoy's access log, which has a line for each request that failed.

use std::net::SocketAddr;
use std::time::SystemTime;

use anyhow::Result;

use super::Gateway;
use crate::Kubectl;

/// A request that did not end well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadRequest {
    /// When Envoy had its head.
    pub began: SystemTime,
    /// The address of the model server that it was sent to, if it came that far.
    pub to: Option<String>,
    /// The whole line.
    pub line: String,
}

impl Gateway {
    /// The requests that did not end well, with an answer of 500 or above or a reason why there was none.
    ///
    /// # Errors
    /// When the pod's log can't be read.
    pub async fn bad_requests(&self, kubectl: &Kubectl, namespace: &str) -> Result<Vec<BadRequest>> {
        let log = kubectl.logs(namespace, &self.pod, false).await?;
        Ok(log.lines().filter_map(BadRequest::read).collect())
    }
}

impl BadRequest {
    /// Other lines of the log are none.
    fn read(line: &str) -> Option<Self> {
        let began: jiff::Timestamp = line.split(' ').next()?.parse().ok()?;
        let to = line.split_once(" to=")?.1.split(' ').next()?;
        let to = to.parse().ok().map(|to: SocketAddr| to.ip().to_string());
        Some(Self { began: began.into(), to, line: line.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn lines_of_requests_are_read_and_others_left() {
        let line = "1970-01-01T00:00:01.500Z 503 upstream_reset_before_response_started{connection_failure} flags=UF \
                    to=10.244.0.7:8000 after=3ms refused id=1";
        let began = UNIX_EPOCH + Duration::from_millis(1_500);
        let expected = BadRequest { began, to: Some("10.244.0.7".to_owned()), line: line.to_owned() };
        assert_eq!(BadRequest::read(line), Some(expected));
        let nowhere =
            BadRequest::read("1970-01-01T00:00:01.500Z 503 no_picker flags=UAEX to=- after=3ms - id=1");
        assert_eq!(nowhere.map(|bad| (bad.began, bad.to)), Some((began, None)));
        assert_eq!(BadRequest::read("[2026-01-01 00:00:00.000][1][warning][main] to=all"), None);
    }
}
