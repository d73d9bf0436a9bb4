use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::scrape::MetricsSource;
use crate::testing::build;

fn source(parameters: Value) -> Result<MetricsSource, String> {
    let built = build("models-data-source", parameters);
    built.map(|roles| roles.data_source.unwrap()).map_err(|e| e.to_string())
}

#[test]
fn lists_are_where_requests_are_served_unless_something_else_is_said() {
    let default = MetricsSource {
        kind: SourceKind::Models,
        interval: Some(Duration::from_secs(5)),
        ..MetricsSource::default()
    };
    assert_eq!(source(json!({})), Ok(default.clone()));
    let given = json!({"scheme": "http", "path": "/models", "interval": "1m"});
    let expected = MetricsSource {
        path: Some("/models".to_owned()),
        plain: true,
        interval: Some(Duration::from_secs(60)),
        ..default
    };
    assert_eq!(source(given), Ok(expected));
    let wrong = source(json!({"path": "models"})).unwrap_err();
    assert_eq!(wrong, "plugins[0].parameters.path: must be a path, and begin with /");
}
