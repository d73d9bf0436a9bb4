//! How much of their beginnings the prompts of a burst have in common.

use smallvec::SmallVec;

/// How many prompts on either side of one are looked at: all of a window of the usual size.
const REACH: usize = 1000;

/// Prompts, sorted, so that those with the longest common beginning are neighbours.
pub(super) struct Overlaps {
    /// For each prompt, its position in the order.
    position: Vec<usize>,
    /// Blocks that the prompt at each position shares with the next one.
    common: Vec<u32>,
    /// For each position, the servers that have the prompt.
    servers: Vec<SmallVec<[u32; 1]>>,
    /// For each server, the last search that met it; `None` while it has no prompt.
    met: Vec<Option<u32>>,
    /// How many servers have one.
    holders: usize,
    search: u32,
}

impl Overlaps {
    /// Of prompts of which no server has any. Each is a chain of hashes, in which equal ones mean equal beginnings.
    pub fn of<'a>(prompts: impl Iterator<Item = &'a [u64]>, servers: usize) -> Self {
        let prompts: Vec<&[u64]> = prompts.collect();
        let mut order: Vec<usize> = (0..prompts.len()).collect();
        order.sort_by(|&a, &b| {
            let (a, b) = (prompts[a], prompts[b]);
            let common = common(a, b);
            a.get(common).cmp(&b.get(common))
        });
        let mut position = vec![0; prompts.len()];
        order.iter().enumerate().for_each(|(place, &prompt)| position[prompt] = place);
        let neighbours = order.windows(2).map(|pair| common(prompts[pair[0]], prompts[pair[1]]) as u32);
        let common = neighbours.collect();
        let none = vec![SmallVec::new(); prompts.len()];
        Self { position, common, servers: none, met: vec![None; servers], holders: 0, search: 0 }
    }

    /// For each server, the most blocks that the prompt `n` shares with one that it has.
    pub fn with_placed(&mut self, n: usize) -> Vec<u32> {
        let at = self.position[n];
        let mut most = vec![0; self.met.len()];
        self.look(&mut most, (0..at).rev(), |place| place);
        self.look(&mut most, at + 1..self.position.len(), |place| place - 1);
        most
    }

    /// Goes away from a prompt over `places`. The further, the less is shared, by what `edge` of a place and the one before
    /// says: a server need not be met twice.
    fn look(&mut self, most: &mut [u32], places: impl Iterator<Item = usize>, edge: impl Fn(usize) -> usize) {
        self.search += 1;
        let (mut shared, mut missing) = (u32::MAX, self.holders);
        for place in places.take(REACH) {
            shared = shared.min(self.common[edge(place)]);
            if shared == 0 || missing == 0 {
                return;
            }
            for &server in &self.servers[place] {
                if self.met[server as usize].replace(self.search) != Some(self.search) {
                    most[server as usize] = most[server as usize].max(shared);
                    missing -= 1;
                }
            }
        }
    }

    /// The prompt `n` is at `servers` from now on.
    pub fn placed(&mut self, n: usize, servers: impl Iterator<Item = u32>) {
        for server in servers {
            self.servers[self.position[n]].push(server);
            self.holders += usize::from(self.met[server as usize].replace(self.search).is_none());
        }
    }
}

/// How many blocks `a` and `b` have in common. Equal hashes of a chain have equal ones before them.
fn common(a: &[u64], b: &[u64]) -> usize {
    let (mut low, mut high) = (0, a.len().min(b.len()));
    while low < high {
        let middle = low + (high - low) / 2;
        if a[middle] == b[middle] { low = middle + 1 } else { high = middle }
    }
    low
}
