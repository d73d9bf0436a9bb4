//! What a process has used.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};

/// A process under test, by its number.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    pid: u32,
}

impl Usage {
    pub fn of(pid: u32) -> Self {
        Self { pid }
    }

    /// CPU time of all its threads so far, user and system.
    ///
    /// # Errors
    /// When it has ended.
    pub fn cpu(self) -> Result<Duration> {
        self.cpu_split().map(|[user, system]| user + system)
    }

    /// The same, user and system time apart.
    ///
    /// # Errors
    /// When it has ended.
    pub fn cpu_split(self) -> Result<[Duration; 2]> {
        let stat = self.read("stat")?;
        cpu(&stat, rustix::param::clock_ticks_per_second())
    }

    /// Memory that it has in use now, in KiB.
    ///
    /// # Errors
    /// When it has ended.
    pub fn resident(self) -> Result<u64> {
        let status = self.read("status")?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("VmRSS")?;
        Ok(line.trim().trim_end_matches(" kB").parse()?)
    }

    fn read(self, file: &str) -> Result<String> {
        let path = PathBuf::from(format!("/proc/{}/{file}", self.pid));
        std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))
    }
}

/// Fields 14 and 15 of proc_pid_stat(5); the second, a name in parentheses, may have spaces.
fn cpu(stat: &str, ticks: u64) -> Result<[Duration; 2]> {
    let (_, rest) = stat.rsplit_once(')').context("a name in parentheses")?;
    let mut fields = rest.split_whitespace().skip(11);
    let mut next = || fields.next().context("too few fields")?.parse::<u64>().context("a number");
    let mut time = || Ok::<_, anyhow::Error>(Duration::from_micros(next()? * 1_000_000 / ticks));
    Ok([time()?, time()?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_and_system_time_are_found() {
        let stat = "7 (a b) c) S 1 7 7 0 -1 4194560 100 0 0 0 150 50 9 9 20 0 8 0 100 1 1";
        assert_eq!(cpu(stat, 100).unwrap(), [1500, 500].map(Duration::from_millis));
        assert!(cpu("7 (a) S 1", 100).is_err());
    }
}
