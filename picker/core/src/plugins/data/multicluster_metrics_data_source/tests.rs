use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::scrape::{MetricsSource, Tls};
use crate::testing::build;

fn source(parameters: Value) -> Result<MetricsSource, String> {
    let built = build("multicluster-metrics-data-source", parameters);
    built.map(|roles| roles.data_source.unwrap()).map_err(|e| e.to_string())
}

#[test]
fn certificates_of_other_clusters_are_checked_unless_somebody_says_not_to() {
    let of = |tls, plain| MetricsSource {
        kind: SourceKind::Multicluster,
        tls,
        plain,
        interval: Some(Duration::from_secs(1)),
        ..MetricsSource::default()
    };
    let tls = |verify, ca: Option<&str>| Tls { verify, ca: ca.map(str::to_owned), client: None };
    assert_eq!(source(json!({})), Ok(of(Some(tls(true, None)), false)));
    let own = json!({"scheme": "https", "caCertPath": "/ca"});
    assert_eq!(source(own), Ok(of(Some(tls(true, Some("/ca"))), false)));
    assert_eq!(source(json!({"insecureSkipVerify": true})), Ok(of(Some(tls(false, None)), false)));
    assert_eq!(source(json!({"scheme": "http"})), Ok(of(None, true)));
}
