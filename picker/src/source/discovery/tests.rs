use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Mutex;
use std::time::Duration;

use picker_core::endpoint::{EndpointId, EndpointSpec, Labels};

use super::*;
use crate::watch::PageHosts;

/// The endpoints in `text` without names of hosts, and what is left out.
fn read(text: &str) -> Result<(Vec<WantedEndpoint>, Vec<String>), String> {
    let Listed { endpoints, skipped } = parse(text, false)?;
    Ok((endpoints.iter().map(|listed| listed.wanted(|_| None).unwrap()).collect(), skipped))
}

fn plain(specs: impl IntoIterator<Item = EndpointSpec>) -> Vec<WantedEndpoint> {
    specs.into_iter().map(Into::into).collect()
}

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
    let expected =
        plain([spec("default", "a", "10.0.0.7:8000"), spec("default", "a", "10.0.0.7:8001"), labelled]);
    assert_eq!(read(text), Ok((expected, vec![])));
    let json = r#"{"endpoints": [{"name": "a", "address": "10.0.0.7", "port": "8000"}]}"#;
    assert_eq!(read(json).unwrap().0, plain([spec("default", "a", "10.0.0.7:8000")]));
    assert_eq!(parse("endpoints: []", false), Ok(Listed::default()));
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
    let (endpoints, skipped) = read(text).unwrap();
    assert_eq!(endpoints, plain([spec("default", "good", "10.0.0.1:1")]));
    insta::assert_snapshot!(skipped.join("\n"), @r#"
        endpoints[1] (host): address: "example.com" is no IP address
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
        assert!(parse(text, true).unwrap_err().starts_with("no list `endpoints`: "), "{text}");
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
    let discovery = FileDiscovery { path: path.display().to_string(), watch_file: true, host_names: false };
    let serving = watch::Sender::new(Serving { discovery: Some(discovery), ..Serving::default() });
    let wanted = watch::Sender::<Wanted>::default();
    let mut follow = wanted.subscribe();
    let task = tokio::spawn(run(serving.subscribe(), wanted));

    follow.changed().await.unwrap();
    assert_eq!(follow.borrow_and_update().as_deref(), Some(&*plain([spec("default", "a", "10.0.0.1:1")])));
    write("endpoints: 3");
    tokio::time::timeout(Duration::from_millis(700), follow.changed()).await.unwrap_err();
    write("endpoints: [{name: b, address: 10.0.0.2, port: 1}]");
    follow.changed().await.unwrap();
    assert_eq!(follow.borrow_and_update().as_deref(), Some(&*plain([spec("default", "b", "10.0.0.2:1")])));
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
        let error = parse(text, true).unwrap_err();
        assert!(!error.contains("s3cret"), "{text}: {error}");
    }
}

#[test]
fn hosts_of_other_clusters_may_have_names_and_their_metrics_a_place_of_their_own() {
    let text = r#"
endpoints:
- {name: a, address: gw.a.example, port: "443"}
- {name: b, address: 10.0.0.2, port: "443", labels: {metricsAddress: epp.b.example, metricsPort: "9090"}}
- {name: c, address: gw.c.example, port: "443", labels: {metricsAddress: 10.0.3.3}}
- {name: d, address: gw.d.example, port: "443", labels: {metricsPort: "9090"}}
- {name: e, address: gw.e.example, port: "443"}
- {name: f, address: 10.0.0.6, port: "443", labels: {metricsAddress: lost.example}}
- {name: g, address: GW_g, port: "443"}
- {name: h, address: 10.0.0.8, port: "443", labels: {metricsAddress: "a b"}}
- {name: i, address: 10.0.0.9, port: "443", labels: {metricsAddress: epp, metricsPort: x}}
"#;
    let Listed { endpoints, skipped } = parse(text, true).unwrap();
    let known = |name: &str| -> Option<IpAddr> {
        let addresses =
            [("gw.a", "10.0.0.1"), ("epp.b", "10.0.2.2"), ("gw.c", "10.0.0.3"), ("gw.d", "10.0.0.4")];
        let found = addresses.iter().find(|(known, _)| name.starts_with(known));
        found.map(|(_, address)| address.parse().unwrap())
    };
    let found: Vec<_> = endpoints
        .iter()
        .map(|listed| match listed.wanted(known) {
            Ok(WantedEndpoint { spec, pages: PageHosts { pool, name, .. } }) => {
                format!(
                    "{} {} pool {pool:?} called {:?}",
                    spec.pod,
                    spec.address,
                    name.as_deref().unwrap_or_default()
                )
            }
            Err(lost) => format!("no address of {lost}"),
        })
        .collect();
    insta::assert_snapshot!(found.join("\n"), @r#"
    a 10.0.0.1:443 pool Own called "gw.a.example"
    b 10.0.0.2:443 pool At(10.0.2.2:9090) called "epp.b.example"
    c 10.0.0.3:443 pool At(10.0.3.3:443) called ""
    d 10.0.0.4:443 pool Own called "gw.d.example"
    no address of gw.e.example
    f 10.0.0.6:443 pool Unknown called "lost.example"
    "#);
    insta::assert_snapshot!(skipped.join("\n"), @r#"
    endpoints[6] (g): address: "GW_g" is neither an IP address nor the name of a host
    endpoints[7] (h): labels.metricsAddress: "a b" is neither an IP address nor the name of a host
    endpoints[8] (i): labels.metricsPort: "x" is no port
    "#);
    // Labels of pods mean nothing here.
    let of_pod = r#"endpoints: [{name: a, address: 10.0.0.1, port: 1, labels: {metricsAddress: "a b"}}]"#;
    assert_eq!(read(of_pod).unwrap().0[0].pages, PageHosts::default());
}

/// A cluster that fails over changes the address of its name: without a change of the file, the endpoint follows, and keeps
/// what is counted for it, because it is the same one.
#[tokio::test]
async fn names_are_looked_up_again_and_a_file_that_is_not_watched_is_not_read_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("clusters.yaml");
    std::fs::write(
        &path,
        "endpoints: [{name: a, address: gw.example, port: 443}, {name: b, address: lost.example, port: 443}]",
    )
    .unwrap();
    let addresses = Arc::new(Mutex::new(BTreeMap::from([("gw.example", "10.0.0.1")])));
    let given = addresses.clone();
    let look_up: LookUp = Arc::new(move |name| {
        let found = given.lock().unwrap().get(&*name).map(|address| address.parse().unwrap());
        Box::pin(async move { found.map(|address| vec![address]).ok_or(std::io::ErrorKind::NotFound.into()) })
    });
    let discovery = FileDiscovery { path: path.display().to_string(), watch_file: false, host_names: true };
    let serving = watch::Sender::new(Serving { discovery: Some(discovery), ..Serving::default() });
    let wanted = watch::Sender::<Wanted>::default();
    let mut follow = wanted.subscribe();
    let task = tokio::spawn(run_with(serving.subscribe(), wanted, look_up));
    follow.changed().await.unwrap();
    let told = |wanted: &Wanted| -> Vec<(String, String)> {
        let endpoints = wanted.iter().flat_map(|endpoints| endpoints.iter());
        endpoints.map(|e| (e.spec.id.pod_uid.to_string(), e.spec.address.to_string())).collect()
    };
    let of = |id: &str, address: &str| (id.to_owned(), address.to_owned());
    assert_eq!(told(&follow.borrow_and_update()), [of("default/a", "10.0.0.1:443")]);
    std::fs::write(&path, "endpoints: []").unwrap();
    tokio::time::pause();
    addresses.lock().unwrap().extend([("gw.example", "10.0.0.9"), ("lost.example", "10.0.0.2")]);
    follow.changed().await.unwrap();
    let both = [of("default/a", "10.0.0.9:443"), of("default/b", "10.0.0.2:443")];
    assert_eq!(told(&follow.borrow_and_update()), both);
    // Nothing changes, and nothing is told.
    tokio::time::timeout(AGAIN * 5 / 2, follow.changed()).await.unwrap_err();
    drop(serving);
    task.await.unwrap();
}
