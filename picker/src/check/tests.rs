use super::*;

fn check(text: &str) -> (u8, String) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("f.yaml");
    std::fs::write(&file, text).unwrap();
    let mut out = Vec::new();
    let code = run(&[file], &mut out);
    let prefix = format!("{}/f.yaml: ", dir.path().display());
    (code, String::from_utf8(out).unwrap().replace(&prefix, ""))
}

#[test]
fn good_ones_of_every_kind() {
    let text = "
apiVersion: waypost.dev/v1alpha1
kind: RoutingStrategy
metadata: {name: chat}
spec: {pools: [{name: a}]}
---
apiVersion: v1
kind: Service
metadata: {name: chat}
---
apiVersion: llm-d.ai/v1alpha1
kind: EndpointPickerConfig
plugins: [{type: random-picker}]
---
apiVersion: v1
kind: ConfigMap
metadata: {name: plugins}
data:
  readme: hello
  config.yaml: |
    apiVersion: inference.networking.x-k8s.io/v1alpha1
    kind: EndpointPickerConfig
    plugins: [{type: random-picker}]
";
    let (code, out) = check(text);
    assert_eq!(code, GOOD, "{out}");
    insta::assert_snapshot!(out, @r#"
        RoutingStrategy chat: ok, revision efecb7c6c0bcdf20
        EndpointPickerConfig: ok, revision 02218142a6e98e37
        ConfigMap plugins, config.yaml: ok, revision 02218142a6e98e37
    "#);
}

#[test]
fn every_error_has_its_field() {
    let text = "
apiVersion: waypost.dev/v1alpha1
kind: RoutingStrategy
metadata: {name: chat}
spec:
  routing:
    plugins: [{type: queue-scorer}, {type: nope}]
    schedulingProfiles: [{name: default, plugins: [{pluginRef: gone}]}]
---
apiVersion: llm-d.ai/v1alpha1
kind: EndpointPickerConfig
surprise: 1
";
    let (code, out) = check(text);
    assert_eq!(code, BAD);
    let fields: Vec<_> =
        out.lines().map(|line| line.split(": ").take(2).collect::<Vec<_>>().join(": ")).collect();
    assert_eq!(
        fields,
        [
            "RoutingStrategy chat: spec.routing.plugins[1].type",
            "RoutingStrategy chat: spec.routing.schedulingProfiles[0].plugins[0].pluginRef",
            "EndpointPickerConfig: surprise",
        ]
    );
}

#[test]
fn what_cannot_be_checked_is_another_code() {
    let (code, out) = check("kind: Service");
    assert_eq!((code, out.as_str()), (UNUSABLE, "holds no EndpointPickerConfig and no RoutingStrategy\n"));
    let mut out = Vec::new();
    assert_eq!(run(&["/no/such/file".into()], &mut out), UNUSABLE);
    assert!(String::from_utf8(out).unwrap().starts_with("/no/such/file: cannot be read: "));
    let (code, out) = check("a: [");
    assert_eq!(code, BAD, "{out}");
}

#[test]
fn configs_in_a_config_map_are_found_however_they_are_written() {
    let text = r#"
apiVersion: v1
kind: ConfigMap
metadata: {name: plugins}
data:
  quoted: |
    apiVersion: llm-d.ai/v1alpha1
    "kind": "EndpointPickerConfig"
    plugins: [{type: nope}]
  json: '{"apiVersion": "llm-d.ai/v1alpha1", "kind": "EndpointPickerConfig"}'
  kindless: |
    apiVersion: llm-d.ai/v1alpha1
  broken: |
    kind:   EndpointPickerConfig
    plugins: [
  prose: holds an EndpointPickerConfig
  service: |
    kind: Service
    metadata: {name: EndpointPickerConfig}
"#;
    let (code, out) = check(text);
    let subjects: Vec<_> =
        out.lines().map(|line| line.split(": ").take(2).collect::<Vec<_>>().join(": ")).collect();
    assert_eq!(
        (code, subjects),
        (
            BAD,
            [
                "ConfigMap plugins, quoted: plugins[0].type",
                "ConfigMap plugins, json: ok, revision 1349cde127705c16",
                "ConfigMap plugins, kindless: kind",
                "ConfigMap plugins, broken: no YAML",
            ]
            .map(str::to_owned)
            .into()
        )
    );
}
