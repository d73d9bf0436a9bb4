//! The kernel's notice that a file may have changed (inotify), whichever way the change came: written in place, renamed
//! onto, or behind a symbolic link that was turned elsewhere, as the volume of a ConfigMap does it.

use std::collections::HashSet;
use std::ffi::OsString;
use std::io;
use std::path::{Component, Path, PathBuf};

use futures::StreamExt;
use inotify::{Event, EventStream, Inotify, WatchMask};
use rustix::fs::statfs;

#[cfg(test)]
mod tests;

/// What happens to the entries of a directory in which a part of the path is looked up.
const ENTRIES: WatchMask = WatchMask::CREATE
    .union(WatchMask::DELETE)
    .union(WatchMask::MOVED_FROM)
    .union(WatchMask::MOVED_TO)
    .union(WatchMask::CLOSE_WRITE)
    .union(WatchMask::MODIFY);

/// What happens to a directory on the way.
const WAY: WatchMask = WatchMask::MOVE_SELF.union(WatchMask::DELETE_SELF);

/// What happens to the file itself: one that is mounted alone tells of what is written to it only here.
const ITSELF: WatchMask = WAY.union(WatchMask::CLOSE_WRITE).union(WatchMask::MODIFY).union(WatchMask::ATTRIB);

/// Bytes of events that are read at once.
const BUFFER: usize = 4096;

/// The symbolic links that are followed, as many as the kernel follows.
const LINKS: u32 = 40;

/// The kinds of file systems that notice every change, because nobody changes them from elsewhere: ext4, XFS, Btrfs,
/// tmpfs, overlayfs, ZFS, F2FS (`linux/magic.h`).
const LOCAL: [u64; 7] =
    [0xef53, 0x5846_5342, 0x9123_683e, 0x0102_1994, 0x794c_7630, 0x2fc1_2fc1, 0xf2f5_2010];

/// What the kernel has to tell of one path.
#[derive(Debug)]
pub struct FileEvents {
    inotify: Inotify,
    /// The names that are looked up on the way: what happens to others in the same directories does not matter.
    names: HashSet<OsString>,
}

impl FileEvents {
    /// Asks for the events of the file at `path`, whether it is there or not. The thread waits for the disk.
    ///
    /// # Errors
    /// When there are no more instances or watches for this user, or a part of the path is on a file system that may
    /// change without notice.
    pub fn of(path: &Path) -> io::Result<Self> {
        let mut events = Self { inotify: Inotify::init()?, names: HashSet::new() };
        let mut left: Vec<OsString> = Vec::new();
        prepend(&std::path::absolute(path)?, &mut left);
        let (mut at, mut links) = (PathBuf::new(), 0);
        while let Some(part) = left.pop() {
            let here = at.join(&part);
            events.names.insert(part);
            match std::fs::read_link(&here) {
                Ok(target) => {
                    links += 1;
                    if links > LINKS {
                        return Err(io::Error::other("too many symbolic links"));
                    }
                    events.add(&at, ENTRIES)?;
                    prepend(&target, &mut left);
                    if target.is_absolute() {
                        at = PathBuf::new();
                    }
                    continue;
                }
                // The last part, or one that is not there (yet).
                Err(_) if left.is_empty() || !here.exists() => {
                    events.add(&at, ENTRIES)?;
                    match events.add(&here, ITSELF) {
                        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                        added => added?,
                    }
                    break;
                }
                Err(_) => {}
            }
            at = here;
            events.add(&at, WAY)?;
        }
        Ok(events)
    }

    fn add(&self, path: &Path, what: WatchMask) -> io::Result<()> {
        self.inotify.watches().add(path, what | WatchMask::MASK_ADD)?;
        let kind = statfs(path)?.f_type.cast_unsigned();
        if LOCAL.contains(&kind) { Ok(()) } else { Err(io::Error::other("a file system that may not tell")) }
    }

    /// The events to wait for.
    ///
    /// # Errors
    /// When the runtime can't wait for them.
    pub fn wait(self) -> io::Result<Waiting> {
        Ok(Waiting { events: self.inotify.into_event_stream([0; BUFFER])?, names: self.names })
    }
}

/// Events of one path that are waited for.
#[derive(Debug)]
pub struct Waiting {
    events: EventStream<[u8; BUFFER]>,
    names: HashSet<OsString>,
}

impl Waiting {
    /// Waits until there is an event that matters.
    pub async fn next(&mut self) {
        // An error is a reason to look, too, and so is an event without a name.
        while let Some(Ok(Event { name: Some(name), .. })) = self.events.next().await
            && !self.names.contains(&name)
        {}
    }
}

/// Puts the parts of `path` before those that are `left` to be looked up; the next one is the last.
fn prepend(path: &Path, left: &mut Vec<OsString>) {
    let parts = path.components().filter(|part| *part != Component::CurDir);
    left.extend(parts.map(|part| part.as_os_str().to_owned()).rev());
}
