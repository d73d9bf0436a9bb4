//! A lock between processes, as a locked file.

use std::fs::{File, TryLockError};
use std::path::Path;

use anyhow::{Context, Result};

use crate::Progress;

/// Held as long as the value lives; the kernel lets go of it when the process ends, however it ends.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "closing the file is what unlocks")] File);

/// Waits for the lock `file`, and says so when it must.
pub async fn exclusive(file: &Path, progress: &Progress) -> Result<Lock> {
    let context = || format!("locking {}", file.display());
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder).with_context(context)?;
    }
    let handle = File::options().create(true).truncate(false).write(true).open(file).with_context(context)?;
    match handle.try_lock() {
        Ok(()) => return Ok(Lock(handle)),
        Err(TryLockError::WouldBlock) => {
            progress.say(format_args!("waiting for another xtask, which holds {}", file.display()));
        }
        Err(TryLockError::Error(error)) => return Err(error).with_context(context),
    }
    tokio::task::spawn_blocking(move || handle.lock().map(|()| Lock(handle))).await?.with_context(context)
}
