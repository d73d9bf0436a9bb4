//! Files of an image's root file system.

use std::path::Path;

use anyhow::{Context, Result};

/// Copies a file with its mode, and makes the folders above it.
pub fn copy(from: &Path, to: &Path) -> Result<()> {
    if let Some(folder) = to.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::copy(from, to).map(drop).with_context(|| format!("copying {}", from.display()))
}
