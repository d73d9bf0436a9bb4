//! When exchanges begin: in a closed or an open loop.

use std::fmt;

/// The pace of a load: when exchanges begin.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pace {
    /// So many at once, each followed by the next. A slow server is asked less often, which flatters it.
    Closed(usize),
    /// So many a second, at random times that do not depend on the answers (a Poisson process, the same each time).
    /// Their times count from when they were due.
    Open(f64),
}

impl fmt::Display for Pace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed(at_once) => write!(f, "Closed loop, {at_once} exchanges at once"),
            Self::Open(rate) => {
                write!(f, "Open loop, {rate} short exchanges a second, timed from when each was due")
            }
        }
    }
}
