//! The crates of the workspace that an image is built from.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::Value;

use super::sources::Sources;
use super::{builder, glibc};
use crate::paths;
use crate::shell::run;
use crate::tools::cargo;

/// The crates of the workspace, and which of them each one is made of.
pub struct Members {
    metadata: Value,
    compiler: String,
}

impl Members {
    /// As cargo knows them.
    pub async fn of_checkout() -> Result<Self> {
        let metadata =
            cargo(&["metadata", "--no-deps", "--offline", "--format-version", "1"]).output().await?;
        let compiler = run("rustc").arg("--version").current_dir(paths::checkout()).output().await?;
        Ok(Self { metadata: serde_json::from_str(&metadata).context("reading cargo's metadata")?, compiler })
    }

    /// A tag that changes with anything that goes into the image of the crate `name`.
    pub fn tag(&self, name: &str, dockerfile: &str) -> Result<String> {
        let root = paths::checkout();
        let mut sources = Sources::default().text(builder::PROFILE).text(glibc::LAYOUT).text(&self.compiler);
        for file in ["Cargo.toml", "Cargo.lock", dockerfile] {
            sources = sources.path(root, &root.join(file))?;
        }
        for folder in self.folders(name) {
            for part in ["Cargo.toml", "build.rs", "src", "proto"].map(|part| folder.join(part)) {
                if part.exists() {
                    sources = sources.path(root, &part)?;
                }
            }
        }
        Ok(sources.tag())
    }

    /// The folder of what cargo has built.
    pub fn target(&self) -> PathBuf {
        self.metadata["target_directory"].as_str().unwrap_or("target").into()
    }

    /// The folders of the crate `name` and of every crate of the workspace below it, sorted.
    fn folders(&self, name: &str) -> Vec<PathBuf> {
        let mut found = BTreeSet::new();
        let mut names = vec![name];
        while let Some(name) = names.pop() {
            let packages = self.metadata["packages"].as_array().into_iter().flatten();
            for package in packages.filter(|package| package["name"] == name) {
                let manifest = Path::new(package["manifest_path"].as_str().unwrap_or_default());
                if found.insert(manifest.parent().unwrap_or(manifest).to_owned()) {
                    let needs = package["dependencies"].as_array().into_iter().flatten();
                    let local = needs.filter(|need| need["path"].is_string() && need["kind"] != "dev");
                    names.extend(local.filter_map(|need| need["name"].as_str()));
                }
            }
        }
        found.into_iter().collect()
    }
}
