//! The reader of a page, who runs its blocks of commands one after the other.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};

use super::session::Session;
use super::terminal::Terminal;
use super::{Block, Checkout, How, Page, transcript};
use crate::Progress;

/// How many blocks of a page were read, and how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Run.
    pub run: usize,
    /// Asked for help alone.
    pub help: usize,
    /// Not run.
    pub not: usize,
}

/// Runs the blocks of a page in their order; what runs on has ended with the page.
///
/// # Errors
/// When a block fails: with its line, its commands and what they said. Those below it are not run. When what runs on
/// does not end.
pub async fn read(page: &Page, checkout: &Checkout, progress: &Progress) -> Result<Counts> {
    let scripts = checkout.scripts()?;
    for (name, text) in &page.files {
        std::fs::write(checkout.file(name), text).with_context(|| format!("writing {name}"))?;
    }
    let session = Session::start(checkout.bash(), scripts.path())?;
    let mut reader = Reader { checkout, scripts: scripts.path(), session, terminals: Vec::new() };
    let read = reader.page(page, progress).await;
    let ended = reader.end().await;
    let counts = read?;
    ended?;
    Ok(counts)
}

struct Reader<'a> {
    checkout: &'a Checkout,
    scripts: &'a Path,
    session: Session,
    /// What runs on.
    terminals: Vec<Terminal>,
}

impl Reader<'_> {
    async fn page(&mut self, page: &Page, progress: &Progress) -> Result<Counts> {
        let mut counts = Counts::default();
        for block in &page.blocks {
            let place = format!("{}:{}", page.path.display(), block.line);
            let started = Instant::now();
            let outcome = self.block(block).await;
            let took = started.elapsed().as_secs_f64();
            let how = match &block.how {
                How::Not(reason) => format!("not run: {reason}"),
                How::Help(_) => format!("its help in {took:.1} s"),
                How::ToItsEnd | How::On(_) | How::For(_) => format!("{took:.1} s"),
            };
            let first = block.text.lines().next().unwrap_or_default();
            progress.say(format_args!("{place}: {first}: {}", if outcome.is_ok() { &how } else { "FAILED" }));
            outcome.with_context(|| format!("{place}:\n{}\n", block.text))?;
            match block.how {
                How::Not(_) => counts.not += 1,
                How::Help(_) => counts.help += 1,
                How::ToItsEnd | How::On(_) | How::For(_) => counts.run += 1,
            }
        }
        Ok(counts)
    }

    async fn end(self) -> Result<()> {
        for terminal in self.terminals {
            terminal.end().await?;
        }
        Ok(())
    }

    async fn block(&mut self, block: &Block) -> Result<()> {
        if let Some(before) = &block.before {
            self.whole(block.line, before).await.context("before the block")?;
        }
        let output = match &block.how {
            How::Not(_) => return Ok(()),
            How::Help(_) => self.whole(block.line, &help(&block.text)).await?,
            How::ToItsEnd if block.transcript => self.transcript(block).await?,
            How::ToItsEnd => self.whole(block.line, &block.text).await?,
            How::On(address) => {
                let mut terminal = self.terminal(block)?;
                let answers = terminal.takes_connections(address).await;
                let output = terminal.output();
                answers.with_context(|| format!("it said:\n{output}"))?;
                self.terminals.push(terminal);
                output
            }
            How::For(time) => {
                let mut terminal = self.terminal(block)?;
                let lasts = terminal.lasts(*time).await;
                let output = terminal.output();
                terminal.end().await?;
                lasts.with_context(|| format!("it said:\n{output}"))?;
                output
            }
        };
        for text in &block.shows {
            ensure!(output.contains(text), "`{text}` is not in what it said:\n{output}");
        }
        Ok(())
    }

    async fn whole(&mut self, line: usize, commands: &str) -> Result<String> {
        let (output, ok) = self.session.run(line, commands).await?;
        ensure!(ok, "it said:\n{output}");
        Ok(output)
    }

    async fn transcript(&mut self, block: &Block) -> Result<String> {
        let mut all = String::new();
        for step in transcript::steps(&block.text) {
            // Of a status other than 0 a transcript shows nothing.
            let command = format!("{{ {}\n}} || true", step.command);
            let output = self.whole(block.line + step.above, &command).await?;
            if let Some(line) = transcript::missing(&step.output, &output) {
                bail!("`{line}` is not in what `{}` said:\n{output}", step.command);
            }
            all.push_str(&output);
        }
        Ok(all)
    }

    fn terminal(&self, block: &Block) -> Result<Terminal> {
        let output = self.scripts.join(format!("line-{}.out", block.line));
        Terminal::start(self.checkout.bash(), &block.text, &output)
    }
}

/// The commands of a block, each with `--help` as its last argument.
fn help(text: &str) -> String {
    let whole = text.replace("\\\n", " ");
    let with_help = |line: &str| {
        let command = line.split("  #").next().unwrap_or_default().trim_end();
        if command.is_empty() || command.starts_with('#') {
            String::new()
        } else {
            format!("{command} --help")
        }
    };
    whole.lines().map(with_help).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_is_asked_of_each_command() {
        let text =
            "cargo xtask bench          # five minutes\nA=1 cargo xtask test \\\n  --only gate\n\n# alone";
        let asked = "cargo xtask bench --help\nA=1 cargo xtask test    --only gate --help\n\n";
        assert_eq!(help(text), asked);
    }
}
