use std::os::unix::fs::symlink;
use std::sync::Arc;

use picker_core::config::revision;
use rustix::fs::{CWD, FileType, Mode, mknodat};
use serde_json::json;

use super::*;
use crate::metrics::StrategyMetrics;

fn config(kind: &str) -> String {
    format!("apiVersion: llm-d.ai/v1alpha1\nkind: EndpointPickerConfig\nplugins:\n- type: {kind}\n")
}

/// Puts `text` where a ConfigMap's volume would: a new directory, and `..data` renamed onto the old link.
fn mount(dir: &Path, version: &str, text: &str) {
    std::fs::create_dir(dir.join(version)).unwrap();
    std::fs::write(dir.join(version).join("config.yaml"), text).unwrap();
    symlink(version, dir.join("..tmp")).unwrap();
    std::fs::rename(dir.join("..tmp"), dir.join("..data")).unwrap();
}

#[tokio::test]
async fn a_config_map_that_changes_is_a_new_routing() {
    let dir = tempfile::tempdir().unwrap();
    mount(dir.path(), "..1", &config("queue-scorer"));
    symlink("..data/config.yaml", dir.path().join("config.yaml")).unwrap();
    let installer = Installer::new(Arc::default(), StrategyMetrics::default());
    let mut file = ConfigFile::new(dir.path().join("config.yaml"));
    let serves = |kind: &str| Some(revision(&json!({"plugins": [{"type": kind}]})));
    let serving = || installer.serving().borrow().clone();

    file.look(&installer).await;
    assert_eq!(serving().revision, serves("queue-scorer"));

    mount(dir.path(), "..2", &config("random-picker"));
    file.look(&installer).await;
    assert_eq!(serving().revision, serves("random-picker"));

    mount(dir.path(), "..3", &config("no-such-plugin"));
    file.look(&installer).await;
    assert_eq!(serving().revision, serves("random-picker"));
    assert!(serving().error.unwrap().starts_with("plugins[0].type: "));

    mount(dir.path(), "..4", "plugins: [");
    file.look(&installer).await;
    assert_eq!(serving().revision, serves("random-picker"));

    mount(dir.path(), "..5", &config("kv-cache-utilization-scorer"));
    file.look(&installer).await;
    assert_eq!((serving().revision, serving().error), (serves("kv-cache-utilization-scorer"), None));

    std::fs::remove_file(dir.path().join("..data")).unwrap();
    file.look(&installer).await;
    assert_eq!(serving().revision, serves("kv-cache-utilization-scorer"));
    assert!(serving().error.unwrap().contains("config.yaml: No such file"));
}

/// Whoever opened a FIFO without a writer would wait for ever, and so would the end of the process.
#[tokio::test]
async fn a_fifo_is_refused_and_a_file_that_takes_its_place_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config.yaml");
    mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let installer = Installer::new(Arc::default(), StrategyMetrics::default());
    let mut file = ConfigFile::new(&path);
    file.look(&installer).await;
    let said = installer.serving().borrow().error.clone();
    assert_eq!(said, Some(format!("{}: is a FIFO, and must be a regular file", path.display())));
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, config("queue-scorer")).unwrap();
    file.look(&installer).await;
    assert_eq!(installer.serving().borrow().error, None);
}

#[tokio::test]
async fn only_changes_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("f");
    let mut file = WatchedFile::new(&path);
    assert!(file.next().await.is_err());
    std::fs::write(&path, "a").unwrap();
    assert_eq!(file.next().await, Ok("a".to_owned()));
    let again = tokio::time::timeout(EVERY * 3, file.next()).await;
    assert!(again.is_err(), "{again:?}");
}
