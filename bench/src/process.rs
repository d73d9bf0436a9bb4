//! Child processes that end with the bench, pinned ones, and the CPU time and memory of a process.

use std::ffi::OsStr;
use std::fs::File;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};

use super::processors::SERVERS;
use e2e::shell::last_lines;
use e2e::tools::locate;

/// Lines of what a process wrote that are shown when it fails.
const SHOWN: usize = 20;

/// A command for `program` whose process ends when it is dropped, and when the bench is killed: it would go on taking
/// time and memory from the next one. It reads and says nothing.
///
/// # Errors
/// When `setpriv` is missing.
pub fn ending_with_us(program: impl AsRef<OsStr>) -> Result<Command> {
    // It becomes the program.
    let mut command = Command::new(locate::program("setpriv")?);
    command.args(["--pdeathsig", "KILL"]).arg(program);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    Ok(command)
}

/// A process on the processor of the servers, which ends when this is dropped.
#[derive(Debug)]
pub struct Pinned {
    child: Child,
    usage: Usage,
    log: PathBuf,
}

impl Pinned {
    /// Starts `program`; its output goes to `log`.
    ///
    /// # Errors
    /// When it can't be started.
    pub fn start(
        program: impl AsRef<OsStr>,
        args: impl IntoIterator<Item = impl AsRef<OsStr>>,
        log: PathBuf,
    ) -> Result<Self> {
        let output = File::create(&log).with_context(|| format!("making {}", log.display()))?;
        let program = program.as_ref();
        // This becomes the program, too.
        let child = ending_with_us(locate::program("taskset")?)?
            .args(["-c", &SERVERS.to_string()])
            .arg(program)
            .args(args)
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .with_context(|| format!("starting {}", program.display()))?;
        let usage = Usage::of(child.id().context("a running process has a number")?);
        Ok(Self { child, usage, log })
    }

    /// What it has used.
    pub fn usage(&self) -> Usage {
        self.usage
    }

    /// Whether it still runs.
    ///
    /// # Errors
    /// When it has ended: how, and the end of its output.
    pub fn alive(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("it has ended: {status}:\n{}", self.said()),
        }
    }

    /// The end of its output.
    pub fn said(&self) -> String {
        let said = std::fs::read(&self.log).unwrap_or_default();
        last_lines(&String::from_utf8_lossy(&said), SHOWN)
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// When it has ended.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let pid =
            i32::try_from(self.usage.pid()).ok().and_then(Pid::from_raw).context("no process number")?;
        kill_process(pid, signal).context("signalling a server")
    }
}

/// A process under test, by its number.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    pid: u32,
}

impl Usage {
    /// That of the process with this number.
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
        self.cpu_split().map(|[user, system]| user + system)
    }

    /// The same, user and system time apart.
    ///
    /// # Errors
    /// When it has ended.
    pub fn cpu_split(self) -> Result<[Duration; 2]> {
        self.times()
    }

    /// CPU time of all its threads and of all processes that it started, user and system.
    ///
    /// # Errors
    /// When it has ended.
    pub fn cpu_of_all(self) -> Result<Duration> {
        let mut used = self.times::<4>()?.iter().sum();
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
        memory(&self.read("status")?, "VmRSS:")
    }

    /// The most memory that it ever had in use, in KiB.
    ///
    /// # Errors
    /// When it has ended.
    pub fn most_resident(self) -> Result<u64> {
        memory(&self.read("status")?, "VmHWM:")
    }

    fn times<const COUNT: usize>(self) -> Result<[Duration; COUNT]> {
        times(&self.read("stat")?, rustix::param::clock_ticks_per_second())
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

/// Fields 14 and following of proc_pid_stat(5): user and system time, then those of children that have ended. The
/// second field, a name in parentheses, may have spaces.
fn times<const COUNT: usize>(stat: &str, ticks: u64) -> Result<[Duration; COUNT]> {
    let (_, rest) = stat.rsplit_once(')').context("a name in parentheses")?;
    let mut fields = rest.split_whitespace().skip(11);
    let mut times = [Duration::ZERO; COUNT];
    for time in &mut times {
        let field: u64 = fields.next().context("too few fields")?.parse()?;
        *time = Duration::from_micros(field * 1_000_000 / ticks);
    }
    Ok(times)
}

#[cfg(test)]
mod tests;
