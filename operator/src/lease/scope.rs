//! The Leases for what is worked on: of several operators in a cluster, wherever they live, one works on each strategy.
//!
//! The operator for all namespaces holds one Lease, and one that watches a namespace holds another in that namespace,
//! each by the name of its release. Replicas of one release elect their leader among themselves before, by a Lease
//! where they live. In a namespace with an operator of its own, that of all namespaces yields.

/// Name of the Lease in a namespace whose holder alone works on the namespace's strategies.
pub(super) const NAMESPACE_LEASE: &str = "waypost-strategies";
/// Name of the Lease whose holder works on the strategies of all other namespaces.
pub(super) const CLUSTER_LEASE: &str = "waypost-all-strategies";

/// The Lease for one scope: the namespace where it is, and its name.
#[must_use]
pub fn lease_of<'a>(watched: Option<&'a str>, cluster: &'a str) -> (&'a str, &'static str) {
    match watched {
        Some(namespace) => (namespace, NAMESPACE_LEASE),
        None => (cluster, CLUSTER_LEASE),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lease_is_where_the_work_is() {
        assert_eq!(lease_of(Some("llm"), "kube-system"), ("llm", "waypost-strategies"));
        assert_eq!(lease_of(None, "kube-system"), ("kube-system", "waypost-all-strategies"));
    }
}
