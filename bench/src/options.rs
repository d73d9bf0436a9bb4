//! Command line options that several measurements have: numbers within a range, and a file for the figures.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

/// Reads a number from `least` to `most` from the command line.
pub fn between(least: f64, most: f64) -> impl Fn(&str) -> Result<f64, String> + Clone {
    move |text| {
        let number: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
        if (least..=most).contains(&number) {
            Ok(number)
        } else {
            Err(format!("not between {least} and {most}"))
        }
    }
}

/// Writes figures to `file`, if one is given.
///
/// # Errors
/// When it can't be written.
pub fn write_json(file: Option<&Path>, figures: &Value) -> Result<()> {
    let Some(file) = file else { return Ok(()) };
    let text = serde_json::to_vec_pretty(figures)?;
    std::fs::write(file, text).with_context(|| format!("writing {}", file.display()))
}
