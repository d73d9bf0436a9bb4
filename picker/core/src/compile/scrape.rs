//! What is scraped for a strategy: of each source the series that plugins read, and of whom they come.

use super::context::Compiler;
use super::instances::{Found, Instances};
use super::sources::{Extractor, Source};
use crate::column::Column;
use crate::config::{ConfigError, ErrorKind};
use crate::plugin::{AttributeRead, parameter_path};
use crate::scrape::{MetricsExtractor, ScrapePlan, SourceKind, SourcePlan, attributes};

impl Compiler<'_> {
    /// What of `sources` is scraped for instances that read `columns`; `None` when it is nothing. What nothing sets is
    /// told.
    pub(super) fn scrape(
        &mut self,
        sources: &[Source],
        columns: &[Column],
        instances: &Instances,
    ) -> Option<ScrapePlan> {
        let extractors: Vec<&Extractor> = sources.iter().flat_map(|source| &source.extractors).collect();
        for (position, instance) in instances.all() {
            for read in &instance.asked.attributes {
                self.is_set(read, &instances.path(position), &extractors, instances);
            }
        }
        self.models_are_told(sources, instances);
        if columns.is_empty() {
            return None;
        }
        let core = |e: &&Extractor| e.extractor.kind == SourceKind::Metrics;
        if !extractors.iter().any(core)
            && columns.iter().any(|column| MetricsExtractor::CORE.contains(column))
        {
            self.warn(
                "dataLayer.injectDefaults",
                "is false, and no source with an extractor is listed: what plugins read of model servers' metrics \
                 stays unknown",
            );
        }
        let read = || instances.used().flat_map(|(_, instance)| &instance.asked.attributes);
        let mut all = (0..).zip(&extractors);
        let mut plan = |source: &Source| {
            let (mut wanted, mut plans) = (false, Vec::with_capacity(source.extractors.len()));
            for (i, Extractor { extractor, .. }) in all.by_ref().take(source.extractors.len()) {
                let set = read().filter(|read| setter(&extractors, read) == Some(i));
                let mut attributes: Vec<_> = set.map(|read| (read.attribute.as_str(), read.column)).collect();
                attributes.sort_unstable();
                attributes.dedup();
                wanted |= extractor.is_wanted(columns, &attributes);
                plans.push(extractor.plan(columns, &attributes));
            }
            wanted.then(|| SourcePlan { source: source.source.clone(), extractors: plans })
        };
        let sources: Vec<_> = sources.iter().filter_map(&mut plan).collect();
        if sources.is_empty() {
            return None;
        }
        let own = read().filter(|read| attributes::core(&read.attribute).is_none());
        let name = |read: &AttributeRead| format!("{}/{}", read.producer, read.attribute);
        let mut attributes: Vec<_> = own.map(|read| (name(read), read.column)).collect();
        attributes.sort_unstable();
        attributes.dedup();
        Some(ScrapePlan { sources, attributes, ..ScrapePlan::default() })
    }

    /// Tells who reads the models of servers where nothing tells them.
    fn models_are_told(&mut self, sources: &[Source], instances: &Instances) {
        if sources.iter().any(|source| source.source.kind == SourceKind::Models) {
            return;
        }
        let kind = SourceKind::Models.source_type();
        for (position, _) in instances.all().filter(|(_, i)| i.asked.columns.contains(&Column::MODELS)) {
            let message =
                format!("reads endpoint.models, and no plugin asks for them; add one of type {kind}");
            let path = format!("{}.parameters.expression", instances.path(position));
            self.fail(path, ErrorKind::UnknownRef, message);
        }
    }

    /// Tells an attribute that nothing sets.
    fn is_set(
        &mut self,
        read: &AttributeRead,
        plugin: &str,
        extractors: &[&Extractor],
        instances: &Instances,
    ) {
        if setter(extractors, read).is_some() {
            return;
        }
        let AttributeRead { field, attribute, producer, .. } = read;
        let other = extractors.iter().find(|e| e.extractor.sets(attribute));
        if let Some(Extractor { name, .. }) = other {
            let message = format!("{attribute:?} is set by {name:?}; write producer: {name}");
            self.fail(parameter_path(plugin, field), ErrorKind::UnknownRef, message);
            return;
        }
        let kinds = SourceKind::ALL.into_iter().filter(|kind| *kind != SourceKind::Metrics);
        let mut setting = kinds.filter(|kind| MetricsExtractor::of(*kind).sets(attribute));
        if let Some(kind) = setting.next() {
            let message =
                format!("nothing sets {attribute:?}; add a plugin of type {}", kind.extractor_type());
            self.fail(parameter_path(plugin, field), ErrorKind::UnknownRef, message);
            return;
        }
        let meant = || extractors.iter().filter(|e| e.is_meant_by(producer));
        if meant().next().is_some() {
            let names: Vec<_> = meant().flat_map(|e| e.extractor.attributes()).collect();
            let has_engines = meant().any(|e| e.extractor.kind == SourceKind::Metrics);
            let add = if has_engines { "; add it to the customMetrics of an engine" } else { "" };
            let message = format!("no attribute is called {attribute:?}{add}");
            let (path, known) = (parameter_path(plugin, field), ("there are", &*names));
            self.errors.push(ConfigError::unknown(path, ErrorKind::UnknownRef, message, attribute, known));
            return;
        }
        let path = parameter_path(plugin, "producer");
        match instances.find(producer) {
            Found::Made(_, roles) if roles.extractor.is_some() => {
                let message = format!("{producer:?} is not among the extractors of dataLayer.sources");
                self.fail(path, ErrorKind::Invalid, message);
            }
            Found::Made(..) => {
                let message = format!("{producer:?} is no extractor; name a plugin that is");
                self.fail(path, ErrorKind::Invalid, message);
            }
            Found::Broken => {}
            Found::Nothing => {
                let message =
                    format!("no extractor called {producer:?} takes part; leave this out, or add one");
                self.fail(path, ErrorKind::UnknownRef, message);
            }
        }
    }
}

/// Position of the extractor that sets what is read: the one of that name, else the first that is meant.
fn setter(extractors: &[&Extractor], read: &AttributeRead) -> Option<usize> {
    let sets = |e: &Extractor| e.extractor.sets(&read.attribute);
    let by_name = extractors.iter().position(|e| e.name == read.producer && sets(e));
    by_name.or_else(|| extractors.iter().position(|e| e.is_meant_by(&read.producer) && sets(e)))
}

#[cfg(test)]
mod tests;
