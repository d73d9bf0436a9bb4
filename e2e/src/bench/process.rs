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

    /// Its number.
    pub fn pid(self) -> u32 {
        self.pid
    }

    /// CPU time of all its threads so far, user and system.
    ///
    /// # Errors
    /// When it has ended.
    pub fn cpu(self) -> Result<Duration> {
        let stat = self.read("stat")?;
        cpu(&stat, rustix::param::clock_ticks_per_second())
    }

    /// Memory that it has in use now, in KiB.
    ///
    /// # Errors
    /// When it has ended.
    pub fn resident(self) -> Result<u64> {
        memory(&self.read("status")?, "VmRSS:")
    }

    /// The most memory that it ever had in use, in KiB.
    ///
    /// # Errors
    /// When it has ended.
    pub fn most_resident(self) -> Result<u64> {
        memory(&self.read("status")?, "VmHWM:")
    }

    fn read(self, file: &str) -> Result<String> {
        let path = PathBuf::from(format!("/proc/{}/{file}", self.pid));
        std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))
    }
}

/// A line of proc_pid_status(5).
fn memory(status: &str, field: &str) -> Result<u64> {
    let value = status.lines().find_map(|line| line.strip_prefix(field)).context(field.to_owned())?;
    Ok(value.trim().trim_end_matches(" kB").parse()?)
}

/// Fields 14 and 15 of proc_pid_stat(5); the second, a name in parentheses, may have spaces.
fn cpu(stat: &str, ticks: u64) -> Result<Duration> {
    let (_, rest) = stat.rsplit_once(')').context("a name in parentheses")?;
    let mut fields = rest.split_whitespace().skip(11);
    let mut next = || fields.next().context("too few fields")?.parse::<u64>().context("a number");
    let used = next()? + next()?;
    Ok(Duration::from_micros(used * 1_000_000 / ticks))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_and_system_time_are_added() {
        let stat = "7 (a b) c) S 1 7 7 0 -1 4194560 100 0 0 0 150 50 9 9 20 0 8 0 100 1 1";
        assert_eq!(cpu(stat, 100).unwrap(), Duration::from_secs(2));
        assert!(cpu("7 (a) S 1", 100).is_err());
    }

    #[test]
    fn memory_is_read_by_its_name() {
        let status = "Name:\tpicker\nVmHWM:\t   20480 kB\nVmRSS:\t   10240 kB\n";
        assert_eq!((memory(status, "VmHWM:").unwrap(), memory(status, "VmRSS:").unwrap()), (20_480, 10_240));
        assert!(memory(status, "VmSwap:").is_err());
    }
}
