//! A picker that whoever measures brings.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::super::arms::{Ports, picker_args};

/// Another picker, which takes the flags and the configuration of this one: `NAME=PROGRAM FLAG…`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    /// What it is called in the table.
    pub name: String,
    /// Its program.
    pub program: PathBuf,
    flags: Vec<String>,
}

impl Given {
    /// Its command line.
    pub fn args(&self, config: &Path, ports: Ports) -> Vec<String> {
        picker_args(config, ports).into_iter().chain(self.flags.iter().cloned()).collect()
    }
}

impl FromStr for Given {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, command) = text.split_once('=').ok_or("write NAME=PROGRAM FLAG…")?;
        let mut words = command.split_whitespace().map(str::to_owned);
        let program = words.next().ok_or("the program is missing")?.into();
        Ok(Self { name: name.to_owned(), program, flags: words.collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_follow_those_of_every_picker() {
        let given: Given = "mine=/opt/mine --pool-name=any -v 1".parse().unwrap();
        assert_eq!((given.name.as_str(), given.program.as_path()), ("mine", Path::new("/opt/mine")));
        let args = given.args(Path::new("c.yaml"), Ports { grpc: 1, health: 2, metrics: 3 });
        let expected =
            "--config-file c.yaml --grpc-port 1 --grpc-health-port 2 --metrics-port 3 --pool-name=any -v 1";
        assert_eq!(args.join(" "), expected);
        assert_eq!("mine".parse::<Given>(), Err("write NAME=PROGRAM FLAG…"));
        assert_eq!("mine= ".parse::<Given>(), Err("the program is missing"));
    }
}
