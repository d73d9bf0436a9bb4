use serde_json::json;

use crate::fact::TopologyLabels;
use crate::request::Request;
use crate::testing::{Instance, unknown};

#[test]
fn labels_that_are_not_given_are_the_usual_ones() {
    let mut producer =
        Instance::new("topology-extractor", json!({"rack": "example.com/rack", "zone": ""})).unwrap();
    producer.produce(&Request::default(), &unknown(1));
    let TopologyLabels(labels) = producer.fact();
    assert_eq!(
        **labels,
        [
            "kubernetes.io/hostname",
            "example.com/rack",
            "topology.kubernetes.io/zone",
            "topology.kubernetes.io/region"
        ]
    );
}
