//! The blocks of commands of a Markdown page, with what the comments above them say.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

use super::transcript;

/// Languages of blocks that hold commands.
const COMMANDS: [&str; 3] = ["sh", "bash", "console"];
/// What a reader has to replace: such a block can't be run as it stands.
const PLACEHOLDERS: [&str; 7] = ["REGISTRY", "NAMESPACE", "NAME", "POOL", "POD", "IMAGE", "STRATEGY"];

/// A page of the documentation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Its path in the checkout.
    pub path: PathBuf,
    /// Files that it shows and its commands need, with their text.
    pub files: Vec<(String, String)>,
    /// Its blocks of commands, in their order.
    pub blocks: Vec<Block>,
    /// What is wrong with its blocks or with their comments, each with its line.
    pub faults: Vec<String>,
}

/// A block of commands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// The line of the page above its first command.
    pub line: usize,
    /// What stands between the fences.
    pub text: String,
    /// Whether it shows commands with their output.
    pub transcript: bool,
    /// Commands that bring about what the page takes for granted.
    pub before: Option<String>,
    /// What its output holds.
    pub shows: Vec<String>,
    /// How it is run.
    pub how: How,
}

/// How a block is run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum How {
    /// To its end.
    ToItsEnd,
    /// Beside the blocks below it, which begin when it takes connections at this address.
    On(String),
    /// For this time, in which it may not end.
    For(Duration),
    /// With `--help` added to each command, for this reason.
    Help(String),
    /// Not, for this reason.
    Not(String),
}

/// The pages whose commands are run: what a reader begins with is last, since it installs the operator anew.
///
/// # Errors
/// When a file can't be read.
pub fn documentation(checkout: &Path) -> Result<Vec<Page>> {
    let folder = checkout.join("docs");
    let entries = std::fs::read_dir(&folder).with_context(|| format!("reading {}", folder.display()))?;
    let names = entries.map(|entry| Ok(entry?.file_name())).collect::<Result<Vec<_>>>()?;
    let mut paths: Vec<PathBuf> = names.into_iter().map(|name| Path::new("docs").join(name)).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    paths.push("README.md".into());
    paths.push("CONTRIBUTING.md".into());
    paths.sort_by_key(|path| (path.ends_with("README.md"), path.ends_with("install.md"), path.clone()));
    let page = |path: PathBuf| {
        let file = checkout.join(&path);
        let text = std::fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
        Ok(Page::parse(path, &text))
    };
    paths.into_iter().map(page).collect()
}

impl Page {
    /// The page at `path` of the checkout, with this text.
    pub fn parse(path: impl Into<PathBuf>, text: &str) -> Self {
        let mut page = Self { path: path.into(), files: Vec::new(), blocks: Vec::new(), faults: Vec::new() };
        let mut lines = text.lines().enumerate().map(|(at, line)| (at + 1, line));
        let mut comments: Vec<(usize, String)> = Vec::new();
        while let Some((at, line)) = lines.next() {
            let indent = line.len() - line.trim_start().len();
            if let Some(begun) = line.trim_start().strip_prefix("<!--") {
                let mut comment = begun.to_owned();
                while !comment.contains("-->") {
                    let Some((_, more)) = lines.next() else { break };
                    comment.push('\n');
                    comment.push_str(more);
                }
                comments.push((at, comment.replace("-->", "").trim().to_owned()));
            } else if let Some(language) = line.trim_start().strip_prefix("```") {
                let inside = lines.by_ref().map(|(_, line)| line);
                let text: Vec<&str> = inside
                    .take_while(|line| line.trim() != "```")
                    .map(|line| line.get(indent..).unwrap_or_default())
                    .collect();
                page.block(at, language.trim(), text.join("\n"), std::mem::take(&mut comments));
            } else {
                page.without_block(std::mem::take(&mut comments));
            }
        }
        page.without_block(comments);
        page
    }

    fn block(&mut self, line: usize, language: &str, text: String, comments: Vec<(usize, String)>) {
        if !COMMANDS.contains(&language) {
            self.other_block(line, language, text, comments);
            return;
        }
        let (transcript, how) = (language == "console", How::ToItsEnd);
        let mut block = Block { line, text, transcript, before: None, shows: Vec::new(), how };
        for (at, comment) in comments {
            if let Err(fault) = block.comment(&comment) {
                self.fault(at, &fault);
            }
        }
        if block.is_run() {
            for word in placeholders(&block.commands()) {
                self.fault(
                    line,
                    &format!("{word} has to be replaced: name something, or use a variable (`${word}`)"),
                );
            }
            if block.transcript && !block.text.starts_with("$ ") {
                self.fault(line, "a transcript begins with a command after `$ `");
            }
        }
        self.blocks.push(block);
    }

    fn other_block(&mut self, line: usize, language: &str, text: String, comments: Vec<(usize, String)>) {
        if language.is_empty() {
            self.fault(
                line,
                "a block names its language: `sh`, `console` for commands with their output, `text`, …",
            );
        }
        if text.lines().any(|line| line.starts_with("$ ")) {
            self.fault(line, "a block with commands after `$ ` is of the language `console`");
        }
        for (at, comment) in comments {
            match comment.strip_prefix("file:") {
                Some(name) => self.files.push((name.trim().to_owned(), format!("{text}\n"))),
                None => self.without_block(vec![(at, comment)]),
            }
        }
    }

    /// Comments that belong to no block of commands must not be meant for one.
    fn without_block(&mut self, comments: Vec<(usize, String)>) {
        for (at, comment) in comments {
            let meant = ["run before", "runs on", "shows", "stops after", "only help", "not run", "file"];
            if meant.iter().any(|word| comment.starts_with(&format!("{word}:"))) {
                self.fault(at, &format!("`{comment}` is not right above a block that it can be for"));
            }
        }
    }

    fn fault(&mut self, line: usize, what: &str) {
        self.faults.push(format!("{}:{line}: {what}", self.path.display()));
    }
}

impl Block {
    /// Whether it is run as it stands.
    pub fn is_run(&self) -> bool {
        !matches!(self.how, How::Help(_) | How::Not(_))
    }

    /// What is typed of it.
    fn commands(&self) -> String {
        if !self.transcript {
            return self.text.clone();
        }
        transcript::steps(&self.text).into_iter().map(|step| step.command).collect::<Vec<_>>().join("\n")
    }

    fn comment(&mut self, comment: &str) -> Result<(), String> {
        let (word, said) = comment.split_once(':').unwrap_or((comment, ""));
        let said = said.trim();
        if said.is_empty() {
            return Err(format!("`{word}` says nothing after a colon"));
        }
        let how = match word {
            "run before" => return once(&mut self.before, said),
            "shows" => {
                self.shows.push(said.to_owned());
                return Ok(());
            }
            "runs on" => How::On(said.to_owned()),
            "stops after" => How::For(seconds(said)?),
            "only help" => How::Help(said.to_owned()),
            "not run" => How::Not(said.to_owned()),
            _ => return Err(format!("`{word}` is no word that is known above a block of commands")),
        };
        if self.how != How::ToItsEnd {
            return Err(format!("`{word}` is one way too many to run a block"));
        }
        self.how = how;
        Ok(())
    }
}

/// The words of `commands` that a reader has to replace.
fn placeholders(commands: &str) -> Vec<String> {
    let variables = commands.replace("${", "$");
    let words = variables.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '$'));
    words.filter(|word| PLACEHOLDERS.contains(word)).map(ToOwned::to_owned).collect()
}

fn once(place: &mut Option<String>, said: &str) -> Result<(), String> {
    match place.replace(said.to_owned()) {
        Some(_) => Err("`run before` is there twice".to_owned()),
        None => Ok(()),
    }
}

fn seconds(said: &str) -> Result<Duration, String> {
    let count = said.strip_suffix('s').and_then(|count| count.parse().ok());
    count.map(Duration::from_secs).ok_or_else(|| format!("`{said}` is no time such as `3s`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(line: usize, text: &str) -> Block {
        let (text, before, shows) = (text.to_owned(), None, Vec::new());
        Block { line, text, transcript: false, before, shows, how: How::ToItsEnd }
    }

    #[test]
    fn blocks_have_what_the_comments_above_them_say() {
        let text = "\
# Title

<!-- Written by hand. -->

```sh
kubectl get pods
```
<!-- run before:
kubectl create namespace a
kubectl create namespace b
-->
<!-- shows: one -->
<!-- shows: two -->
```bash
cat <<'END'
  text
END
```

- in a list
  <!-- runs on: 127.0.0.1:8000 -->
  ```sh
  sim serve
    --port 8000
  ```

<!-- stops after: 3s -->
```sh
picker
```
<!-- only help: takes minutes -->
```sh
cargo xtask bench
```
<!-- not run: needs Docker -->
```sh
docker push REGISTRY/x
```
<!-- file: config.yaml -->
```yaml
a: 1
```
```console
$ picker get
NAME AGE
```
";
        let page = Page::parse("docs/a.md", text);
        let expected = [
            block(5, "kubectl get pods"),
            Block {
                before: Some("kubectl create namespace a\nkubectl create namespace b".to_owned()),
                shows: vec!["one".to_owned(), "two".to_owned()],
                ..block(14, "cat <<'END'\n  text\nEND")
            },
            Block { how: How::On("127.0.0.1:8000".to_owned()), ..block(22, "sim serve\n  --port 8000") },
            Block { how: How::For(Duration::from_secs(3)), ..block(28, "picker") },
            Block { how: How::Help("takes minutes".to_owned()), ..block(32, "cargo xtask bench") },
            Block { how: How::Not("needs Docker".to_owned()), ..block(36, "docker push REGISTRY/x") },
            Block { transcript: true, ..block(43, "$ picker get\nNAME AGE") },
        ];
        assert_eq!(page.blocks, expected);
        assert_eq!(page.files, [("config.yaml".to_owned(), "a: 1\n".to_owned())]);
        assert_eq!(page.faults, Vec::<String>::new());
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        let faults = |text: &str| Page::parse("a.md", text).faults;
        let one = |text: &str| faults(text).join("; ");
        assert_eq!(one("<!-- not run: -->\n```sh\nls\n```"), "a.md:1: `not run` says nothing after a colon");
        assert_eq!(
            one("<!-- not run: needs it -->\n\n```sh\nls\n```"),
            "a.md:1: `not run: needs it` is not right above a block that it can be for"
        );
        assert_eq!(
            one("<!-- skip: why -->\n```sh\nls\n```"),
            "a.md:1: `skip` is no word that is known above a block of commands"
        );
        assert_eq!(
            one("```sh\nkubectl -n NAMESPACE get x\n```"),
            "a.md:1: NAMESPACE has to be replaced: name something, or use a variable (`$NAMESPACE`)"
        );
        assert_eq!(one("```sh\nhelm install --set a=$REGISTRY/b=${NAME}\n```"), "");
        assert_eq!(
            one("```\nls\n```"),
            "a.md:1: a block names its language: `sh`, `console` for commands with their output, `text`, …"
        );
        assert_eq!(
            one("```text\n$ ls\n```"),
            "a.md:1: a block with commands after `$ ` is of the language `console`"
        );
        assert_eq!(one("```console\nls\n```"), "a.md:1: a transcript begins with a command after `$ `");
        assert_eq!(
            one("<!-- not run: a -->\n<!-- stops after: 1s -->\n```sh\nls\n```"),
            "a.md:2: `stops after` is one way too many to run a block"
        );
        assert_eq!(
            one("<!-- stops after: soon -->\n```sh\nls\n```"),
            "a.md:1: `soon` is no time such as `3s`"
        );
    }
}
