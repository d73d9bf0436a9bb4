use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use rstest::rstest;

use super::*;

const RULE: Rule = Rule { per_server: None, min_shared: 0, by_blocks: false };

/// The chain of the prompt `text`, a block for each letter.
fn chain(text: &str) -> Vec<u64> {
    let blocks = text.as_bytes();
    let mut hashes = Vec::new();
    crate::index::chain::extend(1, std::iter::once(blocks), 1, usize::MAX, &mut hashes);
    hashes
}

fn placed(prompts: &[&str], servers: usize, rule: Rule) -> Vec<Option<u32>> {
    let chains: Vec<_> = prompts.iter().map(|prompt| chain(prompt)).collect();
    let chains: Vec<_> = chains.iter().map(Vec::as_slice).collect();
    place(&chains, servers, rule)
}

/// A digit for each prompt, the server where it is, and a dash for none.
fn drawn(placed: &[Option<u32>]) -> String {
    placed.iter().map(|server| server.map_or("-".to_owned(), |server| server.to_string())).collect()
}

const ANY: Option<usize> = None;

#[rstest]
#[case::nothing(&[], 2, ANY, 0, false, "")]
#[case::alone(&["ab"], 2, ANY, 0, false, "-")]
#[case::different_ones(&["ab", "ac", "b"], 2, ANY, 0, false, "---")]
#[case::equal_ones(&["ab", "ab", "ab"], 2, ANY, 0, false, "000")]
#[case::without_a_prompt(&["", "ab", "", "ab"], 2, ANY, 0, false, "-0-0")]
#[case::two_groups(&["ab", "cd", "ab", "cd"], 2, ANY, 0, false, "0101")]
#[case::the_longer_first(&["ab", "cde", "ab", "cde"], 2, ANY, 0, false, "1010")]
#[case::the_least_loaded(&["abc", "abc", "abc", "de", "de", "f", "f"], 2, ANY, 0, false, "0001111")]
#[case::no_servers(&["ab", "ab"], 0, ANY, 0, false, "--")]
#[case::at_most_two(&["ab", "ab", "ab", "ab", "ab"], 3, Some(2), 0, false, "00112")]
#[case::more_than_there_is_room_for(&["a", "a", "a", "a", "a"], 2, Some(2), 0, false, "00110")]
#[case::a_beginning_is_too_short(&["abx", "aby"], 2, ANY, 3, false, "--")]
#[case::a_beginning_in_common(&["abx", "aby", "cx"], 2, ANY, 2, false, "01-")]
#[case::put_together_up_to_the_share(&["abx", "aby", "cdx", "cdy"], 2, ANY, 2, false, "0011")]
#[case::a_prompt_in_another(&["abcd", "ab", "xy", "xyz"], 2, ANY, 2, false, "0011")]
#[case::groups_before_single_ones(&["abcdef", "abc", "abc", "zz"], 2, ANY, 3, false, "100-")]
#[case::by_blocks(&["abcdef", "abcdef", "gh", "gh", "ij", "ij", "kl", "kl"], 2, ANY, 0, true, "00111111")]
#[case::by_requests(&["abcdef", "abcdef", "gh", "gh", "ij", "ij", "kl", "kl"], 2, ANY, 0, false, "00110011")]
#[case::blocks_that_are_there_are_free(&["abcdefgh", "abcdefgh", "abcdefgx", "abcdefgx", "z", "z"], 2, ANY, 4, true, "000011")]
fn prompts_are_placed_together(
    #[case] prompts: &[&str],
    #[case] servers: usize,
    #[case] per_server: Option<usize>,
    #[case] min_shared: usize,
    #[case] by_blocks: bool,
    #[case] expected: &str,
) {
    let placed = placed(prompts, servers, Rule { per_server, min_shared, by_blocks });
    assert_eq!(drawn(&placed), expected);
}

/// The published rule in its own words: `(server of each prompt)`. Groups of equal prompts; those of several members, and single ones that
/// share enough blocks with another prompt, are placed, groups first, longer before shorter. The first part of each goes to the server with the
/// longest shared beginning that is long enough, if that server is below its fair share, else to the least loaded one with room.
fn published(prompts: &[String], servers: usize, rule: Rule) -> Vec<Option<u32>> {
    let mut groups: Vec<(String, Vec<usize>)> = Vec::new();
    for (i, prompt) in prompts.iter().enumerate().filter(|(_, prompt)| !prompt.is_empty()) {
        match groups.iter_mut().find(|group| group.0 == *prompt) {
            Some(group) => group.1.push(i),
            None => groups.push((prompt.clone(), vec![i])),
        }
    }
    let begins = |prompt: &str| prompt.get(..rule.min_shared).map(str::to_owned);
    let alike = |prompt: &str| {
        let own = begins(prompt);
        own.is_some() && prompts.iter().filter(|other| begins(other) == own).count() >= 2
    };
    let mut units: Vec<(String, Vec<usize>)> =
        groups.iter().filter(|group| group.1.len() >= 2).cloned().collect();
    units.sort_by_key(|unit| std::cmp::Reverse(unit.0.len()));
    let mut singles: Vec<_> =
        groups.iter().filter(|g| g.1.len() == 1 && rule.min_shared > 0 && alike(&g.0)).cloned().collect();
    singles.sort_by_key(|unit| std::cmp::Reverse(unit.0.len()));
    units.extend(singles);
    let mut out = vec![None; prompts.len()];
    if servers == 0 {
        return out;
    }
    let total: usize = units.iter().map(|u| if rule.by_blocks { u.0.len() } else { u.1.len() }).sum();
    let fair = total.div_ceil(servers);
    // Every beginning that a server has.
    let mut holds: Vec<BTreeSet<String>> = vec![BTreeSet::new(); servers];
    let mut load = vec![0; servers];
    for (prompt, members) in &units {
        let shared: Vec<usize> = (0..servers)
            .map(|s| (1..=prompt.len()).take_while(|&n| holds[s].contains(&prompt[..n])).count())
            .collect();
        let mut here: BTreeMap<usize, usize> = BTreeMap::new();
        let mut first = rule.min_shared > 0;
        let mut left = members.clone();
        while !left.is_empty() {
            let has_room = |s: usize| rule.per_server.is_none_or(|k| here.get(&s).copied().unwrap_or(0) < k);
            let mut target = None;
            if std::mem::take(&mut first) {
                let able =
                    (0..servers).filter(|&s| has_room(s) && load[s] < fair && shared[s] >= rule.min_shared);
                target = able
                    .max_by(|&a, &b| shared[a].cmp(&shared[b]).then(load[b].cmp(&load[a])).then(b.cmp(&a)));
            }
            let least = |among: Vec<usize>| among.into_iter().min_by_key(|&s| (load[s], s));
            let target = target
                .or_else(|| least((0..servers).filter(|&s| has_room(s)).collect()))
                .or_else(|| least((0..servers).collect()))
                .unwrap();
            let own = here.entry(target).or_default();
            let run = match rule.per_server {
                Some(k) => k.saturating_sub(*own).max(1).min(left.len()),
                None => left.len(),
            };
            left.drain(..run).for_each(|member| out[member] = Some(target as u32));
            if !rule.by_blocks {
                load[target] += run;
            } else if *own == 0 {
                load[target] += prompt.len() - shared[target];
            }
            *own += run;
        }
        for &server in here.keys() {
            holds[server].extend((1..=prompt.len()).map(|n| prompt[..n].to_owned()));
        }
    }
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]
    #[test]
    fn the_published_rule_holds(
        prompts in prop::collection::vec("[ab]{0,5}|[abc]{0,2}", 0..24),
        servers in 0..5_usize,
        per_server in prop::option::of(1..4_usize),
        min_shared in 0..4_usize,
        by_blocks in any::<bool>(),
    ) {
        let rule = Rule { per_server, min_shared, by_blocks };
        let texts: Vec<_> = prompts.iter().map(String::as_str).collect();
        prop_assert_eq!(drawn(&placed(&texts, servers, rule)), drawn(&published(&prompts, servers, rule)));
    }
}

#[test]
fn a_full_window_of_prompts_that_begin_alike_is_spread_evenly() {
    // More than are looked at around each.
    let prompts: Vec<_> = (0..10_000_u32)
        .map(|n| chain(&format!("{}{n:05}{}", "x".repeat(30), "y".repeat((n % 7) as usize))))
        .collect();
    let prompts: Vec<_> = prompts.iter().map(Vec::as_slice).collect();
    let rule = Rule { min_shared: 4, ..RULE };
    let placed = place(&prompts, 8, rule);
    let counts = placed.iter().flatten().fold([0_u32; 8], |mut counts, server| {
        counts[*server as usize] += 1;
        counts
    });
    assert!(counts.iter().all(|count| *count == 1250), "{counts:?}");
}
