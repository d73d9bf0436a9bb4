//! The kinds of the objects that the operator makes, as rows of one table.

use k8s_openapi::api::apps::v1::{ControllerRevision, Deployment};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::{Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::rbac::v1::{ClusterRoleBinding, Role, RoleBinding};
use kube::Resource;
use kube::core::{ApiResource, DynamicObject};
use serde::Serialize;

/// A kind of object that a strategy owns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Identity of the pickers.
    ServiceAccount,
    /// Rights of the pickers.
    Role,
    /// Gives the Role to the ServiceAccount.
    RoleBinding,
    /// The address of the pickers, which a pool refers to.
    Service,
    /// Says who may reach the pickers. There before them, and gone after them.
    NetworkPolicy,
    /// The pickers.
    Deployment,
    /// Keeps all but one of several pickers during drains.
    PodDisruptionBudget,
    /// Scales the pickers.
    HorizontalPodAutoscaler,
    /// A slot of the history, with an accepted routing.
    ControllerRevision,
    /// Lets the pickers of a strategy ask who reads their metrics. Of the cluster, so that nothing in a
    /// namespace can own it.
    ClusterRoleBinding,
    /// Tells the Prometheus operator of the pickers. May not be installed.
    ServiceMonitor,
}

/// Where the objects of a kind live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// In a namespace.
    Namespace,
    /// In the cluster: nothing in a namespace can own them.
    Cluster,
}

/// What is to be known of a kind.
#[derive(Clone, Copy, Debug)]
struct Row {
    kind: Kind,
    resource: fn() -> ApiResource,
    scope: Scope,
    /// Whether it may not be installed.
    optional: bool,
    /// Whether each picker workload has an object of it.
    of_a_workload: bool,
}

/// All kinds. What is named by others comes before these.
const TABLE: [Row; 11] = [
    row(Kind::ServiceAccount, of::<ServiceAccount>),
    row(Kind::Role, of::<Role>),
    row(Kind::RoleBinding, of::<RoleBinding>),
    row(Kind::Service, of::<Service>),
    row(Kind::NetworkPolicy, of::<NetworkPolicy>),
    row(Kind::Deployment, of::<Deployment>),
    row(Kind::PodDisruptionBudget, of::<PodDisruptionBudget>),
    row(Kind::HorizontalPodAutoscaler, of::<HorizontalPodAutoscaler>),
    Row { of_a_workload: false, ..row(Kind::ControllerRevision, of::<ControllerRevision>) },
    Row {
        scope: Scope::Cluster,
        of_a_workload: false,
        ..row(Kind::ClusterRoleBinding, of::<ClusterRoleBinding>)
    },
    Row { optional: true, ..row(Kind::ServiceMonitor, service_monitor) },
];

const fn row(kind: Kind, resource: fn() -> ApiResource) -> Row {
    Row { kind, resource, scope: Scope::Namespace, optional: false, of_a_workload: true }
}

fn of<K: Resource<DynamicType = ()>>() -> ApiResource {
    ApiResource::erase::<K>(&())
}

fn service_monitor() -> ApiResource {
    ApiResource {
        group: "monitoring.coreos.com".to_owned(),
        version: "v1".to_owned(),
        api_version: "monitoring.coreos.com/v1".to_owned(),
        kind: "ServiceMonitor".to_owned(),
        plural: "servicemonitors".to_owned(),
    }
}

impl Kind {
    /// All of them. What is named by others comes before these.
    pub const ALL: [Self; TABLE.len()] = {
        let mut all = [Self::ServiceAccount; TABLE.len()];
        let mut at = 0;
        while at < TABLE.len() {
            all[at] = TABLE[at].kind;
            at += 1;
        }
        all
    };

    fn row(self) -> &'static Row {
        // The table is in the order of the kinds, which a test holds.
        &TABLE[self as usize]
    }

    /// Group, version and plural.
    pub fn resource(self) -> ApiResource {
        (self.row().resource)()
    }

    /// Where its objects live.
    pub fn scope(self) -> Scope {
        self.row().scope
    }

    /// Whether it may not be installed.
    pub fn is_optional(self) -> bool {
        self.row().optional
    }

    /// Whether each picker workload has an object of it.
    pub fn is_of_a_workload(self) -> bool {
        self.row().of_a_workload
    }
}

/// An object as the operator applies it, and its kind.
#[derive(Clone, Debug, PartialEq)]
pub struct Object {
    /// Its kind.
    pub kind: Kind,
    /// Its content: exactly the fields that are to be ours.
    pub content: DynamicObject,
}

impl Object {
    /// Takes a typed object.
    ///
    /// # Errors
    /// None in practice: the types of this program all serialise.
    pub fn new(kind: Kind, typed: &impl Serialize) -> Result<Self, serde_json::Error> {
        Ok(Self { kind, content: serde_json::from_value(serde_json::to_value(typed)?)? })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.content.metadata.name.as_deref().unwrap_or_default()
    }

    /// Its namespace.
    pub fn namespace(&self) -> &str {
        self.content.metadata.namespace.as_deref().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_own_row() {
        for (at, kind) in Kind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, at);
            assert_eq!(kind.resource().kind, format!("{kind:?}"));
        }
    }
}
