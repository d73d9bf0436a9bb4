use std::collections::BTreeMap;

use proptest::prelude::*;
use prost::Message;
use prost_types::{ListValue, Struct, Value, value::Kind};

use super::*;
use crate::build::{fields, namespace, string};

/// A value as it was read.
#[derive(Debug, PartialEq)]
enum Read {
    Text(String),
    List(Vec<Read>),
    Other,
}

fn read(value: MetadataValue<'_>) -> Read {
    match value {
        MetadataValue::Text(text) => Read::Text(text.to_owned()),
        MetadataValue::List(list) => Read::List(list.values().map(read).collect()),
        MetadataValue::Other => Read::Other,
    }
}

/// A value as prost decodes it.
fn expected(value: &Value) -> Read {
    match &value.kind {
        Some(Kind::StringValue(text)) => Read::Text(text.clone()),
        Some(Kind::ListValue(list)) => Read::List(list.values.iter().map(expected).collect()),
        _ => Read::Other,
    }
}

fn value() -> impl Strategy<Value = Value> {
    let flat = prop_oneof![
        any::<String>().prop_map(Kind::StringValue),
        any::<f64>().prop_map(Kind::NumberValue),
        any::<bool>().prop_map(Kind::BoolValue),
        Just(Kind::NullValue(0)),
    ];
    let flat = proptest::option::of(flat).prop_map(|kind| Value { kind });
    flat.prop_recursive(4, 64, 8, |inner| {
        let list = proptest::collection::vec(inner.clone(), 0..8);
        let map = proptest::collection::btree_map("[a-c]?", inner, 0..4);
        prop_oneof![
            list.prop_map(|values| Kind::ListValue(ListValue { values })),
            map.prop_map(|fields| Kind::StructValue(Struct { fields })),
        ]
        .prop_map(|kind| Value { kind: Some(kind) })
    })
}

fn spaces() -> impl Strategy<Value = BTreeMap<String, Struct>> {
    let space = proptest::collection::btree_map("[a-c]?", value(), 0..4);
    let space = space.prop_map(|fields| Struct { fields });
    proptest::collection::btree_map("[x-z]?", space, 0..4)
}

proptest! {
    #[test]
    fn values_are_those_that_prost_decodes(spaces in spaces()) {
        let all = spaces.iter().map(|(name, fields)| namespace(name.clone(), fields));
        let metadata = Metadata { filter_metadata: all.flat_map(|one| one.filter_metadata).collect() };
        for name in ["", "x", "y", "z"] {
            for key in ["", "a", "b", "c"] {
                let value = spaces.get(name).and_then(|space| space.fields.get(key));
                prop_assert_eq!(metadata.get(name, key).map(read), value.map(expected));
            }
        }
    }

    #[test]
    fn what_is_no_struct_is_read_to_where_it_is_none(bytes: Vec<u8>, cut in 0..40_usize) {
        let list = Kind::ListValue(ListValue { values: vec![string("v"), string("w")] });
        let mut whole = fields([("k", Value { kind: Some(list) })]).encode_to_vec();
        whole.splice(whole.len().min(cut).., bytes);
        let mut metadata = namespace("ns", &Struct::default());
        metadata.filter_metadata[0].fields = whole.clone().into();
        let seen = metadata.get("ns", "k").map(read);
        // What prost would write, it reads the same.
        if let Ok(decoded) = Struct::decode(&whole[..])
            && decoded.encode_to_vec() == whole
        {
            prop_assert_eq!(seen, decoded.fields.get("k").map(expected));
        }
    }
}

#[test]
fn the_last_of_several_counts() {
    let one = |text| fields([("k", string(text))]);
    let mut metadata = namespace("ns", &one("1"));
    metadata.filter_metadata[0].fields = [one("1"), one("2")].map(|one| one.encode_to_vec()).concat().into();
    assert_eq!(metadata.get_str("ns", "k"), Some("2"));
    metadata.filter_metadata.extend(namespace("ns", &one("3")).filter_metadata);
    assert_eq!((metadata.get_str("ns", "k"), metadata.get_str("ns", "l")), (Some("3"), None));
}

#[test]
fn fields_of_other_kinds_are_skipped() {
    // A number, a group of two fields, 32 and 64 bits, and an entry.
    let entry = fields([("k", string("v"))]).encode_to_vec();
    let before = b"\x08\x01\x13\x08\x01\x0a\x01x\x14\x1d\0\0\0\0\x21\0\0\0\0\0\0\0\0";
    let mut metadata = namespace("ns", &Struct::default());
    metadata.filter_metadata[0].fields = [&before[..], &entry].concat().into();
    assert_eq!(metadata.get_str("ns", "k"), Some("v"));
}
