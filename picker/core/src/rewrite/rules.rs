//! Rules of models in the order in which they count, found by the model that a request names.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::rule::{MAX_NAME, Match, ModelMatch, Rule};
use crate::request::Request;

/// Rules in the order in which they count. However many there are, a request is held against those that name its model, and
/// those that name none, or the beginning of one.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    all: Box<[Arc<Rule>]>,
    /// Positions of the rules that name a model, in their order.
    by_model: FxHashMap<Box<str>, Vec<u32>>,
    /// Positions of the rules that may be for any model, in their order.
    others: Vec<u32>,
}

impl FromIterator<Arc<Rule>> for Rules {
    fn from_iter<T: IntoIterator<Item = Arc<Rule>>>(rules: T) -> Self {
        let all: Box<[Arc<Rule>]> = rules.into_iter().collect();
        let mut by_model: FxHashMap<Box<str>, Vec<u32>> = FxHashMap::default();
        let mut others = Vec::new();
        for (position, rule) in (0..).zip(&all) {
            for one in &rule.matches {
                if let Some(ModelMatch::Exact(model)) = &one.model {
                    let positions = by_model.entry(model.clone()).or_default();
                    if positions.last() != Some(&position) {
                        positions.push(position);
                    }
                }
            }
            let named = |one: &Match| matches!(one.model, Some(ModelMatch::Exact(_)));
            if rule.matches.is_empty() || !rule.matches.iter().all(named) {
                others.push(position);
            }
        }
        Self { all, by_model, others }
    }
}

impl Rules {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// All of them.
    pub fn iter(&self) -> std::slice::Iter<'_, Arc<Rule>> {
        self.all.iter()
    }

    /// The first rule that is for `request`.
    pub fn of(&self, request: &Request) -> Option<&Arc<Rule>> {
        // No rule has a longer one.
        let asked = request.client_model().filter(|model| model.len() <= MAX_NAME);
        let first = |positions: &[u32]| {
            let mut positions = positions.iter().copied();
            positions.find(|position| self.all[*position as usize].is_for(request, asked))
        };
        let named = asked.and_then(|model| first(self.by_model.get(model)?));
        let position = named.into_iter().chain(first(&self.others)).min()?;
        self.all.get(position as usize)
    }
}
