//! A hash of everything that goes into an image, used as its tag.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use xxhash_rust::xxh3::Xxh3;

/// A hash of names and contents.
#[derive(Default)]
pub struct Sources(Xxh3);

impl Sources {
    /// Takes in a text, such as a recipe or a version.
    pub fn text(mut self, text: &str) -> Self {
        self.0.update(&(text.len() as u64).to_le_bytes());
        self.0.update(text.as_bytes());
        self
    }

    /// Takes in a file, or every file below a folder, under the names they have below `root`.
    pub fn path(mut self, root: &Path, path: &Path) -> Result<Self> {
        for file in files(path)? {
            let content = std::fs::read(&file).with_context(|| format!("reading {}", file.display()))?;
            let name = file.strip_prefix(root).unwrap_or(&file).to_string_lossy().into_owned();
            self = self.text(&name);
            self.0.update(&(content.len() as u64).to_le_bytes());
            self.0.update(&content);
        }
        Ok(self)
    }

    /// Takes in a program of the machine by its size and time: reading 100 MB for a hash each time is too slow.
    pub fn program(self, program: &Path) -> Result<Self> {
        let about =
            std::fs::metadata(program).with_context(|| format!("looking at {}", program.display()))?;
        let changed = about.modified()?.duration_since(std::time::UNIX_EPOCH)?.as_nanos();
        Ok(self.text(&format!("{} {} {changed}", program.display(), about.len())))
    }

    /// The hash as a tag.
    pub fn tag(self) -> String {
        format!("{:012x}", self.0.digest() >> 16)
    }
}

/// All files, in an order that is the same everywhere.
fn files(path: &Path) -> Result<Vec<PathBuf>> {
    if path.is_file() {
        return Ok(vec![path.to_owned()]);
    }
    let mut entries = std::fs::read_dir(path)
        .with_context(|| format!("reading {}", path.display()))?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<std::io::Result<Vec<_>>>()?;
    entries.sort();
    let mut all = Vec::new();
    for entry in entries {
        all.extend(files(&entry)?);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag_of(files: &[(&str, &str)]) -> String {
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        Sources::default().path(folder.path(), folder.path()).unwrap().tag()
    }

    #[test]
    fn names_and_contents_count_and_places_do_not() {
        let one = tag_of(&[("a", "1"), ("b/c", "2")]);
        assert_eq!(one, tag_of(&[("b/c", "2"), ("a", "1")]));
        assert_ne!(one, tag_of(&[("a", "1"), ("b/d", "2")]));
        assert_ne!(one, tag_of(&[("a", "1"), ("b/c", "3")]));
        assert_ne!(tag_of(&[("a", "bc")]), tag_of(&[("ab", "c")]));
    }
}
