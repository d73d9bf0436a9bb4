//! A picker that whoever measures brings.

use std::path::PathBuf;
use std::str::FromStr;

use super::super::ground::WAYPOST;

/// Another picker, which takes the flags and the configuration of this one: `NAME=PROGRAM FLAG…`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    /// What it is called in the table.
    pub name: String,
    /// Its program.
    pub program: PathBuf,
    /// The flags that it needs besides.
    pub flags: Vec<String>,
}

impl FromStr for Given {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, command) = text.split_once('=').ok_or("write NAME=PROGRAM FLAG…")?;
        // Its files are called by the name.
        if name.is_empty() || name.contains('/') || name.starts_with(WAYPOST) {
            return Err("give it a name of its own, without a slash");
        }
        let mut words = command.split_whitespace().map(str::to_owned);
        let program = words.next().ok_or("the program is missing")?.into();
        Ok(Self { name: name.to_owned(), program, flags: words.collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_a_program_and_flags_are_told_apart() {
        let given: Given = "mine=/opt/mine --pool-name=any -v 1".parse().unwrap();
        let flags = ["--pool-name=any", "-v", "1"].map(str::to_owned).into();
        assert_eq!(given, Given { name: "mine".to_owned(), program: "/opt/mine".into(), flags });
        for name in ["", "a/b", WAYPOST] {
            let wrong = format!("{name}=/opt/mine").parse::<Given>();
            assert_eq!(wrong, Err("give it a name of its own, without a slash"));
        }
        assert_eq!("mine".parse::<Given>(), Err("write NAME=PROGRAM FLAG…"));
        assert_eq!("mine= ".parse::<Given>(), Err("the program is missing"));
    }
}
