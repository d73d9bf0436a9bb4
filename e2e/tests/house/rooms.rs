//! Modules that the macro `room!` of `picker/core` declares, one for each plugin: `room! { module::Plugin, … }`.

use syn::punctuated::Punctuated;
use syn::{Ident, Item, Macro, Path, Token};

/// The table of plugin types that the macro makes.
pub const TABLE: &str = "REGISTRATIONS";

/// One entry of a `room!`. It stands for `mod module;` and `pub use module::Plugin;`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Name of the module, and of its file.
    pub module: String,
    /// Name of the type that the module defines and the room re-exports.
    pub plugin: String,
}

/// Whether this is a call of `room!`.
pub fn is_room(call: &Macro) -> bool {
    call.path.is_ident("room")
}

/// The entries of a call of `room!`.
///
/// # Panics
/// When it holds something else than `module::Plugin`, separated by commas.
pub fn entries(call: &Macro) -> Vec<Entry> {
    let paths = call.parse_body_with(Punctuated::<Path, Token![,]>::parse_terminated).unwrap();
    let entry = |path: Path| {
        let names: Vec<Ident> = path.segments.into_iter().map(|segment| segment.ident).collect();
        let [module, plugin] = &names[..] else { panic!("an entry is `module::Plugin`, not {names:?}") };
        Entry { module: module.to_string(), plugin: plugin.to_string() }
    };
    paths.into_iter().map(entry).collect()
}

/// Whether a `room!` of the source file `text` declares the module `name`.
pub fn declares(text: &str, name: &str) -> bool {
    text.contains("room! {")
        && syn::parse_file(text).unwrap().items.iter().any(|item| match item {
            Item::Macro(item) if is_room(&item.mac) => {
                entries(&item.mac).iter().any(|entry| entry.module == name)
            }
            _ => false,
        })
}

#[test]
fn a_room_declares_the_modules_of_its_entries_alone() {
    let text = "room! {\n    decode::DecodeFilter,\n    prefill::PrefillFilter,\n}\nother! { role::Role }";
    let declared = ["decode", "prefill", "role", "DecodeFilter"].map(|name| declares(text, name));
    assert_eq!(declared, [true, true, false, false]);
}
