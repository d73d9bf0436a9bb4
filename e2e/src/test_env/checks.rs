//! The figures that a story measured, and its checks that failed.

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// Environment variable with the file into which the [`Figure`] of a story is written, as JSON.
pub const FIGURES: &str = "WAYPOST_FIGURES";

/// Figures and failed checks of one story, recorded as it goes.
#[derive(Debug, Default)]
pub struct Checks(Mutex<Notes>);

#[derive(Clone, Debug, Default)]
struct Notes {
    measured: Vec<String>,
    missed: Vec<String>,
}

/// One line of the final table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Figure {
    /// Row of the table of promises; 0 for a test of the harness itself.
    pub row: u8,
    /// What is to hold.
    pub bar: String,
    /// What was seen.
    pub measured: String,
    /// Bars that did not hold; empty when all did.
    pub missed: Vec<String>,
}

impl Checks {
    /// Records a figure.
    pub fn measured(&self, figure: String) {
        self.notes().measured.push(figure);
    }

    /// Records a check, and whether it held.
    pub fn check(&self, held: bool, what: String) {
        if !held {
            self.notes().missed.push(what);
        }
    }

    /// The checks that did not hold.
    pub fn missed(&self) -> Vec<String> {
        self.notes().missed.clone()
    }

    /// The line of the final table.
    pub fn figure(&self, row: u8, bar: &str) -> Figure {
        let Notes { measured, missed } = self.notes().clone();
        Figure { row, bar: bar.to_owned(), measured: measured.join("; "), missed }
    }

    /// A panic elsewhere breaks no note.
    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Figure {
    /// Hands the figure to the process that runs the stories, if one does.
    ///
    /// # Errors
    /// When its file can't be written.
    pub fn hand_over(&self) -> Result<()> {
        let Some(file) = std::env::var_os(FIGURES).map(PathBuf::from) else { return Ok(()) };
        std::fs::write(&file, serde_json::to_vec(self)?)
            .with_context(|| format!("writing {}", file.display()))
    }
}
