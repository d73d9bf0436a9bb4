//! The modules of a crate, and which file an item that a path names is defined in.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use syn::Item;

use super::names::{Binding, Names, of_tests};
use crate::rooms;

/// A module's path from the root of the crate; that of the root is empty.
pub type ModulePath = Vec<String>;

/// A module, in a file of its own or in that of the module above it.
pub struct Module {
    /// The file that its items are written in.
    pub file: PathBuf,
    /// Its items.
    pub items: Vec<Item>,
    names: Names,
}

/// All modules of a crate, those of tests aside.
#[derive(Default)]
pub struct Tree(pub BTreeMap<ModulePath, Module>);

/// What a path leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// An item of the file.
    Item(PathBuf),
    /// A module.
    Module(ModulePath),
}

/// Re-exports that are followed at most for one path: some lead back to where they came from.
const DEPTH: usize = 32;

impl Tree {
    /// The modules below the file `root` of a crate.
    ///
    /// # Panics
    /// When a file is missing or is no Rust.
    pub fn of(root: &Path, sources: &BTreeMap<PathBuf, String>) -> Self {
        let mut tree = Self::default();
        tree.add_file(Vec::new(), root, root.parent().unwrap(), sources);
        tree
    }

    fn add_file(
        &mut self,
        module: ModulePath,
        file: &Path,
        folder: &Path,
        sources: &BTreeMap<PathBuf, String>,
    ) {
        let text = &sources[file];
        let items = syn::parse_file(text).unwrap_or_else(|error| panic!("{}: {error}", file.display())).items;
        self.add(module, file, folder, items, sources);
    }

    /// Adds the module `name` of `module`, from its file in `folder`.
    fn add_module(
        &mut self,
        module: &ModulePath,
        name: &str,
        folder: &Path,
        sources: &BTreeMap<PathBuf, String>,
    ) {
        let own = folder.join(name);
        let path = below(module, name);
        let places = [folder.join(format!("{name}.rs")), own.join("mod.rs")];
        let place = places.iter().find(|place| sources.contains_key(*place));
        let place = place.unwrap_or_else(|| panic!("no file of module {}", path.join("::")));
        self.add_file(path, place, &own, sources);
    }

    /// Adds the module `module` with these items, whose own modules lie in `folder`.
    fn add(
        &mut self,
        module: ModulePath,
        file: &Path,
        folder: &Path,
        items: Vec<Item>,
        sources: &BTreeMap<PathBuf, String>,
    ) {
        let mut names = Names::default();
        let mut own = Vec::new();
        for item in items {
            if of_tests(attributes(&item)) {
                continue;
            }
            match item {
                Item::Mod(inner) => {
                    let name = inner.ident.to_string();
                    match inner.content {
                        Some((_, items)) => {
                            self.add(below(&module, &name), file, &folder.join(&name), items, sources)
                        }
                        None => self.add_module(&module, &name, folder, sources),
                    }
                    names.modules.insert(name);
                }
                // Each entry stands for `mod file;` and `pub use file::Type;`, which are no imports.
                Item::Macro(inner) if rooms::is_room(&inner.mac) => {
                    for rooms::Entry { module: name, plugin } in rooms::entries(&inner.mac) {
                        self.add_module(&module, &name, folder, sources);
                        names.bound.insert(plugin.clone(), Binding::Use(vec![name.clone(), plugin]));
                        names.modules.insert(name);
                    }
                    names.bound.insert(rooms::TABLE.to_owned(), Binding::Item);
                }
                Item::Use(inner) => {
                    names.add_use(&inner);
                    own.push(Item::Use(inner));
                }
                item => {
                    if let Some(name) = name(&item) {
                        names.bound.insert(name, Binding::Item);
                    }
                    own.push(item);
                }
            }
        }
        self.0.insert(module, Module { file: file.to_owned(), items: own, names });
    }

    /// What `path`, written in `module`, names; none of what is not of this crate.
    pub fn resolve(&self, module: &ModulePath, path: &[String]) -> Option<Target> {
        self.follow(module, path, DEPTH)
    }

    fn follow(&self, module: &ModulePath, path: &[String], depth: usize) -> Option<Target> {
        let mut at = module.clone();
        let mut rest = path;
        let mut relative = true;
        while let [first, others @ ..] = rest {
            match first.as_str() {
                "crate" => at.clear(),
                "self" => {}
                "super" => drop(at.pop()?),
                _ => break,
            }
            relative = false;
            rest = others;
        }
        let Some((last, folders)) = rest.split_last() else {
            return (!relative).then_some(Target::Module(at));
        };
        for name in folders {
            let below = self.below(&at, name);
            match below.or_else(|| self.name(&at, name, depth))? {
                Target::Item(file) => return Some(Target::Item(file)),
                Target::Module(module) => at = module,
            }
        }
        self.name(&at, last, depth).or_else(|| self.below(&at, last))
    }

    /// The module `name` right below `module`.
    fn below(&self, module: &ModulePath, name: &str) -> Option<Target> {
        let known = self.0.get(module)?.names.modules.contains(name);
        known.then(|| Target::Module(below(module, name)))
    }

    /// What `name` stands for in `module`, if that is no module right below it.
    fn name(&self, module: &ModulePath, name: &str, depth: usize) -> Option<Target> {
        let depth = depth.checked_sub(1)?;
        let Module { file, names, .. } = self.0.get(module)?;
        match names.bound.get(name) {
            Some(Binding::Item) => Some(Target::Item(file.clone())),
            Some(Binding::Use(path)) => self.follow(module, path, depth),
            None => names.globs.iter().find_map(|glob| match self.follow(module, glob, depth)? {
                Target::Module(from) => self.name(&from, name, depth).or_else(|| self.below(&from, name)),
                Target::Item(_) => None,
            }),
        }
    }
}

/// The path of the module `name` right below `module`.
fn below(module: &ModulePath, name: &str) -> ModulePath {
    module.iter().cloned().chain([name.to_owned()]).collect()
}

fn attributes(item: &Item) -> &[syn::Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

fn name(item: &Item) -> Option<String> {
    let ident = match item {
        Item::Const(item) => &item.ident,
        Item::Enum(item) => &item.ident,
        Item::Fn(item) => &item.sig.ident,
        Item::Macro(item) => item.ident.as_ref()?,
        Item::Static(item) => &item.ident,
        Item::Struct(item) => &item.ident,
        Item::Trait(item) => &item.ident,
        Item::Type(item) => &item.ident,
        Item::Union(item) => &item.ident,
        _ => return None,
    };
    Some(ident.to_string())
}
