//! A file that is followed while it changes.
//!
//! The content is compared, several times a second, rather than watching inodes: a ConfigMap changes by a
//! symbolic link two directories up, editors rename, and a network file system tells nothing.

use std::path::{Path, PathBuf};
use std::time::Duration;

use picker_core::compile::read_document;
use picker_core::config::Scope;

use super::{Installer, Offer};
use crate::regular_file;

#[cfg(test)]
mod tests;

/// The time between two looks at a file.
pub const EVERY: Duration = Duration::from_millis(250);

/// The reason why a file can't be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {why}")]
pub struct FileError {
    path: String,
    why: String,
}

/// A file and its content when it was last read.
#[derive(Debug)]
pub struct WatchedFile {
    path: PathBuf,
    last: Option<Result<String, FileError>>,
}

impl WatchedFile {
    /// The file at `path`, not read yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), last: None }
    }

    /// Waits until the content, or the reason why there is none, is another than last time. The first
    /// time this is at once.
    ///
    /// # Errors
    /// When the file can't be read, is no regular file, is no UTF-8, or is longer than
    /// [`CAP`](crate::regular_file::CAP).
    pub async fn next(&mut self) -> Result<String, FileError> {
        let mut wait = self.last.is_some();
        loop {
            if std::mem::replace(&mut wait, true) {
                tokio::time::sleep(EVERY).await;
            }
            let now = read(&self.path).await;
            if self.last.as_ref() != Some(&now) {
                self.last = Some(now.clone());
                return now;
            }
        }
    }
}

/// Reads a file.
///
/// # Errors
/// As [`WatchedFile::next`].
async fn read(path: &Path) -> Result<String, FileError> {
    let failed = |why: String| FileError { path: path.display().to_string(), why };
    let at = path.to_owned();
    // The disk is waited for on another thread.
    let bytes = tokio::task::spawn_blocking(move || regular_file::read(&at)).await;
    let bytes = bytes.map_err(|e| failed(e.to_string()))?.map_err(|e| failed(e.to_string()))?;
    String::from_utf8(bytes).map_err(|e| failed(format!("no UTF-8: {e}")))
}

/// The file of an EndpointPickerConfig.
#[derive(Debug)]
pub struct ConfigFile(WatchedFile);

impl ConfigFile {
    /// The file at `path`, not read yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(WatchedFile::new(path))
    }

    /// Waits for the next change, or reads it for the first time, and offers its routing to `installer`.
    pub async fn look(&mut self, installer: &Installer) {
        let text = self.0.next().await.map_err(|e| e.to_string());
        match text.and_then(|text| read_document(&text).map_err(|e| e.to_string())) {
            Ok(document) => {
                installer.offer(Offer { routing: &document.routing, scope: Scope::File, generation: None });
            }
            Err(error) => installer.unavailable(&error),
        }
    }

    /// Offers every change to `installer`. Never ends.
    pub async fn follow<T>(mut self, installer: &Installer) -> T {
        loop {
            self.look(installer).await;
        }
    }
}
