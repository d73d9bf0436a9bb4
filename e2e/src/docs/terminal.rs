//! A terminal of its own, for commands that do not end.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::Instant;

use crate::cluster::Process;
use crate::until;
use crate::wait::LOOK;

/// How long a program may take until it takes connections; the first time it may have to be fetched.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long processes that are killed may take to end.
const END: Duration = Duration::from_secs(30);

/// A process with all that it starts, which end together.
pub struct Group {
    head: Child,
    id: Option<Pid>,
}

impl Group {
    /// Starts `command` as the head of a group.
    ///
    /// # Errors
    /// When it can't be started.
    pub fn start(mut command: Command) -> Result<Self> {
        let head = command.process_group(0).kill_on_drop(true).spawn().context("starting a shell")?;
        let id = head.id().and_then(|id| id.try_into().ok()).and_then(Pid::from_raw);
        Ok(Self { head, id })
    }

    /// The head of the group.
    pub fn child(&mut self) -> &mut Child {
        &mut self.head
    }

    /// Kills them all and waits until they have ended, so that their ports are free.
    ///
    /// # Errors
    /// When they do not end.
    pub async fn end(mut self) -> Result<()> {
        self.kill();
        self.head.wait().await.context("waiting for a shell")?;
        let Some(id) = self.id else { return Ok(()) };
        until("the end of the commands", END, async || {
            let left = Process::in_group(id.as_raw_nonzero().get()).iter().filter(|one| one.alive()).count();
            ensure!(left == 0, "{left} of their processes run on");
            Ok(())
        })
        .await
    }

    fn kill(&self) {
        // A group may outlive its head.
        if let Some(id) = self.id {
            let _ = kill_process_group(id, Signal::KILL);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Running commands, whose output goes to a file.
pub struct Terminal {
    group: Group,
    output: PathBuf,
}

impl Terminal {
    /// Runs `commands` with `bash`, a command with a place and an environment; what they say goes to the file `output`.
    ///
    /// # Errors
    /// When they can't be started.
    pub fn start(mut bash: Command, commands: &str, output: &Path) -> Result<Self> {
        let file = std::fs::File::create(output)?;
        bash.args(["-euo", "pipefail", "-c", commands]).stdin(Stdio::null());
        bash.stdout(file.try_clone()?).stderr(file);
        Ok(Self { group: Group::start(bash)?, output: output.to_owned() })
    }

    /// What they have said so far.
    pub fn output(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.output).unwrap_or_default()).into_owned()
    }

    /// Waits until connections to `address` are taken.
    ///
    /// # Errors
    /// When none is, or the commands end.
    pub async fn takes_connections(&mut self, address: &str) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(address).await.is_err() {
            if let Some(status) = self.group.child().try_wait()? {
                bail!("it ended with {status} before it took connections at {address}");
            }
            ensure!(Instant::now() < deadline, "no connection to {address} within {} s", PATIENCE.as_secs());
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }

    /// Waits for `time`.
    ///
    /// # Errors
    /// When the commands end within it.
    pub async fn lasts(&mut self, time: Duration) -> Result<()> {
        match tokio::time::timeout(time, self.group.child().wait()).await {
            Ok(status) => bail!("it ended with {}", status?),
            Err(_) => Ok(()),
        }
    }

    /// Ends the commands, and waits until they have.
    ///
    /// # Errors
    /// When they do not end.
    pub async fn end(self) -> Result<()> {
        self.group.end().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_goes_on_is_told_from_what_ends() {
        let folder = tempfile::tempdir().unwrap();
        let output = folder.path().join("out");
        let start = |commands| Terminal::start(Command::new("bash"), commands, &output).unwrap();
        start("echo said; sleep 60").lasts(Duration::from_millis(200)).await.unwrap();
        let mut ends = start("echo said; exit 3");
        let error = ends.lasts(Duration::from_secs(10)).await.unwrap_err();
        assert_eq!(
            (error.to_string(), ends.output()),
            ("it ended with exit status: 3".to_owned(), "said\n".to_owned())
        );
        let error = start("exit 4").takes_connections("127.0.0.1:1").await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "it ended with exit status: 4 before it took connections at 127.0.0.1:1"
        );
    }

    #[tokio::test]
    async fn what_takes_connections_runs_on_until_it_is_ended() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let folder = tempfile::tempdir().unwrap();
        let started = folder.path().join("started");
        let commands = format!("sleep 60 & echo $! > {}; wait", started.display());
        let mut terminal =
            Terminal::start(Command::new("bash"), &commands, &folder.path().join("out")).unwrap();
        terminal.takes_connections(&address).await.unwrap();
        let pid = until("the number", Duration::from_secs(10), async || {
            Ok(std::fs::read_to_string(&started)?.trim().parse::<i32>()?)
        });
        let sleep = Process::with_pid(pid.await.unwrap()).unwrap();
        assert!(sleep.alive());
        terminal.end().await.unwrap();
        assert!(!sleep.alive());
    }
}
