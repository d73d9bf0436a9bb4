//! Sample configurations: each compiles, and every plugin has one.

use std::collections::BTreeSet;
use std::fs;

use crate::sources::{files, root};

fn samples() -> Vec<(String, Vec<serde_json::Value>)> {
    let mut found = Vec::new();
    files(&root().join("config/samples"), "yaml", &mut found);
    found.sort();
    found
        .into_iter()
        .map(|path| {
            let text = fs::read_to_string(&path).unwrap();
            (
                path.file_name().unwrap().to_string_lossy().into_owned(),
                serde_saphyr::from_multiple(&text).unwrap(),
            )
        })
        .collect()
}

#[test]
fn every_sample_compiles_and_every_plugin_has_one() {
    let mut shown = BTreeSet::new();
    for (name, documents) in samples() {
        for document in documents {
            let (routing, scope) = match document["kind"].as_str() {
                Some("RoutingStrategy") => {
                    (document["spec"]["routing"].clone(), picker_core::config::Scope::Resource)
                }
                Some("EndpointPickerConfig") => {
                    let text = document.to_string();
                    (
                        picker_core::config::Document::parse(&text).unwrap().routing,
                        picker_core::config::Scope::File,
                    )
                }
                _ => continue,
            };
            if let Err(errors) = picker_core::compile::compile(&routing, scope, &Default::default()) {
                panic!("{name}: {errors}");
            }
            for plugin in routing["plugins"].as_array().unwrap() {
                shown.insert(plugin["type"].as_str().unwrap().to_owned());
            }
        }
    }
    let plugins = picker_core::plugins::builtin().all().iter();
    let current = plugins.filter(|plugin| plugin.deprecated.is_none()).map(|plugin| plugin.kind.to_owned());
    assert_eq!(
        shown,
        current.collect(),
        "every plugin type has a sample, but for those not to be written any more"
    );
}

/// `kubectl apply -f config/samples` takes all that is there; what is for files lies in a folder of its own.
#[test]
fn every_sample_can_be_applied() {
    let folder = root().join("config/samples");
    for entry in
        fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file())
    {
        let documents: Vec<serde_json::Value> =
            serde_saphyr::from_multiple(&fs::read_to_string(&entry).unwrap()).unwrap();
        let others: Vec<_> =
            documents.iter().filter(|document| document["apiVersion"] != "waypost.dev/v1alpha1").collect();
        assert!(others.is_empty(), "{}: {others:?}", entry.display());
    }
}
