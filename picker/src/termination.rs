//! The termination message of the container: why the process ended, where Kubernetes looks for it.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;

/// The file whose content the kubelet puts into the status of the pod (`terminationMessagePath`). It is there in pods alone.
pub const FILE: &str = "/dev/termination-log";
/// Of a longer file the kubelet takes the end.
const LONGEST: usize = 4096;

/// Writes why the process ends, for whoever reads the status of its pod. Without the file it does nothing.
pub fn write(file: &Path, why: &str) {
    let end = why.floor_char_boundary(LONGEST);
    // Whether it was written makes no difference to a process that ends; the log has it too.
    let _ = OpenOptions::new()
        .write(true)
        .truncate(true)
        .open(file)
        .and_then(|mut file| file.write_all(&why.as_bytes()[..end]));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_written_where_it_is_looked_for_and_nowhere_else() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("termination-log");
        write(&file, "why");
        assert!(!file.exists());
        std::fs::write(&file, "longer than that").unwrap();
        write(&file, "why");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "why");
        write(&file, &"é".repeat(LONGEST));
        assert_eq!(std::fs::metadata(&file).unwrap().len(), LONGEST as u64);
    }
}
