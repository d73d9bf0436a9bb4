//! No circle of imports between the files of a crate, tests aside.
//!
//! A file imports another one when one of its paths, in a `use` or anywhere else, names an item that the other one
//! defines. A re-export is followed to the file that defines the item, and is no import of the file that has it; `mod x;`
//! is none either, nor an entry of a `room!`, which stands for both.

mod graph;
mod names;
mod paths;
mod tree;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use crate::sources::{files, root};
use tree::Tree;

/// A path in one file that names an item of another one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Import {
    from: PathBuf,
    line: usize,
    path: String,
    to: PathBuf,
}

impl fmt::Display for Import {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{} {} → {}", self.from.display(), self.line, self.path, self.to.display())
    }
}

/// The imports within each circle of a crate with these source files, by path below `src`.
pub fn circles(sources: &BTreeMap<PathBuf, String>) -> Vec<Vec<Import>> {
    let is_root = |path: &&PathBuf| {
        let in_bin = path.parent() == Some(Path::new("bin"));
        in_bin || **path == Path::new("lib.rs") || **path == Path::new("main.rs")
    };
    let roots = sources.keys().filter(is_root);
    let imports: Vec<Import> = roots.flat_map(|root| paths::imports(&Tree::of(root, sources))).collect();
    graph::circles(&imports)
}

fn sources(folder: &Path) -> BTreeMap<PathBuf, String> {
    let mut found = Vec::new();
    files(folder, "rs", &mut found);
    let source = |path: PathBuf| {
        let text = fs::read_to_string(&path).unwrap();
        (path.strip_prefix(folder).unwrap().to_owned(), text)
    };
    found.into_iter().map(source).collect()
}

#[test]
fn files_of_a_crate_import_each_other_in_no_circle() {
    let mut manifests = Vec::new();
    files(&root(), "toml", &mut manifests);
    let mut crates: Vec<PathBuf> = manifests
        .iter()
        .filter(|path| path.ends_with("Cargo.toml"))
        .map(|path| path.parent().unwrap().strip_prefix(root()).unwrap().to_owned())
        .filter(|folder| root().join(folder).join("src").is_dir())
        .collect();
    crates.sort();
    assert!(crates.len() >= 8, "the crates of the workspace: {crates:?}");
    let mut report = String::new();
    for folder in &crates {
        for circle in circles(&sources(&root().join(folder).join("src"))) {
            report += &format!("\n{}, files that import each other in a circle:\n", folder.display());
            circle.iter().for_each(|import| report += &format!("  {import}\n"));
        }
    }
    assert!(report.is_empty(), "move what both files of a pair need into a file below both:{report}");
}
