//! Child processes that run to their end, with errors that include their output.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::paths;

/// A program about to be run. Its output is captured, and shown when it fails.
#[derive(Debug)]
pub struct Run {
    command: Command,
    shown: String,
    input: Option<Vec<u8>>,
    log: Option<PathBuf>,
}

/// A run of `program`.
pub fn run(program: impl AsRef<OsStr>) -> Run {
    let shown = program.as_ref().to_string_lossy().into_owned();
    let mut command = Command::new(program);
    command.stdin(Stdio::null()).kill_on_drop(true);
    Run { command, shown, input: None, log: None }
}

impl Run {
    /// Adds one argument.
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.shown.push(' ');
        self.shown.push_str(&arg.as_ref().to_string_lossy());
        self.command.arg(arg);
        self
    }

    /// Adds arguments.
    pub fn args(self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        args.into_iter().fold(self, |run, arg| run.arg(arg))
    }

    /// Sets an environment variable.
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Takes an environment variable away.
    pub fn without_env(mut self, name: &str) -> Self {
        self.command.env_remove(name);
        self
    }

    /// Runs in `dir`.
    pub fn current_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.command.current_dir(dir.into());
        self
    }

    /// Feeds `input` to standard input.
    pub fn input(mut self, input: impl Into<Vec<u8>>) -> Self {
        self.command.stdin(Stdio::piped());
        self.input = Some(input.into());
        self
    }

    /// Also keeps all output in the file `log`.
    pub fn log(mut self, log: impl Into<PathBuf>) -> Self {
        self.log = Some(log.into());
        self
    }

    /// Runs to the end and gives back standard output.
    ///
    /// # Errors
    /// When the program can't be started or ends with another status than 0; the message holds the last lines it said.
    pub async fn output(mut self) -> Result<String> {
        self.command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = self.command.spawn().with_context(|| format!("starting `{}`", self.shown))?;
        if let (Some(input), Some(mut stdin)) = (self.input.take(), child.stdin.take()) {
            stdin.write_all(&input).await.with_context(|| format!("feeding `{}`", self.shown))?;
        }
        let output = child.wait_with_output().await.with_context(|| format!("running `{}`", self.shown))?;
        let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
        let stderr = String::from_utf8_lossy(&output.stderr);
        if let Some(log) = &self.log {
            let text = format!("$ {}\n{stdout}{stderr}\n", self.shown);
            tokio::fs::write(log, text).await.with_context(|| format!("writing {}", log.display()))?;
        }
        if !output.status.success() {
            let said = last_lines(&format!("{stdout}{stderr}"), 40);
            bail!("`{}` ended with {}:\n{said}", self.shown, output.status);
        }
        Ok(stdout)
    }

    /// Runs to the end and gives back standard output and standard error, one after the other, and whether the
    /// status was 0.
    ///
    /// # Errors
    /// When the program can't be started.
    pub async fn output_of_both(mut self) -> Result<(String, bool)> {
        let output = self.command.output().await.with_context(|| format!("running `{}`", self.shown))?;
        let text = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
        Ok((text.concat(), output.status.success()))
    }

    /// Runs to the end for its effect alone.
    ///
    /// # Errors
    /// As [`Run::output`].
    pub async fn done(self) -> Result<()> {
        self.output().await.map(drop)
    }
}

/// The last `count` lines of `text`.
pub fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

/// The tracked files of the checkout that are there, by their paths in it: those that match one of `patterns`, or all
/// without any.
///
/// # Errors
/// When git does not tell.
pub async fn tracked(patterns: &[&str]) -> Result<Vec<String>> {
    let listed = run("git").arg("ls-files").args(patterns).current_dir(paths::checkout()).output().await?;
    let there = listed.lines().filter(|file| paths::checkout().join(file).is_file());
    Ok(there.map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn output_is_given_back() {
        let said = run("cat").input("two\nlines\n").output().await.unwrap();
        assert_eq!(said, "two\nlines\n");
    }

    #[tokio::test]
    async fn a_failure_shows_what_was_said() {
        let error = run("sh").args(["-c", "echo to out; echo to err >&2; exit 3"]).done().await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "`sh -c echo to out; echo to err >&2; exit 3` ended with exit status: 3:\nto out\nto err"
        );
    }

    #[test]
    fn last_lines_of_short_and_long_texts() {
        assert_eq!(last_lines("a\nb\nc", 2), "b\nc");
        assert_eq!(last_lines("a", 2), "a");
        assert_eq!(last_lines("", 2), "");
    }
}
