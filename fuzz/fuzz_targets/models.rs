//! Whatever a server answers for its models: what is read is in the text, no more than may be, and does not depend on the
//! chunks in which it comes.

#![no_main]

use std::collections::BTreeMap;

use libfuzzer_sys::fuzz_target;
use scrape::models::{ModelsReader, Unreadable, parse};
use serde_json::Value;

/// The picker's own module, without the rest of it, which takes minutes to build.
#[allow(dead_code)]
#[path = "../../picker/src/scrape"]
mod scrape {
    pub mod models;
}

/// The names in a list, each with its parent, as serde_json reads them.
fn names(text: &[u8]) -> Option<BTreeMap<String, Option<String>>> {
    let value: Value = serde_json::from_slice(text).ok()?;
    let none = Vec::new();
    let entries = match value.get("data")? {
        Value::Array(entries) => entries,
        Value::Null => &none,
        _ => return None,
    };
    let text = |value: Option<&Value>| value?.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    let mut names = BTreeMap::new();
    for entry in entries {
        if let Some(id) = text(entry.get("id")) {
            let parent = text(entry.get("parent")).filter(|parent| parent != "None" && parent.len() <= 256);
            names.entry(id).or_insert(parent);
        }
    }
    Some(names)
}

fuzz_target!(|input: &[u8]| {
    let [step, text @ ..] = input else { return };
    let whole = parse(text);
    match (&whole, names(text)) {
        (Ok(models), names) => {
            let found =
                models.iter().map(|model| (model.id.to_string(), model.parent.as_deref().map(str::to_owned)));
            // A number out of range is passed over here, and refused there.
            if let Some(names) = names {
                assert_eq!(found.collect::<BTreeMap<_, _>>(), names);
            }
            assert!(models.iter().count() <= 1024 && models.iter().all(|model| model.id.len() <= 256));
            assert!(models.iter().all(|model| models.has(&model.id)));
        }
        (Err(Unreadable::TooMany), names) => {
            let Some(names) = names else { return };
            assert!(
                names.len() >= 1024 || names.keys().any(|name| name.len() > 256) || text.len() > 1024 * 10
            );
        }
        (Err(Unreadable::NoList), _) => {}
    }
    let mut reader = ModelsReader::default();
    text.chunks(usize::from(*step).max(1)).for_each(|chunk| reader.feed(chunk));
    let read = reader.finish().map(|signals| signals.models);
    assert_eq!(read.as_ref().map(|models| models.as_deref()), whole.as_ref().map(Some));
    // Nothing of one text is left for the next.
    assert_eq!(reader.finish(), Err(Unreadable::NoList));
});
