//! Whatever text is given for a configuration: it is refused with errors, or it compiles, and then it
//! compiles again from its canonical form, to the same revision.

#![no_main]

use libfuzzer_sys::fuzz_target;
use picker_core::compile::{compile, read_document};
use picker_core::config::{Scope, revision};
use picker_core::store::StateStore;

fuzz_target!(|text: &str| {
    let routing = match read_document(text) {
        Ok(document) => document.routing,
        Err(errors) => return assert!(!errors.0.is_empty()),
    };
    for scope in [Scope::File, Scope::Resource] {
        match compile(&routing, scope, &StateStore::default()) {
            Err(errors) => assert!(!errors.0.is_empty()),
            Ok(compiled) => {
                let stored = serde_json::from_str(&routing.to_string()).expect("JSON");
                let again = compile(&stored, scope, &StateStore::default()).expect("compiles again");
                assert_eq!(compiled.strategy.revision, again.strategy.revision);
                assert_eq!(*compiled.strategy.revision, *revision(&stored));
            }
        }
    }
});
