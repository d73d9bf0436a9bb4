//! The formats that a strategy reads: those of the parsers that `requestHandler` lists.

use super::context::Compiler;
use super::instances::{Found, Instances};
use crate::config::{Body, ErrorKind};
use crate::parse::{Formats, Parser};

impl Compiler<'_> {
    /// The formats of the listed parsers; without a list, all.
    pub(super) fn formats(&mut self, body: &Body, instances: &mut Instances) -> Formats {
        let listed = body.routing.request_handler.iter().flat_map(|handler| &handler.parsers);
        let (mut parsers, mut is_listed) = (Vec::new(), false);
        for (i, reference) in listed.enumerate() {
            is_listed = true;
            let path = match body.former_parser {
                true => "parser.pluginRef".to_owned(),
                false => format!("requestHandler.parsers[{i}].pluginRef"),
            };
            parsers.extend(self.parser(&path, &reference.plugin_ref, instances));
        }
        self.tell_unlisted(is_listed, instances);
        if is_listed { Formats::of(parsers) } else { Formats::ALL }
    }

    /// The parser called `name`, which has a part from now on. A type may be named without being declared.
    fn parser(&mut self, path: &str, name: &str, instances: &mut Instances) -> Option<Parser> {
        match instances.find(name) {
            Found::Made(position, roles) => {
                if let Some(parser) = roles.parser {
                    instances.take_part(position);
                    return Some(parser);
                }
                let message = format!("{name:?} is no parser; name a plugin that is");
                self.fail(path, ErrorKind::Invalid, message);
            }
            Found::Broken => {}
            Found::Nothing => {
                let undeclared = crate::plugins::parse::of_type(name);
                if undeclared.is_none() {
                    self.dangling(path, name, instances.names());
                }
                return undeclared;
            }
        }
        None
    }

    /// Warns of parsers that nobody lists.
    fn tell_unlisted(&mut self, is_listed: bool, instances: &Instances) {
        for (position, instance) in instances.all() {
            if instance.roles.parser.is_none() || instance.used {
                continue;
            }
            let path = format!("{}.type", instances.path(position));
            let meanwhile = if is_listed { "" } else { ", and without a list every format is read" };
            let message = format!(
                "has no effect: {:?} is not listed under requestHandler.parsers{meanwhile}; list it, or take it out",
                instance.name
            );
            self.warn(path, message);
        }
    }
}
