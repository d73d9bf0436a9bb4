//! The kinds of the objects that the operator makes.

use k8s_openapi::api::apps::v1::{ControllerRevision, Deployment};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::{Service, ServiceAccount};
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
    /// What the pickers may do.
    Role,
    /// Gives the Role to the ServiceAccount.
    RoleBinding,
    /// What a pool refers to.
    Service,
    /// The pickers.
    Deployment,
    /// Keeps all but one of several pickers during drains.
    PodDisruptionBudget,
    /// Scales the pickers.
    HorizontalPodAutoscaler,
    /// An accepted routing.
    ControllerRevision,
    /// Lets the pickers of a strategy ask who reads their metrics. Of the cluster, so that nothing in a
    /// namespace can own it.
    ClusterRoleBinding,
    /// Tells the Prometheus operator of the pickers. May not be installed.
    ServiceMonitor,
}

impl Kind {
    /// All of them. What is named by others comes before these.
    pub const ALL: [Self; 10] = [
        Self::ServiceAccount,
        Self::Role,
        Self::RoleBinding,
        Self::Service,
        Self::Deployment,
        Self::PodDisruptionBudget,
        Self::HorizontalPodAutoscaler,
        Self::ControllerRevision,
        Self::ClusterRoleBinding,
        Self::ServiceMonitor,
    ];

    /// Group, version and plural.
    pub fn resource(self) -> ApiResource {
        fn of<K: Resource<DynamicType = ()>>() -> ApiResource {
            ApiResource::erase::<K>(&())
        }
        match self {
            Self::ServiceAccount => of::<ServiceAccount>(),
            Self::Role => of::<Role>(),
            Self::RoleBinding => of::<RoleBinding>(),
            Self::Service => of::<Service>(),
            Self::Deployment => of::<Deployment>(),
            Self::PodDisruptionBudget => of::<PodDisruptionBudget>(),
            Self::HorizontalPodAutoscaler => of::<HorizontalPodAutoscaler>(),
            Self::ControllerRevision => of::<ControllerRevision>(),
            Self::ClusterRoleBinding => of::<ClusterRoleBinding>(),
            Self::ServiceMonitor => ApiResource {
                group: "monitoring.coreos.com".to_owned(),
                version: "v1".to_owned(),
                api_version: "monitoring.coreos.com/v1".to_owned(),
                kind: "ServiceMonitor".to_owned(),
                plural: "servicemonitors".to_owned(),
            },
        }
    }

    /// Whether its objects are in a namespace.
    pub fn is_namespaced(self) -> bool {
        self != Self::ClusterRoleBinding
    }

    /// Whether it may not be installed.
    pub fn is_optional(self) -> bool {
        self == Self::ServiceMonitor
    }

    /// Whether there is one object of it for each pool.
    pub fn is_of_a_pool(self) -> bool {
        !matches!(self, Self::ControllerRevision | Self::ClusterRoleBinding)
    }
}

/// An object that is to be, and its kind.
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
