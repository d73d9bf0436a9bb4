//! A manifest that is applied again changes nothing and shows no difference, whichever field it gives and whoever
//! applies it: otherwise a GitOps tool says `configured` or OutOfSync for ever.

use std::process::Stdio;

use kube::api::{Api, DynamicObject, Patch, PatchParams};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::diff_rules::{compared, three_way};
use crate::examples;

/// How kubectl applies.
#[derive(Clone, Copy)]
enum Way {
    ClientSide,
    ServerSide,
}

impl Way {
    fn prefix(self) -> &'static str {
        match self {
            Self::ClientSide => "client",
            Self::ServerSide => "server",
        }
    }

    fn flags(self) -> &'static [&'static str] {
        match self {
            Self::ClientSide => &[],
            Self::ServerSide => &["--server-side", "--field-manager=argocd-controller"],
        }
    }
}

/// Runs kubectl with objects on its standard input; gives back whether it ended well, and what it said.
async fn kubectl(args: &[&[&str]], objects: &[Value]) -> (bool, String) {
    let program = std::env::var("KUBECTL").unwrap_or_else(|_| "kubectl".to_owned());
    let mut child = Command::new(program)
        .args(args.concat())
        .args(["-n", "default", "-f", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let list = json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string();
    let mut stdin = child.stdin.take().unwrap();
    let write = async move {
        stdin.write_all(list.as_bytes()).await.unwrap();
    };
    let (output, ()) = tokio::join!(child.wait_with_output(), write);
    let output = output.unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

/// The manifests, each with the field for which it was made.
fn manifests(way: Way) -> Vec<(String, Value)> {
    let manifest = |(at, (field, spec)): (usize, (String, Value))| {
        let name = format!("{}-{at}", way.prefix());
        let object = json!({"apiVersion": "waypost.dev/v1alpha1", "kind": "RoutingStrategy",
            "metadata": {"name": name, "namespace": "default"}, "spec": spec});
        (field, object)
    };
    examples::specs().into_iter().enumerate().map(manifest).collect()
}

/// Each object as it is live, by its manifest.
async fn live(api: &Api<DynamicObject>, manifests: &[(String, Value)]) -> Vec<Value> {
    let all = api.list(&Default::default()).await.unwrap();
    let find = |manifest: &Value| {
        let name = manifest["metadata"]["name"].as_str();
        let mut found =
            all.items.iter().find(|object| object.metadata.name.as_deref() == name).unwrap().clone();
        found.types = None;
        let mut found = serde_json::to_value(found).unwrap();
        found["apiVersion"] = manifest["apiVersion"].clone();
        found["kind"] = manifest["kind"].clone();
        found
    };
    manifests.iter().map(|(_, manifest)| find(manifest)).collect()
}

/// What was applied with kubectl last.
fn applied_last(live: &Value) -> Option<Value> {
    let annotation = &live["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"];
    serde_json::from_str(annotation.as_str()?).unwrap()
}

async fn story(way: Way) {
    let api = crate::api().await;
    let manifests = manifests(way);
    let objects: Vec<_> = manifests.iter().map(|(_, manifest)| manifest.clone()).collect();
    let (ok, said) = kubectl(&[&["apply"], way.flags()], &objects).await;
    assert!(ok, "{said}");
    let first = live(&api, &manifests).await;
    let (ok, said) = kubectl(&[&["apply"], way.flags()], &objects).await;
    assert!(ok, "{said}");
    let second = live(&api, &manifests).await;

    let mut changed = Vec::new();
    for (((field, manifest), first), second) in manifests.iter().zip(&first).zip(&second) {
        let name = manifest["metadata"]["name"].as_str().unwrap();
        if matches!(way, Way::ClientSide) && !said.contains(&format!("/{name} unchanged")) {
            changed.push(format!("{field}: kubectl says it was configured"));
        }
        if (compared(first), &first["metadata"]["generation"])
            != (compared(second), &second["metadata"]["generation"])
        {
            changed.push(format!("{field}: {first} became {second}"));
        }
        let last = applied_last(second).unwrap_or_else(|| manifest.clone());
        let predicted = three_way(&last, manifest, second);
        if compared(&predicted) != compared(second) {
            changed.push(format!("{field}: Argo CD would see {predicted} in the place of {second}"));
        }
        let params = PatchParams { dry_run: true, ..PatchParams::apply("argocd-controller").force() };
        let mut predicted =
            serde_json::to_value(api.patch(name, &params, &Patch::Apply(manifest)).await.unwrap()).unwrap();
        // An object that was applied client-side is migrated by this, which is no difference of a field.
        predicted["metadata"]["annotations"] = second["metadata"]["annotations"].clone();
        if compared(&predicted)["spec"] != compared(second)["spec"] {
            changed.push(format!("{field}: a server-side diff gives {predicted} in the place of {second}"));
        }
    }
    // The operator may write a status between the two looks of kubectl.
    let mut diff = String::new();
    for _ in 0..5 {
        let (same, said) = kubectl(&[&["diff"], way.flags()], &objects).await;
        diff = said;
        if same {
            break;
        }
    }
    let (ok, said) = kubectl(&[&["delete", "--wait=false"]], &objects).await;
    assert!(ok, "{said}");
    assert_eq!((changed, diff.as_str()), (Vec::new(), ""));
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn every_field_is_applied_once_client_side() {
    story(Way::ClientSide).await;
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn every_field_is_applied_once_server_side() {
    story(Way::ServerSide).await;
}

/// The rest of the schema is of no use here, if a field of it is left out.
#[test]
fn every_field_has_a_manifest() {
    fn paths(path: &str, schema: &Value, found: &mut Vec<String>) {
        found.push(path.to_owned());
        for (name, field) in schema["properties"].as_object().into_iter().flatten() {
            paths(&format!("{path}.{name}"), field, found);
        }
        if schema["items"].is_object() {
            paths(&format!("{path}[]"), &schema["items"], found);
        }
    }
    let definition = crds::manifest::routing_strategy().unwrap();
    let schema = definition.pointer("/spec/versions/0/schema/openAPIV3Schema/properties/spec").unwrap();
    let mut wanted = Vec::new();
    paths("spec", schema, &mut wanted);
    let made: Vec<String> = examples::specs().into_iter().map(|(field, _)| field).collect();
    let begins =
        |path: &String| made.iter().any(|field| field == path || field.starts_with(&format!("{path}[")));
    let missing: Vec<_> = wanted
        .iter()
        .filter(|path| !begins(path) && !made.iter().any(|field| field.starts_with(&format!("{path}."))))
        .collect();
    assert_eq!(missing, Vec::<&String>::new());
}
