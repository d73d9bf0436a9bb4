//! Where the prompts of a burst go, decided about all of them at once.

use std::cmp::Reverse;

use rustc_hash::FxHashMap;

use super::overlap::Overlaps;

/// How prompts are placed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rule {
    /// The most requests of one prompt for a server; `None` for no limit.
    pub per_server: Option<usize>,
    /// Blocks at the beginning that different prompts must share to be put together; 0 when they never are.
    pub min_shared: usize,
    /// Whether servers get equal numbers of blocks to compute, rather than of requests.
    pub by_blocks: bool,
}

/// Requests that are placed together: all with the same prompt.
struct Unit<'a> {
    hashes: &'a [u64],
    /// Positions among the prompts.
    members: Vec<usize>,
}

/// For each of `prompts`, chains of hashes, the server that it goes to; `None` for one that has nothing to do with the
/// others, or is empty. There are `servers` of them; of two with equal load the first is preferred.
pub(super) fn place(prompts: &[&[u64]], servers: usize, rule: Rule) -> Vec<Option<u32>> {
    let mut placed = vec![None; prompts.len()];
    let units = units(prompts, rule.min_shared);
    if servers == 0 || units.is_empty() {
        return placed;
    }
    let cost = |unit: &Unit<'_>| if rule.by_blocks { unit.hashes.len() } else { unit.members.len() };
    let share = units.iter().map(cost).sum::<usize>().div_ceil(servers);
    let overlaps = (rule.min_shared > 0 || rule.by_blocks)
        .then(|| Overlaps::of(units.iter().map(|unit| unit.hashes), servers));
    let mut bins = Bins { rule, share, load: vec![0; servers], overlaps };
    for (n, unit) in units.iter().enumerate() {
        bins.place(n, unit, &mut placed);
    }
    placed
}

/// The units in the order in which they are placed: those of several requests first, and of both sorts the longer before
/// the shorter prompts, to which the shorter ones can be put.
fn units<'a>(prompts: &[&'a [u64]], min_shared: usize) -> Vec<Unit<'a>> {
    let mut units: Vec<Unit<'a>> = Vec::new();
    // The last hash stands for the whole prompt.
    let mut known: FxHashMap<(u64, usize), usize> = FxHashMap::default();
    for (i, hashes) in prompts.iter().enumerate() {
        let Some(last) = hashes.last() else { continue };
        let n = *known.entry((*last, hashes.len())).or_insert(units.len());
        if n == units.len() {
            units.push(Unit { hashes, members: Vec::new() });
        }
        units[n].members.push(i);
    }
    let beginning = |unit: &Unit<'_>| unit.hashes.get(min_shared.checked_sub(1)?).copied();
    let mut alike: FxHashMap<u64, usize> = FxHashMap::default();
    for unit in &units {
        if let Some(beginning) = beginning(unit) {
            *alike.entry(beginning).or_default() += unit.members.len();
        }
    }
    units.retain(|unit| unit.members.len() > 1 || beginning(unit).is_some_and(|b| alike[&b] > 1));
    units.sort_by_key(|unit| (unit.members.len() == 1, Reverse(unit.hashes.len())));
    units
}

/// The servers with what they have got so far.
struct Bins {
    rule: Rule,
    /// The fair share of a server.
    share: usize,
    load: Vec<usize>,
    overlaps: Option<Overlaps>,
}

impl Bins {
    /// Places the unit at position `n`: its first part where a prompt like it is, all others where there is least to do.
    fn place(&mut self, n: usize, unit: &Unit<'_>, placed: &mut [Option<u32>]) {
        let servers = self.load.len();
        // Blocks that each server has of it already.
        let shared = self.overlaps.as_mut().map(|overlaps| overlaps.with_placed(n)).unwrap_or_default();
        let mut own = vec![0_usize; servers];
        let mut members = &unit.members[..];
        let mut target = if self.rule.min_shared > 0 { self.nearest(&shared) } else { None };
        while !members.is_empty() {
            let server = target.take().unwrap_or_else(|| self.least(&own));
            let room =
                self.rule.per_server.map_or(members.len(), |most| most.saturating_sub(own[server]).max(1));
            let (now, later) = members.split_at(room.min(members.len()));
            now.iter().for_each(|&member| placed[member] = Some(server as u32));
            let is_first = own[server] == 0;
            own[server] += now.len();
            self.load[server] += match self.rule.by_blocks {
                // The prompt is computed once, but for what is there.
                true if is_first => {
                    unit.hashes.len() - shared.get(server).map_or(0, |blocks| *blocks as usize)
                }
                true => 0,
                false => now.len(),
            };
            members = later;
        }
        if let Some(overlaps) = &mut self.overlaps {
            overlaps
                .placed(n, own.iter().zip(0..).filter(|(count, _)| **count > 0).map(|(_, server)| server));
        }
    }

    /// The server with the most of a prompt's beginning, if that is enough, among those below their share.
    fn nearest(&self, shared: &[u32]) -> Option<usize> {
        let fits = |&server: &usize| {
            self.load[server] < self.share && shared[server] as usize >= self.rule.min_shared
        };
        (0..self.load.len()).filter(fits).min_by_key(|&server| (Reverse(shared[server]), self.load[server]))
    }

    /// The server with the least to do among those with room for more of a unit of which they have `own`, or among all.
    fn least(&self, own: &[usize]) -> usize {
        let has_room = |&server: &usize| self.rule.per_server.is_none_or(|most| own[server] < most);
        let all = 0..self.load.len();
        let least = all.clone().filter(has_room).min_by_key(|&server| self.load[server]);
        least.or_else(|| all.min_by_key(|&server| self.load[server])).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
