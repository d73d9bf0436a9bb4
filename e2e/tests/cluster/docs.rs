//! Row 21: the commands of the documentation, as they stand there.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use e2e::docs::{self, Checkout, Counts};
use e2e::fixtures::{ModelServers, Pool};
use e2e::paths;
use e2e::test_env::{self, TestEnv};
use k8s_openapi::api::core::v1::Namespace;
use kube::ResourceExt;
use kube::api::{Api, ListParams};

/// The namespace of the documentation, which readers have made the current one.
const NAMESPACE: &str = "llm";
/// Its pool, and the label `app` of its model servers.
const POOL: &str = "chat";
/// Where readers have pushed the images, which is what `$REGISTRY` says.
const REGISTRY: &str = "registry.example.com/llm";

#[test]
#[ignore = "needs the cluster: cargo xtask test"]
fn every_command_of_the_documentation_works() {
    let bar = "every block of commands in docs/ and README.md is run as it stands, or says why not";
    test_env::run(21, bar, async |env| {
        let told = told(env).await;
        // Pages install the operator and take it away.
        let again = env.cluster_env().install_again(env.progress()).await;
        let cleared = env.kubectl().delete_namespace(NAMESPACE).await;
        told.and(again).and(cleared)
    });
}

async fn told(env: &TestEnv) -> Result<()> {
    let cluster_env = env.cluster_env();
    let images = cluster_env.images();
    let release = env!("CARGO_PKG_VERSION");
    for (image, name) in [(&images.operator, "operator"), (&images.picker, "picker")] {
        let pushed = format!("{REGISTRY}/waypost-{name}:{release}");
        cluster_env.cluster().images().name(image, &pushed).await?;
    }
    let kubectl = env.kubectl();
    kubectl.create_namespace(NAMESPACE).await?;
    ModelServers::new(POOL, 2, &images.sim.reference()).deploy(kubectl, NAMESPACE).await?;
    let pool = Pool::new(POOL, POOL, &format!("{POOL}-epp")).v1();
    kubectl.apply_object(NAMESPACE, pool).await?;
    let checkout = Checkout::copied(&cluster_env.cluster().kubeconfig(), env.progress()).await?;
    let checkout = checkout.in_namespace(NAMESPACE).await?.variable("REGISTRY", REGISTRY);

    let (mut all, mut pages) = (Counts::default(), 0);
    for page in docs::documentation(paths::checkout())? {
        env.check(page.faults.is_empty(), page.faults.join("; "));
        if page.blocks.is_empty() {
            continue;
        }
        pages += 1;
        let there = namespaces(env).await?;
        match docs::read(&page, &checkout, env.progress()).await {
            Ok(Counts { run, help, not }) => {
                all = Counts { run: all.run + run, help: all.help + help, not: all.not + not };
            }
            Err(error) => env.check(false, format_args!("{error:#}")),
        }
        for new in namespaces(env).await?.difference(&there) {
            kubectl
                .delete_namespace(new)
                .await
                .with_context(|| format!("made by {}", page.path.display()))?;
        }
    }
    let Counts { run, help, not } = all;
    env.measured(format_args!(
        "{pages} pages: {run} blocks run, {help} asked for their help, {not} need what is not here"
    ));
    Ok(())
}

async fn namespaces(env: &TestEnv) -> Result<BTreeSet<String>> {
    let all = Api::<Namespace>::all(env.kubectl().client().clone()).list(&ListParams::default()).await?;
    Ok(all.iter().map(ResourceExt::name_any).collect())
}
