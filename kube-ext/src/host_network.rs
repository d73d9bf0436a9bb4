//! Pods in the network of their node (`hostNetwork`), which share its address: which port belongs to which of them.
//!
//! A pool's ports are those of each of its pods. Two of its pods on one node have one address, so each port of it is that
//! of one pod alone: the one that declares it as a `containerPort`, or by an annotation.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

use serde::Deserialize;

/// Annotations that limit a pod to some of its pool's ports, `"8000,8001"`.
pub const ACTIVE_PORTS: [&str; 2] = ["inference.networking.k8s.io/active-ports", "llm-d.ai/active-ports"];

/// The ports that the annotations of a pod limit it to; `None` without such an annotation.
pub fn active_ports(annotations: &BTreeMap<String, String>) -> Option<BTreeSet<u16>> {
    let list = ACTIVE_PORTS.iter().find_map(|name| annotations.get(*name))?;
    Some(list.split(',').filter_map(|port| port.trim().parse().ok()).collect())
}

/// Whether a pod in this phase runs no more, and so holds no port.
pub fn has_ended(phase: &str) -> bool {
    matches!(phase, "Succeeded" | "Failed")
}

/// The part of a pod's `spec` that tells its network and its ports.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodNetwork {
    host_network: Option<bool>,
    containers: Option<Vec<Container>>,
    /// Sidecars are among them.
    init_containers: Option<Vec<Container>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Container {
    ports: Option<Vec<Port>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Port {
    container_port: Option<u16>,
}

/// A pod in the network of its node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPod {
    /// The address of the node.
    pub address: IpAddr,
    /// The ports that are its own by what it says; empty when it says nothing.
    pub declared: BTreeSet<u16>,
}

/// A pool's pods in the network of a node, by the address that they share.
#[derive(Debug)]
pub struct HostPods<'p> {
    ports: &'p [u16],
    nodes: HashMap<IpAddr, Node>,
}

/// The pods at one address.
#[derive(Debug, Default)]
struct Node {
    pods: usize,
    /// How many of them declare none of the pool's ports.
    silent: usize,
    /// The pool's ports that any of them declares.
    declared: BTreeSet<u16>,
}

/// The ports of a pool that belong to one pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnPorts {
    /// The ports.
    pub ports: Vec<u16>,
    /// Whether others at the address may own them as well, because none of them says which are its own.
    pub unclear: bool,
}

impl HostPod {
    /// The pod with `network` at `address`, and with what [`active_ports`] says of it; `None` for one with an address of
    /// its own.
    pub fn of(network: &PodNetwork, address: IpAddr, active: Option<&BTreeSet<u16>>) -> Option<Self> {
        if network.host_network != Some(true) {
            return None;
        }
        let containers = network.containers.iter().chain(&network.init_containers).flatten();
        let ports = containers.flat_map(|container| container.ports.iter().flatten());
        let declared = match active {
            Some(active) => active.clone(),
            None => ports.filter_map(|port| port.container_port).collect(),
        };
        Some(Self { address, declared })
    }

    /// Those of `ports` that it declares.
    fn own(&self, ports: &[u16]) -> Vec<u16> {
        ports.iter().copied().filter(|port| self.declared.contains(port)).collect()
    }
}

impl<'p> HostPods<'p> {
    /// All `pods` of a pool with these `ports` that are in the network of a node.
    pub fn new<'a>(pods: impl IntoIterator<Item = &'a HostPod>, ports: &'p [u16]) -> Self {
        let mut nodes: HashMap<IpAddr, Node> = HashMap::new();
        for pod in pods {
            let (node, own) = (nodes.entry(pod.address).or_default(), pod.own(ports));
            node.pods += 1;
            node.silent += usize::from(own.is_empty());
            node.declared.extend(own);
        }
        Self { ports, nodes }
    }

    /// Which of the pool's ports are those of `pod`, which is one of them.
    pub fn own_ports(&self, pod: &HostPod) -> OwnPorts {
        let ports = |ports| OwnPorts { ports, unclear: false };
        let Some(node) = self.nodes.get(&pod.address).filter(|node| node.pods > 1) else {
            return ports(self.ports.to_vec());
        };
        let own = pod.own(self.ports);
        if !own.is_empty() {
            return ports(own);
        }
        let left: Vec<u16> =
            self.ports.iter().copied().filter(|port| !node.declared.contains(port)).collect();
        // It is silent itself.
        OwnPorts { unclear: !left.is_empty() && node.silent > 1, ports: left }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const PORTS: [u16; 2] = [8000, 8001];

    fn pod(address: &str, declared: &[u16]) -> HostPod {
        HostPod { address: address.parse().unwrap(), declared: declared.iter().copied().collect() }
    }

    fn own(pod: &HostPod, others: &[HostPod]) -> (Vec<u16>, bool) {
        let OwnPorts { ports, unclear } = HostPods::new(others.iter().chain([pod]), &PORTS).own_ports(pod);
        (ports, unclear)
    }

    #[test]
    fn a_port_is_that_of_the_pod_that_declares_it() {
        let (a, b, silent) =
            (pod("10.0.0.1", &[8000]), pod("10.0.0.1", &[8001, 9000]), pod("10.0.0.1", &[9000]));
        let elsewhere = pod("10.0.0.2", &[8000]);
        assert_eq!(own(&a, &[b.clone(), elsewhere.clone()]), (vec![8000], false));
        assert_eq!(own(&b, &[a.clone(), elsewhere.clone()]), (vec![8001], false));
        // What is left over belongs to the one that says nothing.
        assert_eq!(own(&silent, std::slice::from_ref(&a)), (vec![8001], false));
        assert_eq!(own(&silent, &[a.clone(), b.clone()]), (vec![], false));
        // Several ranks in one pod need not be declared.
        assert_eq!(own(&a, &[elsewhere]), (vec![8000, 8001], false));
        assert_eq!(own(&silent, &[]), (vec![8000, 8001], false));
    }

    #[test]
    fn where_nobody_says_anything_it_is_unclear() {
        let (a, silent) = (pod("10.0.0.1", &[8000]), pod("10.0.0.1", &[]));
        assert_eq!(own(&silent, std::slice::from_ref(&silent)), (vec![8000, 8001], true));
        assert_eq!(own(&silent, &[a, silent.clone()]), (vec![8001], true));
    }

    #[test]
    fn what_a_pod_says_is_in_its_containers_and_its_annotations() {
        let read = |spec: Value, annotations: Value| {
            let network: PodNetwork = serde_json::from_str(&spec.to_string()).unwrap();
            let annotations: BTreeMap<String, String> = serde_json::from_value(annotations).unwrap();
            let active = active_ports(&annotations);
            HostPod::of(&network, "10.0.0.1".parse().unwrap(), active.as_ref())
                .map(|pod| pod.declared.into_iter().collect::<Vec<_>>())
        };
        let spec = json!({
            "hostNetwork": true,
            "containers": [{"name": "a"}, {"ports": [{"containerPort": 8001, "name": "x"}, {"hostPort": 1}]}],
            "initContainers": [{"ports": [{"containerPort": 8000}]}],
            "volumes": crate::deep(),
        });
        assert_eq!(read(spec.clone(), json!({})), Some(vec![8000, 8001]));
        for name in ACTIVE_PORTS {
            assert_eq!(read(spec.clone(), json!({name: "8003, 8002,x,8003"})), Some(vec![8002, 8003]));
        }
        assert_eq!(read(json!({"containers": []}), json!({})), None);
        assert_eq!(read(json!({"hostNetwork": false}), json!({})), None);
        assert_eq!(read(json!({"hostNetwork": true}), json!({})), Some(vec![]));
    }
}
