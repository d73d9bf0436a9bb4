//! Choosing the candidates with the highest keys.

use schemars::JsonSchema;
use serde::Deserialize;
use smallvec::SmallVec;

use crate::ask::{Picked, Scored};
use crate::cx::Cx;

/// Parameters of a picker.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Params {
    /// How many endpoints to name, best first. Gateways that don't try a second endpoint need 1, which
    /// is what 0 and less mean too.
    max_num_of_endpoints: i64,
}

impl Default for Params {
    fn default() -> Self {
        Self { max_num_of_endpoints: 1 }
    }
}

impl Params {
    /// How many to name, at least 1.
    pub(super) fn count(&self) -> usize {
        usize::try_from(self.max_num_of_endpoints).unwrap_or(1).max(1)
    }
}

/// The `count` candidates with the highest keys, highest first, of equal ones those with the least load, and of those any.
/// `key` is called once for each position of `scored`, `load` where keys are equal.
#[inline]
pub(super) fn highest(
    cx: &mut Cx,
    scored: &Scored<'_>,
    count: usize,
    key: impl FnMut(&mut Cx, usize) -> f64,
    load: impl Fn(usize) -> u32,
) -> Picked {
    if count == 1 { one_highest(cx, scored, key, load) } else { many_highest(cx, scored, count, key, load) }
}

/// One pass, nothing sorted: the n-th of equals takes the place with probability 1/n.
#[inline]
fn one_highest(
    cx: &mut Cx,
    scored: &Scored<'_>,
    mut key: impl FnMut(&mut Cx, usize) -> f64,
    load: impl Fn(usize) -> u32,
) -> Picked {
    let (mut best, mut best_key, mut equals, mut least) = (0, f64::NEG_INFINITY, 0, 0);
    for n in 0..scored.candidates.len() {
        let key = key(cx, n);
        if key > best_key {
            (best, best_key, equals) = (n, key, 1);
        } else if key == best_key {
            if equals == 1 {
                least = load(best);
            }
            let load = load(n);
            if load < least {
                (best, equals) = (n, 1);
            } else if load == least {
                equals += 1;
                if cx.below(equals) == 0 {
                    best = n;
                }
            }
        }
    }
    Picked::from_buf([scored.candidates.at(best) as u32])
}

/// Rare, and long: kept out of what calls it, so that the one pass is not.
#[inline(never)]
fn many_highest(
    cx: &mut Cx,
    scored: &Scored<'_>,
    count: usize,
    mut key: impl FnMut(&mut Cx, usize) -> f64,
    load: impl Fn(usize) -> u32,
) -> Picked {
    let mut all: SmallVec<[(f64, u32, u32); 32]> =
        (0..scored.candidates.len()).map(|n| (key(cx, n), load(n), scored.candidates.at(n) as u32)).collect();
    cx.shuffle(&mut all);
    all.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    all.iter().take(count).map(|&(_, _, i)| i).collect()
}
