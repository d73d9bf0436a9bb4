//! Scheduling profiles: their filters, scorers and picker, in order, with weights.

use std::sync::Arc;

use super::context::Compiler;
use super::instances::{Found, Instances};
use crate::config::{ErrorKind, PluginRef, PluginSpec, ProfileSpec, Routing};
use crate::plugins;
use crate::role::Picker;
use crate::strategy::{Named, Profile};

/// Name of the profile of a configuration that has none.
const DEFAULT: &str = "default";

/// Names of the profiles that a strategy will have, in their order.
pub(super) fn names(routing: &Routing) -> Vec<String> {
    if routing.scheduling_profiles.is_empty() {
        return vec![DEFAULT.to_owned()];
    }
    routing.scheduling_profiles.iter().map(|profile| profile.name.clone()).collect()
}

impl Compiler<'_> {
    pub(super) fn profiles(&mut self, routing: &Routing, instances: &mut Instances) -> Vec<Profile> {
        if routing.scheduling_profiles.is_empty() {
            let spec = self.default_profile(&routing.plugins, instances);
            return vec![self.profile("schedulingProfiles[0]", &spec, &routing.plugins, instances)];
        }
        let specs = &routing.scheduling_profiles;
        let mut profiles = Vec::with_capacity(specs.len());
        for (i, spec) in specs.iter().enumerate() {
            let path = format!("schedulingProfiles[{i}]");
            if !spec.name.is_empty() && specs[..i].iter().any(|earlier| earlier.name == spec.name) {
                let message = format!("{:?} is the name of an earlier profile", spec.name);
                self.fail(format!("{path}.name"), ErrorKind::Duplicate, message);
            }
            profiles.push(self.profile(&path, spec, &routing.plugins, instances));
        }
        profiles
    }

    fn profile(
        &mut self,
        path: &str,
        spec: &ProfileSpec,
        declared: &[PluginSpec],
        instances: &mut Instances,
    ) -> Profile {
        let (mut filters, mut scorers, mut picker) = (Vec::new(), Vec::new(), None::<Named<dyn Picker>>);
        for (i, reference) in spec.plugins.iter().enumerate() {
            let path = format!("{path}.plugins[{i}]");
            let position = match instances.find(&reference.plugin_ref) {
                Found::Made(position, _) => position,
                Found::Broken => continue,
                Found::Nothing => {
                    let path = format!("{path}.pluginRef");
                    self.dangling(path, &reference.plugin_ref, instances.names());
                    continue;
                }
            };
            let Some(instance) = instances.take_part(position) else { continue };
            let roles = &instance.roles;
            if let Some(filter) = &roles.filter {
                filters.push(instance.named(filter.clone()));
            }
            if let Some(scorer) = &roles.scorer {
                scorers.push((self.weight(&path, reference), instance.named(scorer.clone())));
            } else if reference.weight.is_some() {
                let message =
                    format!("{:?} is no scorer: its weight has no effect; take it out", reference.plugin_ref);
                self.warn(format!("{path}.weight"), message);
            }
            if let Some(new) = &roles.picker
                && picker.replace(instance.named(new.clone())).is_some()
            {
                let message = format!("a second picker, {:?}; a profile has one", reference.plugin_ref);
                self.fail(format!("{path}.pluginRef"), ErrorKind::Duplicate, message);
            }
            if !roles.in_profiles() {
                let message = format!(
                    "{:?} is no filter, scorer or picker, and works without being named here; take it out",
                    reference.plugin_ref
                );
                self.warn(format!("{path}.pluginRef"), message);
            }
        }
        let picker = picker.or_else(|| first_picker(declared, instances)).unwrap_or_else(default_picker);
        Profile { name: spec.name.as_str().into(), filters: filters.into(), scorers: scorers.into(), picker }
    }

    /// Scores are summed in `f32`, so a weight must be a finite one.
    fn weight(&mut self, path: &str, reference: &PluginRef) -> f32 {
        let weight = reference.weight.unwrap_or(1.0) as f32;
        if !weight.is_finite() {
            self.fail(
                format!("{path}.weight"),
                ErrorKind::Invalid,
                format!("must lie within ±{:e}", f32::MAX),
            );
        }
        weight
    }

    /// The profile of a configuration that has none: every filter and scorer and the picker, in the
    /// order in which they are declared.
    fn default_profile(&mut self, specs: &[PluginSpec], instances: &Instances) -> ProfileSpec {
        let mut plugins = Vec::new();
        let mut has_picker = false;
        for (i, spec) in specs.iter().enumerate() {
            let Found::Made(position, roles) = instances.find(spec.name()) else { continue };
            // Not a second one of the same name.
            if position != i || !roles.in_profiles() {
                continue;
            }
            if roles.picker.is_some() && std::mem::replace(&mut has_picker, true) {
                let message = format!(
                    "a second picker, {:?}; without schedulingProfiles there is one for all requests",
                    spec.name()
                );
                self.fail(format!("plugins[{i}].type"), ErrorKind::Duplicate, message);
                continue;
            }
            plugins.push(PluginRef { plugin_ref: spec.name().to_owned(), weight: None });
        }
        ProfileSpec { name: DEFAULT.to_owned(), plugins }
    }
}

/// The picker of profiles that name none: the first one that is declared.
fn first_picker(declared: &[PluginSpec], instances: &mut Instances) -> Option<Named<dyn Picker>> {
    let position = declared.iter().enumerate().find_map(|(i, spec)| match instances.find(spec.name()) {
        Found::Made(position, roles) if position == i && roles.picker.is_some() => Some(position),
        _ => None,
    })?;
    let instance = instances.take_part(position)?;
    Some(instance.named(instance.roles.picker.clone()?))
}

/// The picker of a strategy that declares none.
fn default_picker() -> Named<dyn Picker> {
    Named { name: plugins::pick::DEFAULT.into(), role: plugins::pick::default(), reads: Arc::default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::Building;
    use crate::store::StateStore;

    #[test]
    fn the_default_profile_has_filters_scorers_and_the_picker_as_declared() {
        let specs: Vec<PluginSpec> = [
            "random-picker",
            "queue-scorer",
            "single-profile-handler",
            "header-based-testing-filter",
            "approx-prefix-cache-producer",
            "active-request-scorer",
        ]
        .map(PluginSpec::of)
        .into();
        let mut compiler = Compiler::new(plugins::builtin());
        let routing = Routing { plugins: specs.clone(), ..Routing::default() };
        let instances = compiler.instances(
            &routing,
            &mut Building::new(StateStore::default().stage(), names(&Routing::default())),
        );
        let wanted =
            ["random-picker", "queue-scorer", "header-based-testing-filter", "active-request-scorer"];
        let reference = |name: &str| PluginRef { plugin_ref: name.to_owned(), weight: None };
        assert_eq!(
            compiler.default_profile(&specs, &instances),
            ProfileSpec { name: "default".to_owned(), plugins: wanted.map(reference).into() }
        );
        assert_eq!(compiler.errors, []);
    }
}
