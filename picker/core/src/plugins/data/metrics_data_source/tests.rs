use rstest::rstest;
use serde_json::{Value, json};

use super::*;
use crate::config::Scope;
use crate::scrape::Tls;
use crate::store::StateStore;
use crate::strategy::NeededFile;
use crate::testing::build;

fn source(parameters: Value) -> Result<MetricsSource, String> {
    let built = build("metrics-data-source", parameters);
    built.map(|roles| roles.data_source.unwrap()).map_err(|e| e.to_string())
}

#[test]
fn says_where_pages_are() {
    assert_eq!(source(json!({})), Ok(MetricsSource::default()));
    let given = json!({
        "scheme": "http", "path": "/prometheus?x=1", "port": 9400, "interval": "1.5s", "restInterval": "0s",
        "maxServerShare": 0.25, "doubtAfter": "1m",
    });
    assert_eq!(
        source(given),
        Ok(MetricsSource {
            path: Some("/prometheus?x=1".to_owned()),
            port: Some(9400),
            tls: None,
            plain: true,
            interval: Some(Duration::from_millis(1500)),
            rest_interval: Some(Duration::ZERO),
            server_share: ServerShare::new(0.25),
            doubt_after: Some(Duration::from_secs(60)),
            ..MetricsSource::default()
        })
    );
    let given = json!({
        "scheme": "https", "insecureSkipVerify": false, "caCertPath": "/ca", "clientCertPath": "/c", "clientKeyPath": "/k",
    });
    let tls =
        Tls { verify: true, ca: Some("/ca".to_owned()), client: Some(("/c".to_owned(), "/k".to_owned())) };
    assert_eq!(source(given), Ok(MetricsSource { tls: Some(tls), ..MetricsSource::default() }));
    let tls = Tls { verify: false, ..Tls::default() };
    let https = MetricsSource { tls: Some(tls), ..MetricsSource::default() };
    assert_eq!(source(json!({"scheme": "https"})), Ok(https));
}

#[rstest]
#[case(json!({"scheme": "ftp"}), "scheme: unknown variant `ftp`, expected `http` or `https`")]
#[case(json!({"path": "metrics"}), "path: must be a path, and begin with /")]
#[case(json!({"path": "/a b"}), "path: must be a path, and begin with /")]
#[case(json!({"port": 0}), "port: must be between 1 and 65535")]
#[case(json!({"interval": "1"}), "interval: \"1\" is no duration; write one like 50ms, 2s or 1m30s")]
#[case(json!({"interval": "0"}), "interval: must be longer than 0 and at most 1h")]
#[case(json!({"restInterval": "2h"}), "restInterval: must be at most 1h")]
#[case(json!({"restInterval": "x"}), "restInterval: \"x\" is no duration; write one like 50ms, 2s or 1m30s")]
#[case(json!({"doubtAfter": "61m"}), "doubtAfter: must be at most 1h")]
#[case(json!({"maxServerShare": 1.5}), "maxServerShare: must be 0, or between 0.000001 and 1")]
#[case(json!({"maxServerShare": 1e-9}), "maxServerShare: must be 0, or between 0.000001 and 1")]
#[case(json!({"clientKeyPath": "/k"}), "clientCertPath: is required beside clientKeyPath")]
#[case(json!({"clientCertPath": "/c"}), "clientKeyPath: is required beside clientCertPath")]
fn wrong_parameters_are_named(#[case] parameters: Value, #[case] message: &str) {
    assert_eq!(source(parameters), Err(format!("plugins[0].parameters.{message}")));
}

#[test]
fn files_are_needed_when_they_have_an_effect() {
    let strategy = |parameters: Value| {
        let routing = json!({"plugins": [
            {"type": "metrics-data-source", "parameters": parameters}, {"type": "queue-scorer"},
        ]});
        let strategy =
            crate::compile::compile(&routing, Scope::File, &StateStore::default()).ok().unwrap().strategy;
        let warnings: Vec<_> = strategy.warnings.iter().map(ToString::to_string).collect();
        (strategy.files.to_vec(), warnings)
    };
    let file = |field: &str, path: &str| NeededFile {
        field: format!("plugins[0].parameters.{field}"),
        path: path.to_owned(),
    };
    let files = json!({
        "scheme": "https", "insecureSkipVerify": true, "clientCertPath": "/c", "clientKeyPath": "/k",
    });
    assert_eq!(strategy(files), (vec![file("clientCertPath", "/c"), file("clientKeyPath", "/k")], vec![]));
    let warning = |message: &str| vec![format!("plugins[0].parameters.{message}")];
    assert_eq!(
        strategy(json!({"caCertPath": "/ca"})),
        (vec![], warning("caCertPath: has no effect without scheme: https"))
    );
    let unverified = json!({"scheme": "https", "insecureSkipVerify": true, "caCertPath": "/ca"});
    assert_eq!(
        strategy(unverified),
        (
            vec![file("caCertPath", "/ca")],
            warning("caCertPath: has no effect without insecureSkipVerify: false")
        )
    );
    assert_eq!(
        strategy(json!({"scheme": "https"})),
        (
            vec![],
            warning(
                "insecureSkipVerify: is true by default: certificates of servers are not checked; write false to check \
                 them, or true"
            )
        )
    );
    assert_eq!(strategy(json!({"scheme": "https", "insecureSkipVerify": false})), (vec![], vec![]));
    assert_eq!(strategy(json!({"scheme": "http"})), (vec![], vec![]));
}
