//! The rules of models that objects of the cluster have for a pool: InferenceModelRewrites, and InferenceModels.
//!
//! As they are specified, a rule for a model counts before one for every request, the oldest object counts first, and within
//! it the first rule. InferenceModels come after InferenceModelRewrites. What is not specified: of objects of one age the one
//! whose name comes first, and of two groups the newer.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arc_swap::ArcSwap;
use crds::model_rewrite::{ModelRewriteRule, ModelRewriteTarget};
use crds::{InferenceModelRewriteSpec, InferenceModelSpec, ObjectiveGroup, ObjectivePoolRef};
use kube::runtime::watcher;
use kube::{Api, Client};
use kube_ext::object_parts::RawObject;
use picker_core::rewrite::{MAX_NAME, Match, ModelMatch, Rule, Rules, Share, Target};
use serde::de::DeserializeOwned;

use super::events::Events;
use super::pool::PoolRef;
use super::pool_objects::Known;
use crate::metrics::Metrics;

#[cfg(test)]
mod tests;

/// The rules at the moment.
pub type SharedRules = Arc<ArcSwap<Rules>>;

/// The priorities of requests for an InferenceModel by its criticality: what is below 0 may be turned away under load.
const CRITICALITIES: [(&str, i32); 3] = [("Critical", 10), ("Standard", 0), ("Sheddable", -10)];

/// The largest weight of a target.
const MAX_WEIGHT: i64 = 1_000_000;

/// The most matches and targets of a rule.
const MAX_PARTS: usize = 32;

/// The most rules of a pool.
const MAX_RULES: usize = 4096;

/// An object and its age.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Aged<S> {
    /// Seconds since 1970 when it was made, 0 where that is not known.
    created: i64,
    spec: S,
}

/// A rule as it is found in an object.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Found {
    /// Of which object it is, and which of its rules.
    name: String,
    /// The models that it is for; `None` for every request.
    models: Option<Vec<String>>,
    targets: Vec<(String, Option<i64>)>,
    priority: Option<i32>,
}

/// All objects that have rules for the pool.
#[derive(Debug, Default)]
struct Objects {
    rewrites: Known<Aged<InferenceModelRewriteSpec>>,
    older_rewrites: Known<Aged<InferenceModelRewriteSpec>>,
    models: Known<Aged<InferenceModelSpec>>,
    /// The counts of the rules by name, which outlive changes of them.
    shares: BTreeMap<String, Arc<Share>>,
    /// The rules that are not used for a model. The log has each of them once.
    conflicts: BTreeSet<Conflict>,
}

/// What an object says, if it is for the pool and can be read.
fn read<S: DeserializeOwned>(
    pool: &PoolRef,
    kind: &str,
    object: &RawObject,
    pool_ref: impl Fn(&S) -> &ObjectivePoolRef,
) -> Option<Aged<S>> {
    match object.spec.read::<S>() {
        Ok(spec) => pool_ref(&spec).is_for(pool.group, &pool.name).then(|| {
            let created = object.metadata.creation_timestamp.as_ref();
            Aged { created: created.map_or(0, |time| time.0.as_second()), spec }
        }),
        Err(error) => {
            let name = object.metadata.name.as_deref().unwrap_or_default();
            tracing::warn!(namespace = pool.namespace, kind, name, error, "the object can't be used");
            None
        }
    }
}

fn read_rewrite(pool: &PoolRef, object: &RawObject) -> Option<Aged<InferenceModelRewriteSpec>> {
    read(pool, "InferenceModelRewrite", object, |spec: &InferenceModelRewriteSpec| &spec.pool_ref)
}

fn read_model(pool: &PoolRef, object: &RawObject) -> Option<Aged<InferenceModelSpec>> {
    read(pool, "InferenceModel", object, |spec: &InferenceModelSpec| &spec.pool_ref)
}

impl Objects {
    /// The rules of all objects in the order in which they count.
    fn rules(&mut self) -> Rules {
        let mut found = Vec::new();
        for (group, objects) in [("", &self.rewrites), ("x-k8s/", &self.older_rewrites)] {
            for (name, Aged { created, spec }) in &objects.by_name {
                let rules = spec.rules.iter().enumerate();
                let rules = rules.filter_map(|(n, rule)| of_rewrite(&format!("{group}{name}/{n}"), rule));
                found.extend(rules.map(|rule| (*created, rule)));
            }
        }
        // Stable: of one age, the order is that of names, and of rules within an object.
        found.sort_by_key(|(created, rule)| (rule.models.is_none(), *created));
        let mut models: Vec<_> = self.models.by_name.iter().collect();
        models.sort_by_key(|(_, model)| model.created);
        found.extend(
            models.into_iter().map(|(name, Aged { created, spec })| (*created, of_model(name, spec))),
        );
        if found.len() > MAX_RULES {
            tracing::warn!(
                rules = found.len(),
                used = MAX_RULES,
                "too many rules of models; the last ones are not used"
            );
            found.truncate(MAX_RULES);
        }
        let found: Vec<Found> = found.into_iter().map(|(_, rule)| rule).collect();
        let conflicts = conflicts(&found);
        for Conflict { model, used, unused } in conflicts.difference(&self.conflicts) {
            tracing::warn!(
                model,
                used,
                unused,
                "two rules are for one model; the first one is used: delete the other, or change its model"
            );
        }
        self.conflicts = conflicts;
        let before = std::mem::take(&mut self.shares);
        let rules = found.into_iter().map(|rule| {
            let share = before.get(&rule.name).cloned().unwrap_or_default();
            self.shares.insert(rule.name.clone(), share.clone());
            Arc::new(rule.compiled(share))
        });
        rules.collect()
    }
}

/// A rule of an InferenceModelRewrite; `None` when it has no target or a condition that is not known.
fn of_rewrite(name: &str, rule: &ModelRewriteRule) -> Option<Found> {
    let known = |kind: Option<&str>| kind.is_none_or(|kind| kind.is_empty() || kind == "Exact");
    let conditions = || rule.matches.iter().filter_map(|one| one.model.as_ref());
    if let Some(other) = conditions().find(|model| !known(model.kind.as_deref())) {
        tracing::warn!(
            rule = name,
            kind = other.kind,
            "the rule of models compares names in a way that is not known; it is not used"
        );
        return None;
    }
    let names =
        conditions().map(|model| &model.value).chain(rule.targets.iter().map(|target| &target.model_rewrite));
    if rule.matches.len() > MAX_PARTS
        || rule.targets.len() > MAX_PARTS
        || names.into_iter().any(|name| name.len() > MAX_NAME)
    {
        tracing::warn!(
            rule = name,
            "the rule of models has more than 32 matches or targets, or a name of more than 256 bytes; it is not used"
        );
        return None;
    }
    if rule.targets.is_empty() {
        tracing::warn!(rule = name, "the rule of models has no targets; it is not used");
        return None;
    }
    let for_all = rule.matches.iter().any(|one| one.model.is_none()) || rule.matches.is_empty();
    let models = (!for_all).then(|| conditions().map(|model| model.value.clone()).collect());
    let targets = rule
        .targets
        .iter()
        .map(|ModelRewriteTarget { model_rewrite, weight }| (model_rewrite.clone(), *weight));
    Some(Found { name: name.to_owned(), models, targets: targets.collect(), priority: None })
}

fn of_model(name: &str, spec: &InferenceModelSpec) -> Found {
    let criticality = spec.criticality.as_deref().unwrap_or("Standard");
    let priority = CRITICALITIES.iter().find(|(name, _)| *name == criticality).map(|(_, priority)| *priority);
    if priority.is_none() {
        tracing::warn!(
            model = name,
            criticality,
            "the InferenceModel has a criticality that is not known; it counts as Standard"
        );
    }
    Found {
        name: format!("model/{name}"),
        models: Some(vec![spec.model_name.clone()]),
        targets: spec.target_models.iter().map(|target| (target.name.clone(), target.weight)).collect(),
        priority,
    }
}

/// A rule that is not used for a model, because another one is for it before.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Conflict {
    model: String,
    used: String,
    unused: String,
}

/// The rules that are not used for a model.
fn conflicts(found: &[Found]) -> BTreeSet<Conflict> {
    let mut first: BTreeMap<&str, &str> = BTreeMap::new();
    let mut conflicts = BTreeSet::new();
    for rule in found {
        for model in rule.models.iter().flatten() {
            match first.get(model.as_str()) {
                Some(&used) if used != rule.name => {
                    let (model, used, unused) = (model.clone(), used.to_owned(), rule.name.clone());
                    conflicts.insert(Conflict { model, used, unused });
                }
                Some(_) => {}
                None => drop(first.insert(model, &rule.name)),
            }
        }
    }
    conflicts
}

impl Found {
    fn compiled(self, share: Arc<Share>) -> Rule {
        let Self { name, models, targets, priority } = self;
        // All have a weight, or none has: so it is specified. Where some lack it, they get nothing.
        let any = targets.iter().any(|(_, weight)| weight.is_some());
        if any && targets.iter().any(|(_, weight)| weight.is_none()) {
            tracing::warn!(
                rule = name.as_str(),
                "a target has no weight beside others that have one: it gets no requests"
            );
        }
        let weight = |weight: Option<i64>| weight.unwrap_or(i64::from(!any)).clamp(0, MAX_WEIGHT) as u32;
        let target = |(model, given): (String, Option<i64>)| Target {
            model: model.into(),
            weight: weight(given),
            fallbacks: Box::default(),
        };
        let matching =
            |model: String| Match { model: Some(ModelMatch::Exact(model.into())), ..Match::default() };
        Rule {
            name: name.into(),
            matches: models.into_iter().flatten().map(matching).collect(),
            targets: targets.into_iter().map(target).collect(),
            sticky: None,
            priority,
            share,
        }
    }
}

/// Watches the objects that have rules for `pool`, of the kinds that are installed, and keeps `rules` up to date.
pub async fn run(client: Client, pool: PoolRef, metrics: &Metrics, rules: SharedRules) {
    let events = |resource: kube::core::ApiResource, name| {
        let api: Api<RawObject> = Api::namespaced_with(client.clone(), &pool.namespace, &resource);
        Events::of_optional(api, watcher::Config::default(), metrics, name)
    };
    let [newer, older] = ObjectiveGroup::ALL.map(crds::rewrite_resource);
    let mut newer = events(newer, "model-rewrites");
    let mut older = events(older, "model-rewrites-x-k8s");
    let mut models = events(crds::model_resource(), "models");
    let rewrite = |object: &RawObject| read_rewrite(&pool, object);
    let model = |object: &RawObject| read_model(&pool, object);
    let mut objects = Objects::default();
    loop {
        let changed = tokio::select! {
            event = newer.next() => objects.rewrites.learn(event, rewrite),
            event = older.next() => objects.older_rewrites.learn(event, rewrite),
            event = models.next() => objects.models.learn(event, model),
        };
        if changed {
            let now = objects.rules();
            metrics.traffic.model_rule_conflicts.set(objects.conflicts.len() as i64);
            tracing::info!(
                rules = now.iter().len(),
                "the rules of models of the pool's InferenceModelRewrites and InferenceModels"
            );
            rules.store(Arc::new(now));
        }
    }
}
