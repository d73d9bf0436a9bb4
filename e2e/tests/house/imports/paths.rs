//! Every path of a crate's code that names an item of another file.

use std::collections::BTreeSet;

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Attribute, ImplItem, ItemFn, ItemUse, Pat, TraitItem};

use super::Import;
use super::names::{of_tests, reexports, used};
use super::tree::{Module, ModulePath, Target, Tree};

/// The imports of all files of a crate.
pub fn imports(tree: &Tree) -> Vec<Import> {
    let mut imports = Vec::new();
    for (path, module) in &tree.0 {
        let mut paths = Paths { tree, path, module, locals: Vec::new(), found: Vec::new() };
        module.items.iter().for_each(|item| paths.visit_item(item));
        imports.extend(paths.found);
    }
    imports
}

/// Goes through the code of one module.
struct Paths<'a> {
    tree: &'a Tree,
    path: &'a ModulePath,
    module: &'a Module,
    /// Names of variables in each function around the place, which hide items.
    locals: Vec<BTreeSet<String>>,
    found: Vec<Import>,
}

impl Paths<'_> {
    /// Notes a path, if it names an item of another file.
    fn note(&mut self, path: &[String], line: usize) {
        if let [name] = path
            && self.locals.iter().any(|locals| locals.contains(name))
        {
            return;
        }
        if let Some(Target::Item(to)) = self.tree.resolve(self.path, path) {
            self.import(path, line, to);
        }
    }

    fn import(&mut self, path: &[String], line: usize, to: std::path::PathBuf) {
        let from = self.module.file.clone();
        if from != to {
            self.found.push(Import { from, line, path: path.join("::"), to });
        }
    }

    /// Notes what looks like a path in the input of a macro, which is no syntax tree yet.
    fn tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let mut line = 0;
        // Colons since the last identifier, and whether a dot comes before the first one, so that it is a field.
        let (mut colons, mut field) = (0, false);
        for token in tokens {
            match token {
                TokenTree::Ident(ident) => {
                    if colons != 2 {
                        self.end_of_path(&mut path, line);
                        line = ident.span().start().line;
                    }
                    if !(field && path.is_empty()) {
                        path.push(ident.to_string());
                    }
                    (colons, field) = (0, false);
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' => colons += 1,
                other => {
                    self.end_of_path(&mut path, line);
                    colons = 0;
                    field = matches!(&other, TokenTree::Punct(punct) if punct.as_char() == '.');
                    if let TokenTree::Group(group) = other {
                        self.tokens(group.stream());
                    }
                }
            }
        }
        self.end_of_path(&mut path, line);
    }

    fn end_of_path(&mut self, path: &mut Vec<String>, line: usize) {
        let path = std::mem::take(path);
        if !path.is_empty() {
            self.note(&path, line);
        }
    }
}

impl<'ast> Visit<'ast> for Paths<'_> {
    fn visit_path(&mut self, path: &'ast syn::Path) {
        if path.leading_colon.is_none() {
            let names: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
            self.note(&names, path.segments[0].ident.span().start().line);
        }
        visit::visit_path(self, path);
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        if reexports(&item.vis) {
            return;
        }
        for leaf in used(item) {
            match (&leaf.name, self.tree.resolve(self.path, &leaf.path)) {
                (_, Some(Target::Item(to))) => self.import(&leaf.path, leaf.line, to),
                // Where a name of a glob or of a module is used, its own path leads to its file.
                (_, Some(Target::Module(_)) | None) => {}
            }
        }
    }

    fn visit_visibility(&mut self, _: &'ast syn::Visibility) {}

    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        if let syn::Meta::List(list) = &attribute.meta {
            self.tokens(list.tokens.clone());
        }
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.visit_path(&call.path);
        self.tokens(call.tokens.clone());
    }

    fn visit_item_fn(&mut self, function: &'ast ItemFn) {
        if !of_tests(&function.attrs) {
            self.locals.push(Locals::of(|locals| locals.visit_item_fn(function)));
            visit::visit_item_fn(self, function);
            self.locals.pop();
        }
    }

    fn visit_impl_item(&mut self, item: &'ast ImplItem) {
        if !matches!(item, ImplItem::Fn(function) if of_tests(&function.attrs)) {
            self.locals.push(Locals::of(|locals| locals.visit_impl_item(item)));
            visit::visit_impl_item(self, item);
            self.locals.pop();
        }
    }

    fn visit_trait_item(&mut self, item: &'ast TraitItem) {
        self.locals.push(Locals::of(|locals| locals.visit_trait_item(item)));
        visit::visit_trait_item(self, item);
        self.locals.pop();
    }
}

/// Names of variables and parameters that a function binds.
#[derive(Default)]
struct Locals(BTreeSet<String>);

impl Locals {
    fn of(collect: impl FnOnce(&mut Self)) -> BTreeSet<String> {
        let mut locals = Self::default();
        collect(&mut locals);
        locals.0
    }
}

impl<'ast> Visit<'ast> for Locals {
    fn visit_pat(&mut self, pattern: &'ast Pat) {
        if let Pat::Ident(ident) = pattern {
            let name = ident.ident.to_string();
            // A constant in a pattern is an item.
            if name.starts_with(|first: char| first.is_lowercase() || first == '_') {
                self.0.insert(name);
            }
        }
        visit::visit_pat(self, pattern);
    }
}
