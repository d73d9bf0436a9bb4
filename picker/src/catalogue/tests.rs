use super::*;

fn listed(types: &[&str], output: Output) -> (u8, String) {
    let mut out = Vec::new();
    let types: Vec<_> = types.iter().map(|name| (*name).to_owned()).collect();
    let code = run(&types, output, &mut out);
    (code, String::from_utf8(out).unwrap())
}

#[test]
fn a_plugin_with_its_parameters() {
    let (code, out) = listed(&["file-discovery"], Output::Text);
    assert_eq!(code, 0);
    insta::assert_snapshot!(out, @r#"
        file-discovery (discovery; beta; llm-d Router)
            Takes the endpoints from a file. Named in dataLayer.discovery of a configuration file.
            - path: string, required
                Path of a YAML or JSON file with a list `endpoints` of `{name, namespace, address, port, labels}`.
            - watchFile: boolean, default false
                Whether changes of the file take effect while the picker runs.
    "#);
}

#[test]
fn all_plugins_in_both_forms() {
    let (_, text) = listed(&[], Output::Text);
    let (_, json) = listed(&[], Output::Json);
    let json: Vec<Value> = serde_json::from_str(&json).unwrap();
    let types: Vec<_> = json.iter().map(|plugin| plugin["type"].as_str().unwrap()).collect();
    assert_eq!(types, builtin().types().collect::<Vec<_>>());
    for name in types {
        assert!(text.contains(&format!("{name} (")), "{name}");
    }
    assert!(json.iter().all(|plugin| plugin["parameters"].is_object()));
}

#[test]
fn an_unknown_type_is_an_error() {
    let (code, out) = listed(&["nope"], Output::Text);
    assert_eq!(code, 2);
    assert!(out.starts_with("there is no plugin type \"nope\"; there are: "), "{out}");
}

#[test]
fn the_page_of_the_documentation_is_this_one() {
    let (_, page) = listed(&[], Output::Markdown);
    for name in builtin().types().collect::<Vec<_>>() {
        assert!(page.contains(&format!("### `{name}`")), "{name} is in no section");
    }
    let kept = include_str!("../../../docs/plugins.md");
    assert!(
        kept == page,
        "docs/plugins.md is old: cargo run -p picker -- plugins -o markdown > docs/plugins.md"
    );
}
