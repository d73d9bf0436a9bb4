use std::time::{Duration, Instant};

use picker_core::endpoint::EndpointSpec;
use picker_core::view::{Reading, Signals};

use picker_core::scrape::SourceId;

use super::*;
use crate::scrape::outcome::Page;

fn record(readout: &Readout, signals: Signals, at: Instant) {
    readout.record(SourceId::default(), Ok(Page { signals, cut: false }), at, Duration::ZERO);
}

fn spec(pod: &str, port: u16) -> EndpointSpec {
    EndpointSpec {
        id: EndpointId { pod_uid: pod.into(), port, rank: 0 },
        pod: pod.to_owned(),
        namespace: "default".to_owned(),
        address: format!("10.0.0.1:{port}").parse().unwrap(),
        labels: Default::default(),
    }
}

fn listed(endpoint_set: &EndpointSet) -> Vec<(String, u32, u64)> {
    endpoint_set.targets().map(|t| (t.endpoint.pod.clone(), t.endpoint.slot, t.endpoint.key)).collect()
}

#[test]
fn slots_are_used_again_and_keys_are_not() {
    let mut endpoint_set = EndpointSet::default();
    assert!(endpoint_set.apply([spec("a", 1), spec("b", 1)]));
    assert_eq!(listed(&endpoint_set), [("a".to_owned(), 0, 1), ("b".to_owned(), 1, 2)]);
    assert!(!endpoint_set.apply([spec("b", 1), spec("a", 1)]));
    assert!(endpoint_set.apply([spec("b", 1), spec("c", 1)]));
    assert_eq!(listed(&endpoint_set), [("b".to_owned(), 1, 2), ("c".to_owned(), 0, 3)]);
    assert!(endpoint_set.apply(Vec::<EndpointSpec>::new()));
    assert_eq!(listed(&endpoint_set), []);
}

#[test]
fn an_endpoint_that_only_changes_its_labels_keeps_what_is_known_of_it() {
    let mut endpoint_set = EndpointSet::default();
    endpoint_set.apply([spec("a", 1)]);
    let at = Instant::now();
    let signals = Signals { waiting: Some(3.0), ..Signals::default() };
    record(&endpoint_set.targets().next().unwrap().readout, signals.clone(), at);

    let mut labelled = spec("a", 1);
    labelled.labels.insert("role".to_owned(), "decode".to_owned());
    assert!(endpoint_set.apply([labelled.clone()]));
    let target = endpoint_set.targets().next().unwrap();
    assert_eq!(target.endpoint.labels, labelled.labels);
    assert_eq!((target.endpoint.slot, target.endpoint.key), (0, 1));
    assert_eq!(target.readout.reading(), Reading { signals, at: Some(at) });
}

#[test]
fn another_address_is_another_server() {
    let mut endpoint_set = EndpointSet::default();
    endpoint_set.apply([spec("a", 1)]);
    let readout = endpoint_set.targets().next().unwrap().readout.clone();
    record(&readout, Signals::default(), Instant::now() + Duration::from_secs(1));
    let mut moved = spec("a", 1);
    moved.address = "10.0.0.2:1".parse().unwrap();
    assert!(endpoint_set.apply([moved]));
    let target = endpoint_set.targets().next().unwrap();
    assert_eq!(target.readout.reading(), Reading::default());
    assert!(!target.readout.attempted());
}

#[test]
fn another_node_is_told_and_forgets_nothing() {
    let mut endpoint_set = EndpointSet::default();
    endpoint_set.apply([spec("a", 1)]);
    let at = Instant::now();
    record(&endpoint_set.targets().next().unwrap().readout, Signals::default(), at);
    let pages = PageHosts { node: Some([10, 0, 1, 1].into()), ..PageHosts::default() };
    let on_node = WantedEndpoint { spec: spec("a", 1), pages: pages.clone() };
    assert!(endpoint_set.apply([on_node.clone()]));
    let target = endpoint_set.targets().next().unwrap();
    assert_eq!((&target.pages, target.readout.reading().at), (&pages, Some(at)));
    assert!(!endpoint_set.apply([on_node]));
}
