use std::fs::{create_dir, remove_file, rename, write};
use std::os::unix::fs::symlink;
use std::time::Duration;

use futures::FutureExt;
use rstest::rstest;
use tokio::time::timeout;

use super::*;

/// Puts `from` in the place of `to` in one step.
fn turn(from: &Path, to: &Path) {
    let next = to.with_extension("next");
    symlink(from, &next).unwrap();
    rename(next, to).unwrap();
}

/// A folder with `real/file`, `other/file`, `link` to `real`, and `file` by way of the link.
fn laid() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for name in ["real", "other"] {
        create_dir(dir.path().join(name)).unwrap();
        write(dir.path().join(name).join("file"), name).unwrap();
    }
    symlink("real", dir.path().join("link")).unwrap();
    symlink("link/file", dir.path().join("file")).unwrap();
    dir
}

/// Every way by which the content at a path changes is told of.
#[rstest]
#[case::written("real/file", |at: &Path| write(at.join("real/file"), "new").unwrap())]
#[case::appended_by_way_of_links("file", |at: &Path| write(at.join("real/file"), "new").unwrap())]
#[case::renamed_onto("real/file", |at: &Path| rename(at.join("other/file"), at.join("real/file")).unwrap())]
#[case::a_config_map("file", |at: &Path| turn(Path::new("other"), &at.join("link")))]
#[case::a_link_within_the_path("link/file", |at: &Path| turn(Path::new("other"), &at.join("link")))]
#[case::an_absolute_link("link/file", |at: &Path| turn(&at.join("other"), &at.join("link")))]
#[case::removed("real/file", |at: &Path| remove_file(at.join("real/file")).unwrap())]
#[case::made("real/new", |at: &Path| write(at.join("real/new"), "new").unwrap())]
#[case::a_folder_is_made("new/folder/file", |at: &Path| create_dir(at.join("new")).unwrap())]
#[case::a_folder_is_moved("real/file", |at: &Path| rename(at.join("real"), at.join("gone")).unwrap())]
#[case::a_file_of_two_names("real/file", |at: &Path| {
    std::fs::hard_link(at.join("real/file"), at.join("second")).unwrap();
    write(at.join("second"), "new").unwrap();
})]
#[case::a_way_back("real/../other/file", |at: &Path| write(at.join("other/file"), "new").unwrap())]
#[tokio::test]
async fn a_change_is_told(#[case] path: &str, #[case] change: fn(&Path)) {
    let dir = laid();
    let mut events = FileEvents::of(&dir.path().join(path)).unwrap().wait().unwrap();
    let _ = std::fs::read(dir.path().join(path));
    write(dir.path().join("real/beside"), "what happens beside it does not matter").unwrap();
    assert!(events.next().now_or_never().is_none());
    change(dir.path());
    timeout(Duration::from_secs(10), events.next()).await.unwrap();
}

/// Those who can't be told of changes have to look.
#[test]
fn a_path_that_may_change_without_notice_is_refused() {
    let said = FileEvents::of(Path::new("/proc/self/status")).unwrap_err().to_string();
    assert_eq!(said, "a file system that may not tell");
    let dir = tempfile::tempdir().unwrap();
    symlink("round", dir.path().join("round")).unwrap();
    let said = FileEvents::of(&dir.path().join("round")).unwrap_err().to_string();
    assert_eq!(said, "too many symbolic links");
}
