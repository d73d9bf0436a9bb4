//! The root file system of the Envoy image: the binary, and what it runs on.

use std::path::Path;

use anyhow::Result;

use super::glibc;
use super::rootfs::copy;
use crate::tools::Tools;

/// Fills `rootfs`.
pub fn rootfs(tools: &Tools, rootfs: &Path) -> Result<()> {
    copy(&tools.envoy, &rootfs.join("envoy"))?;
    glibc::fill(rootfs)
}
