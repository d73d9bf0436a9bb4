//! A file that is followed while it changes.
//!
//! Where the kernel tells of changes it is read when it does, else several times a second, as on a network file system. The
//! content is compared in any case.

use std::path::{Path, PathBuf};
use std::time::Duration;

use picker_core::compile::read_document;
use picker_core::config::Scope;
use tokio::time::{Instant, sleep_until};

use self::events::{FileEvents, Waiting};
use super::{Installer, Offer};
use crate::regular_file;

mod events;
#[cfg(test)]
mod tests;

/// The shortest time between two looks at a file, and the time between them where the kernel does not tell of changes.
pub const EVERY: Duration = Duration::from_millis(250);

/// The longest time between two looks, should the kernel not tell of a change.
const AT_LEAST_EVERY: Duration = Duration::from_secs(10);

/// The reason why a file can't be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {why}")]
pub struct FileError {
    path: String,
    why: String,
}

impl FileError {
    fn of(path: &Path, why: impl ToString) -> Self {
        Self { path: path.display().to_string(), why: why.to_string() }
    }
}

/// A file and its content when it was last read.
#[derive(Debug)]
pub struct WatchedFile {
    path: PathBuf,
    last: Option<Result<String, FileError>>,
    looked: Instant,
    /// What the kernel tells of the file since it was looked at, where it does.
    events: Option<Waiting>,
    /// Whether it told of something.
    told: bool,
}

impl WatchedFile {
    /// The file at `path`, not read yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), last: None, looked: Instant::now(), events: None, told: false }
    }

    /// Waits until the content, or the reason why there is none, is another than last time. The first
    /// time this is at once.
    ///
    /// # Errors
    /// When the file can't be read, is no regular file, is no UTF-8, or is longer than
    /// [`CAP`](crate::regular_file::CAP).
    pub async fn next(&mut self) -> Result<String, FileError> {
        loop {
            if self.last.is_some() {
                self.may_have_changed().await;
            }
            let path = self.path.clone();
            // The disk is waited for on another thread. What changes after the events were asked for is told.
            let look = move || (FileEvents::of(&path), read(&path));
            let looked = tokio::task::spawn_blocking(look).await;
            let (events, now) = looked.map_err(|e| FileError::of(&self.path, e))?;
            (self.looked, self.told) = (Instant::now(), false);
            self.events = events.and_then(FileEvents::wait).ok();
            if self.last.as_ref() != Some(&now) {
                self.last = Some(now.clone());
                return now;
            }
        }
    }

    /// Waits until it is time to look again. May be given up and begun again.
    async fn may_have_changed(&mut self) {
        if let Some(events) = &mut self.events
            && !self.told
        {
            tokio::select! {
                () = events.next() => {}
                () = sleep_until(self.looked + AT_LEAST_EVERY) => {}
            }
            self.told = true;
        }
        sleep_until(self.looked + EVERY).await;
    }
}

/// Reads a file.
///
/// # Errors
/// As [`WatchedFile::next`].
fn read(path: &Path) -> Result<String, FileError> {
    let bytes = regular_file::read(path).map_err(|e| FileError::of(path, e))?;
    String::from_utf8(bytes).map_err(|e| FileError::of(path, format!("no UTF-8: {e}")))
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
