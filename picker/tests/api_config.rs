//! To which API server the program goes, and as whom: nobody who only sets its environment may choose that in a pod,
//! nor read a file by it.

#![allow(clippy::unwrap_used)]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rstest::rstest;

/// Nothing here takes longer on a machine that is not stuck.
const PATIENCE: Duration = Duration::from_secs(30);

/// What no log may tell.
const SECRET: &str = "c2VjcmV0IGtleSBieXRlcw";

fn kubeconfig(dir: &Path, server: SocketAddr) -> PathBuf {
    let path = dir.join("kubeconfig");
    let text = format!(
        "apiVersion: v1
kind: Config
clusters: [{{name: c, cluster: {{server: 'http://{server}'}}}}]
users: [{{name: u, user: {{token: {SECRET}}}}}]
contexts: [{{name: c, context: {{cluster: c, user: u}}}}]
current-context: c
"
    );
    std::fs::write(&path, text).unwrap();
    path
}

/// A picker that follows a strategy, with a log of everything and only those variables that a test gives it.
struct Picker {
    child: Child,
    log: PathBuf,
}

impl Picker {
    fn start(dir: &Path, variables: &[(&str, &str)]) -> Self {
        let log = dir.join("log");
        let child = Command::new(env!("CARGO_BIN_EXE_picker"))
            .current_dir(dir)
            .env_clear()
            .env("HOME", dir)
            .env("RUST_LOG", "trace")
            .envs(variables.iter().copied())
            .args(["--strategy=llm/chat", "--pool-name=qwen", "-v=9"])
            .args(["--grpc-port=0", "--grpc-health-port=0", "--metrics-port=0"])
            .stderr(Stdio::from(std::fs::File::create(&log).unwrap()))
            .spawn()
            .unwrap();
        Self { child, log }
    }

    /// What it said until it ended by itself, with an error.
    fn refusal(mut self) -> String {
        let status = until(|| self.child.try_wait().unwrap());
        let said = self.said();
        assert_eq!(status.and_then(|status| status.code()), Some(1), "{said}");
        said
    }

    fn said(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }
}

impl Drop for Picker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What `look` finds before patience ends.
fn until<T>(mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let found = look();
        if found.is_some() || Instant::now() > deadline {
            return found;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A server that tells who asks it.
struct Server(TcpListener, SocketAddr);

impl Server {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        Self(listener, address)
    }

    fn url(&self) -> String {
        format!("http://{}", self.1)
    }

    fn asked(&self) -> Option<TcpStream> {
        self.0.accept().ok().map(|(stream, _)| stream)
    }
}

#[test]
fn in_a_pod_the_environment_names_no_other_server() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start();
    let kubeconfig = kubeconfig(dir.path(), server.1);
    std::fs::create_dir(dir.path().join(".kube")).unwrap();
    std::fs::copy(&kubeconfig, dir.path().join(".kube/config")).unwrap();
    // As the kubelet sets it, and as a pod template might: there is no ServiceAccount here in either case.
    for host in ["192.0.2.1", ""] {
        let picker = Picker::start(
            dir.path(),
            &[
                ("KUBERNETES_SERVICE_HOST", host),
                ("KUBERNETES_SERVICE_PORT", "443"),
                ("KUBECONFIG", kubeconfig.to_str().unwrap()),
                ("KUBE_RS_DEBUG_OVERRIDE_URL", &server.url()),
            ],
        );
        let said = picker.refusal();
        assert!(said.contains("KUBECONFIG counts for nothing in a pod"), "{said}");
        assert!(said.contains("there is no cluster to follow: this is a pod"), "{said}");
        assert!(!said.contains(SECRET), "{said}");
    }
    assert!(server.asked().is_none());
}

#[rstest]
#[case::key("-----BEGIN PRIVATE KEY-----\nSECRET\n-----END PRIVATE KEY-----\n")]
#[case::token("SECRET")]
#[case::list("[SECRET]")]
#[case::context("apiVersion: v1\nkind: Config\ncurrent-context: SECRET\n")]
#[case::no_context("apiVersion: v1\nkind: Config\nother: SECRET\n")]
#[case::clusters("clusters: SECRET")]
#[case::kind("kind: {SECRET: SECRET}")]
#[case::server(
    "current-context: c\ncontexts: [{name: c, context: {cluster: c, user: c}}]\nclusters: [{name: c, cluster: {server: 'SECRET SECRET'}}]\nusers: [{name: c, user: {}}]"
)]
#[case::authority(
    "current-context: c\ncontexts: [{name: c, context: {cluster: c, user: c}}]\nclusters: [{name: c, cluster: {server: 'http://127.0.0.1', certificate-authority-data: 'SECRET!'}}]\nusers: [{name: c, user: {}}]"
)]
#[case::cluster("current-context: c\ncontexts: [{name: c, context: {cluster: SECRET, user: c}}]")]
fn no_error_tells_what_a_file_holds(#[case] text: &str) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("tls.key");
    std::fs::write(&file, text.replace("SECRET", SECRET)).unwrap();
    let kubeconfig = ("KUBECONFIG", file.to_str().unwrap());
    let pod = [("KUBERNETES_SERVICE_HOST", "192.0.2.1"), ("KUBERNETES_SERVICE_PORT", "443")];
    for variables in [&[kubeconfig][..], &[kubeconfig, pod[0], pod[1]]] {
        let said = Picker::start(dir.path(), variables).refusal();
        assert!(said.contains("there is no cluster to follow"), "{said}");
        assert!(!said.contains(SECRET), "{said}");
    }
}

/// Developers give a kubeconfig; what redirects it, or prints its token, is for nobody.
#[test]
fn elsewhere_a_kubeconfig_counts_alone_and_no_log_tells_its_token() {
    let dir = tempfile::tempdir().unwrap();
    let (server, other) = (Server::start(), Server::start());
    let kubeconfig = kubeconfig(dir.path(), server.1);
    let picker = Picker::start(
        dir.path(),
        &[("KUBECONFIG", kubeconfig.to_str().unwrap()), ("KUBE_RS_DEBUG_OVERRIDE_URL", &other.url())],
    );
    let mut stream = until(|| server.asked()).unwrap();
    stream.set_nonblocking(false).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut asked = Vec::new();
    while !asked.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        asked.push(byte[0]);
    }
    let asked = String::from_utf8(asked).unwrap();
    assert!(asked.contains(&format!("Bearer {SECRET}")), "{asked}");
    write!(stream, "HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").unwrap();
    // It asks again, and has told of the first answer then.
    assert!(until(|| server.asked()).is_some());
    let said = picker.said();
    assert!(said.contains("TRACE"), "{said}");
    assert!(!said.contains(SECRET), "{said}");
    assert!(other.asked().is_none());
}
