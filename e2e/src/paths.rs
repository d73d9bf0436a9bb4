//! Paths of the cache, of the running cluster's files, and of the checkout.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// What is downloaded or built once and kept between clusters: `$WAYPOST_CACHE`, else `$XDG_CACHE_HOME/waypost`, else
/// `~/.cache/waypost`.
///
/// # Errors
/// When none of these variables nor `HOME` is set.
pub fn cache() -> Result<PathBuf> {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    variable("WAYPOST_CACHE")
        .or_else(|| variable("XDG_CACHE_HOME").map(|home| home.join("waypost")))
        .or_else(|| variable("HOME").map(|home| home.join(".cache/waypost")))
        .context("no place for a cache: set WAYPOST_CACHE to a folder")
}

/// Everything of the running cluster. One fixed place, because a machine holds one cluster: its bridge, iptables
/// chains and cgroups are the machine's own.
pub fn state() -> PathBuf {
    PathBuf::from("/var/lib/waypost-e2e")
}

/// The root of this checkout.
pub fn checkout() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here)
}
