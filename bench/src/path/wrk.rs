//! The client: wrk, from Debian.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use crate::workload::{self, Row};
use e2e::Progress;
use e2e::shell::run;
use e2e::tools::apt;

/// Sends the lines of a file one after the other, and says at the end what it saw in one line of JSON.
const SCRIPT: &str = r#"
local requests, at = {}, 0
function init(args)
  wrk.method = "POST"
  wrk.headers["content-type"] = "application/json"
  for body in io.lines(args[1]) do
    requests[#requests + 1] = wrk.format(nil, nil, nil, body)
  end
end
function request()
  at = at % #requests + 1
  return requests[at]
end
function done(summary, latency)
  local errors = summary.errors
  local bad = errors.connect + errors.read + errors.write + errors.timeout
  io.write(string.format('{"requests":%d,"micros":%d,"p50":%d,"p99":%d,"refused":%d,"broken":%d}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), errors.status, bad))
end
"#;

/// The program with what it sends.
#[derive(Debug)]
pub struct Wrk {
    program: PathBuf,
    connections: u16,
    folder: tempfile::TempDir,
}

/// What the client saw.
#[derive(Clone, Debug, PartialEq)]
pub struct Load {
    /// Requests that were answered.
    pub requests: u64,
    /// In how much time.
    pub took: Duration,
    /// Median time to the whole answer, in microseconds.
    pub p50: f64,
    /// Time of all but one in a hundred, in microseconds.
    pub p99: f64,
}

#[derive(Deserialize)]
struct Line {
    requests: u64,
    micros: u64,
    p50: f64,
    p99: f64,
    /// Answers with a status of 400 or above.
    refused: u64,
    /// Requests without an answer.
    broken: u64,
}

impl Wrk {
    /// Installs it when it is missing, and writes down what it is to send.
    ///
    /// # Errors
    /// When it can't be had.
    pub async fn ready(connections: u16, progress: &Progress) -> Result<Self> {
        let program = apt::program("wrk", progress).await?;
        let folder = tempfile::tempdir()?;
        std::fs::write(folder.path().join("script.lua"), SCRIPT)?;
        std::fs::write(folder.path().join("bodies"), workload::bodies(Row::Short).join("\n"))?;
        Ok(Self { program, connections, folder })
    }

    /// Sends for so long, each answer followed by the next request.
    ///
    /// # Errors
    /// When one is not answered well.
    pub async fn run(&self, address: &str, time: Duration) -> Result<Load> {
        let output = run(&self.program)
            .args(["--threads", "1", "--latency", "--timeout", "10s"])
            .args(["--connections".to_owned(), self.connections.to_string()])
            .args(["--duration".to_owned(), format!("{}s", time.as_secs())])
            .arg("--script")
            .arg(self.folder.path().join("script.lua"))
            .arg(format!("http://{address}/v1/chat/completions"))
            .arg("--")
            .arg(self.folder.path().join("bodies"))
            .output()
            .await?;
        Load::read(&output)
    }
}

impl Load {
    fn read(output: &str) -> Result<Self> {
        let line = output.lines().find(|line| line.starts_with('{')).context("wrk said nothing")?;
        let Line { requests, micros, p50, p99, refused, broken } = serde_json::from_str(line)?;
        ensure!(refused == 0, "{refused} of {requests} answers had a status of 400 or above");
        ensure!(broken == 0, "{broken} requests got no answer beside {requests} that did");
        ensure!(requests > 0, "not one request was answered");
        Ok(Self { requests, took: Duration::from_micros(micros), p50, p99 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_or_a_break_is_an_error() {
        let line = |refused, broken| {
            format!(
                "Running\n{{\"requests\":9,\"micros\":500000,\"p50\":7,\"p99\":8,\"refused\":{refused},\"broken\":{broken}}}\n"
            )
        };
        let load = Load { requests: 9, took: Duration::from_millis(500), p50: 7.0, p99: 8.0 };
        assert_eq!(Load::read(&line(0, 0)).unwrap(), load);
        assert!(Load::read(&line(1, 0)).unwrap_err().to_string().contains("1 of 9 answers"));
        assert!(Load::read(&line(0, 1)).unwrap_err().to_string().contains("1 requests got no answer"));
    }
}
