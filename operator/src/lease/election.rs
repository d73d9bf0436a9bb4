//! The elections that this process stands for: the one among the replicas of its release, and then one for each scope.

use std::sync::Arc;

use futures::future::{join, join_all};

use super::authority::{Authority, ScopeAuthority};
use super::candidate::Candidate;
use super::clients::Clients;
use super::elsewhere::{self, Elsewhere};
use super::scope::lease_of;
use super::timing::Timing;

/// The elections of one process.
pub struct Election {
    home: Candidate,
    scopes: Vec<Candidate>,
    elsewhere: Option<(Clients, String, Arc<Elsewhere>)>,
    authority: Authority,
}

/// The Leases that an operator needs.
#[derive(Clone, Debug)]
pub struct Leases {
    /// Namespace of the Lease of the release's replicas.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Who holds it: this process.
    pub identity: String,
    /// Namespace of the Lease of the operator for all namespaces.
    pub cluster_namespace: String,
    /// The namespaces that are watched; none: all.
    pub watched: Vec<String>,
}

impl Election {
    /// The elections for `leases`.
    pub fn new(clients: Clients, leases: &Leases, timing: Timing) -> Self {
        let client = &clients.requests;
        let home =
            Candidate::new(client.clone(), &leases.namespace, &leases.name, leases.identity.clone(), timing);
        let operator = format!("{}/{}", leases.namespace, leases.name);
        let watched: Vec<_> = match leases.watched.as_slice() {
            [] => vec![None],
            some => some.iter().map(|namespace| Some(namespace.as_str())).collect(),
        };
        let (mut scopes, mut authorities) = (Vec::new(), Vec::new());
        for namespace in watched {
            let (place, name) = lease_of(namespace, &leases.cluster_namespace);
            // Held by the release: whichever of its replicas leads goes on at once.
            let candidate = Candidate::new(client.clone(), place, name, operator.clone(), timing)
                .under(home.leadership());
            authorities.push(ScopeAuthority {
                namespace: namespace.map(str::to_owned),
                leadership: candidate.leadership(),
                marks: candidate.marks(),
            });
            scopes.push(candidate);
        }
        let elsewhere = leases.watched.is_empty().then(Arc::<Elsewhere>::default);
        let authority = Authority::new(operator.clone(), home.leadership(), authorities, elsewhere.clone());
        let elsewhere = elsewhere.map(|known| (clients, operator, known));
        Self { home, scopes, elsewhere, authority }
    }

    /// The authority that the elections are about.
    pub fn authority(&self) -> Authority {
        self.authority.clone()
    }

    /// Stands for election, for ever.
    pub async fn run(&mut self) {
        let elsewhere = self.elsewhere.clone();
        let home = self.home.leadership();
        let follow = async {
            if let Some((clients, operator, known)) = elsewhere {
                elsewhere::follow(clients, operator, home, known).await;
            }
        };
        join(follow, join(self.home.run(), join_all(self.scopes.iter_mut().map(Candidate::run)))).await;
    }

    /// Gives all Leases up, so that others can take them at once.
    pub async fn release(&mut self) {
        join_all(self.scopes.iter_mut().map(Candidate::release)).await;
        self.home.release().await;
    }
}
