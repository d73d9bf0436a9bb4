//! Reading of small files whose paths come from outside: only regular ones, opened without waiting, and not past a length.
//!
//! A FIFO would keep its reader waiting for a writer, and a device may do anything when it is opened. Symbolic links are
//! followed, which is how the volume of a ConfigMap or a Secret shows its files.

use std::fs::{File, FileType, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::OFlags;

/// The longest file that is read, in bytes.
pub const CAP: u64 = 1024 * 1024;

/// The content of the file at `path`, of at most [`CAP`] bytes. The thread waits for the disk.
///
/// # Errors
/// When it can't be read, is no regular file, or is longer.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    // Looked at before it is opened, because opening a device may have consequences, and again after it.
    regular(std::fs::metadata(path)?.file_type())?;
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits();
    let file: File = OpenOptions::new().read(true).custom_flags(flags.cast_signed()).open(path)?;
    regular(file.metadata()?.file_type())?;
    let mut bytes = Vec::new();
    file.take(CAP + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > CAP {
        return Err(io::Error::other(format!("longer than {CAP} bytes")));
    }
    Ok(bytes)
}

fn regular(kind: FileType) -> io::Result<()> {
    let is = match kind {
        kind if kind.is_file() => return Ok(()),
        kind if kind.is_dir() => "a directory",
        kind if kind.is_fifo() => "a FIFO",
        kind if kind.is_socket() => "a socket",
        kind if kind.is_block_device() || kind.is_char_device() => "a device",
        _ => "something else",
    };
    Err(io::Error::other(format!("is {is}, and must be a regular file")))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    use rustix::fs::{CWD, FileType, Mode, mknodat};

    use super::*;

    fn said(path: &Path) -> String {
        read(path).unwrap_err().to_string()
    }

    /// None of these keeps the reader waiting.
    #[test]
    fn only_regular_files_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        mknodat(CWD, at("fifo"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        let _listener = UnixListener::bind(at("socket")).unwrap();
        std::fs::write(at("file"), "text").unwrap();
        for name in ["file", "fifo"] {
            symlink(name, at(&format!("link-to-{name}"))).unwrap();
        }
        assert_eq!(read(&at("file")).unwrap(), b"text");
        assert_eq!(read(&at("link-to-file")).unwrap(), b"text");
        let must = "and must be a regular file";
        assert_eq!(said(&at("fifo")), format!("is a FIFO, {must}"));
        assert_eq!(said(&at("link-to-fifo")), format!("is a FIFO, {must}"));
        assert_eq!(said(&at("socket")), format!("is a socket, {must}"));
        assert_eq!(said(dir.path()), format!("is a directory, {must}"));
        assert_eq!(said(Path::new("/dev/zero")), format!("is a device, {must}"));
        assert!(said(&at("nothing")).starts_with("No such file"));
    }

    #[test]
    fn a_long_file_is_not_read_to_its_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::fs::write(&path, vec![b'x'; CAP as usize]).unwrap();
        assert_eq!(read(&path).unwrap().len() as u64, CAP);
        // As long as it says, without taking room on the disk.
        File::options().write(true).open(&path).unwrap().set_len(1 << 40).unwrap();
        assert_eq!(said(&path), "longer than 1048576 bytes");
    }
}
