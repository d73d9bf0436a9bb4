//! Many strategies, each with a pool of its own.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use e2e::crash::FakePickers;
use e2e::fixtures::Pool;
use e2e::test_env::{Strategy, TestEnv};
use e2e::until;
use futures::{StreamExt, TryStreamExt, stream};
use kube::api::{DeleteParams, DynamicObject, ListParams};

/// How many objects are applied at a time: as a tool of GitOps does.
const AT_ONCE: usize = 16;

/// Namespace and numbers of some strategies.
pub struct Fleet<'a> {
    pub env: &'a TestEnv,
    pub strategies: usize,
}

pub fn strategy(number: usize) -> Strategy {
    // No scheduler takes the pods.
    Strategy::new(&name(number))
        .pool(&name(number))
        .replicas(1)
        .picker("podTemplate", FakePickers::pod_template())
}

pub fn name(number: usize) -> String {
    format!("s{number}")
}

impl Fleet<'_> {
    /// Makes the pools.
    pub async fn pools(&self) -> Result<()> {
        let pool = async |number| {
            let name = name(number);
            let pool = Pool::new(&name, &name, &format!("{name}-epp")).v1();
            self.env.kubectl().apply_object(self.env.namespace(), pool).await.map(drop)
        };
        stream::iter((0..self.strategies).map(pool)).buffer_unordered(AT_ONCE).try_collect().await
    }

    /// Applies the strategies.
    pub async fn apply(&self) -> Result<()> {
        let apply = async |number| self.env.apply(&strategy(number)).await.map(drop);
        stream::iter((0..self.strategies).map(apply)).buffer_unordered(AT_ONCE).try_collect().await
    }

    /// Deletes the strategies.
    pub async fn delete(&self) -> Result<()> {
        let api = self.env.strategy_api().await?;
        let delete = async |number| api.delete(&name(number), &DeleteParams::default()).await.map(drop);
        let deleted = stream::iter((0..self.strategies).map(delete)).buffer_unordered(AT_ONCE);
        Ok(deleted.try_collect().await?)
    }

    /// Waits until each has all its objects, and a status that says so. Returns how long it took.
    pub async fn made(&self, within: Duration) -> Result<Duration> {
        let began = Instant::now();
        until(format_args!("the objects of {} strategies", self.strategies), within, async || {
            let told = self.objects(("waypost.dev/v1alpha1", "RoutingStrategy")).await?;
            let told = told.iter().filter(|s| s.data["status"]["observedGeneration"] == 1).count();
            let deployments = self.objects(("apps/v1", "Deployment")).await?.len();
            let all = self.strategies;
            ensure!(told == all && deployments == all, "{told} told, {deployments} Deployments");
            Ok(())
        })
        .await?;
        Ok(began.elapsed())
    }

    /// Waits until each has a condition.
    pub async fn are(&self, condition: &str, within: Duration) -> Result<()> {
        until(format_args!("{} strategies to be {condition}", self.strategies), within, async || {
            let all = self.objects(("waypost.dev/v1alpha1", "RoutingStrategy")).await?;
            let are = all.iter().filter(|s| holds(s, condition)).count();
            ensure!(are == self.strategies, "{are} are");
            Ok(())
        })
        .await
    }

    /// Waits until nothing is left of them.
    pub async fn gone(&self, within: Duration) -> Result<()> {
        until(format_args!("the end of {} strategies", self.strategies), within, async || {
            for kind in [
                ("waypost.dev/v1alpha1", "RoutingStrategy"),
                ("apps/v1", "Deployment"),
                ("v1", "Service"),
                ("rbac.authorization.k8s.io/v1", "Role"),
                ("apps/v1", "ControllerRevision"),
            ] {
                let left = self.objects(kind).await?.len();
                ensure!(left == 0, "{left} of {}", kind.1);
            }
            Ok(())
        })
        .await
    }

    async fn objects(&self, (api_version, kind): (&str, &str)) -> Result<Vec<DynamicObject>> {
        let api = self.env.kubectl().api(api_version, kind, self.env.namespace()).await?;
        // As the API server has them at hand.
        let params = ListParams { resource_version: Some("0".to_owned()), ..ListParams::default() };
        let mut found = api.list(&params).await?.items;
        if kind != "RoutingStrategy" {
            found.retain(|object| {
                object.metadata.labels.iter().flatten().any(|(label, _)| label == "waypost.dev/strategy")
            });
        }
        Ok(found)
    }
}

/// Whether `strategy` has the condition `wanted`, such as `Ready=True`, for its present generation.
pub fn holds(strategy: &DynamicObject, wanted: &str) -> bool {
    let Some((name, status)) = wanted.split_once('=') else { return false };
    let conditions = strategy.data["status"]["conditions"].as_array();
    conditions.into_iter().flatten().any(|condition| {
        condition["type"] == name
            && condition["status"] == status
            && condition["observedGeneration"].as_i64() == strategy.metadata.generation
    })
}
