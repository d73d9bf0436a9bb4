//! The candidate of the election: takes the Lease, renews it and gives it up.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::jiff::Timestamp;
use kube::api::PostParams;
use kube::{Api, Client};
use tokio::time::{Instant, sleep, timeout};
use tracing::{debug, info, warn};

use super::record::{Seen, held, released};
use super::{Leadership, Timing};

/// A candidate: a replica that wants to lead.
pub struct Candidate {
    api: Api<Lease>,
    name: String,
    identity: String,
    timing: Timing,
    leadership: Leadership,
    seen: Seen,
    /// The Lease as we wrote it last, so that a renewal is one request.
    own: Option<Lease>,
    /// Whether the last attempt failed.
    failing: bool,
    /// The other that was last said to lead.
    leader: Option<String>,
}

/// Who holds the Lease after an attempt.
enum Holder {
    Us,
    /// Its identity, as far as it is known.
    Another(Option<String>),
}

impl Candidate {
    /// A candidate called `identity` for the Lease `name`. `client` should be one of its own, so that
    /// renewals don't wait behind other requests.
    pub fn new(client: Client, namespace: &str, name: &str, identity: String, timing: Timing) -> Self {
        let api = Api::namespaced(client, namespace);
        let leadership = Leadership::default();
        Self {
            api,
            name: name.to_owned(),
            identity,
            timing,
            leadership,
            seen: Seen::default(),
            own: None,
            failing: false,
            leader: None,
        }
    }

    /// The leadership that the election is about.
    pub fn leadership(&self) -> Leadership {
        self.leadership.clone()
    }

    /// Stands for election, for ever.
    pub async fn run(&mut self) {
        let mut led = false;
        loop {
            let wait = self.step().await;
            let leads = self.leadership.holds();
            if leads != led {
                info!(identity = self.identity, leads, "leadership changed");
                led = leads;
            }
            sleep(wait).await;
        }
    }

    /// Gives the Lease up, so that another can take it at once.
    pub async fn release(&mut self) {
        let held = self.leadership.holds();
        self.leadership.end();
        let Some(own) = self.own.take().filter(|_| held) else { return };
        let given = released(own, Timestamp::now());
        match timeout(self.timing.request, self.api.replace(&self.name, &PostParams::default(), &given)).await
        {
            Ok(Ok(_)) => info!("released the Lease"),
            Ok(Err(error)) => warn!(%error, "could not release the Lease; it runs out by itself"),
            Err(_) => warn!("could not release the Lease in time; it runs out by itself"),
        }
    }

    /// One attempt to take or renew the Lease. Returns how long to wait before the next.
    async fn step(&mut self) -> Duration {
        let began = Instant::now();
        let result = timeout(self.timing.request, self.attempt()).await;
        let failed = !matches!(result, Ok(Ok(_)));
        let was_failing = std::mem::replace(&mut self.failing, failed);
        if was_failing && !failed {
            info!("the API server answers again");
        }
        match result {
            Ok(Ok(Holder::Us)) => {
                self.leader = None;
                self.leadership.extend(began + self.timing.lease);
                self.timing.renew
            }
            Ok(Ok(Holder::Another(leader))) => {
                self.leadership.end();
                self.stand_by(leader);
                self.timing.retry
            }
            failed => {
                let error = match failed {
                    Ok(Err(error)) => error.to_string(),
                    _ => "the API server did not answer in time".to_owned(),
                };
                if was_failing {
                    debug!(error, "could not ask for the Lease");
                } else {
                    warn!(error, "could not ask for the Lease; trying on");
                }
                // Whether the write arrived is not known, so what we believe is stored is not either.
                self.own = None;
                self.timing.retry
            }
        }
    }

    /// Says who leads, whenever that is somebody else than before: whoever reads the log of a standby wants to know where
    /// to look.
    fn stand_by(&mut self, leader: Option<String>) {
        let Some(leader) = leader.filter(|leader| self.leader.as_ref() != Some(leader)) else { return };
        info!(
            identity = self.identity,
            leader, "standing by: another replica leads, and its log tells of the work"
        );
        self.leader = Some(leader);
    }

    async fn attempt(&mut self) -> Result<Holder, kube::Error> {
        if let Some(own) = &self.own {
            match self.write(Some(own.clone())).await {
                Err(kube::Error::Api(status)) if status.is_conflict() || status.is_not_found() => {
                    self.own = None
                }
                other => return other,
            }
        }
        match self.api.get_opt(&self.name).await? {
            None => self.write(None).await,
            Some(lease) if self.seen.may_take(&lease, &self.identity, Instant::now()) => {
                self.write(Some(lease)).await
            }
            Some(lease) => Ok(Holder::Another(lease.spec.and_then(|spec| spec.holder_identity))),
        }
        .or_else(|error| match error {
            // Another was quicker.
            kube::Error::Api(status) if status.is_conflict() || status.is_already_exists() => {
                Ok(Holder::Another(None))
            }
            error => Err(error),
        })
    }

    async fn write(&mut self, lease: Option<Lease>) -> Result<Holder, kube::Error> {
        let exists = lease.is_some();
        let mut lease = held(lease, &self.identity, self.timing.lease, Timestamp::now());
        lease.metadata.name = Some(self.name.clone());
        lease.metadata.managed_fields = None;
        let params = PostParams::default();
        let stored = if exists {
            self.api.replace(&self.name, &params, &lease).await?
        } else {
            self.api.create(&params, &lease).await?
        };
        self.own = Some(stored);
        Ok(Holder::Us)
    }
}
