//! The base models of LoRA adapters: from ConfigMaps with the label [`LABEL`], and from flags.
//!
//! Source of the form: GIE 1.5, `pkg/bbr/controller`. The data of such a ConfigMap has `baseModel`, and `adapters` as a YAML
//! list of names.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arc_swap::ArcSwap;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::runtime::watcher::{Config, Event};
use kube::{Api, Client, ResourceExt};
use tokio::sync::watch;

use crate::metrics::Metrics;
use crate::watch::events::Events;

#[cfg(test)]
mod tests;

/// The label of the ConfigMaps that are read, with its value.
pub const LABEL: &str = "inference.networking.k8s.io/bbr-managed=true";

/// The base of each model that is known, a base model's being itself. One value is never changed, only replaced.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BaseModels(HashMap<Box<str>, Box<str>>);

/// The base models at the moment.
pub type SharedBaseModels = Arc<ArcSwap<BaseModels>>;

impl BaseModels {
    /// The base of `model`, if that is known.
    pub fn of(&self, model: &str) -> Option<&str> {
        self.0.get(model).map(|base| &**base)
    }

    /// What flags say, as pairs of adapter and base model, and beyond them what ConfigMaps say, in the order of their
    /// names: who names an adapter first is believed.
    fn joined<'a>(
        fixed: &[(String, String)],
        maps: impl Iterator<Item = (&'a String, &'a Adapters)>,
    ) -> Self {
        let mut all = Self::default();
        for (adapter, base) in fixed {
            all.add(adapter, base, "a flag");
            all.add(base, base, "a flag");
        }
        let maps: Vec<_> = maps.collect();
        // A map can't make the base model of another an adapter of its own.
        maps.iter().for_each(|(map, Adapters { base, .. })| all.add(base, base, map));
        for (map, Adapters { base, names }) in maps {
            names.iter().for_each(|adapter| all.add(adapter, base, map));
        }
        all
    }

    fn add(&mut self, adapter: &str, base: &str, by: &str) {
        let known = self.0.entry(adapter.into()).or_insert_with(|| base.into());
        if **known != *base {
            let known = &**known;
            tracing::warn!(
                adapter,
                known,
                base,
                by,
                "an adapter is named with two base models; the first one counts"
            );
        }
    }
}

/// What one ConfigMap says.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Adapters {
    base: String,
    names: Vec<String>,
}

/// The ConfigMaps that can be read, by name.
#[derive(Debug, Default)]
struct Known {
    by_name: BTreeMap<String, Adapters>,
    /// What the list under way has shown so far.
    listed: BTreeMap<String, Adapters>,
    /// Whether there was a whole list.
    complete: bool,
}

impl Known {
    /// Takes note of `event`; whether anything is different now.
    fn learn(&mut self, event: Event<ConfigMap>) -> bool {
        match event {
            Event::Init => {
                self.listed.clear();
                false
            }
            Event::InitApply(map) => {
                self.listed.extend(read(&map).map(|adapters| (map.name_any(), adapters)));
                false
            }
            Event::InitDone => {
                let listed = std::mem::take(&mut self.listed);
                let first = !std::mem::replace(&mut self.complete, true);
                std::mem::replace(&mut self.by_name, listed.clone()) != listed || first
            }
            Event::Apply(map) => match read(&map) {
                Some(adapters) => self.by_name.insert(map.name_any(), adapters.clone()) != Some(adapters),
                None => self.by_name.remove(&map.name_any()).is_some(),
            },
            Event::Delete(map) => self.by_name.remove(&map.name_any()).is_some(),
        }
    }
}

/// The adapters in `map`, if they can be read.
fn read(map: &ConfigMap) -> Option<Adapters> {
    let data = |key| map.data.as_ref().and_then(|data| data.get(key)).map(|text| text.trim());
    let names = match data("adapters").filter(|text| !text.is_empty()) {
        Some(list) => serde_saphyr::from_str::<Option<Vec<String>>>(list).map_err(|error| {
            let error = error.to_string();
            format!("adapters is no list of names: {}", error.lines().next().unwrap_or_default())
        }),
        None => Ok(None),
    };
    let base = data("baseModel").filter(|base| !base.is_empty()).ok_or("baseModel is missing");
    match base.map_err(str::to_owned).and_then(|base| Ok((base, names?))) {
        Ok((base, names)) => {
            let names = names.unwrap_or_default().into_iter().map(|name| name.trim().to_owned());
            Some(Adapters { base: base.to_owned(), names: names.filter(|name| !name.is_empty()).collect() })
        }
        Err(error) => {
            tracing::warn!(config_map = map.name_any(), error, "the ConfigMap of adapters can't be used");
            None
        }
    }
}

/// The base models that flags alone say, as pairs of adapter and base model.
pub fn fixed(pairs: &[(String, String)]) -> BaseModels {
    BaseModels::joined(pairs, std::iter::empty())
}

/// Watches the ConfigMaps of `namespace` and keeps `base_models` up to date, with `fixed` among them. Says by `listed` when all
/// were seen for the first time.
pub async fn run(
    client: Client,
    namespace: &str,
    fixed: &[(String, String)],
    metrics: &Metrics,
    base_models: SharedBaseModels,
    listed: watch::Sender<bool>,
) {
    let maps: Api<ConfigMap> = Api::namespaced(client, namespace);
    let mut events = Events::of(maps, Config::default().labels(LABEL), metrics, "configmaps");
    let mut known = Known::default();
    loop {
        let event = events.next().await;
        if known.learn(event) {
            let now = BaseModels::joined(fixed, known.by_name.iter());
            tracing::info!(
                models = now.0.len(),
                config_maps = known.by_name.len(),
                "the base models of adapters"
            );
            base_models.store(Arc::new(now));
        }
        listed.send_if_modified(|listed| !std::mem::replace(listed, known.complete) && known.complete);
    }
}
