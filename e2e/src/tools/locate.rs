//! The paths of programs, on the PATH or in the system's folders.

use std::path::PathBuf;

use anyhow::{Context, Result};

const SYSTEM: [&str; 6] = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// The path of `name` on the PATH or in a system folder.
pub fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(SYSTEM.iter().map(PathBuf::from))
        .map(|folder| folder.join(name))
        .find(|candidate| candidate.is_file())
}

/// As [`find`], for what must be there.
pub fn program(name: &str) -> Result<PathBuf> {
    find(name).with_context(|| format!("`{name}` is not on this machine, though its package is installed"))
}
