//! The plugin instances of a strategy, and the producers that they ask for.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Compiler, Needs};
use crate::config::{ErrorKind, PluginSpec};
use crate::plugin::{BuildCx, Producer, ProducerId, Producers, Registration, Role, Roles};
use crate::plugins;

/// All instances. Those of the configuration have their position in it.
pub(super) struct Instances {
    /// `None` for one that could not be made, about which an error was told.
    declared: Vec<Option<Instance>>,
    /// Positions of the first instance of each name.
    names: BTreeMap<String, usize>,
    producers: Vec<Option<Instance>>,
    /// How many of `producers` the configuration itself has.
    declared_producers: usize,
}

struct Instance {
    roles: Roles,
    /// The producers whose findings it reads.
    asks: Vec<ProducerId>,
    /// Whether anything in the strategy refers to it.
    used: bool,
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
        match self.names.get(name).map(|&i| (i, &self.declared[i])) {
            Some((i, Some(instance))) => Found::Made(i, &instance.roles),
            Some((_, None)) => Found::Broken,
            // What has no name was told of already.
            None if name.is_empty() => Found::Broken,
            None => Found::Nothing,
        }
    }

    /// The instance at `position`, which has a part in the strategy from now on.
    pub fn take_part(&mut self, position: usize) -> Option<&Roles> {
        let instance = self.declared[position].as_mut()?;
        instance.used = true;
        Some(&instance.roles)
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.keys().map(String::as_str)
    }

    /// What those that have a part need.
    pub fn used(&self) -> Vec<Needs> {
        self.declared.iter().flatten().filter(|i| i.used).map(|i| i.roles.needs).collect()
    }

    /// The producers that must run, each after those that it asks itself, and what they need: those of
    /// the configuration, and the default ones that somebody with a part in the strategy asks for.
    pub fn producers(&self) -> (Vec<Arc<dyn Producer>>, Needs) {
        let users = self.declared.iter().flatten().filter(|i| i.used);
        let roots = (0..self.declared_producers).chain(users.flat_map(|i| i.asks.iter().map(|id| id.0)));
        let asks: Vec<_> = self.producers.iter().map(|p| p.as_ref().map_or(&[][..], |p| &p.asks)).collect();
        let order = run_order(&asks, roots);
        let running = order.iter().filter_map(|&id| self.producers[id].as_ref());
        let needs = running.clone().fold(Needs::NOTHING, |all, p| all | p.roles.needs);
        (running.filter_map(|p| p.roles.producer.clone()).collect(), needs)
    }
}

/// All that `roots` lead to, each after what it asks.
fn run_order(asks: &[&[ProducerId]], roots: impl Iterator<Item = usize>) -> Vec<usize> {
    fn visit(id: usize, asks: &[&[ProducerId]], seen: &mut [bool], order: &mut Vec<usize>) {
        if !std::mem::replace(&mut seen[id], true) {
            asks[id].iter().for_each(|asked| visit(asked.0, asks, seen, order));
            order.push(id);
        }
    }
    let (mut seen, mut order) = (vec![false; asks.len()], Vec::new());
    roots.for_each(|id| visit(id, asks, &mut seen, &mut order));
    order
}

impl Compiler<'_> {
    /// Makes all instances of the configuration, then the default producers that they ask for.
    pub(super) fn instances(&mut self, specs: &[PluginSpec]) -> Instances {
        let mut names = BTreeMap::new();
        // Producers have their ids before anything is made, so that anything can ask for any.
        let mut producers = Producers::default();
        let mut makers = Vec::new();
        for (i, spec) in specs.iter().enumerate() {
            let (kind, name) = (spec.kind.as_str(), spec.name());
            let registration = plugins::find(kind);
            if registration.is_none() && !kind.is_empty() {
                let message = format!("unknown plugin type {kind:?}; known: {}", plugins::types().join(", "));
                self.fail(format!("plugins[{i}].type"), ErrorKind::UnknownPlugin, message);
            }
            if names.contains_key(name) {
                let message = format!("{name:?} is the name of an earlier plugin; give one another name");
                self.fail(format!("plugins[{i}].name"), ErrorKind::Duplicate, message);
            } else if !name.is_empty() {
                names.insert(name.to_owned(), i);
                if registration.is_some_and(|r| r.roles.contains(&Role::Producer)) {
                    producers.list.push((name.to_owned(), kind.to_owned()));
                }
            }
            makers.push(registration);
        }
        let declared_producers = producers.list.len();

        let mut declared: Vec<_> = specs
            .iter()
            .zip(makers)
            .enumerate()
            .map(|(i, (spec, maker))| self.instance(maker?, spec, &format!("plugins[{i}]"), &mut producers))
            .collect();
        let mut made: Vec<_> = producers.list[..declared_producers]
            .iter()
            .map(|(name, _)| names.get(name).and_then(|&i| declared[i].as_mut()).map(Instance::as_producer))
            .collect();
        // Default producers may ask for others, so the list may grow meanwhile.
        while let Some((_, kind)) = producers.list.get(made.len()).cloned() {
            let spec = PluginSpec::of(&kind);
            made.push(plugins::find(&kind).and_then(|r| self.instance(r, &spec, "plugins", &mut producers)));
        }
        Instances { declared, names, producers: made, declared_producers }
    }

    fn instance(
        &mut self,
        maker: &Registration,
        spec: &PluginSpec,
        path: &str,
        producers: &mut Producers,
    ) -> Option<Instance> {
        let own = producers.id(spec.name());
        let mut cx = BuildCx {
            kind: maker.kind,
            name: spec.name(),
            own,
            asks: Vec::new(),
            producers,
            staging: self.staging,
        };
        match maker.build(spec.parameters.as_ref(), path, &mut cx) {
            Ok(roles) => Some(Instance { roles, asks: cx.asks, used: false }),
            Err(errors) => {
                self.errors.extend(errors);
                None
            }
        }
    }
}

impl Instance {
    /// The part of it that produces.
    fn as_producer(&mut self) -> Self {
        let roles =
            Roles { producer: self.roles.producer.take(), needs: self.roles.needs, ..Roles::default() };
        Self { roles, asks: self.asks.clone(), used: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn producers_run_after_those_they_ask_and_only_when_asked() {
        let asks: [&[ProducerId]; 5] = [&[ProducerId(3)], &[], &[], &[ProducerId(1)], &[]];
        assert_eq!(run_order(&asks, [0, 4, 3].into_iter()), [1, 3, 0, 4]);
        assert_eq!(run_order(&asks, std::iter::empty()), Vec::<usize>::new());
    }
}
