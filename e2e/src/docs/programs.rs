//! The programs that a reader has, in one folder.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::tools::{Clients, apt};
use crate::{Progress, local};

/// In the place of cargo: runs what is built already, since a reader's build would be one more, in another profile.
const CARGO: &str = r#"#!/bin/bash
set -euo pipefail
command=${1:-}
[ $# -eq 0 ] || shift
case $command in
xtask)
  if [ "${1:-}" = bench ]; then shift; exec PROGRAMS/bench "$@"; fi
  exec PROGRAMS/xtask "$@" ;;
run)
  while [ $# -gt 0 ]; do
    case $1 in
    -p | --bin) program=$2; shift 2 ;;
    --example) program=examples/$2; shift 2 ;;
    --) shift; break ;;
    *) break ;;
    esac
  done
  exec "PROGRAMS/$program" "$@" ;;
*)
  echo "cargo $command compiles for long: say so above the block" >&2
  exit 1 ;;
esac
"#;

/// Fills `folder` with `kubectl`, `helm`, the project's own programs, and a `cargo` that runs them.
///
/// # Errors
/// When one does not build.
pub async fn gather(folder: &Path, progress: &Progress) -> Result<()> {
    let clients = Clients::ready(progress).await?;
    for program in ["jq", "curl"] {
        apt::program(program, progress).await?;
    }
    apt::venv_ready(progress).await?;
    let programs = progress.step("building the programs and the examples", local::built()).await?;
    let links: [(&str, PathBuf); 4] = [
        ("kubectl", clients.kubectl),
        ("helm", clients.helm),
        ("picker", programs.join("picker")),
        ("sim", programs.join("sim")),
    ];
    for (name, program) in links {
        symlink(program, folder.join(name)).with_context(|| format!("linking {name}"))?;
    }
    let cargo = folder.join("cargo");
    std::fs::write(&cargo, CARGO.replace("PROGRAMS", &programs.display().to_string()))?;
    std::fs::set_permissions(&cargo, PermissionsExt::from_mode(0o755))?;
    Ok(())
}
