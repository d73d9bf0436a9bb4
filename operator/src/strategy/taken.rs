//! Names of a workload's objects that are held by objects which are not the strategy's.

use std::fmt::{self, Display, Formatter};

/// The objects that hold names of one workload.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct TakenNames {
    /// The name.
    pub name: String,
    /// Kinds of the objects that somebody else made.
    pub foreign: Vec<String>,
    /// Kinds of the objects that are being deleted.
    pub going: Vec<String>,
}

impl TakenNames {
    /// An object of `kind` called `name`, which somebody else made or which is being deleted.
    pub fn one(kind: &str, name: &str, going: bool) -> Self {
        let kinds = vec![kind.to_owned()];
        match going {
            true => Self { name: name.to_owned(), going: kinds, ..Self::default() },
            false => Self { name: name.to_owned(), foreign: kinds, ..Self::default() },
        }
    }

    /// Adds what else was found of the same workload.
    pub fn extend(&mut self, other: Self) {
        if self.name.is_empty() {
            self.name = other.name;
        }
        for (all, new) in [(&mut self.foreign, other.foreign), (&mut self.going, other.going)] {
            for kind in new {
                if !all.contains(&kind) {
                    all.push(kind);
                }
            }
        }
    }
}

impl Display for TakenNames {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let parts = [
            (
                &self.foreign,
                "is not this strategy's; rename or delete it",
                "are not this strategy's; rename or delete them",
            ),
            (&self.going, "is being deleted", "are being deleted"),
        ];
        let mut separator = "";
        for (kinds, one, several) in parts {
            let what = if kinds.len() == 1 { one } else { several };
            if let Some((last, others)) = kinds.split_last() {
                f.write_str(separator)?;
                if !others.is_empty() {
                    write!(f, "{} and ", others.join(", "))?;
                }
                write!(f, "{last} {} {what}", self.name)?;
                separator = "; ";
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_kinds_are_named_once() {
        let one = |kind: &str, going| TakenNames::one(kind, "qwen-picker", going);
        let mut taken = TakenNames::default();
        taken.extend(one("Service", false));
        let single = "Service qwen-picker is not this strategy's; rename or delete it";
        assert_eq!(taken.to_string(), single);
        for more in
            [one("Role", false), one("Deployment", false), one("Role", false), one("ServiceAccount", true)]
        {
            taken.extend(more);
        }
        let all = "Service, Role and Deployment qwen-picker are not this strategy's; rename or delete them; \
                   ServiceAccount qwen-picker is being deleted";
        assert_eq!(taken.to_string(), all);
    }
}
