//! Instructions of a decision and of its parts, counted under valgrind and held against those that are recorded: the
//! same on a busy machine as on an idle one, unlike times.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::tally::Tally;
use crate::shell;
use crate::test_env::Table;
use crate::tools::{apt, cargo};
use crate::{Progress, paths};

/// What is recorded, in instructions for each request; written anew with `WAYPOST_WRITE=1`.
const RECORDED: &str = "picker/core/benches/instructions.json";

/// The function of the benchmark whose instructions count.
const COUNTED: &str = "*decision::counted*";

/// A count may be so many times what is recorded. Compilers and processors differ by less.
const MOST: f64 = 1.1;
/// One that is below so many times of it would hide a later rise.
const LEAST: f64 = 0.9;

type Counts = BTreeMap<String, u64>;

/// Counts every case, or those whose names contain one of `names`.
pub async fn run(progress: &Progress, names: &[String], tally: &mut Tally) -> Result<()> {
    let valgrind = apt::program("valgrind", progress).await?;
    let build = ["bench", "--locked", "--quiet", "-p", "picker-core", "--bench", "decision", "--no-run"];
    let built = cargo::programs(&build, |message| message["target"]["kind"][0] == "bench");
    let built = match progress.step("building the microbenchmarks", built).await {
        Ok(built) => built,
        Err(error) => {
            println!("{error:#}");
            tally.failed("the microbenchmarks do not build");
            return Ok(());
        }
    };
    let program = built.first().context("cargo names no benchmark")?;
    let counts = progress.step("counting instructions", count(&valgrind, program, names)).await?;
    let file = paths::checkout().join(RECORDED);
    if std::env::var_os("WAYPOST_WRITE").is_some() {
        let mut recorded = if names.is_empty() { Counts::new() } else { read(&file)? };
        recorded.extend(counts.clone());
        let text = serde_json::to_string_pretty(&recorded)? + "\n";
        std::fs::write(&file, text).with_context(|| format!("writing {RECORDED}"))?;
    }
    let recorded = read(&file)?;
    if names.is_empty() {
        for case in recorded.keys().filter(|case| !counts.contains_key(*case)) {
            tally.failed(format!(
                "{case}: recorded, and there is no such case: record all with WAYPOST_WRITE=1"
            ));
        }
    }
    judge(&recorded, &counts, tally);
    Ok(())
}

fn read(file: &Path) -> Result<Counts> {
    let text = std::fs::read(file).with_context(|| format!("reading {RECORDED}"))?;
    serde_json::from_slice(&text).with_context(|| format!("reading {RECORDED}"))
}

/// The instructions of each case, for each request.
async fn count(valgrind: &Path, program: &Path, names: &[String]) -> Result<Counts> {
    let folder = tempfile::tempdir()?;
    let out = folder.path().join("out");
    let cases = shell::run(program).arg("--names").output().await?;
    let wanted = |case: &&str| names.is_empty() || names.iter().any(|name| case.contains(name.as_str()));
    let mut counts = Counts::new();
    for case in cases.lines().filter(wanted) {
        let times = shell::run(valgrind)
            .args(["--quiet", "--tool=callgrind", "--collect-atstart=no"])
            .arg(format!("--toggle-collect={COUNTED}"))
            .arg(format!("--callgrind-out-file={}", out.display()))
            .arg(program)
            .args(["--counted", case])
            .output()
            .await?;
        let times: u64 = times.trim().parse().context("how many requests were counted")?;
        let said = std::fs::read_to_string(&out).context("what valgrind wrote")?;
        let total = said.lines().find_map(|line| line.strip_prefix("totals: ")?.parse::<u64>().ok());
        let total = total.unwrap_or_default();
        ensure!(total > 0, "valgrind saw nothing of {COUNTED} in {case}");
        counts.insert(case.to_owned(), total / times.max(1));
    }
    Ok(counts)
}

/// Notes what became of each case, and prints all of them.
fn judge(recorded: &Counts, counts: &Counts, tally: &mut Tally) {
    let columns = [("case", 24), ("recorded", 12), ("instructions", 12), ("ratio", 6), ("", 60)];
    let mut table = Table::new(&columns);
    for (case, count) in counts {
        let verdict = Verdict::of(recorded.get(case).copied(), *count);
        match verdict {
            Verdict::Holds | Verdict::Less => tally.passed(1),
            Verdict::More | Verdict::New => tally.failed(format!("{case}: {}", verdict.text())),
        }
        let recorded = recorded.get(case).copied();
        let ratio = recorded.map(|recorded| format!("{:.2}", *count as f64 / recorded.max(1) as f64));
        let recorded = recorded.map(|recorded| recorded.to_string());
        table.row([
            case.as_str(),
            &recorded.unwrap_or_default(),
            &count.to_string(),
            &ratio.unwrap_or_default(),
            verdict.text(),
        ]);
    }
    println!("{table}");
}

/// What became of a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Holds,
    Less,
    More,
    New,
}

impl Verdict {
    fn of(recorded: Option<u64>, count: u64) -> Self {
        let Some(recorded) = recorded else { return Self::New };
        let ratio = count as f64 / recorded.max(1) as f64;
        if ratio > MOST {
            Self::More
        } else if ratio < LEAST {
            Self::Less
        } else {
            Self::Holds
        }
    }

    fn text(self) -> &'static str {
        match self {
            Self::Holds => "",
            Self::Less => "fewer than recorded: record them with WAYPOST_WRITE=1, so that they stay so",
            Self::More => "more than recorded; if there is a reason, record them with WAYPOST_WRITE=1",
            Self::New => "not recorded: record it with WAYPOST_WRITE=1",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenth_more_fails_and_a_tenth_less_is_told() {
        let verdicts =
            [(None, 1), (Some(1000), 1101), (Some(1000), 1100), (Some(1000), 900), (Some(1000), 899)];
        let verdicts = verdicts.map(|(recorded, count)| Verdict::of(recorded, count));
        use Verdict::{Holds, Less, More, New};
        assert_eq!(verdicts, [New, More, Holds, Holds, Less]);
    }

    #[test]
    fn what_is_more_or_new_fails() {
        let counts =
            |of: &[(&str, u64)]| of.iter().map(|(case, count)| ((*case).to_owned(), *count)).collect();
        let mut tally = Tally::default();
        let recorded = counts(&[("a", 100), ("b", 100), ("c", 100)]);
        judge(&recorded, &counts(&[("a", 120), ("b", 100), ("c", 50), ("d", 1)]), &mut tally);
        assert!(!tally.ok());
        let shown = tally.to_string();
        assert!(shown.contains("failed: a: more than recorded"), "{shown}");
        assert!(shown.contains("failed: d: not recorded"), "{shown}");
        assert!(shown.ends_with("2 passed, 2 failed"), "{shown}");
    }
}
