//! The translation of command lines as Go's flag packages read them into ones that clap reads.

use std::collections::BTreeMap;

use clap::{CommandFactory, builder::ValueRange};

use super::Cli;
use super::foreign::{self, Takes};

/// A command line for clap, and the flags that were taken out of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Normalised {
    /// The arguments, the program's name first.
    pub args: Vec<String>,
    /// Flags of other pickers that change nothing here.
    pub ignored: Vec<String>,
}

/// Reads `-poolName x`, `--pool-name x`, `-v 4`, `--v=4`, `--x`, `--x=false` and `--x false` alike. A flag's
/// value is joined to it, so that it may begin with a dash. Arguments of a subcommand are left alone.
pub fn normalise(args: impl IntoIterator<Item = String>) -> Normalised {
    let known = flags();
    let mut out = Normalised::default();
    let mut args = args.into_iter().peekable();
    out.args.extend(args.next());
    while let Some(arg) = args.next() {
        // What a template leaves of a flag that it does not want.
        if arg.is_empty() {
            continue;
        }
        let Some((name, value)) = split(&arg) else {
            out.args.push(arg);
            // A subcommand, or the end of flags.
            out.args.extend(args);
            break;
        };
        let own = known.get(&name);
        let Some(takes) = own.copied().or_else(|| foreign::takes(&name)) else {
            out.args.push(arg);
            continue;
        };
        let value = value.or_else(|| match takes {
            Takes::Value => args.next(),
            Takes::Bool => args.next_if(|next| matches!(next.as_str(), "true" | "false")),
        });
        match (own, value) {
            (None, _) => out.ignored.push(format!("--{name}")),
            (Some(_), Some(value)) => out.args.push(format!("--{name}={value}")),
            (Some(_), None) => out.args.push(format!("--{name}")),
        }
    }
    out
}

/// The flags of this program and what they take.
fn flags() -> BTreeMap<String, Takes> {
    let command = Cli::command();
    let flags = command.get_arguments().filter_map(|arg| {
        let optional = arg.get_num_args() == Some(ValueRange::new(0..=1));
        Some((arg.get_long()?.to_owned(), if optional { Takes::Bool } else { Takes::Value }))
    });
    flags.collect()
}

/// Name, in kebab case, and value of a flag with one dash or two; `None` when it is no flag.
fn split(arg: &str) -> Option<(String, Option<String>)> {
    let flag = arg.strip_prefix("--").or_else(|| arg.strip_prefix('-'))?;
    let (name, value) = match flag.split_once('=') {
        Some((name, value)) => (name, Some(value.to_owned())),
        None => (flag, None),
    };
    if !name.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return None;
    }
    let mut kebab = String::with_capacity(name.len() + 4);
    for c in name.chars() {
        match c {
            'A'..='Z' => {
                kebab.push('-');
                kebab.push(c.to_ascii_lowercase());
            }
            '_' => kebab.push('-'),
            other => kebab.push(other),
        }
    }
    Some((kebab, value))
}
