//! The authority of this process: on which strategies it may work, and which other operators yield to it there.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::future::select_all;
use tokio::time::Instant;

use super::elsewhere::Elsewhere;
use super::leadership::Leadership;
use super::marks::Marks;

/// The authority of this process, shared by everything that writes.
#[derive(Clone, Debug)]
pub struct Authority(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// Name of the release.
    operator: String,
    /// Among the replicas of the release.
    home: Leadership,
    scopes: Vec<ScopeAuthority>,
    /// Known where all namespaces are watched.
    elsewhere: Option<Arc<Elsewhere>>,
}

/// The authority over the strategies of one namespace, or of all.
#[derive(Debug)]
pub(super) struct ScopeAuthority {
    pub namespace: Option<String>,
    pub leadership: Leadership,
    pub marks: Arc<Marks>,
}

/// An overlap: several operators are set to work on the same strategies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overlap {
    /// The one that does.
    pub holder: String,
    /// Those that yield to it.
    pub yielding: Vec<String>,
}

/// The strategies that a change of an authority concerns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Concerned {
    /// Those of all namespaces.
    All,
    /// Those of these namespaces.
    In(BTreeSet<String>),
}

/// What was seen of an authority when it was last asked for changes.
#[derive(Clone, Debug, Default)]
pub struct LastLook {
    known: bool,
    /// Of each scope.
    marks: Vec<Vec<String>>,
}

impl Authority {
    /// The authority of a process that is alone.
    pub fn alone() -> Self {
        let all = ScopeAuthority { namespace: None, leadership: Leadership::alone(), marks: Arc::default() };
        Self::new(String::new(), Leadership::alone(), vec![all], None)
    }

    /// The authority of a process that works in each of these namespaces for so long.
    #[cfg(test)]
    pub(crate) fn in_namespaces<const N: usize>(namespaces: [(&str, std::time::Duration); N]) -> Self {
        let scope = |(namespace, time): (&str, _)| {
            let leadership = Leadership::default();
            leadership.extend(Instant::now() + time);
            ScopeAuthority { namespace: Some(namespace.to_owned()), leadership, marks: Arc::default() }
        };
        Self::new(String::new(), Leadership::alone(), namespaces.map(scope).into(), None)
    }

    pub(super) fn new(
        operator: String,
        home: Leadership,
        scopes: Vec<ScopeAuthority>,
        elsewhere: Option<Arc<Elsewhere>>,
    ) -> Self {
        Self(Arc::new(Shared { operator, home, scopes, elsewhere }))
    }

    /// Whether this process works on any strategies now.
    pub fn leads(&self) -> bool {
        self.0.home.holds() && self.0.scopes.iter().any(|scope| scope.leadership.holds())
    }

    /// Whether this process works on the strategies of `namespace` now.
    pub fn works_in(&self, namespace: &str) -> bool {
        let yields = || {
            let elsewhere = self.0.elsewhere.as_ref();
            elsewhere.is_some_and(|known| !known.is_known() || known.holder(namespace).is_some())
        };
        self.0.home.holds()
            && self.scope(namespace).is_some_and(|scope| scope.leadership.holds())
            && !yields()
    }

    /// The operators that are set to work in `namespace` too, where there are some.
    pub fn overlap(&self, namespace: &str) -> Option<Overlap> {
        let yielding = self.scope(namespace)?.marks.fresh(Instant::now());
        (!yielding.is_empty()).then(|| Overlap { holder: self.0.operator.clone(), yielding })
    }

    /// The strategies for which what [`Authority::works_in`] and [`Authority::overlap`] say changed since the last look,
    /// by whoever else works or wants to; one who asks knows all of it. A change and its end between two looks is
    /// one too: a reconcile may have met it.
    pub fn changes(&self, last: &mut LastLook) -> Concerned {
        let now = Instant::now();
        let known = self.0.elsewhere.as_ref().is_none_or(|elsewhere| elsewhere.is_known());
        let marks: Vec<_> = self.0.scopes.iter().map(|scope| scope.marks.fresh(now)).collect();
        let before = std::mem::replace(last, LastLook { known, marks });
        let mut namespaces =
            self.0.elsewhere.as_ref().map(|elsewhere| elsewhere.changed()).unwrap_or_default();
        let mut all = known != before.known;
        for (scope, (before, now)) in self.0.scopes.iter().zip(before.marks.iter().zip(&last.marks)) {
            match &scope.namespace {
                _ if before == now => {}
                Some(namespace) => namespaces.extend([namespace.clone()]),
                None => all = true,
            }
        }
        if all { Concerned::All } else { Concerned::In(namespaces) }
    }

    /// Returns when authority was gained anew.
    pub async fn gained(&self) {
        let all = self.0.scopes.iter().map(|scope| &scope.leadership).chain([&self.0.home]);
        select_all(all.map(|leadership| Box::pin(leadership.gained()))).await;
    }

    fn scope(&self, namespace: &str) -> Option<&ScopeAuthority> {
        self.0.scopes.iter().find(|scope| scope.namespace.as_deref().is_none_or(|own| own == namespace))
    }
}

#[cfg(test)]
mod tests;
