//! The gateway's own log of requests.

use anyhow::Result;
use e2e::envoy::Gateway;
use e2e::test_env::TestEnv;

/// One request, as Envoy saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange {
    pub status: String,
    /// The picker's choice.
    pub picked: String,
    /// Who served, by the word of the load balancing policy.
    pub served: String,
    /// Whom Envoy sent it to.
    pub host: String,
}

impl Exchange {
    /// Whether picker, policy and connection are of one mind.
    pub fn agrees(&self) -> bool {
        self.picked == self.served && self.served == self.host
    }

    /// Other lines of the log are none.
    fn read(line: &str) -> Option<Self> {
        let mut words = line.strip_prefix("exchange ")?.split(' ').map(str::to_owned);
        let mut next = || words.next();
        Some(Self { status: next()?, picked: next()?, served: next()?, host: next()? })
    }
}

/// The requests so far.
pub async fn exchanges(env: &TestEnv, gateway: &Gateway) -> Result<Vec<Exchange>> {
    let log = env.kubectl().logs(env.namespace(), &gateway.pod, false).await?;
    Ok(log.lines().filter_map(Exchange::read).collect())
}
