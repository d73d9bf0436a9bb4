//! Nobody can give rights beyond their own: what a picker's Role says, the operator's role in the Helm
//! chart must say too.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use crds::{PickerSpec, PoolGroup};
use operator::build::{Defaults, Input, Limits, objects};
use operator::kinds::{Kind, Scope};
use operator::names;
use serde_json::Value;

/// Rules of the operator in the chart: all of them, or those of a Role where it watches some namespaces alone.
fn rules_of_the_chart(of_the_cluster: bool) -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../charts/waypost/templates/rbac.yaml");
    let text = fs::read_to_string(path).unwrap();
    let (_, rules) = text.split_once("{{- define \"waypost.rules\" }}\n").unwrap();
    let (rules, _) = rules.split_once("\n---\n").unwrap();
    let mut plain = String::new();
    let mut left_out = false;
    for line in rules.lines() {
        match line {
            "{{- if not .Values.watchNamespaces }}" => left_out = !of_the_cluster,
            "{{- if .Values.watchNamespaces }}" => left_out = of_the_cluster,
            "{{- else }}" => left_out = !left_out,
            "{{- end }}" => left_out = false,
            line if !left_out && !line.contains("{{") => plain += &format!("{line}\n"),
            _ => {}
        }
    }
    let role: Value = serde_saphyr::from_str(&plain).unwrap();
    role["rules"].as_array().unwrap().clone()
}

fn operator_rules() -> Vec<Value> {
    rules_of_the_chart(true)
}

fn strings(rule: &Value, field: &str) -> Vec<String> {
    let items = rule[field].as_array().cloned().unwrap_or_default();
    items.iter().map(|item| item.as_str().unwrap().to_owned()).collect()
}

/// Whether one of `rules` without resourceNames gives this right.
fn given(rules: &[Value], group: &str, resource: &str, verb: &str) -> bool {
    let has = |rule: &Value, field: &str, item: &str| strings(rule, field).iter().any(|i| i == item);
    rules.iter().any(|rule| {
        has(rule, "apiGroups", group)
            && has(rule, "resources", resource)
            && has(rule, "verbs", verb)
            && rule.get("resourceNames").is_none()
    })
}

#[test]
fn the_operator_holds_what_it_gives() {
    let rules = operator_rules();
    let defaults = Defaults {
        image: "x".to_owned(),
        version: "1".to_owned(),
        allow_unsafe_pod_templates: false,
        limits: Limits::default(),
    };
    let picker = PickerSpec::default();
    let mut missing = Vec::new();
    for group in PoolGroup::ALL {
        let name = names::picker(group, "qwen");
        let input = Input {
            strategy: "chat",
            uid: "u",
            made_for: ("chat", "u"),
            namespace: "llm",
            pool: "qwen",
            group,
            name: &name,
            picker: &picker,
            defaults: &defaults,
        };
        let objects = objects(&input).unwrap();
        let role = objects.iter().find(|object| object.kind == Kind::Role).unwrap();
        for rule in role.content.data["rules"].as_array().unwrap() {
            for group in strings(rule, "apiGroups") {
                for resource in strings(rule, "resources") {
                    for verb in strings(rule, "verbs") {
                        if !given(&rules, &group, &resource, &verb) {
                            missing.push(format!("{verb} {resource}.{group}"));
                        }
                    }
                }
            }
        }
    }
    assert_eq!(missing, Vec::<String>::new());
}

#[test]
fn the_operator_may_write_every_kind_that_it_makes() {
    let rules = operator_rules();
    for kind in Kind::ALL {
        let resource = kind.resource();
        for verb in ["get", "list", "watch", "create", "patch", "delete"] {
            assert!(given(&rules, &resource.group, &resource.plural, verb), "{verb} {}", resource.plural);
        }
    }
}

/// What a Role can give: it may name nothing of the cluster.
#[test]
fn in_some_namespaces_the_rights_are_those_of_namespaces() {
    let rules = rules_of_the_chart(false);
    for kind in Kind::ALL {
        let resource = kind.resource();
        for verb in ["get", "list", "watch", "create", "patch", "delete"] {
            let is_given = given(&rules, &resource.group, &resource.plural, verb);
            assert_eq!(is_given, kind.scope() == Scope::Namespace, "{verb} {}", resource.plural);
        }
    }
    let of_the_cluster = ["customresourcedefinitions", "clusterroles", "clusterrolebindings"];
    assert!(rules.iter().all(|rule| {
        strings(rule, "resources").iter().all(|resource| !of_the_cluster.contains(&resource.as_str()))
    }));
}

/// Where it is one of several, the Lease of a namespace tells who works there: who watches that namespace alone holds it, and
/// who watches all of them yields.
#[test]
fn the_operator_may_hold_or_mark_the_lease_of_a_namespace() {
    let leases = |of_the_cluster: bool| -> Vec<(Vec<String>, Vec<String>)> {
        let rules = rules_of_the_chart(of_the_cluster).into_iter();
        let of_leases = rules.filter(|rule| strings(rule, "resources") == ["leases"]);
        of_leases.map(|rule| (strings(&rule, "resourceNames"), strings(&rule, "verbs"))).collect()
    };
    let rule = |name: &[&str], verbs: &[&str]| {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        (owned(name), owned(verbs))
    };
    let name = ["waypost-strategies"];
    assert_eq!(leases(true), [rule(&name, &["get", "list", "watch", "update"])]);
    assert_eq!(leases(false), [rule(&[], &["create"]), rule(&name, &["get", "update"])]);
}

/// And looks at the addresses of Services, no more than that.
#[test]
fn the_operator_sees_addresses() {
    let about = |rule: &Value| strings(rule, "resources").iter().any(|resource| resource == "endpointslices");
    let rules: Vec<Value> = operator_rules().into_iter().filter(about).collect();
    assert_eq!(
        rules,
        [serde_json::json!({
            "apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list", "watch"],
        })]
    );
}

#[test]
fn nobody_reads_secrets() {
    let rules = operator_rules();
    assert!(rules.iter().all(|rule| {
        let resources = strings(rule, "resources");
        !resources.iter().any(|r| r == "secrets" || r == "*")
            && !strings(rule, "verbs").iter().any(|verb| verb == "*")
    }));
}

/// The one right that it gives without holding it, and the one way to do so.
#[test]
fn it_binds_one_cluster_role_and_gives_nothing_else_away() {
    let powerful = |rule: &Value| {
        let verbs = strings(rule, "verbs");
        ["bind", "escalate", "impersonate"].iter().any(|verb| verbs.iter().any(|v| v == verb))
    };
    let rules: Vec<Value> = operator_rules().into_iter().filter(powerful).collect();
    let binding = operator::build::auth::binding("llm", "chat", "1", &["qwen-picker"]).unwrap();
    let role = &binding.content.data["roleRef"]["name"];
    assert_eq!(
        rules,
        [serde_json::json!({
            "apiGroups": ["rbac.authorization.k8s.io"], "resources": ["clusterroles"],
            "resourceNames": [role], "verbs": ["bind"],
        })]
    );
}

/// Every kind that may come later is looked for.
#[test]
fn the_operator_sees_which_kinds_are_installed() {
    let rules = operator_rules();
    let seen = rules.iter().find(|rule| strings(rule, "resources") == ["customresourcedefinitions"]).unwrap();
    let mut wanted: Vec<String> =
        PoolGroup::ALL.iter().map(|group| format!("inferencepools.{}", group.group())).collect();
    wanted.extend(Kind::ALL.into_iter().filter(|kind| kind.is_optional()).map(|kind| {
        let resource = kind.resource();
        format!("{}.{}", resource.plural, resource.group)
    }));
    assert_eq!(strings(seen, "resourceNames"), wanted);
}
