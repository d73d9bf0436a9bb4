//! Writes the CustomResourceDefinition, plain and as a template of the Helm chart.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::Parser;
use crds::manifest;

/// Writes the CustomResourceDefinition of RoutingStrategy: to config/crd, and as a template to
/// charts/waypost/templates/crds.
#[derive(Parser)]
struct Args {
    /// Root of the checkout.
    #[arg(long, default_value = ".")]
    root: PathBuf,
    /// Write nothing; fail if a file is not what would be written.
    #[arg(long)]
    check: bool,
}

fn main() -> Result<ExitCode> {
    let args = Args::parse();
    let files = [
        (args.root.join("config/crd").join(manifest::file_name()), manifest::plain()?),
        (args.root.join("charts/waypost/templates/crds").join(manifest::file_name()), manifest::template()?),
    ];
    let mut drift = false;
    for (path, wanted) in files {
        let found = fs::read_to_string(&path).ok();
        if found.as_deref() == Some(wanted.as_str()) {
            continue;
        }
        if args.check {
            drift = true;
            eprintln!("{} is out of date; run `cargo run -p crds --bin crdgen`", path.display());
            continue;
        }
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        }
        fs::write(&path, wanted).with_context(|| format!("cannot write {}", path.display()))?;
        println!("{}", path.display());
    }
    Ok(if drift { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
