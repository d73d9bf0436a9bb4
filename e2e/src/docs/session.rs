//! One shell in which the blocks of a page follow each other, with the variables and functions of those before.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{ChildStdin, ChildStdout, Command};

use super::terminal::Group;

/// What takes longer hangs.
const LONGEST: Duration = Duration::from_secs(120);

/// Reads names of scripts and runs each in this very shell, its output into a file beside it. The first command that fails ends
/// the shell, as it would end a script of the reader's.
const LOOP: &str = r#"set -euo pipefail
trap 'echo "(status $? at line $LINENO)" >&2' ERR
while IFS= read -r part; do
  source "$part.sh" >"$part.out" 2>&1 </dev/null
  echo done
done"#;

/// A running shell.
pub struct Session {
    _group: Group,
    input: ChildStdin,
    ended: Lines<BufReader<ChildStdout>>,
    folder: PathBuf,
    parts: usize,
}

impl Session {
    /// A shell started by `bash`, a command with a place and an environment, that keeps its scripts in `folder`.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start(mut bash: Command, folder: &Path) -> Result<Self> {
        bash.args(["-c", LOOP]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut group = Group::start(bash)?;
        let input = group.child().stdin.take().context("no input")?;
        let output = group.child().stdout.take().context("no output")?;
        let ended = BufReader::new(output).lines();
        Ok(Self { _group: group, input, ended, folder: folder.to_owned(), parts: 0 })
    }

    /// Runs commands that stand below `line` of a page. Gives back what they said, and whether they came to their end without a failure; after one that failed the
    /// shell is gone.
    ///
    /// # Errors
    /// When the shell can't be told.
    pub async fn run(&mut self, line: usize, commands: &str) -> Result<(String, bool)> {
        self.parts += 1;
        let part = self.folder.join(self.parts.to_string());
        let (script, said) = (part.with_extension("sh"), part.with_extension("out"));
        // The shell counts lines as the page does.
        std::fs::write(&script, format!("{}{commands}\n", "\n".repeat(line)))?;
        self.input
            .write_all(format!("{}\n", part.display()).as_bytes())
            .await
            .context("the shell is gone")?;
        let ended = tokio::time::timeout(LONGEST, self.ended.next_line()).await;
        let mut output = String::from_utf8_lossy(&std::fs::read(&said)?).into_owned();
        let ok = match ended {
            Ok(line) => line?.is_some(),
            Err(_) => {
                output.push_str(&format!("\n(it did not end within {} s)", LONGEST.as_secs()));
                false
            }
        };
        Ok((output, ok))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn blocks_follow_each_other_until_one_fails() {
        let folder = tempfile::tempdir().unwrap();
        let mut session = Session::start(Command::new("bash"), folder.path()).unwrap();
        let mut run = async |commands: &str| session.run(10, commands).await;
        assert_eq!(run("a=1; f() { echo \"$a $1\"; }").await.unwrap(), (String::new(), true));
        assert_eq!(run("f 2\ncat").await.unwrap(), ("1 2\n".to_owned(), true));
        let said = "before\n(status 1 at line 12)\n".to_owned();
        assert_eq!(run("echo before\nfalse | cat\necho after").await.unwrap(), (said, false));
        assert!(run("true").await.is_err());
    }
}
