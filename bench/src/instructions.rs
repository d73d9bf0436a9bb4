//! A counter of the instructions of a process, by `perf`. Many virtual machines have none.

use std::process::Stdio;
use std::sync::OnceLock;

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};

use super::process::Usage;
use e2e::tools::locate;

const EVENT: &str = "instructions:u";

/// Counts from when it is made until it is read.
pub struct Counter(Option<Child>);

impl Counter {
    /// Of this process; of none, where they are not counted.
    ///
    /// # Errors
    /// When `perf` can't be started though it could be before.
    pub fn of(usage: Usage) -> Result<Self> {
        let Some(perf) = locate::find("perf").filter(|_| counted()) else { return Ok(Self(None)) };
        let child = Command::new(perf)
            .args(["stat", "-x,", "-e", EVENT, "-p", &usage.pid().to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("starting perf")?;
        Ok(Self(Some(child)))
    }

    /// How many there were.
    ///
    /// # Errors
    /// When `perf` does not end.
    pub async fn read(self) -> Result<Option<u64>> {
        let Some(child) = self.0 else { return Ok(None) };
        let pid =
            child.id().and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?)).context("perf has ended")?;
        kill_process(pid, Signal::INT).context("ending perf")?;
        let said = child.wait_with_output().await.context("reading perf")?.stderr;
        Ok(count(&String::from_utf8_lossy(&said)))
    }
}

/// Whether they are counted here; tried once.
fn counted() -> bool {
    static COUNTED: OnceLock<bool> = OnceLock::new();
    *COUNTED.get_or_init(|| {
        let Some(perf) = locate::find("perf") else { return false };
        let tried = std::process::Command::new(perf).args(["stat", "-x,", "-e", EVENT, "true"]).output();
        tried.is_ok_and(|tried| count(&String::from_utf8_lossy(&tried.stderr)).is_some())
    })
}

/// The count in what `perf stat -x,` says.
fn count(said: &str) -> Option<u64> {
    said.lines().find(|line| line.contains(EVENT))?.split(',').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_is_read_where_there_is_one() {
        assert_eq!(count("123456,,instructions:u,1000,100.00,,\n"), Some(123_456));
        assert_eq!(count("<not supported>,,instructions:u,0,100.00,,\n"), None);
        assert_eq!(count("perf: no permission"), None);
    }
}
