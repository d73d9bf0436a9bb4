//! The plugin instances of a strategy: those of its configuration, and the producers that these read from.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::context::Compiler;
use super::later::{Told, is_later, later};
use super::retired::{self, Retired, retired};
use crate::column::{Column, Columns};
use crate::config::{ConfigError, ErrorKind, Mention, PluginSpec, Routing};
use crate::plugin::{Asked, BuildCx, Building, MadeWith, Registration, Role, Roles, parameter_path};
use crate::strategy::{Named, Reads};

/// All instances: those of the configuration by their position in it, then the default producers.
pub(super) struct Instances {
    /// `None` for one that could not be made, about which an error was told.
    list: Vec<Option<Instance>>,
    /// Positions of the first instance of each name.
    names: BTreeMap<String, usize>,
    /// How many of the list the configuration has.
    declared: usize,
    /// For each slot of a fact, the position of the instance that provides it.
    providers: Vec<Option<usize>>,
}

pub(super) struct Instance {
    pub name: String,
    pub roles: Roles,
    pub asked: Asked,
    /// What it reads, with names.
    pub reads: Arc<Reads>,
    /// Whether it has a part in the strategy.
    pub used: bool,
}

impl Instance {
    /// The instance in one of its roles.
    pub fn named<T: ?Sized>(&self, role: Arc<T>) -> Named<T> {
        Named { name: self.name.as_str().into(), role, reads: self.reads.clone() }
    }
}

/// What a name stands for.
pub(super) enum Found<'a> {
    /// An instance, and its position.
    Made(usize, &'a Roles),
    /// One that could not be made.
    Broken,
    /// Nothing.
    Nothing,
}

impl Instances {
    pub fn find(&self, name: &str) -> Found<'_> {
        match self.names.get(name).map(|&i| (i, &self.list[i])) {
            Some((i, Some(instance))) => Found::Made(i, &instance.roles),
            Some((_, None)) => Found::Broken,
            // What has no name was told of already.
            None if name.is_empty() => Found::Broken,
            None => Found::Nothing,
        }
    }

    /// The instance at `position`, which has a part in the strategy from now on.
    pub fn take_part(&mut self, position: usize) -> Option<&Instance> {
        let instance = self.list[position].as_mut()?;
        instance.used = true;
        Some(instance)
    }

    /// The instance at `position`.
    pub fn at(&self, position: usize) -> Option<&Instance> {
        self.list[position].as_ref()
    }

    /// All, with their positions, those of the configuration first.
    pub fn all(&self) -> impl Iterator<Item = (usize, &Instance)> {
        self.list.iter().enumerate().filter_map(|(i, instance)| Some((i, instance.as_ref()?)))
    }

    /// The names in the configuration.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().filter(|(_, i)| **i < self.declared).map(|(name, _)| name.as_str())
    }

    /// Gives all a part that act on every request, that somebody with a part reads from, or that decide for one.
    pub fn spread_use(&mut self) {
        let mut todo: Vec<usize> = Vec::new();
        for (i, instance) in self.list.iter_mut().enumerate() {
            let Some(instance) = instance else { continue };
            // Default producers are there for those that read from them.
            instance.used |= i < self.declared && instance.roles.acts_by_itself();
            todo.extend(instance.used.then_some(i));
        }
        while let Some(i) = todo.pop() {
            let reads = self.reads(i).chain(self.deciders(i)).collect::<Vec<_>>();
            for read in reads {
                if let Some(instance) = self.list[read].as_mut()
                    && !std::mem::replace(&mut instance.used, true)
                {
                    todo.push(read);
                }
            }
        }
    }

    /// The instances that the one at `position` reads from.
    fn reads(&self, position: usize) -> impl Iterator<Item = usize> + '_ {
        let slots = self.list[position].iter().flat_map(|instance| &instance.asked.reads);
        slots.filter_map(|&slot| self.providers[usize::from(slot)])
    }

    fn deciders(&self, position: usize) -> impl Iterator<Item = usize> + '_ {
        let names = self.list[position].iter().flat_map(|instance| &instance.asked.decides);
        names.filter_map(|name| self.names.get(name).copied())
    }

    /// For each instance, the ones that it reads from.
    pub fn all_reads(&self) -> Vec<Vec<usize>> {
        (0..self.list.len()).map(|i| self.reads(i).collect()).collect()
    }

    /// Those with a part, with their positions, those of the configuration first.
    pub fn used(&self) -> impl Iterator<Item = (usize, &Instance)> {
        self.all().filter(|(_, instance)| instance.used)
    }

    /// Where the instance at `position` stands in the configuration.
    pub fn path(&self, position: usize) -> String {
        if position < self.declared { format!("plugins[{position}]") } else { "plugins".to_owned() }
    }
}

/// Type and name of each plugin of a known type.
fn declared(makers: &[Option<Registration>], specs: &[PluginSpec]) -> Vec<(&'static str, String)> {
    let known = makers.iter().zip(specs).filter_map(|(maker, spec)| Some((maker.as_ref()?.kind, spec)));
    known.map(|(kind, spec)| (kind, spec.name().to_owned())).collect()
}

impl Compiler<'_> {
    /// Makes all instances of the configuration, deciders first, then the default producers that they read from.
    pub(super) fn instances(&mut self, routing: &Routing, building: &mut Building) -> Instances {
        let (specs, used) = (&routing.plugins, retired::used(routing));
        let mut names = BTreeMap::new();
        let maker = |(i, spec)| self.maker(i, spec, used.as_ref(), &mut names);
        let makers: Vec<_> = specs.iter().enumerate().map(maker).collect();
        self.refuse_second_ones(&makers, specs);
        building.declared = declared(&makers, specs);
        building.deciders = names.keys().map(|name| (name.clone(), None)).collect();
        let decides = |i: &usize| makers[*i].is_some_and(|r| r.roles.contains(&Role::Decider));
        let (deciders, others): (Vec<_>, Vec<_>) = (0..specs.len()).partition(decides);
        let mut list: Vec<Option<Instance>> = specs.iter().map(|_| None).collect();
        for i in deciders.into_iter().chain(others) {
            let Some(maker) = makers[i] else { continue };
            list[i] = self.instance(maker, &specs[i], &format!("plugins[{i}]"), building);
            if let Some(instance) = &list[i]
                && let Some(decider) = &instance.roles.decider
            {
                building.deciders.insert(instance.name.clone(), Some(decider.clone()));
            }
        }
        let declared = list.len();
        self.default_producers(&mut list, &mut names, building);
        let providers = self.providers(&names, &list, building);
        Instances { list, names, declared, providers }
    }

    /// The type of the plugin at position `i`, whose name is noted.
    fn maker(
        &mut self,
        i: usize,
        spec: &PluginSpec,
        used: Option<&BTreeSet<&str>>,
        names: &mut BTreeMap<String, usize>,
    ) -> Option<Registration> {
        let (kind, name) = (spec.kind.as_str(), spec.name());
        let registration = self.registry.find(kind).copied();
        let path = format!("plugins[{i}].type");
        match registration {
            Some(found) if found.kind != kind => {
                self.warn(path, format!("{kind} is a former name of {}; write that", found.kind));
            }
            None if kind.is_empty() => {}
            None => self.unknown_type(i, spec, retired(kind, name, used)),
            Some(Registration { deprecated: Some(instead), .. }) => {
                self.warn(path, format!("{kind} is deprecated; write {instead}"));
            }
            _ => {}
        }
        if names.contains_key(name) {
            let message = format!("{name:?} is the name of an earlier plugin; give one another name");
            self.fail(format!("plugins[{i}].name"), ErrorKind::Duplicate, message);
        } else if !name.is_empty() {
            names.insert(name.to_owned(), i);
        }
        registration
    }

    /// Tells the type of the plugin at position `i`, which the registry does not have.
    fn unknown_type(&mut self, i: usize, spec: &PluginSpec, retired: Option<Retired>) {
        let (kind, path) = (spec.kind.as_str(), format!("plugins[{i}].type"));
        match (retired, later(kind, spec.parameters.as_ref())) {
            (Some(Retired::Used(message)), _) => self.fail(path, ErrorKind::UnknownPlugin, message),
            (Some(Retired::Unused(message)), _) => self.warn(path, message),
            (None, Some(all)) => all.into_iter().for_each(|told| self.not_built(i, told)),
            (None, None) => {
                let known: Vec<_> = self.registry.types().collect();
                let (message, known) = (format!("unknown plugin type {kind:?}"), ("known", &*known));
                self.errors.push(ConfigError::unknown(path, ErrorKind::UnknownPlugin, message, kind, known));
            }
        }
    }

    fn not_built(&mut self, i: usize, told: Told) {
        let path = format!("plugins[{i}].type");
        match told {
            Told::Aside(message) => self.warn(path, message),
            Told::Decides(message) => self.fail(path, ErrorKind::UnknownPlugin, message),
            Told::Parameter(name, known) => {
                let path = parameter_path(&format!("plugins[{i}]"), &name);
                let (message, known) = ("unknown field".to_owned(), ("known here", known));
                self.errors.push(ConfigError::unknown(path, ErrorKind::UnknownField, message, &name, known));
            }
        }
    }

    /// Tells of names in sections without effect that no plugin has. A type may be named without being declared.
    pub(super) fn mentions(&mut self, mentions: &[Mention], instances: &Instances) {
        for Mention { path, name } in mentions {
            let is_type = self.registry.find(name).is_some() || is_later(name);
            if !is_type && matches!(instances.find(name), Found::Nothing) {
                self.dangling(path, name, instances.names());
            }
        }
    }

    /// Refuses a second plugin of a type of which there is at most one.
    fn refuse_second_ones(&mut self, makers: &[Option<Registration>], specs: &[PluginSpec]) {
        for (i, maker) in makers.iter().enumerate() {
            let Some((kind, what)) = maker.and_then(|maker| Some((maker.kind, maker.only_one?))) else {
                continue;
            };
            let first = makers[..i].iter().position(|other| other.is_some_and(|other| other.kind == kind));
            let (Some(first), second) = (first.map(|first| specs[first].name()), specs[i].name()) else {
                continue;
            };
            // Of equal names was told already.
            if first != second {
                let message = format!("{second:?} {what} {first:?}; one is enough: take one of them out");
                self.fail(format!("plugins[{i}].type"), ErrorKind::Duplicate, message);
            }
        }
    }

    /// Makes the producers that are read from, and that the configuration does not have, with the parameters that a
    /// reader has for them. They may read from others.
    fn default_producers(
        &mut self,
        list: &mut Vec<Option<Instance>>,
        names: &mut BTreeMap<String, usize>,
        building: &mut Building,
    ) {
        loop {
            let missing = building.fittings.iter().filter(|fitting| fitting.required).find_map(|fitting| {
                let kind = fitting.default.filter(|kind| *kind == fitting.producer)?;
                let maker = *self.registry.find(kind).filter(|_| !names.contains_key(kind))?;
                Some((kind, maker, fitting.made_with.clone()))
            });
            let Some((kind, maker, made_with)) = missing else { return };
            names.insert(kind.to_owned(), list.len());
            let (path, parameters) = match made_with {
                Some(MadeWith { path, parameters }) => (path, Some(parameters)),
                None => ("plugins".to_owned(), None),
            };
            let spec = PluginSpec { parameters, ..PluginSpec::of(kind) };
            list.push(self.instance(maker, &spec, &path, building));
        }
    }

    /// For each slot, the instance that provides it. What is read and not provided is told.
    fn providers(
        &mut self,
        names: &BTreeMap<String, usize>,
        list: &[Option<Instance>],
        building: &Building,
    ) -> Vec<Option<usize>> {
        let mut providers = Vec::with_capacity(building.fittings.len());
        for fitting in &building.fittings {
            let position = names.get(&fitting.producer).copied();
            let broken = position.is_some_and(|i| list[i].is_none());
            providers.push(position.filter(|_| fitting.provided));
            if fitting.provided || broken {
                continue;
            }
            for (path, name) in &fitting.readers {
                let fact = fitting.fact;
                if position.is_some() {
                    let message = format!("{name} provides no {fact}; name a plugin that does");
                    self.fail(path, ErrorKind::Invalid, message);
                    continue;
                }
                let add = match fitting.default {
                    Some(kind) => format!("one of type {kind}, or leave this out"),
                    None => format!("one that provides a {fact}"),
                };
                let message = format!("there is no plugin called {name}; add {add}");
                self.fail(path, ErrorKind::UnknownRef, message);
            }
        }
        providers
    }

    fn instance(
        &mut self,
        maker: Registration,
        spec: &PluginSpec,
        path: &str,
        building: &mut Building,
    ) -> Option<Instance> {
        let mut cx = BuildCx::new(maker.kind, spec.name(), path, building);
        let built = maker.build(spec.parameters.as_ref(), path, &mut cx);
        let asked = cx.asked();
        for (field, message) in &asked.warnings {
            self.warn(parameter_path(path, field), message);
        }
        match built {
            Ok(roles) => {
                let reads = Arc::new(reads(&asked, &building.staging.columns));
                Some(Instance { name: spec.name().to_owned(), roles, asked, reads, used: false })
            }
            Err(errors) => {
                self.errors.extend(errors);
                None
            }
        }
    }
}

/// What an instance reads that asked for `asked`.
fn reads(asked: &Asked, names: &Columns) -> Reads {
    // These two have no numbers.
    let has_numbers = |column: &&Column| !matches!(**column, Column::CACHE_CONFIG | Column::LORA);
    let columns = asked.columns.iter().filter(has_numbers);
    let named = columns.filter_map(|column| Some((names.name(*column)?.into(), *column)));
    Reads { columns: named.collect(), facts: asked.reads.iter().copied().collect() }
}
