//! Who writes to the cluster: the writer of `execute`, the candidates for Leases and who yields to them, and the recorder of
//! Events.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

/// Everything of the client library that a write needs.
const WRITES: [&str; 5] = ["Patch::", "PatchParams", "PostParams", "DeleteParams", ".publish("];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn nothing_writes_but_execute_the_election_and_the_events() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    let mut writers: Vec<String> = files
        .iter()
        .filter(|path| {
            let text = fs::read_to_string(path).unwrap();
            WRITES.iter().any(|word| text.contains(word))
        })
        .map(|path| path.strip_prefix(&root).unwrap().display().to_string())
        .collect();
    writers.sort();
    assert_eq!(
        writers,
        [
            "lease/candidate.rs",
            "lease/elsewhere.rs",
            "strategy/execute/events.rs",
            "strategy/execute/write.rs"
        ],
        "write through a step of a plan instead"
    );
}
