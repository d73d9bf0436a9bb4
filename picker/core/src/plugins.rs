//! The plugin types of this crate. One file each, in the room of its first role.

use std::sync::LazyLock;

use crate::plugin::Registry;

/// The plugins of a room, one line each: `file::Type`. It makes their modules, and the table [`REGISTRATIONS`] of the
/// room. `cargo fmt` does not find modules that a macro makes, so the lints format every file by its name.
macro_rules! room {
    ($($module:ident::$plugin:ident),* $(,)?) => {
        $(mod $module;)*
        $(pub use $module::$plugin;)*

        /// The plugin types of this room.
        pub(super) const REGISTRATIONS: &[$crate::plugin::Registration] =
            &[$($crate::plugin::Registration::of::<$plugin>()),*];
    };
}

pub mod admit;
pub mod data;
pub mod decide;
pub mod discover;
pub mod filter;
mod in_flight;
mod label_selector;
mod no_parameters;
pub mod observe;
pub mod parse;
mod pd_groups;
mod per_labels;
pub mod pick;
pub mod pre_request;
pub mod prepare;
pub mod produce;
pub mod profile;
mod rule;
mod scale;
pub mod score;
pub mod screen;
mod session;
mod tokens;
mod topology;

#[cfg(test)]
mod tests;

pub use no_parameters::NoParameters;

/// The plugin types of this crate, room by room.
pub fn builtin() -> &'static Registry {
    static BUILTIN: LazyLock<Registry> = LazyLock::new(|| {
        let rooms = [
            filter::REGISTRATIONS,
            score::REGISTRATIONS,
            screen::REGISTRATIONS,
            pick::REGISTRATIONS,
            profile::REGISTRATIONS,
            decide::REGISTRATIONS,
            prepare::REGISTRATIONS,
            produce::REGISTRATIONS,
            admit::REGISTRATIONS,
            pre_request::REGISTRATIONS,
            observe::REGISTRATIONS,
            parse::REGISTRATIONS,
            discover::REGISTRATIONS,
            data::REGISTRATIONS,
        ];
        let mut registry = Registry::default();
        registry.extend(rooms.into_iter().flatten().copied());
        registry
    });
    &BUILTIN
}
