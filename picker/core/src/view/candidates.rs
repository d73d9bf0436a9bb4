//! The endpoints that a request may still go to.

use std::net::SocketAddr;
use std::sync::Arc;

use smallvec::SmallVec;

use super::address::Address;
use crate::endpoint::Endpoint;

/// The endpoints that a request may still go to, as positions in a [`View`](crate::view::View), in no particular
/// order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Candidates(Vec<u32>);

impl Candidates {
    /// All of `endpoints` (those of a view), or those that `subset` names.
    pub fn of(endpoints: &[Arc<Endpoint>], subset: Option<&[Address]>) -> Self {
        let mut candidates = Self::default();
        candidates.reset(endpoints, subset);
        candidates
    }

    /// The same, in the memory that is already there.
    pub fn reset(&mut self, endpoints: &[Arc<Endpoint>], subset: Option<&[Address]>) {
        self.0.clear();
        let all = 0..endpoints.len() as u32;
        match subset {
            None => self.0.extend(all),
            Some(subset) => {
                // However long it is, each endpoint costs little.
                let mut subset: SmallVec<[Address; 16]> = subset.into();
                subset.sort_unstable();
                let named = |address: Address| subset.binary_search(&address).is_ok();
                self.0.extend(all.filter(|&i| {
                    let address: SocketAddr = endpoints[i as usize].address;
                    named(Address::at(address.ip())) || named(address.into())
                }));
            }
        }
    }

    /// Becomes equal to `other`, in the memory that is already there.
    pub fn copy_from(&mut self, other: &Self) {
        self.0.clear();
        self.0.extend_from_slice(&other.0);
    }

    /// Keeps those for which `keep` says true, in their order.
    pub fn retain(&mut self, mut keep: impl FnMut(usize) -> bool) {
        self.0.retain(|i| keep(*i as usize));
    }

    /// Puts those first for which `key` is smallest, equal ones in the order of the view.
    /// The key of each is asked for once.
    pub fn sort_by_cached_key<K: Ord>(&mut self, mut key: impl FnMut(usize) -> K) {
        self.0.sort_by_cached_key(|i| (key(*i as usize), *i));
    }

    /// The positions.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = usize> + '_ {
        self.0.iter().map(|&i| i as usize)
    }

    /// Position in the view of the `n`-th candidate.
    pub fn at(&self, n: usize) -> usize {
        self.0[n] as usize
    }

    /// How many are left.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether none is left.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
