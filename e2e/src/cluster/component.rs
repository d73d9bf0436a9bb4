//! A component of the cluster (etcd, kubelet, …) as a process that outlives the process that started it.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::Signal;

use super::layout::Layout;
use super::proc::Process;
use crate::shell::last_lines;
use crate::wait::{LOOK, until};

/// Every process, in the order in which they end: first those that would bring others back, last the one that the
/// pods hang on.
pub const COMPONENTS: [&str; 7] = [
    "kubelet",
    "kube-proxy",
    "kube-scheduler",
    "kube-controller-manager",
    "kube-apiserver",
    "etcd",
    "containerd",
];

/// A program of the cluster with its arguments: a [`Handle`] that can also start.
#[derive(Clone, Debug)]
pub struct Component {
    handle: Handle,
    program: PathBuf,
    args: Vec<String>,
}

/// The process of a component, wherever it was started from.
#[derive(Clone, Debug)]
pub struct Handle {
    name: &'static str,
    layout: Layout,
}

impl std::ops::Deref for Component {
    type Target = Handle;

    fn deref(&self) -> &Handle {
        &self.handle
    }
}

impl Component {
    /// `program` with `args`, known as `name` in files and messages.
    pub fn new(layout: &Layout, name: &'static str, program: &Path, args: Vec<String>) -> Self {
        Self { handle: Handle::new(layout, name), program: program.to_owned(), args }
    }

    /// Starts it unless it runs.
    ///
    /// # Errors
    /// When the program can't be started at all; that it ended again later shows in [`Component::ready`].
    pub async fn start(&self) -> Result<()> {
        if self.alive() {
            return Ok(());
        }
        let context = || format!("starting {}", self.name);
        // A shell between, which ends at once: the component belongs to init then, and neither the end of this
        // process nor the keys pressed in its terminal reach it.
        let output = tokio::process::Command::new("/bin/sh")
            .args(["-c", r#"setsid "$@" </dev/null >>"$0" 2>&1 & echo $!"#])
            .arg(self.layout.log(self.name))
            .arg(&self.program)
            .args(&self.args)
            .env_clear()
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .env("HOME", "/root")
            .current_dir(self.layout.root())
            .output()
            .await
            .with_context(context)?;
        let pid = String::from_utf8_lossy(&output.stdout).trim().parse().with_context(context)?;
        let process = Process::with_pid(pid).with_context(|| self.last_words())?;
        std::fs::write(self.layout.process(self.name), serde_json::to_vec(&process)?).with_context(context)
    }
}

impl Handle {
    /// The process that was started as `name`, if any.
    pub fn new(layout: &Layout, name: &'static str) -> Self {
        Self { name, layout: layout.clone() }
    }

    /// Whether it runs.
    pub fn alive(&self) -> bool {
        self.process().is_some_and(|process| process.alive())
    }

    /// Waits until `probe` is `Ok`, as long as the process lives.
    ///
    /// # Errors
    /// When the process ended or `within` has passed; with the last lines of its log.
    pub async fn ready<F>(&self, within: Duration, mut probe: impl FnMut() -> F) -> Result<()>
    where
        F: Future<Output = Result<()>>,
    {
        let deadline = Instant::now() + within;
        loop {
            let Err(missing) = probe().await else { return Ok(()) };
            if !self.alive() {
                bail!("{} ended:\n{}", self.name, self.last_words());
            }
            if Instant::now() > deadline {
                let message = format!("{} is not ready after {within:?}:\n{}", self.name, self.last_words());
                return Err(missing.context(message));
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Asks it to end, waits up to `grace`, then ends it.
    pub async fn stop(&self, grace: Duration) -> Result<()> {
        let Some(process) = self.process() else { return Ok(()) };
        process.signal(Signal::CONT)?;
        process.signal(Signal::TERM)?;
        let deadline = Instant::now() + grace;
        while process.alive() && Instant::now() < deadline {
            tokio::time::sleep(LOOK / 4).await;
        }
        self.kill().await
    }

    /// Ends it with SIGKILL, and waits until it is gone.
    pub async fn kill(&self) -> Result<()> {
        let Some(process) = self.process() else { return Ok(()) };
        process.signal(Signal::KILL)?;
        let gone = || async {
            ensure!(!process.alive(), "it has the number {}", process.pid());
            Ok(())
        };
        until(format_args!("the end of {}", self.name), Duration::from_secs(20), gone).await
    }

    /// Freezes it: connections stay open and nothing answers.
    pub fn pause(&self) -> Result<()> {
        self.running()?.signal(Signal::STOP)
    }

    /// Lets it go on after [`Component::pause`].
    pub fn resume(&self) -> Result<()> {
        self.running()?.signal(Signal::CONT)
    }

    /// The last lines it said.
    pub fn last_words(&self) -> String {
        let path = self.layout.log(self.name);
        let log = std::fs::read_to_string(&path).unwrap_or_default();
        format!("{}:\n{}", path.display(), last_lines(&log, 15))
    }

    fn process(&self) -> Option<Process> {
        let text = std::fs::read(self.layout.process(self.name)).ok()?;
        serde_json::from_slice(&text).ok()
    }

    fn running(&self) -> Result<Process> {
        self.process().filter(Process::alive).with_context(|| format!("{} is not running", self.name))
    }
}
