//! The command `sim serve`.

use std::process::Stdio;
use std::time::Duration;

use http::StatusCode;
use serde_json::json;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::support::Api;

fn serve(args: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_sim"))
        .arg("serve")
        .args(["--bind", "127.0.0.1", "--port", "0"])
        .args(args)
        .env_remove("POD_NAME")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

/// The ports in the list of endpoints that the command prints.
async fn ports(child: &mut Child, count: usize) -> Vec<u16> {
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut ports = Vec::new();
    while ports.len() < count {
        let line = lines.next_line().await.unwrap().unwrap();
        if let Some(port) = line.trim().strip_prefix("port: ") {
            ports.push(port.trim_matches('"').parse().unwrap());
        }
    }
    ports
}

async fn terminate(child: &mut Child) -> bool {
    let pid = child.id().unwrap().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().await.unwrap().success());
    tokio::time::timeout(Duration::from_secs(10), child.wait()).await.unwrap().unwrap().success()
}

#[tokio::test]
async fn replicas_have_names_and_engines_of_their_own() {
    let mut child = serve(&["--replicas", "2", "--name", "s", "--model", "m", "--drain-grace", "0s"]);
    let ports = ports(&mut child, 2).await;
    for (index, port) in ports.iter().enumerate() {
        let api = Api::new(([127, 0, 0, 1], *port).into());
        let reply = api.post("/v1/completions", &json!({"prompt": "x".repeat(80)})).await;
        assert_eq!(reply.status, StatusCode::OK);
        assert_eq!(
            (reply.header("x-sim-pod"), reply.header("x-sim-port")),
            (format!("s-{index}").as_str(), port.to_string().as_str())
        );
        assert_eq!(reply.json()["usage"]["prompt_tokens_details"]["cached_tokens"], 0);
    }
    assert!(terminate(&mut child).await);
}

#[tokio::test]
async fn writes_the_endpoints_to_a_file() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("endpoints.yaml");
    let mut child = serve(&["--write-endpoints", file.to_str().unwrap(), "--drain-grace", "0s"]);
    let written = async {
        loop {
            match std::fs::read_to_string(&file) {
                Ok(text) if text.ends_with("}\n") => return text,
                _ => tokio::task::yield_now().await,
            }
        }
    };
    let text = tokio::time::timeout(Duration::from_secs(10), written).await.unwrap();
    assert!(
        text.starts_with("endpoints:\n- name: \"sim\"\n  namespace: default\n  address: \"127.0.0.1\"\n")
    );
    assert!(terminate(&mut child).await);
}

#[tokio::test]
async fn refuses_numbers_that_make_no_engine() {
    let mut child = serve(&["--kv-blocks", "0"]);
    assert!(!child.wait().await.unwrap().success());
}
