//! Container images, all built on this machine without a registry.

mod base;
mod buildah;
mod builder;
mod envoy;
mod glibc;
mod members;
mod rootfs;
mod sources;
mod store;
mod waypost;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub use base::BaseImages;
pub use sources::Sources;
pub use store::ImageStore;
pub use waypost::{Program, WaypostImages};

/// A built image: a file that holds it, and the name under which the node knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    name: String,
    tag: String,
    archive: PathBuf,
}

impl Image {
    /// The image `name` whose content is told by `tag`, kept in `folder`.
    fn new(folder: &Path, name: &str, tag: String) -> Self {
        let archive = folder.join(format!("{name}-{tag}.tar"));
        Self { name: name.to_owned(), tag, archive }
    }

    /// What a pod names, `docker.io/local/picker:3f2a…`. The tag is a hash of all that goes into the image, so two
    /// references are equal when the images are.
    pub fn reference(&self) -> String {
        format!("{}:{}", self.repository(), self.tag)
    }

    /// The reference without its tag.
    pub fn repository(&self) -> String {
        format!("docker.io/local/{}", self.name)
    }

    /// The tag alone.
    pub fn tag(&self) -> &str {
        &self.tag
    }

    /// A reference that follows the latest build, for use by hand: `docker.io/local/picker:dev`.
    pub fn latest(&self) -> String {
        format!("{}:dev", self.repository())
    }

    fn is_built(&self) -> bool {
        self.archive.is_file()
    }
}
