//! Source files: each belongs to a crate, and none is too long.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::rooms;

/// The root of the checkout.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Adds every file below `folder` with this extension to `found`, build results and fuzz inputs aside.
pub fn files(folder: &Path, extension: &str, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            if !name.starts_with('.') && name != "target" && name != "corpus" {
                files(&path, extension, found);
            }
        } else if path.extension().is_some_and(|e| e == extension) {
            found.push(path);
        }
    }
}

fn sources() -> Vec<PathBuf> {
    let mut found = Vec::new();
    files(&root(), "rs", &mut found);
    found
}

/// The file whose `mod` line must name `path`, or `None` for the root of a crate.
fn parents(path: &Path) -> Option<Vec<PathBuf>> {
    let folder = path.parent()?;
    let stem = path.file_stem()?.to_string_lossy().into_owned();
    let folder_name = folder.file_name()?.to_string_lossy().into_owned();
    let is_root = ["main", "lib", "build"].contains(&stem.as_str())
        || ["bin", "benches", "fuzz_targets", "examples"].contains(&folder_name.as_str())
        || (folder_name == "tests" && folder.parent()?.join("Cargo.toml").exists());
    if is_root {
        return None;
    }
    let mut parents = vec![folder.with_extension("rs"), folder.join("lib.rs"), folder.join("main.rs")];
    if stem == "mod" {
        parents = vec![folder.parent()?.join("lib.rs"), folder.parent()?.join("main.rs")];
        parents.push(folder.parent()?.with_extension("rs"));
        // What integration tests share lies in a folder beside their files.
        let beside = fs::read_dir(folder.parent()?).ok()?;
        parents.extend(beside.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| path.is_file()));
    }
    parents.push(folder.join("mod.rs"));
    Some(parents)
}

#[test]
fn every_source_file_belongs_to_a_crate() {
    let mut orphans = Vec::new();
    for path in sources() {
        let Some(parents) = parents(&path) else { continue };
        let stem = path.file_stem().unwrap().to_string_lossy().into_owned();
        let folder = path.parent().unwrap();
        let name =
            if stem == "mod" { folder.file_name().unwrap().to_string_lossy().into_owned() } else { stem };
        let declared = |parent: &PathBuf| {
            fs::read_to_string(parent).is_ok_and(|text| {
                let says = |line: &str| line.ends_with(&format!("mod {name};")) && !line.starts_with("//");
                text.lines().any(|line| says(line.trim())) || rooms::declares(&text, &name)
            })
        };
        if !parents.iter().any(declared) {
            orphans.push(path.strip_prefix(root()).unwrap().to_owned());
        }
    }
    assert_eq!(orphans, Vec::<PathBuf>::new(), "no mod line or room names these files");
}

#[test]
fn no_source_file_is_longer_than_500_lines() {
    let is_test =
        |path: &Path| path.components().any(|c| c.as_os_str() == "tests" || c.as_os_str() == "tests.rs");
    let long: Vec<_> = sources()
        .into_iter()
        .filter(|path| !is_test(path))
        .filter_map(|path| {
            let text = fs::read_to_string(&path).unwrap();
            let lines = text.split("#[cfg(test)]\nmod tests {").next().unwrap().lines().count();
            (lines > 500).then(|| (path.strip_prefix(root()).unwrap().to_owned(), lines))
        })
        .collect();
    assert_eq!(long, Vec::new(), "split these along a concept");
}

/// Each threat of the page on security names the tests that hold it.
#[test]
fn every_threat_has_its_tests() {
    let page = fs::read_to_string(root().join("docs/security.md")).unwrap();
    let mut tests = BTreeSet::new();
    for head in ["threat", "what somebody does"] {
        let (_, table) = page.split_once(&format!("| {head} | what stops it | tests |")).unwrap();
        let (table, _) = table.split_once("\n\n").unwrap();
        for row in table.lines().skip(2) {
            let named = row.trim_end_matches(" |").rsplit_once("| ").unwrap().1;
            let named: Vec<_> = named.split(", ").map(|name| name.trim_matches('`').to_owned()).collect();
            assert!(!named.is_empty() && named.iter().all(|name| !name.is_empty()), "{row}");
            tests.extend(named);
        }
    }
    assert!(tests.len() > 10, "{tests:?}");
    let sources: Vec<_> = sources().into_iter().map(|path| fs::read_to_string(path).unwrap()).collect();
    tests.retain(|test| !sources.iter().any(|source| source.contains(&format!("fn {test}("))));
    assert_eq!(tests, BTreeSet::new());
}
