//! The NetworkPolicy of a picker workload: who may call its pickers.

use crds::{NetworkPolicy, Peer};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use serde_json::{Value, json};

use super::input::{EXT_PROC_PORT, HEALTH_PORT, Input, METRICS_PORT};
use super::overlay::OverlayError;
use crate::kinds::{Kind, Object};
use crate::names;

/// Longest prefix of a label's key.
const LONGEST_PREFIX: usize = 253;
/// Longest value of a label, and longest key without its prefix.
const LONGEST_NAME: usize = 63;

/// The NetworkPolicy of a pool's pickers.
///
/// # Errors
/// When the API server would refuse it, or it would keep everybody out.
pub(super) fn build(input: &Input<'_>, policy: &NetworkPolicy) -> Result<Object, OverlayError> {
    if policy.gateways.is_empty() {
        return Err(wrong(
            "gateways".to_owned(),
            "name at least one; without any, no request reaches a picker",
        ));
    }
    let rule = |peers: Vec<Value>, ports: &[u16]| {
        let ports: Vec<_> = ports.iter().map(|port| json!({"port": port, "protocol": "TCP"})).collect();
        json!({"from": peers, "ports": ports})
    };
    // ext_proc, and the health of pickers for gateways that ask for it.
    let mut ingress = vec![rule(peers("gateways", &policy.gateways)?, &[EXT_PROC_PORT, HEALTH_PORT])];
    let readers = peers("metrics", policy.metrics.as_deref().unwrap_or_default())?;
    // A rule without peers would let everybody in.
    if !readers.is_empty() {
        ingress.push(rule(readers, &[METRICS_PORT]));
    }
    let spec = json!({
        // As the Deployment: no pod template changes these labels, and pods that an earlier release made have them.
        "podSelector": {"matchLabels": names::selector(input.name)},
        "policyTypes": ["Ingress"],
        "ingress": ingress,
    });
    Ok(input.object(Kind::NetworkPolicy, json!({"spec": spec}))?)
}

fn wrong(path: String, why: impl Into<String>) -> OverlayError {
    OverlayError::Peer { path, why: why.into() }
}

/// The peers of `field`, which have the form of those of a NetworkPolicy.
fn peers(field: &str, peers: &[Peer]) -> Result<Vec<Value>, OverlayError> {
    let checked = |(at, peer): (usize, &Peer)| {
        let path = format!("{field}[{at}]");
        if peer.namespace_selector.is_none() && peer.pod_selector.is_none() {
            return Err(wrong(path, "give namespaceSelector, podSelector or both"));
        }
        for (name, selector) in
            [("namespaceSelector", &peer.namespace_selector), ("podSelector", &peer.pod_selector)]
        {
            if let Some(selector) = selector {
                check(selector).map_err(|(at, why)| wrong(format!("{path}.{name}.{at}"), why))?;
            }
        }
        Ok(serde_json::to_value(peer)?)
    };
    peers.iter().enumerate().map(checked).collect()
}

/// What the API server would refuse of a selector, and where in it.
fn check(selector: &LabelSelector) -> Result<(), (String, String)> {
    let key = |at: &str, key: &str| match is_key(key) {
        true => Ok(()),
        false => Err((at.to_owned(), format!("{key:?} can't be the key of a label"))),
    };
    let value = |at: &str, value: &str| match value.is_empty() || is_name(value) {
        true => Ok(()),
        false => Err((at.to_owned(), format!("{value:?} can't be the value of a label"))),
    };
    for (label, of) in selector.match_labels.iter().flatten() {
        key("matchLabels", label)?;
        value(&format!("matchLabels[{label}]"), of)?;
    }
    for (at, requirement) in selector.match_expressions.iter().flatten().enumerate() {
        let path = format!("matchExpressions[{at}]");
        key(&format!("{path}.key"), &requirement.key)?;
        let values = requirement.values.as_deref().unwrap_or_default();
        match (requirement.operator.as_str(), values.is_empty()) {
            ("In" | "NotIn", false) | ("Exists" | "DoesNotExist", true) => {}
            _ => {
                let why = "operator is In or NotIn with values, or Exists or DoesNotExist without any";
                return Err((path, why.to_owned()));
            }
        }
        for (index, one) in values.iter().enumerate() {
            value(&format!("{path}.values[{index}]"), one)?;
        }
    }
    Ok(())
}

/// Whether a label can have this key: a name, or a DNS name, a slash and a name.
fn is_key(key: &str) -> bool {
    let Some((prefix, name)) = key.split_once('/') else { return is_name(key) };
    let part = |part: &str| {
        let legal = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
        !part.is_empty() && !part.starts_with('-') && !part.ends_with('-') && part.bytes().all(legal)
    };
    is_name(name) && prefix.len() <= LONGEST_PREFIX && prefix.split('.').all(part)
}

/// Whether this is a value of a label that is not empty, or a key without a prefix.
fn is_name(name: &str) -> bool {
    let end = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    name.len() <= LONGEST_NAME
        && end(name.chars().next())
        && end(name.chars().last())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
}

#[cfg(test)]
mod tests;
