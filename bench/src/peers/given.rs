//! A picker that the command line names: `--peer NAME=PROGRAM FLAG…`.

use std::path::PathBuf;
use std::str::FromStr;

use anyhow::{Result, ensure};

use crate::config::SERVERS_FILE;
use crate::programs::{WAYPOST, YARDSTICK};

/// Another picker, which takes the flags and the configuration of this one: `NAME=PROGRAM FLAG…`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    /// Its name in the table.
    pub name: String,
    /// Its program.
    pub program: PathBuf,
    /// The flags that it needs besides.
    pub flags: Vec<String>,
}

impl FromStr for Given {
    type Err = &'static str;

    fn from_str(text: &str) -> std::result::Result<Self, Self::Err> {
        let (name, command) = text.split_once('=').ok_or("write NAME=PROGRAM FLAG…")?;
        // Its files are called by the name.
        let taken = name.starts_with(WAYPOST) || [YARDSTICK, SERVERS_FILE].contains(&name);
        if name.is_empty() || name.contains('/') || taken {
            return Err("give it a name of its own, without a slash");
        }
        let mut words = command.split_whitespace().map(str::to_owned);
        let program = words.next().ok_or("the program is missing")?.into();
        Ok(Self { name: name.to_owned(), program, flags: words.collect() })
    }
}

/// Each has a row and files of its own.
///
/// # Errors
/// When two have one name.
pub fn distinct(peers: &[Given]) -> Result<()> {
    for (at, given) in peers.iter().enumerate() {
        let before = peers[..at].iter().any(|other| other.name == given.name);
        ensure!(!before, "--peer {}: there are two of this name", given.name);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_a_program_and_flags_are_told_apart() {
        let given: Given = "mine=/opt/mine --pool-name=any -v 1".parse().unwrap();
        let flags = ["--pool-name=any", "-v", "1"].map(str::to_owned).into();
        assert_eq!(given, Given { name: "mine".to_owned(), program: "/opt/mine".into(), flags });
        for name in ["", "a/b", WAYPOST, YARDSTICK, SERVERS_FILE] {
            let wrong = format!("{name}=/opt/mine").parse::<Given>();
            assert_eq!(wrong, Err("give it a name of its own, without a slash"));
        }
        assert_eq!("mine".parse::<Given>(), Err("write NAME=PROGRAM FLAG…"));
        assert_eq!("mine= ".parse::<Given>(), Err("the program is missing"));
    }

    #[test]
    fn two_of_one_name_are_refused() {
        let distinct = |names: &[&str]| {
            let peers: Vec<Given> =
                names.iter().map(|name| format!("{name}=/opt/mine").parse().unwrap()).collect();
            distinct(&peers).map_err(|error| error.to_string())
        };
        assert_eq!(distinct(&["a", "b"]), Ok(()));
        assert_eq!(distinct(&["a", "b", "a"]), Err("--peer a: there are two of this name".to_owned()));
    }
}
