//! What must be done for the plugins of a strategy: a set of flags. What is not in it is never done.

use std::ops::{BitOr, BitOrAssign};

/// A set of things to do for a strategy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs(u8);

impl Needs {
    /// Nothing.
    pub const NOTHING: Self = Self(0);
    /// The request's body, read: its model and its prompt.
    pub const BODY: Self = Self(1);

    /// Whether all of `other` is needed.
    pub fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

impl BitOr for Needs {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOrAssign for Needs {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}
