//! The wiring of sources of data about endpoints with extractors: as `dataLayer` lists them, and by default.

use super::context::Compiler;
use super::instances::{Found, Instances};
use crate::config::{DataLayer, ErrorKind, SourceSpec};
use crate::plugin::{Roles, parameter_path};
use crate::scrape::{MetricsExtractor, MetricsSource, SourceKind};

/// A source, and what is taken from it.
pub(super) struct Source {
    pub source: MetricsSource,
    pub extractors: Vec<Extractor>,
}

/// An extractor by its names.
#[derive(Clone)]
pub(super) struct Extractor {
    pub name: String,
    pub extractor: MetricsExtractor,
}

impl Extractor {
    /// Whether `producer` means it: by its name, by its type, or, when it is empty, any.
    pub fn is_meant_by(&self, producer: &str) -> bool {
        producer.is_empty() || producer == self.name || producer == self.extractor.kind.extractor_type()
    }
}

/// Positions of a source and of its extractors among the instances; `None` and no extractors are the default ones of the
/// kind.
struct Wire {
    kind: SourceKind,
    source: Option<usize>,
    extractors: Vec<usize>,
}

impl Compiler<'_> {
    /// The sources that `layer` lists with their extractors, and, unless it wants no defaults, those of the kinds that it
    /// does not list; and, with `models`, where servers list their models. One page is one source, whatever its names.
    pub(super) fn sources(
        &mut self,
        layer: &DataLayer,
        models: bool,
        instances: &mut Instances,
    ) -> Vec<Source> {
        let inject = layer.inject_defaults.unwrap_or(true);
        let mut wires = self.listed(&layer.sources, instances);
        if inject {
            self.add_defaults(&mut wires, instances);
        }
        if models && wires.iter().all(|wire| wire.kind != SourceKind::Models) {
            wires.push(Wire { kind: SourceKind::Models, source: None, extractors: Vec::new() });
        }
        let mut sources: Vec<Source> = Vec::new();
        for Wire { kind, source, extractors } in wires {
            let taken = source.and_then(|i| instances.take_part(i)?.roles.data_source.clone());
            let at_node = taken.as_ref().is_some_and(|source| source.at_node);
            if let (Some(position), true) = (source, at_node && layer.discovery.is_some()) {
                let message = "has no effect for endpoints of a file, of which no node is known: what this source tells of them stays \
                               unknown; leave it out, to ask at their own addresses";
                self.warn(parameter_path(&instances.path(position), "useNodeAddress"), message);
            }
            let source = taken.unwrap_or_else(|| MetricsSource::of(kind));
            let mut taken = Vec::with_capacity(extractors.len());
            for position in extractors {
                let Some(instance) = instances.take_part(position) else { continue };
                let Some(extractor) = instance.roles.extractor.clone() else { continue };
                taken.push(Extractor { name: instance.name.clone(), extractor });
            }
            if taken.is_empty() && (inject || models && kind == SourceKind::Models) {
                let (name, extractor) = (kind.extractor_type().to_owned(), MetricsExtractor::of(kind));
                taken.push(Extractor { name, extractor });
            }
            match sources.iter_mut().find(|earlier| earlier.source == source) {
                Some(same) => same.extractors.extend(taken),
                None => sources.push(Source { source, extractors: taken }),
            }
        }
        sources.retain(|source| !source.extractors.is_empty());
        sources
    }

    fn listed(&mut self, specs: &[SourceSpec], instances: &Instances) -> Vec<Wire> {
        let mut wires: Vec<Wire> = Vec::new();
        for (i, spec) in specs.iter().enumerate() {
            let path = format!("dataLayer.sources[{i}]");
            let reference = (format!("{path}.pluginRef"), spec.plugin_ref.as_str());
            let kind = |roles: &Roles| roles.data_source.as_ref().map(|source| source.kind);
            let source = self.wired(&reference, "data source", kind, instances);
            let mut extractors = Vec::new();
            for (e, name) in spec.extractors.iter().enumerate() {
                let reference = (format!("{path}.extractors[{e}].pluginRef"), name.as_str());
                if source.is_none() && !matches!(instances.find(name), Found::Nothing) {
                    // What has another source may be no extractor here.
                    continue;
                }
                let kind = |roles: &Roles| roles.extractor.as_ref().map(|extractor| extractor.kind);
                let found = self.wired(&reference, "extractor", kind, instances);
                let (Some((position, kind)), Some((_, of))) = (found, source) else { continue };
                if kind.has_metrics() != of.has_metrics() {
                    let (kind, of) = (kind.source_type(), of.source_type());
                    let message = format!("{name:?} takes nothing from a {of}; list it at a {kind}");
                    self.fail(reference.0, ErrorKind::Invalid, message);
                } else if extractors.contains(&position) {
                    let message = format!("{name:?} is listed at this source already; take it out");
                    self.fail(reference.0, ErrorKind::Duplicate, message);
                } else {
                    extractors.push(position);
                }
            }
            let Some((position, kind)) = source else { continue };
            if wires.iter().any(|earlier| earlier.source == Some(position)) {
                let message = format!("{:?} is listed already; list its extractors there", reference.1);
                self.fail(reference.0, ErrorKind::Duplicate, message);
                continue;
            }
            wires.push(Wire { kind, source: Some(position), extractors });
        }
        wires
    }

    /// Adds, kind by kind, what nobody lists: the source and the extractors that are declared, and of model servers' metrics
    /// also those that are not.
    fn add_defaults(&mut self, wires: &mut Vec<Wire>, instances: &Instances) {
        for kind in SourceKind::ALL {
            let declared = |plays: &dyn Fn(&Roles) -> bool| -> Vec<usize> {
                instances.all().filter(|(_, i)| plays(&i.roles)).map(|(position, _)| position).collect()
            };
            let mut extractors = declared(&|roles| roles.extractor.as_ref().is_some_and(|e| e.kind == kind));
            if extractors.iter().any(|position| wires.iter().any(|wire| wire.extractors.contains(position))) {
                extractors.clear();
            }
            let mut is_listed = false;
            for wire in wires.iter_mut().filter(|wire| wire.kind == kind) {
                is_listed = true;
                if wire.extractors.is_empty() {
                    wire.extractors.clone_from(&extractors);
                }
            }
            if is_listed {
                continue;
            }
            let sources = declared(&|roles| roles.data_source.as_ref().is_some_and(|s| s.kind == kind));
            if let [_, second, ..] = *sources {
                let message = format!(
                    "a second {}; take one out, or list those to use under dataLayer.sources",
                    kind.source_type()
                );
                self.fail(format!("{}.type", instances.path(second)), ErrorKind::Duplicate, message);
            }
            let source = sources.first().copied();
            if kind == SourceKind::Metrics || source.is_some() || !extractors.is_empty() {
                wires.push(Wire { kind, source, extractors });
            }
        }
    }

    /// Position and kind of the plugin that `reference` (its path and the name) means, if it plays the role `what`.
    fn wired(
        &mut self,
        (path, name): &(String, &str),
        what: &str,
        kind: impl Fn(&Roles) -> Option<SourceKind>,
        instances: &Instances,
    ) -> Option<(usize, SourceKind)> {
        match instances.find(name) {
            Found::Made(position, roles) => {
                if let Some(kind) = kind(roles) {
                    return Some((position, kind));
                }
                self.fail(path, ErrorKind::Invalid, format!("{name:?} is no {what}; name a plugin that is"));
            }
            Found::Broken => {}
            Found::Nothing => self.dangling(path, name, instances.names()),
        }
        None
    }
}
