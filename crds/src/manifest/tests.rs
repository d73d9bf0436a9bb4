use super::*;

fn schema() -> Value {
    routing_strategy().unwrap().pointer("/spec/versions/0/schema/openAPIV3Schema").unwrap().clone()
}

#[test]
fn the_definition_is_small() {
    assert!(plain().unwrap().len() < MAX_BYTES);
}

#[test]
fn nothing_looks_ready_before_it_was_seen() {
    let status = &schema()["properties"]["status"];
    let waiting = json!([{
        "type": "Ready", "status": "Unknown", "reason": "Pending",
        "message": "Waiting for the Waypost operator", "lastTransitionTime": "1970-01-01T00:00:00Z",
    }]);
    assert_eq!(status["default"], json!({"observedGeneration": -1, "conditions": waiting}));
    assert_eq!(status["properties"]["conditions"]["default"], waiting);
    assert_eq!(status["properties"]["observedGeneration"]["default"], json!(-1));
}

/// Tools that merge on their side see a list as one value.
#[test]
fn no_default_lies_inside_of_a_list() {
    fn find(path: &str, schema: &Value, in_list: bool, found: &mut Vec<String>) {
        if in_list && schema.get("default").is_some() {
            found.push(path.to_owned());
        }
        for (name, field) in schema["properties"].as_object().into_iter().flatten() {
            find(&format!("{path}.{name}"), field, in_list, found);
        }
        for (name, in_list) in [("items", true), ("additionalProperties", in_list)] {
            if schema[name].is_object() {
                find(&format!("{path}.{name}"), &schema[name], in_list, found);
            }
        }
    }
    let mut found = Vec::new();
    find("spec", &schema()["properties"]["spec"], false, &mut found);
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn free_form_fields_and_lists_are_atomic() {
    let schema = schema();
    let routing = &schema["properties"]["spec"]["properties"]["routing"]["properties"];
    for list in ["plugins", "schedulingProfiles"] {
        assert_eq!(routing[list]["x-kubernetes-list-type"], json!("atomic"), "{list}");
    }
    let parameters = &routing["plugins"]["items"]["properties"]["parameters"];
    let template = &schema["properties"]["spec"]["properties"]["picker"]["properties"]["podTemplate"];
    for free in [parameters, template] {
        assert_eq!(free["x-kubernetes-map-type"], json!("atomic"));
        assert_eq!(free["x-kubernetes-preserve-unknown-fields"], json!(true));
    }
}

/// Whatever an author may write freely has a bound that the API server knows.
#[test]
fn what_is_free_in_the_definition_is_bounded() {
    fn unbounded(path: &str, at: &Value, found: &mut Vec<String>) {
        if let Value::Object(fields) = at {
            let free = fields.contains_key("additionalProperties")
                || fields.contains_key("x-kubernetes-preserve-unknown-fields");
            if (free && !fields.contains_key("maxProperties"))
                || (fields.get("type") == Some(&json!("array")) && !fields.contains_key("maxItems"))
            {
                found.push(path.to_owned());
            }
            for (name, field) in fields {
                unbounded(&format!("{path}/{name}"), field, found);
            }
        }
    }
    let mut found = Vec::new();
    unbounded("", &schema()["properties"]["spec"]["properties"], &mut found);
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn a_selector_has_operators_that_exist() {
    let schema = schema();
    let claim = &schema["properties"]["spec"]["properties"]["pools"]["items"]["properties"];
    assert_eq!(claim["selector"]["x-kubernetes-map-type"], json!("atomic"));
    let requirements = &claim["selector"]["properties"]["matchExpressions"];
    assert_eq!(requirements["maxItems"], json!(32));
    let requirement = &requirements["items"];
    assert_eq!(
        requirement["properties"]["operator"]["enum"],
        json!(["In", "NotIn", "Exists", "DoesNotExist"])
    );
    assert_eq!(requirement["x-kubernetes-validations"][0]["fieldPath"], json!(".values"));
}

/// A revision is the hash of the stored routing, so a default inside it would change revisions when the
/// definition changes.
#[test]
fn the_routing_has_no_defaults_inside() {
    fn defaults(at: &Value) -> usize {
        match at {
            Value::Object(fields) => {
                usize::from(fields.contains_key("default")) + fields.values().map(defaults).sum::<usize>()
            }
            Value::Array(items) => items.iter().map(defaults).sum(),
            _ => 0,
        }
    }
    let routing = &schema()["properties"]["spec"]["properties"]["routing"];
    assert_eq!(defaults(&routing["properties"]), 0);
    assert_eq!(routing["default"], picker_core::compile::default_routing());
}

#[test]
fn every_field_is_described() {
    fn bare(path: &str, at: &Value, found: &mut Vec<String>) {
        let Some(fields) = at["properties"].as_object() else { return };
        for (name, field) in fields {
            let path = format!("{path}.{name}");
            if field["description"].as_str().is_none_or(str::is_empty) {
                found.push(path.clone());
            }
            bare(&path, field, found);
            bare(&format!("{path}[]"), &field["items"], found);
            bare(&format!("{path}{{}}"), &field["additionalProperties"], found);
        }
    }
    let (schema, mut found) = (schema(), Vec::new());
    for part in ["spec", "status"] {
        bare(part, &schema["properties"][part], &mut found);
    }
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn the_template_is_the_definition_when_rendered() {
    let rendered: String = template()
        .unwrap()
        .lines()
        .filter(|line| !line.starts_with("{{"))
        .map(|line| format!("{line}\n"))
        .collect();
    let rendered: Value = serde_saphyr::from_str(&rendered).unwrap();
    let mut wanted = routing_strategy().unwrap();
    wanted["metadata"]["annotations"] = json!({"helm.sh/resource-policy": "keep"});
    assert_eq!(rendered, wanted);
}
