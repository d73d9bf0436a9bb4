//! Model servers, pickers, istiod and its gateway.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::envoy::{ADMIN_PORT, Gateway};
use e2e::load::{Ask, Client};
use e2e::test_env::{PATIENCE, Picker, Strategy, TestEnv};
use e2e::tools::istio::Istio;
use e2e::until;
use futures::future::try_join_all;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use serde_json::json;

use super::istiod::{Istiod, XDS};
use super::objects;

const SERVERS: usize = 3;
pub const PICKERS: usize = 2;

/// Everything that the story needs, up and answering.
pub struct Setup<'a> {
    pub env: &'a TestEnv,
    pub servers: Vec<Server>,
    pub pickers: Vec<Picker>,
    pub gateway: Gateway,
    pub client: Client,
    pub istiod: Istiod,
}

/// A model server: the name by which it signs its answers, and the address by which it is picked.
#[derive(Clone, Debug)]
pub struct Server {
    pub pod: String,
    pub address: String,
}

impl<'a> Setup<'a> {
    /// Brings it all up, until the gateway gives the first answer.
    pub async fn ready(env: &'a TestEnv) -> Result<Self> {
        let istio = Istio::ready(env.progress()).await?;
        istio.crds(env.kubectl()).await?;
        let pods = env.servers("chat", SERVERS, &[]).await?;
        env.pool("chat").await?;
        env.apply(&named_by_the_client()).await?;
        env.strategy_is("chat", "Ready=True", PATIENCE).await?;
        let pickers = env.pickers("chat", PICKERS).await?;
        for object in [objects::gateway(env.namespace()), objects::route("chat", json!({}))] {
            env.kubectl().apply_object(env.namespace(), object).await?;
        }
        let istiod = env.progress().step("starting istiod", Istiod::start(env, &istio)).await?;
        let image = env.cluster_env().envoy();
        let gateway = Gateway::driven(env.kubectl(), env.namespace(), "gateway", image, XDS).await?;
        let servers = pods.iter().map(Server::of).collect::<Result<_>>()?;
        let setup = Self { env, servers, pickers, gateway, client: Client::new(), istiod };
        let first = || async {
            let answered = setup.asked(&setup.servers[0], |ask| ask).await?;
            let routed = setup.routed().await?;
            ensure!(routed > 0.0, "{answered} answers, but no picker is asked");
            Ok(())
        };
        until("an answer through the gateway that a picker routed", PATIENCE, first).await?;
        Ok(setup)
    }

    /// Sends a request for which the picker picks `server`; gives back the pod that served it.
    pub async fn asked(&self, server: &Server, with: impl FnOnce(Ask) -> Ask) -> Result<String> {
        let ask = Ask { within: Duration::from_secs(30), ..Ask::new("a question") };
        let ask = with(ask.header("test-epp-endpoint-selection", &server.address));
        let answer = ask.send(&self.client, &self.gateway.url()).await?;
        ensure!(answer.status == 200, "{}: {}", answer.status, String::from_utf8_lossy(&answer.body));
        ensure!(answer.usage.completion > 0 && !answer.text.is_empty(), "an empty answer");
        answer.pod().map(str::to_owned).context("an answer of no model server")
    }

    /// A page of the admin port of the gateway's Envoy.
    pub async fn admin(&self, page: &str) -> Result<String> {
        self.client.get(&format!("http://{}:{ADMIN_PORT}/{page}", self.gateway.address)).await
    }

    /// What all pickers together count under `name`, with these labels.
    pub async fn counted(&self, name: &str, labels: &[(&str, &str)]) -> Result<f64> {
        let all = try_join_all(self.pickers.iter().map(Picker::metrics)).await?;
        Ok(all.iter().map(|metrics| metrics.sum(name, labels)).sum())
    }

    /// How many requests the pickers routed.
    pub async fn routed(&self) -> Result<f64> {
        self.counted("waypost_picker_requests_total", &[("reason", "routed")]).await
    }

    /// How many answers came from another endpoint than was picked, as the pickers count them.
    pub async fn mismatches(&self) -> Result<f64> {
        self.counted("waypost_picker_served_mismatches_total", &[]).await
    }
}

impl Server {
    pub fn of(pod: &Pod) -> Result<Self> {
        let address =
            pod.status.as_ref().and_then(|status| status.pod_ip.as_deref()).context("no address")?;
        Ok(Self { pod: pod.name_any(), address: format!("{address}:8000") })
    }
}

/// The picker picks what the client names, so that the client knows what was picked.
pub fn named_by_the_client() -> Strategy {
    Strategy::new("chat").pool("chat").replicas(PICKERS).routing(json!({
        "plugins": [{"type": "header-based-testing-filter"}],
        "schedulingProfiles": [
            {"name": "default", "plugins": [{"pluginRef": "header-based-testing-filter"}]},
        ],
    }))
}
