use picker_core::config::{ConfigError, ErrorKind};
use rstest::rstest;
use serde_json::{Value, json};

use super::*;
use crate::strategy::compiled::CompiledRoutings;
use crate::strategy::testing::{defaults, pool, snapshot, strategy};

/// The pools of the workloads, and those of others with their strategy.
fn brief(valid: &Valid) -> Vec<(&str, Option<&str>)> {
    let own = valid.served().map(|served| (served.pool.name(), None));
    own.chain(valid.of_others.iter().map(|(pool, holder)| (pool.name(), Some(holder.as_str())))).collect()
}

#[test]
fn claims_what_is_there_and_says_what_is_not() {
    let mut snapshot = snapshot();
    snapshot.strategy = Arc::new(strategy(json!({"pools": [
        {"name": "qwen"}, {"name": "gone"}, {"name": "old", "group": "inference.networking.x-k8s.io"},
    ]})));
    snapshot.unserved = vec![PoolGroup::V1Alpha2];
    let valid = validate(&snapshot, &defaults(), |_| Ok([].into()));
    let qwen = &snapshot.pools[0];
    assert_eq!(
        valid.workloads,
        [Workload {
            name: "qwen-picker".to_owned(),
            mode: Mode::PerPool,
            pools: vec![ServedPool { pool: qwen.clone(), service: "qwen-picker".to_owned(), port: 9002 }],
        }]
    );
    let reference = PickerRef::service("qwen-picker", 9002, None);
    assert_eq!(
        valid.bindings,
        [WantedBinding { pool: qwen.clone(), workload: "qwen-picker".to_owned(), reference }]
    );
    assert_eq!(valid.missing, [(PoolGroup::V1, "gone".to_owned()), (PoolGroup::V1Alpha2, "old".to_owned())]);
    assert_eq!(valid.unserved, [PoolGroup::V1Alpha2]);
}

#[test]
fn an_older_strategy_has_the_pool() {
    let mut snapshot = snapshot();
    let mut older = strategy(json!({"pools": [{"selector": {}}]}));
    older.metadata.name = Some("elder".to_owned());
    older.metadata.creation_timestamp = serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap();
    snapshot.others = vec![Arc::new(older)];
    let valid = validate(&snapshot, &defaults(), |_| Ok([].into()));
    assert_eq!(brief(&valid), [("qwen", Some("elder"))]);
    assert_eq!((valid.bindings, valid.picker.unwrap()), (vec![], WantedObjects::default()));
}

#[test]
fn a_pool_that_is_being_deleted_is_gone() {
    let mut snapshot = snapshot();
    let mut leaving = pool("qwen", "old-epp");
    leaving.metadata.deletion_timestamp = serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap();
    snapshot.pools = vec![Arc::new(leaving)];
    let valid = validate(&snapshot, &defaults(), |_| Ok([].into()));
    assert_eq!(brief(&valid), []);
    assert_eq!(valid.missing, [(PoolGroup::V1, "qwen".to_owned())]);
}

#[test]
fn the_revision_is_that_of_the_stored_routing() {
    let snapshot = snapshot();
    let valid = validate(&snapshot, &defaults(), |_| Ok([].into()));
    assert_eq!(valid.routing, Ok(revision(&snapshot.strategy.spec.routing.0)));
}

/// A webhook, which sees no pool, would say what the status says.
#[test]
fn a_wrong_picker_is_found_with_pools_and_without() {
    let mut snapshot = snapshot();
    let picker = json!({"podTemplate": {"spec": {"hostNetwork": true}}});
    snapshot.strategy = Arc::new(strategy(json!({"pools": [{"name": "qwen"}], "picker": picker})));
    for pools in [snapshot.pools.clone(), vec![]] {
        snapshot.pools = pools;
        let error = validate(&snapshot, &defaults(), |_| Ok([].into())).picker.unwrap_err().to_string();
        assert!(error.starts_with("spec.picker.podTemplate.spec.hostNetwork: not allowed"), "{error}");
    }
}

fn validated(routing: Value) -> (Result<String, Errors>, Arc<[Warning]>) {
    let mut snapshot = snapshot();
    snapshot.strategy = Arc::new(strategy(json!({"pools": [{"name": "qwen"}], "routing": routing})));
    let valid = validate(&snapshot, &defaults(), |routing| CompiledRoutings::default().compile(routing));
    (valid.routing, valid.warnings)
}

/// Pickers hold a token, and some a private key: the author of a strategy must not reach their files.
#[rstest]
#[case::an_authority(json!({"caCertPath": "/var/run/secrets/token"}), &["caCertPath"])]
#[case::a_certificate(
    json!({"clientCertPath": "/tls/tls.crt", "clientKeyPath": "/tls/tls.key"}),
    &["clientCertPath", "clientKeyPath"]
)]
fn the_routing_of_a_strategy_names_no_file(#[case] files: Value, #[case] fields: &[&str]) {
    let mut source = json!({"type": "metrics-data-source", "parameters": files});
    source["parameters"]["scheme"] = json!("https");
    source["parameters"]["insecureSkipVerify"] = json!(false);
    let message = "names a file of the picker's pod, which only a configuration file may do; take it out";
    let refused = |field: &&str| {
        ConfigError::new(format!("plugins[1].parameters.{field}"), ErrorKind::Invalid, message)
    };
    let errors = Errors(fields.iter().map(refused).collect());
    let routing = json!({"plugins": [{"type": "queue-scorer"}, source]});
    assert_eq!(validated(routing), (Err(errors), [].into()));
}

#[test]
fn what_is_not_as_it_should_be_is_valid_with_warnings() {
    let routing = json!({"plugins": [
        {"type": "decode-filter"}, {"type": "prefill-filter"}, {"type": "always-disagg-pd-decider"},
        {"type": "disagg-profile-handler", "parameters": {
            "decodeProfile": "d", "prefillProfile": "p", "deciderPluginName": "always-disagg-pd-decider",
        }},
    ], "schedulingProfiles": [
        {"name": "d", "plugins": [{"pluginRef": "decode-filter"}]},
        {"name": "p", "plugins": [{"pluginRef": "prefill-filter"}]},
    ]});
    let former = |field: &str, now: &str| Warning {
        path: format!("plugins[3].parameters.{field}"),
        message: format!("is a former parameter; write {now}"),
    };
    let warnings = [
        former("decodeProfile", "profiles.decode"),
        former("prefillProfile", "profiles.prefill"),
        former("deciderPluginName", "deciders.prefill"),
    ];
    assert_eq!(validated(routing.clone()), (Ok(revision(&routing)), warnings.into()));
}
