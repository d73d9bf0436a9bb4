//! What is scraped for a strategy: the wiring of a source and extractors, and of their series those that are read.

use super::context::Compiler;
use super::instances::{Found, Instances};
use crate::column::Column;
use crate::config::{ConfigError, DataLayer, ErrorKind};
use crate::plugin::{AttributeRead, Roles, parameter_path};
use crate::scrape::{CORE_EXTRACTOR, MetricsExtractor, MetricsSource, ScrapePlan, builtin};

/// A source of metrics, and what is taken from it.
pub(super) struct Metrics {
    source: MetricsSource,
    extractors: Vec<Extractor>,
}

/// An extractor by its names.
struct Extractor {
    name: String,
    extractor: MetricsExtractor,
}

impl Extractor {
    /// Whether `producer` means it: by its name, by its type, or, when it is empty, any.
    fn is_meant_by(&self, producer: &str) -> bool {
        producer.is_empty() || producer == self.name || producer == CORE_EXTRACTOR
    }

    fn sets(&self, attribute: &str) -> bool {
        builtin::attribute(attribute).is_some() || self.extractor.sets(attribute)
    }
}

impl Compiler<'_> {
    /// The source and the extractors that `layer` lists; where it lists none those that are declared, or the default
    /// ones, unless it wants no defaults. `None` when there is no source.
    pub(super) fn metrics(&mut self, layer: &DataLayer, instances: &mut Instances) -> Option<Metrics> {
        let inject = layer.inject_defaults.unwrap_or(true);
        let mut source = None;
        let mut extractors = Vec::new();
        for (i, spec) in layer.sources.iter().enumerate() {
            let path = format!("dataLayer.sources[{i}]");
            let is_source = |roles: &Roles| roles.data_source.is_some();
            let reference = (format!("{path}.pluginRef"), spec.plugin_ref.as_str());
            if let Some(position) = self.wired(&reference, "data source", is_source, instances) {
                if source.is_some() {
                    let message = format!("a second source of metrics, {:?}; there is one", reference.1);
                    self.fail(reference.0, ErrorKind::Duplicate, message);
                }
                source = source.or(Some(position));
            }
            for (e, name) in spec.extractors.iter().enumerate() {
                let reference = (format!("{path}.extractors[{e}].pluginRef"), name.as_str());
                let is_extractor = |roles: &Roles| roles.extractor.is_some();
                if let Some(position) = self.wired(&reference, "extractor", is_extractor, instances) {
                    extractors.push(position);
                }
            }
        }
        if inject {
            let declared = |plays: fn(&Roles) -> bool| {
                instances.all().filter(move |(_, i)| plays(&i.roles)).map(|(position, _)| position)
            };
            let sources: Vec<_> = declared(|roles| roles.data_source.is_some()).collect();
            if let (None, [_, second, ..]) = (source, &*sources) {
                let message = "a second source of metrics; list the one to use under dataLayer.sources";
                self.fail(format!("{}.type", instances.path(*second)), ErrorKind::Duplicate, message);
            }
            source = source.or(sources.first().copied());
            if extractors.is_empty() {
                extractors.extend(declared(|roles| roles.extractor.is_some()));
            }
        }
        let taken = source.and_then(|position| instances.take_part(position)?.roles.data_source.clone());
        let source = taken.or_else(|| inject.then(MetricsSource::default))?;
        let mut taken = Vec::with_capacity(extractors.len());
        for position in extractors {
            let Some(instance) = instances.take_part(position) else { continue };
            let Some(extractor) = instance.roles.extractor.clone() else { continue };
            taken.push(Extractor { name: instance.name.clone(), extractor });
        }
        if taken.is_empty() && inject {
            let extractor = MetricsExtractor::default();
            taken.push(Extractor { name: CORE_EXTRACTOR.to_owned(), extractor });
        }
        Some(Metrics { source, extractors: taken })
    }

    /// Position of the plugin that `reference` (its path and the name) means, if it plays the role `what`.
    fn wired(
        &mut self,
        (path, name): &(String, &str),
        what: &str,
        plays: impl Fn(&Roles) -> bool,
        instances: &Instances,
    ) -> Option<usize> {
        match instances.find(name) {
            Found::Made(position, roles) if plays(roles) => return Some(position),
            Found::Made(..) => {
                self.fail(path, ErrorKind::Invalid, format!("{name:?} is no {what}; name a plugin that is"));
            }
            Found::Broken => {}
            Found::Nothing => self.dangling(path, name, instances.names()),
        }
        None
    }

    /// What of `metrics` is scraped for instances that read `columns`; `None` when it is nothing. Attributes that
    /// nothing sets are told.
    pub(super) fn scrape(
        &mut self,
        metrics: Option<Metrics>,
        columns: &[Column],
        instances: &Instances,
    ) -> Option<ScrapePlan> {
        let extractors = metrics.as_ref().map_or(&[][..], |metrics| &metrics.extractors);
        for (position, instance) in instances.all() {
            for read in &instance.asked.attributes {
                self.is_set(read, &instances.path(position), extractors, instances);
            }
        }
        if columns.is_empty() {
            return None;
        }
        let Some(metrics) = metrics.filter(|metrics| !metrics.extractors.is_empty()) else {
            self.warn(
                "dataLayer.injectDefaults",
                "is false, and no source with an extractor is listed: what plugins read of model servers' metrics \
                 stays unknown",
            );
            return None;
        };
        let read = || instances.used().flat_map(|(_, instance)| &instance.asked.attributes);
        let plan = |i: usize| {
            let setter = |read: &&AttributeRead| setter(&metrics.extractors, read) == Some(i);
            let mut attributes: Vec<_> =
                read().filter(setter).map(|read| (read.attribute.as_str(), read.column)).collect();
            attributes.sort_unstable();
            attributes.dedup();
            metrics.extractors[i].extractor.plan(columns, &attributes)
        };
        let extractors = (0..metrics.extractors.len()).map(plan).collect();
        let own = read().filter(|read| builtin::attribute(&read.attribute).is_none());
        let name = |read: &AttributeRead| format!("{}/{}", read.producer, read.attribute);
        let mut attributes: Vec<_> = own.map(|read| (name(read), read.column)).collect();
        attributes.sort_unstable();
        attributes.dedup();
        Some(ScrapePlan { source: metrics.source, extractors, attributes, ..ScrapePlan::default() })
    }

    /// Tells an attribute that nothing sets.
    fn is_set(
        &mut self,
        read: &AttributeRead,
        plugin: &str,
        extractors: &[Extractor],
        instances: &Instances,
    ) {
        if setter(extractors, read).is_some() {
            return;
        }
        let AttributeRead { field, attribute, producer, .. } = read;
        if extractors.iter().any(|e| e.is_meant_by(producer)) {
            let known = builtin::ATTRIBUTES.iter().map(|(name, _)| *name);
            let meant = extractors.iter().filter(|e| e.is_meant_by(producer));
            let names: Vec<_> = known.chain(meant.flat_map(|e| e.extractor.attributes())).collect();
            let message =
                format!("no attribute is called {attribute:?}; add it to the customMetrics of an engine");
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
fn setter(extractors: &[Extractor], read: &AttributeRead) -> Option<usize> {
    let sets = |e: &Extractor| e.sets(&read.attribute);
    let by_name = extractors.iter().position(|e| e.name == read.producer && sets(e));
    by_name.or_else(|| extractors.iter().position(|e| e.is_meant_by(&read.producer) && sets(e)))
}

#[cfg(test)]
mod tests;
