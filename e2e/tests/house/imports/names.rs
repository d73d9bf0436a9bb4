//! Names that a module binds: items that it defines, modules that it has, and what its `use` lines bring.

use std::collections::{BTreeMap, BTreeSet};

use syn::{Attribute, ItemUse, UseTree, Visibility};

/// What a name of a module stands for, modules aside.
#[derive(Clone, Debug)]
pub enum Binding {
    /// An item that the module defines.
    Item,
    /// The target of a `use`, as it is written there.
    Use(Vec<String>),
}

/// The names of a module.
#[derive(Clone, Debug, Default)]
pub struct Names {
    /// Modules right below it.
    pub modules: BTreeSet<String>,
    /// Each other name. One that is bound several times, as a type and as a function, has the first.
    pub bound: BTreeMap<String, Binding>,
    /// Modules and enums whose names are all brought in, as written.
    pub globs: Vec<Vec<String>>,
}

impl Names {
    /// Takes in a `use`.
    pub fn add_use(&mut self, item: &ItemUse) {
        for Used { path, name, .. } in used(item) {
            match name {
                Some(name) => drop(self.bound.entry(name).or_insert(Binding::Use(path))),
                None => self.globs.push(path),
            }
        }
    }
}

/// One leaf of a `use`.
pub struct Used {
    /// The path to it.
    pub path: Vec<String>,
    /// The name that it gets here; none of a glob.
    pub name: Option<String>,
    /// Line of the leaf.
    pub line: usize,
}

/// The leaves of a `use`; none when it names another crate by a leading `::`.
pub fn used(item: &ItemUse) -> Vec<Used> {
    let mut leaves = Vec::new();
    if item.leading_colon.is_none() {
        walk(&item.tree, &mut Vec::new(), &mut leaves);
    }
    leaves
}

fn walk(tree: &UseTree, path: &mut Vec<String>, leaves: &mut Vec<Used>) {
    let mut leaf = |ident: &syn::Ident, name: &syn::Ident, path: &[String]| {
        let mut path = path.to_vec();
        if ident != "self" || path.is_empty() {
            path.push(ident.to_string());
        }
        let name = if name == "self" { path.last().cloned() } else { Some(name.to_string()) };
        leaves.push(Used { path, name, line: ident.span().start().line });
    };
    match tree {
        UseTree::Path(inner) => {
            path.push(inner.ident.to_string());
            walk(&inner.tree, path, leaves);
            path.pop();
        }
        UseTree::Name(inner) => leaf(&inner.ident, &inner.ident, path),
        UseTree::Rename(inner) => leaf(&inner.ident, &inner.rename, path),
        UseTree::Glob(inner) => {
            leaves.push(Used { path: path.clone(), name: None, line: inner.star_token.spans[0].start().line })
        }
        UseTree::Group(inner) => inner.items.iter().for_each(|tree| walk(tree, path, leaves)),
    }
}

/// Whether a `use` with this visibility is a re-export.
pub fn reexports(visibility: &Visibility) -> bool {
    !matches!(visibility, Visibility::Inherited)
}

/// Whether an item with these attributes exists in tests alone.
pub fn of_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().filter(|attribute| attribute.path().is_ident("cfg")).any(|attribute| {
        let said = attribute.meta.require_list().map(|list| list.tokens.to_string()).unwrap_or_default();
        said == "test" || (said.starts_with("all (test") || said.starts_with("all(test"))
    })
}
