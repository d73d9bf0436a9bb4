//! The health check for Argo CD, in the layout of its resource_customizations, run on its test data.

#![allow(clippy::unwrap_used, reason = "what can't be read here fails the test")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crds::RoutingStrategy;
use mlua::{Lua, LuaSerdeExt as _};
use serde_json::{Value, json};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../config/argocd/resource_customizations/waypost.dev/RoutingStrategy")
}

fn read(path: &Path) -> Value {
    serde_saphyr::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

fn cases() -> Vec<Value> {
    read(&folder().join("health_test.yaml"))["tests"].as_array().unwrap().clone()
}

fn input(case: &Value) -> PathBuf {
    folder().join(case["inputPath"].as_str().unwrap())
}

/// What the check says, as Argo CD asks it: the object is the global `obj`.
fn health(object: &Value) -> Value {
    let lua = Lua::new();
    lua.globals().set("obj", lua.to_value(object).unwrap()).unwrap();
    let said: mlua::Value =
        lua.load(fs::read_to_string(folder().join("health.lua")).unwrap()).eval().unwrap();
    lua.from_value(said).unwrap()
}

#[test]
fn every_case_is_as_healthy_as_it_says() {
    let cases = cases();
    let said: Vec<_> = cases.iter().map(|case| (&case["inputPath"], health(&read(&input(case))))).collect();
    let wanted: Vec<_> =
        cases.iter().map(|case| (&case["inputPath"], case["healthStatus"].clone())).collect();
    assert_eq!(said, wanted);
}

#[test]
fn every_file_is_a_case_and_a_strategy() {
    let files: BTreeSet<PathBuf> =
        fs::read_dir(folder().join("testdata")).unwrap().map(|entry| entry.unwrap().path()).collect();
    let cases: BTreeSet<PathBuf> = cases().iter().map(input).collect();
    assert_eq!(files, cases);
    for file in files {
        let strategy: Result<RoutingStrategy, _> = serde_json::from_value(read(&file));
        assert!(strategy.is_ok(), "{}: {strategy:?}", file.display());
    }
}

/// Missing and Unknown are Argo CD's own words.
#[test]
fn every_health_that_it_may_have_is_a_case() {
    let seen: BTreeSet<String> =
        cases().iter().map(|case| case["healthStatus"]["status"].as_str().unwrap().to_owned()).collect();
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), ["Degraded", "Healthy", "Progressing", "Suspended"]);
}

/// What the API server fills in before the operator has seen a strategy.
#[test]
fn nothing_is_healthy_before_it_was_seen() {
    let definition = crds::manifest::routing_strategy().unwrap();
    let status =
        definition.pointer("/spec/versions/0/schema/openAPIV3Schema/properties/status/default").unwrap();
    let fresh = json!({"metadata": {"name": "chat", "generation": 1}, "status": status});
    assert_eq!(
        health(&fresh),
        json!({"status": "Progressing", "message": "Waiting for the Waypost operator"})
    );
}
