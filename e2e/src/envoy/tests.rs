use super::*;

fn backend() -> Backend {
    Backend::new("llm", "chat-picker", "chat")
}

fn dialects() -> [Box<dyn Dialect>; 7] {
    [
        Box::new(AiGateway { buffered: false }),
        Box::new(AiGateway { buffered: true }),
        Box::new(Istio { fail_open: false, tracing: false }),
        Box::new(Istio { fail_open: true, tracing: false }),
        Box::new(Istio { fail_open: false, tracing: true }),
        Box::new(Standalone { without_response_bodies: false }),
        Box::new(Standalone { without_response_bodies: true }),
    ]
}

/// Every cluster that something names is there, and nothing else is.
#[test]
fn clusters_are_those_that_are_named() {
    fn named(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(fields) => {
                for (key, value) in fields {
                    match value {
                        Value::String(name) if key == "cluster" || key == "cluster_name" => {
                            found.push(name.clone())
                        }
                        _ => named(value, found),
                    }
                }
            }
            Value::Array(values) => values.iter().for_each(|value| named(value, found)),
            _ => {}
        }
    }
    for dialect in dialects() {
        let config = dialect.bootstrap(&backend());
        let mut wanted = Vec::new();
        named(&config["static_resources"]["listeners"], &mut wanted);
        let there = config["static_resources"]["clusters"].as_array().unwrap();
        for name in &wanted {
            assert!(
                there.iter().any(|cluster| cluster["name"] == *name),
                "{}: no cluster {name}",
                dialect.name()
            );
        }
    }
}

/// Envoy's own limit is 1,024 requests at once. A call of the picker lasts as long as its request, so its cluster has as
/// many as that of the pool.
#[test]
fn every_cluster_takes_many_requests_at_once() {
    let sample = std::fs::read_to_string(crate::paths::checkout().join("config/envoy/local.yaml")).unwrap();
    let mut configs = vec![("config/envoy/local.yaml", serde_saphyr::from_str(&sample).unwrap())];
    configs.extend(dialects().iter().map(|dialect| (dialect.name(), dialect.bootstrap(&backend()))));
    for (name, config) in configs {
        let clusters = config["static_resources"]["clusters"].as_array().unwrap();
        let wanted = json!({"thresholds": [{
            "max_connections": 40_000, "max_pending_requests": 40_000, "max_requests": 40_000, "max_retries": 1024,
        }]});
        assert!(clusters.len() >= 2, "{name}");
        for cluster in clusters {
            assert_eq!(cluster["circuit_breakers"], wanted, "{name}: cluster {}", cluster["name"]);
        }
    }
}

/// The string that breaks HTTP/2 servers, to the letter.
#[test]
fn istio_names_the_picker_by_its_cluster_alone() {
    let route = Istio::default().route(&backend());
    let service =
        &route["typed_per_filter_config"]["envoy.filters.http.ext_proc"]["overrides"]["grpc_service"];
    assert_eq!(
        *service,
        json!({"envoy_grpc": {"cluster_name": "outbound|9002||chat-picker.llm.svc.cluster.local"}})
    );
}

/// Envoy itself takes every configuration.
#[tokio::test]
#[ignore = "needs Envoy, which the cluster's tools bring"]
async fn envoy_accepts_every_dialect() {
    let tools = crate::tools::Tools::ready(&crate::Progress::stdout()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    for dialect in dialects() {
        let file = folder.path().join("envoy.yaml");
        std::fs::write(&file, serde_saphyr::to_string(&dialect.bootstrap(&backend())).unwrap()).unwrap();
        let validate = crate::shell::run(&tools.envoy).args(["--mode", "validate", "-c"]).arg(&file);
        let outcome = validate.output().await;
        assert!(outcome.is_ok(), "{}: {:#}", dialect.name(), outcome.unwrap_err());
    }
}
