//! Strongly connected components of imports.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::Import;

/// The imports within each circle: one for each pair of files, the first in the text.
pub fn circles(imports: &[Import]) -> Vec<Vec<Import>> {
    let mut first: BTreeMap<(&Path, &Path), &Import> = BTreeMap::new();
    for import in imports.iter().filter(|import| import.from != import.to) {
        let known = first.entry((&import.from, &import.to)).or_insert(import);
        if import.line < known.line {
            *known = import;
        }
    }
    let files: BTreeSet<&Path> = first.keys().flat_map(|(from, to)| [*from, *to]).collect();
    let reach: BTreeMap<&Path, BTreeSet<&Path>> =
        files.iter().map(|file| (*file, reachable(file, first.keys().copied()))).collect();
    let together = |one: &Path, other: &Path| reach[one].contains(other) && reach[other].contains(one);
    let mut placed = BTreeSet::<PathBuf>::new();
    let mut circles = Vec::new();
    for file in files.iter().filter(|file| together(file, file)) {
        if placed.contains(*file) {
            continue;
        }
        placed.extend(files.iter().filter(|other| together(file, other)).map(|other| other.to_path_buf()));
        let within = first.iter().filter(|((from, to), _)| together(file, from) && together(file, to));
        circles.push(within.map(|(_, import)| (*import).clone()).collect());
    }
    circles
}

/// Files that `from` imports, and those that they import, and so on.
fn reachable<'a>(
    from: &'a Path,
    edges: impl Iterator<Item = (&'a Path, &'a Path)> + Clone,
) -> BTreeSet<&'a Path> {
    let mut found = BTreeSet::new();
    let mut next = vec![from];
    while let Some(file) = next.pop() {
        next.extend(
            edges.clone().filter(|(of, _)| *of == file).map(|(_, to)| to).filter(|to| found.insert(*to)),
        );
    }
    found
}
