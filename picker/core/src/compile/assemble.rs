//! Putting a [`Strategy`] together from its instances.

use std::sync::Arc;

use super::context::Compiler;
use super::instances::{Found, Instance, Instances};
use super::models;
use super::order::run_order;
use crate::column::Column;
use crate::config::{self, ErrorKind, PluginSpec};
use crate::discovery::FileDiscovery;
use crate::fact::{Layout, PrefixMatch, Slot};
use crate::needs::Needs;
use crate::plugin::{Role, parameter_path};
use crate::plugins;
use crate::rewrite::ModelSettings;
use crate::role::{BoundHandler, ProfileHandler};
use crate::scrape::ScrapePlan;
use crate::strategy::{Named, NeededFile, Producing, Profile, Strategy};

impl Compiler<'_> {
    /// `None` only when there are errors.
    pub(super) fn strategy(
        &mut self,
        body: &config::Body,
        models: ModelSettings,
        revision: Arc<str>,
        instances: &mut Instances,
        layout: Layout,
    ) -> Option<Strategy> {
        let specs = &body.routing.plugins;
        let profiles = self.profiles(&body.routing, instances);
        let handler = self.handler(specs, instances, &profiles);
        let discovery = body.data_layer.discovery.as_ref().and_then(|name| self.discovery(name, instances));
        let sources = self.sources(&body.data_layer, models.listed, instances);
        let formats = self.formats(body, instances);
        instances.spread_use();
        let producers = self.producers(instances)?;
        let (columns, mut needs) = columns_and_needs(instances, &models);
        if body.trust.model_rewrite {
            needs |= Needs::BODY;
        }
        if formats.is_nothing() && needs.has(Needs::BODY) {
            let message = "no parser reads a body here, and there are plugins that look at models or prompts: they find none";
            self.warn("requestHandler.parsers", message);
        }
        let health = body.health;
        let scrape = self.scrape(&sources, &columns, instances).map(|plan| ScrapePlan { health, ..plan });
        let prefix_matches = prefix_matches(&producers, &layout);
        let screeners = playing(instances, |i| i.roles.screener.clone());
        let screeners = models::screener(&models).into_iter().chain(screeners);
        Some(Strategy {
            revision,
            needs,
            formats,
            columns,
            scrape: scrape.map(Arc::new),
            discovery,
            files: files(instances),
            warnings: Box::default(),
            health,
            explain: body.explained,
            models,
            trust: body.trust,
            layout,
            handler: handler?,
            profiles: profiles.into(),
            preparers: playing(instances, |i| i.roles.preparer.clone()),
            screeners: screeners.collect(),
            prefix_matches,
            producers,
            admitters: playing(instances, |i| i.roles.admitter.clone()),
            pre_requests: playing(instances, |i| i.roles.pre_request.clone()),
            observers: playing(instances, |i| i.roles.observer.clone()),
            upkeeps: playing(instances, |i| i.roles.upkeep.clone()),
        })
    }

    /// The producers that have a part, each after those it reads from; `None` when they read in a circle.
    fn producers(&mut self, instances: &Instances) -> Option<Box<[Producing]>> {
        let roots = instances.used().map(|(i, _)| i);
        match run_order(&instances.all_reads(), roots) {
            Ok(order) => {
                let producing = |i: usize| {
                    let instance = instances.at(i)?;
                    let producer = instance.named(instance.roles.producer.clone()?);
                    Some(Producing { producer, slots: instance.asked.provides.clone().into() })
                };
                Some(order.into_iter().filter_map(producing).collect())
            }
            Err(circle) => {
                let name = |&i: &usize| instances.at(i).map_or("", |instance| &instance.name);
                let mut names: Vec<_> = circle.iter().map(name).collect();
                names.push(names[0]);
                let message = format!("plugins read from each other in a circle: {}", names.join(" → "));
                self.fail(instances.path(circle[0]), ErrorKind::Invalid, message);
                None
            }
        }
    }

    /// The one profile handler among the plugins, or the default one.
    fn handler(
        &mut self,
        specs: &[PluginSpec],
        instances: &mut Instances,
        profiles: &[Profile],
    ) -> Option<Arc<dyn BoundHandler>> {
        let registry = self.registry;
        let is_handler = |spec: &PluginSpec| {
            registry.find(&spec.kind).is_some_and(|r| r.roles.contains(&Role::ProfileHandler))
        };
        let mut declared = (0..specs.len()).filter(|i| is_handler(&specs[*i]));
        let first = declared.next();
        for i in declared {
            let message = format!("a second profile handler, {:?}; there is one", specs[i].name());
            self.fail(format!("plugins[{i}].type"), ErrorKind::Duplicate, message);
        }
        let (path, handler): (_, Arc<dyn ProfileHandler>) = match first {
            Some(i) => (format!("plugins[{i}].type"), instances.take_part(i)?.roles.profile_handler.clone()?),
            None => ("schedulingProfiles".to_owned(), plugins::profile::default()),
        };
        let names: Vec<_> = profiles.iter().map(|p| &*p.name).collect();
        match handler.bind(&names) {
            Ok(bound) => Some(bound),
            Err(message) => {
                self.fail(path, ErrorKind::Invalid, message);
                None
            }
        }
    }

    fn discovery(&mut self, name: &str, instances: &mut Instances) -> Option<FileDiscovery> {
        let path = "dataLayer.discovery.pluginRef";
        match instances.find(name) {
            Found::Made(position, roles) if roles.discovery.is_some() => {
                return instances.take_part(position)?.roles.discovery.clone();
            }
            Found::Made(..) => {
                let message = format!(
                    "{name:?} finds no endpoints; name a plugin of type file-discovery or multicluster-file-discovery"
                );
                self.fail(path, ErrorKind::Invalid, message);
            }
            Found::Broken => {}
            Found::Nothing => self.dangling(path, name, instances.names()),
        }
        None
    }
}

/// The prefix matches among what `producers` write.
fn prefix_matches(producers: &[Producing], layout: &Layout) -> Box<[Slot<PrefixMatch>]> {
    let slots = producers.iter().flat_map(|producing| &producing.slots);
    slots.filter_map(|slot| layout.slot(*slot)).collect()
}

/// The instances with a part that play a role.
fn playing<T: ?Sized>(instances: &Instances, role: impl Fn(&Instance) -> Option<Arc<T>>) -> Box<[Named<T>]> {
    instances.used().filter_map(|(_, instance)| Some(instance.named(role(instance)?))).collect()
}

fn columns_and_needs(instances: &Instances, models: &ModelSettings) -> (Box<[Column]>, Needs) {
    let needs = instances.used().fold(models::needs(models), |all, (_, i)| all | i.roles.needs);
    let mut columns: Vec<_> = instances.used().flat_map(|(_, i)| &i.asked.columns).copied().collect();
    columns.extend(models.listed.then_some(Column::MODELS));
    columns.sort_unstable();
    columns.dedup();
    (columns.into(), needs)
}

fn files(instances: &Instances) -> Box<[NeededFile]> {
    let of = |(i, instance): (usize, &Instance)| {
        let path = instances.path(i);
        let file = move |(field, file): &(String, String)| NeededFile {
            field: parameter_path(&path, field),
            path: file.clone(),
        };
        instance.asked.files.iter().map(file).collect::<Vec<_>>()
    };
    instances.used().flat_map(of).collect()
}
