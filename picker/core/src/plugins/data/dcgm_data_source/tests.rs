use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::scrape::Tls;
use crate::testing::build;

fn source(parameters: Value) -> Result<MetricsSource, String> {
    let built = build("dcgm-data-source", parameters);
    built.map(|roles| roles.data_source.unwrap()).map_err(|e| e.to_string())
}

#[test]
fn an_exporter_is_a_sidecar_in_plaintext_unless_something_else_is_said() {
    let default = MetricsSource {
        kind: SourceKind::Dcgm,
        port: Some(9400),
        plain: true,
        interval: Some(Duration::from_secs(1)),
        ..MetricsSource::default()
    };
    assert_eq!(source(json!({})), Ok(default.clone()));
    let given = json!({
        "scheme": "https", "insecureSkipVerify": false, "port": 9500, "path": "/dcgm", "useNodeAddress": true,
        "interval": "15s",
    });
    let expected = MetricsSource {
        path: Some("/dcgm".to_owned()),
        port: Some(9500),
        tls: Some(Tls { verify: true, ..Tls::default() }),
        plain: false,
        at_node: true,
        interval: Some(Duration::from_secs(15)),
        ..default
    };
    assert_eq!(source(given), Ok(expected));
    let wrong = |parameters| source(parameters).unwrap_err();
    assert_eq!(wrong(json!({"port": 0})), "plugins[0].parameters.port: must be between 1 and 65535");
    assert_eq!(
        wrong(json!({"interval": "0s"})),
        "plugins[0].parameters.interval: must be longer than 0 and at most 1h"
    );
}
