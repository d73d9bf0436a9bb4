//! The project's own images, from the same Dockerfiles that a user builds. Only the base images differ: the builder is
//! this machine's own toolchain, and the runtime its glibc. They share a build with the tests, in their profile.

use anyhow::{Context, Result};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use super::Image;
use super::buildah::{Build, Buildah, Volume};
use super::builder::{BUILDER, PROFILE, RUNTIME, Toolchain};
use super::members::Members;
use crate::tools::{Tools, cargo};
use crate::{Progress, paths};

/// One of the project's programs that has an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Program {
    /// The operator
    Operator,
    /// The endpoint picker
    Picker,
    /// The simulated model server
    Sim,
}

impl Program {
    const ALL: [Self; 3] = [Self::Operator, Self::Picker, Self::Sim];

    /// The name of its crate and of its image.
    fn name(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Picker => "picker",
            Self::Sim => "sim",
        }
    }

    fn dockerfile(self) -> &'static str {
        match self {
            Self::Operator => "Dockerfile.operator",
            Self::Picker => "Dockerfile.picker",
            Self::Sim => "sim/Dockerfile",
        }
    }

    /// Builds the images of `programs` whose sources have changed, in this order. The first time compiles every
    /// dependency that tests and tools do not have, later ones what changed.
    ///
    /// # Errors
    /// When one does not build; with the compiler's last lines.
    pub async fn built(programs: &[Self], tools: &Tools, progress: &Progress) -> Result<Vec<Image>> {
        let folder = paths::cache()?.join("images");
        let members = Members::of_checkout().await?;
        let image = |program: &Self| {
            let tag = members.tag(program.name(), program.dockerfile())?;
            Ok(Image::new(&folder, program.name(), tag))
        };
        let images = programs.iter().map(image).collect::<Result<Vec<_>>>()?;
        if images.iter().all(Image::is_built) {
            return Ok(images);
        }
        progress.step("fetching the crates", fetch()).await?;
        let buildah = Buildah::open(tools, progress).await?;
        let toolchain = Toolchain::of_machine();
        toolchain.create(&buildah).await?;
        let mut volumes = toolchain
            .folders()
            .into_iter()
            .map(|(folder, options)| Volume::same(folder, options))
            .collect::<Vec<_>>();
        volumes.push(Volume { from: members.target(), to: "/src/target".into(), options: "rw" });
        for (program, image) in programs.iter().zip(&images).filter(|(_, image)| !image.is_built()) {
            let label = format!("building image {} from {}", program.name(), program.dockerfile());
            progress.step(label, program.build(image, &buildah, &volumes)).await?;
        }
        Ok(images)
    }

    /// Arguments of cargo that build the programs of the other images too, with the features that the whole workspace
    /// needs: those of a part alone would have everything below it compiled once more.
    fn others(self) -> String {
        let others = Self::ALL.into_iter().filter(|program| *program != self);
        others.fold("--workspace".to_owned(), |args, other| format!("{args} --bin {}", other.name()))
    }

    async fn build(self, image: &Image, buildah: &Buildah, volumes: &[Volume]) -> Result<()> {
        let build = Build {
            context: paths::checkout(),
            dockerfile: &paths::checkout().join(self.dockerfile()),
            args: &[
                ("BUILDER", BUILDER),
                ("RUNTIME", RUNTIME),
                ("PROFILE", PROFILE),
                ("MORE", &self.others()),
            ],
            volumes,
        };
        buildah.archive(image, &build).await
    }
}

async fn fetch() -> Result<()> {
    cargo(&["fetch", "--locked", "--quiet"]).done().await
}

/// The images of the operator, the picker, and the simulated model server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaypostImages {
    /// The operator.
    pub operator: Image,
    /// The endpoint picker.
    pub picker: Image,
    /// The simulated model server.
    pub sim: Image,
}

impl WaypostImages {
    /// Builds those whose sources have changed.
    ///
    /// # Errors
    /// As [`Program::built`].
    pub async fn built(tools: &Tools, progress: &Progress) -> Result<Self> {
        let mut images = Program::built(&Program::ALL, tools, progress).await?.into_iter();
        let mut next = || images.next().context("an image for each program");
        Ok(Self { operator: next()?, picker: next()?, sim: next()? })
    }

    /// All three.
    pub fn all(&self) -> [&Image; 3] {
        [&self.operator, &self.picker, &self.sim]
    }
}
