use std::time::Duration;

use super::*;

fn spec(namespace: &str, name: &str, address: &str) -> EndpointSpec {
    let address: SocketAddr = address.parse().unwrap();
    EndpointSpec {
        id: EndpointId { pod_uid: format!("{namespace}/{name}").into(), port: address.port(), rank: 0 },
        pod: name.to_owned(),
        namespace: namespace.to_owned(),
        address,
        labels: Labels::default(),
    }
}

#[test]
fn entries_in_every_form() {
    let text = r#"
endpoints:
- {name: a, address: 10.0.0.7, port: "8000"}
- {name: a, address: 10.0.0.7, port: 8001}
- {name: b, namespace: llm, address: "fd00::7", port: "8000", labels: {role: decode}}
"#;
    let mut labelled = spec("llm", "b", "[fd00::7]:8000");
    labelled.labels.insert("role".to_owned(), "decode".to_owned());
    let expected = Discovered {
        endpoints: vec![
            spec("default", "a", "10.0.0.7:8000"),
            spec("default", "a", "10.0.0.7:8001"),
            labelled,
        ],
        skipped: Vec::new(),
    };
    assert_eq!(parse(text), Ok(expected));
    let json = r#"{"endpoints": [{"name": "a", "address": "10.0.0.7", "port": "8000"}]}"#;
    assert_eq!(parse(json).unwrap().endpoints, [spec("default", "a", "10.0.0.7:8000")]);
    assert_eq!(parse("endpoints: []"), Ok(Discovered::default()));
}

#[test]
fn a_bad_entry_is_left_out_by_name() {
    let text = r#"
endpoints:
- {name: good, address: 10.0.0.1, port: "1"}
- {name: host, address: example.com, port: "1"}
- {name: port, address: 10.0.0.1, port: "99999"}
- {name: zero, address: 10.0.0.1, port: "0"}
- {name: bare, address: 10.0.0.1}
- {address: 10.0.0.1, port: "1"}
- {name: good, address: 10.0.0.2, port: "1"}
- nonsense
"#;
    let discovered = parse(text).unwrap();
    assert_eq!(discovered.endpoints, [spec("default", "good", "10.0.0.1:1")]);
    insta::assert_snapshot!(discovered.skipped.join("\n"), @r#"
        endpoints[1] (host): address: invalid IP address syntax
        endpoints[2] (port): port: "99999" is no port
        endpoints[3] (zero): name must not be empty, and port must be 1 to 65535
        endpoints[4] (bare): missing field `port`
        endpoints[5] (without a name): missing field `name`
        endpoints[6] (good): is there twice
        endpoints[7] (without a name): invalid type: string "nonsense", expected struct Entry
    "#);
}

#[test]
fn what_is_no_list_is_an_error() {
    for text in ["", "endpoints: 3", "- a", "{"] {
        assert!(parse(text).unwrap_err().starts_with("no list `endpoints`: "), "{text}");
    }
}

#[tokio::test]
async fn a_watched_file_changes_the_endpoints_and_a_broken_one_does_not() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("endpoints.yaml");
    let write = |text: &str| {
        std::fs::write(dir.path().join("new"), text).unwrap();
        std::fs::rename(dir.path().join("new"), &path).unwrap();
    };
    write("endpoints: [{name: a, address: 10.0.0.1, port: 1}]");
    let discovery = FileDiscovery { path: path.display().to_string(), watch_file: true };
    let serving = watch::Sender::new(Serving { discovery: Some(discovery), ..Serving::default() });
    let wanted = watch::Sender::<Wanted>::default();
    let mut follow = wanted.subscribe();
    let task = tokio::spawn(run(serving.subscribe(), wanted));

    follow.changed().await.unwrap();
    assert_eq!(follow.borrow_and_update().as_deref(), Some([spec("default", "a", "10.0.0.1:1")].as_slice()));
    write("endpoints: 3");
    tokio::time::timeout(Duration::from_millis(700), follow.changed()).await.unwrap_err();
    write("endpoints: [{name: b, address: 10.0.0.2, port: 1}]");
    follow.changed().await.unwrap();
    assert_eq!(follow.borrow_and_update().as_deref(), Some([spec("default", "b", "10.0.0.2:1")].as_slice()));
    drop(serving);
    task.await.unwrap();
}

#[test]
fn nothing_of_another_file_is_told() {
    for text in [
        "s3cret",
        "root:x:s3cret:0\n",
        "s3cret: [",
        "{s3cret",
        "endpoints: s3cret",
        "- s3cret\n",
        "endpoints: *s3cret",
        "endpoints: !s3cret a",
        "a: \"\\q s3cret\"",
    ] {
        let error = parse(text).unwrap_err();
        assert!(!error.contains("s3cret"), "{text}: {error}");
    }
}
