//! What a process has used, and processes on the processor of the servers.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::process::{Child, Command};

use super::SERVERS;
use crate::shell::last_lines;
use crate::tools::locate;

/// A process on the processor of the servers, which ends when this is dropped.
#[derive(Debug)]
pub struct Pinned {
    child: Child,
    usage: Usage,
    log: PathBuf,
}

impl Pinned {
    /// Starts `program`. What it says goes to a file `name` in `folder`.
    ///
    /// # Errors
    /// When it can't be started.
    pub fn start(
        name: &str,
        program: &Path,
        args: impl IntoIterator<Item = String>,
        folder: &Path,
    ) -> Result<Self> {
        let log = folder.join(name);
        let (out, err) = (File::create(&log)?, File::options().append(true).open(&log)?);
        let child = Command::new(locate::program("taskset")?)
            .args(["-c", &SERVERS.to_string()])
            // Nor does it outlive a bench that is killed: its ports are the next one's.
            .args(["setpriv", "--pdeathsig", "KILL"])
            .arg(program)
            .args(args)
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("starting {name}"))?;
        // taskset becomes setpriv, and that the program.
        let usage = Usage::of(child.id().context("a running process has a number")?);
        Ok(Self { child, usage, log })
    }

    /// What it has used.
    pub fn usage(&self) -> Usage {
        self.usage
    }

    /// Makes sure that it still runs.
    ///
    /// # Errors
    /// When it has ended: the last that it said.
    pub fn check(&mut self) -> Result<()> {
        let ended = self.child.try_wait()?;
        ensure!(ended.is_none(), "it has ended, and said:\n{}", self.said());
        Ok(())
    }

    /// The last lines that it said.
    pub fn said(&self) -> String {
        last_lines(&std::fs::read_to_string(&self.log).unwrap_or_default(), 20)
    }
}

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
        let stat = self.read("stat")?;
        cpu(&stat, rustix::param::clock_ticks_per_second(), 2)
    }

    /// CPU time of all its threads and of all processes that it started, user and system.
    ///
    /// # Errors
    /// When it has ended.
    pub fn cpu_of_all(self) -> Result<Duration> {
        let mut used = cpu(&self.read("stat")?, rustix::param::clock_ticks_per_second(), 4)?;
        for task in std::fs::read_dir(format!("/proc/{}/task", self.pid))? {
            let children = self.read(&format!("task/{}/children", task?.file_name().display()))?;
            for child in children.split_whitespace() {
                // One that has just ended is counted in its parent from now on.
                used += Self::of(child.parse()?).cpu_of_all().unwrap_or_default();
            }
        }
        Ok(used)
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

/// Fields 14 and 15 of proc_pid_stat(5), and with `count` 4 also 16 and 17, those of children that have ended; the
/// second field, a name in parentheses, may have spaces.
fn cpu(stat: &str, ticks: u64, count: usize) -> Result<Duration> {
    let (_, rest) = stat.rsplit_once(')').context("a name in parentheses")?;
    let fields: Vec<&str> = rest.split_whitespace().skip(11).take(count).collect();
    ensure!(fields.len() == count, "too few fields");
    let used = fields.iter().try_fold(0, |sum, field| field.parse::<u64>().map(|more| sum + more))?;
    Ok(Duration::from_micros(used * 1_000_000 / ticks))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_and_system_time_are_added() {
        let stat = "7 (a b) c) S 1 7 7 0 -1 4194560 100 0 0 0 150 50 9 9 20 0 8 0 100 1 1";
        assert_eq!(cpu(stat, 100, 2).unwrap(), Duration::from_secs(2));
        assert_eq!(cpu(stat, 100, 4).unwrap(), Duration::from_millis(2_180));
        assert!(cpu("7 (a) S 1", 100, 2).is_err());
    }

    #[test]
    fn children_count() {
        let busy = "for i in 1 2 3; do sh -c 'i=0; while [ $i -lt 60000 ]; do i=$((i+1)); done'; done; exec sleep 30";
        let mut shell = std::process::Command::new("sh").args(["-c", busy]).spawn().unwrap();
        let usage = Usage::of(shell.id());
        let began = std::time::Instant::now();
        while usage.cpu_of_all().unwrap() < usage.cpu().unwrap() + Duration::from_millis(30) {
            assert!(began.elapsed() < Duration::from_secs(30), "the children's time is missing");
            std::thread::sleep(Duration::from_millis(20));
        }
        shell.kill().unwrap();
        shell.wait().unwrap();
    }
}
