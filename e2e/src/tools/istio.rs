//! Istio's control plane, built from its Go module as it is: with its own go.mod, on the modules that its go.sum names.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

use crate::shell::Run;
use crate::tools::{exclusive, go};
use crate::{Kubectl, Progress, paths};

/// The module and the version that is built.
const MODULE: &str = "istio.io/istio";
const VERSION: &str = "v0.0.0-20260827124520-eed52ebb66ad";
/// The hash of that version's content, as a go.sum would have it.
const SUM: &str = "h1:ui9TJjRMAV/hb5ehQaZDq7IUGxuQP6dra9lapT/VjHI=";

/// The module of the Gateway API; Istio's go.mod says which version.
const GATEWAY_API: &str = "sigs.k8s.io/gateway-api";

/// The program, and the definitions of the kinds that it reads.
#[derive(Clone, Debug)]
pub struct Istio {
    folder: PathBuf,
}

/// What `go mod download -json` says of a module.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Module {
    dir: PathBuf,
    sum: String,
}

impl Istio {
    /// Builds it unless it was built before, which takes about nine minutes on two cores.
    ///
    /// # Errors
    /// When Go is not on this machine, or the module can't be had or does not compile.
    pub async fn ready(progress: &Progress) -> Result<Self> {
        let _alone = exclusive("istio.lock", progress).await?;
        let folder = paths::cache()?.join("tools").join(format!("istio-{VERSION}"));
        if !folder.is_dir() {
            let half = folder.with_added_extension("partial");
            std::fs::create_dir_all(&half).with_context(|| format!("making {}", half.display()))?;
            let source = progress.step("fetching the Go module of Istio (once)", fetch()).await?;
            definitions(&source, &half).await?;
            let build = build(&source, &half.join("pilot-discovery"))?;
            progress.step("building Istio's control plane (about nine minutes, once)", build.done()).await?;
            // Only a whole build gets the name that later runs trust.
            tokio::fs::rename(&half, &folder)
                .await
                .with_context(|| format!("keeping {}", folder.display()))?;
        }
        Ok(Self { folder })
    }

    /// The path of `pilot-discovery`, which needs nothing but itself.
    pub fn program(&self) -> PathBuf {
        self.folder.join("pilot-discovery")
    }

    /// Applies the definitions of Istio's kinds and of the Gateway API's.
    ///
    /// # Errors
    /// When the API server refuses one.
    pub async fn crds(&self, kubectl: &Kubectl) -> Result<()> {
        for file in std::fs::read_dir(self.folder.join("crds"))? {
            let file = file?.path();
            let text =
                std::fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
            kubectl.apply("", &text).await.with_context(|| format!("applying {}", file.display()))?;
        }
        Ok(())
    }
}

/// The folder of the module, in Go's own cache.
async fn fetch() -> Result<PathBuf> {
    let Module { dir, sum } = download(go::go()?, &format!("{MODULE}@{VERSION}")).await?;
    ensure!(sum == SUM, "{MODULE} {VERSION} is not what it was: {sum}, not {SUM}");
    Ok(dir)
}

async fn download(go: Run, module: &str) -> Result<Module> {
    let said = go.args(["mod", "download", "-json", module]).output().await?;
    serde_json::from_str(&said).with_context(|| format!("what Go says of {module}"))
}

/// Copies the definitions into `folder`, one file for each place that they come from.
async fn definitions(source: &Path, folder: &Path) -> Result<()> {
    let of_gateways = download(go::go()?.current_dir(source), GATEWAY_API).await?.dir;
    let folder = folder.join("crds");
    std::fs::create_dir_all(&folder)?;
    let all = source.join("manifests/charts/base/files/crd-all.gen.yaml");
    std::fs::copy(&all, folder.join("istio.yaml")).with_context(|| format!("copying {}", all.display()))?;
    let mut copied = 0;
    for file in std::fs::read_dir(of_gateways.join("config/crd/standard"))? {
        let file = file?.path();
        let text = std::fs::read_to_string(&file)?;
        let name = file.file_name().unwrap_or_default();
        if text.contains("\nkind: CustomResourceDefinition\n") {
            std::fs::write(folder.join(name), text)?;
            copied += 1;
        }
    }
    if copied == 0 {
        bail!("{GATEWAY_API} has no definitions in {}", of_gateways.display());
    }
    Ok(())
}

fn build(source: &Path, program: &Path) -> Result<Run> {
    let build = go::build("")?.current_dir(source).arg("-o");
    Ok(build.arg(program).arg("./pilot/cmd/pilot-discovery"))
}
