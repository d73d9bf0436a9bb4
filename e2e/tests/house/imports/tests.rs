//! Tests of the checker, on small crates.

use std::collections::BTreeMap;
use std::path::PathBuf;

fn circles(files: &[(&str, &str)]) -> Vec<Vec<String>> {
    let sources: BTreeMap<PathBuf, String> =
        files.iter().map(|(path, text)| (PathBuf::from(path), (*text).to_owned())).collect();
    let shown = |circle: Vec<super::Import>| circle.iter().map(ToString::to_string).collect();
    super::circles(&sources).into_iter().map(shown).collect()
}

#[test]
fn two_files_that_name_each_other_are_a_circle() {
    let found = circles(&[
        ("lib.rs", "mod a;\nmod b;"),
        ("a.rs", "use crate::b::B;\npub struct A(B);"),
        ("b.rs", "pub struct B;\n\nfn f() -> usize { super::a::A::SIZE }"),
    ]);
    assert_eq!(found, [["a.rs:1 crate::b::B → b.rs", "b.rs:3 super::a::A::SIZE → a.rs"]]);
}

#[test]
fn a_circle_may_be_long_and_those_outside_are_not_told() {
    let found = circles(&[
        ("lib.rs", "mod a;\nmod b;\nmod c;\nmod d;\nfn f() { a::f() }"),
        ("a.rs", "pub fn f() { crate::b::f() }"),
        ("b.rs", "use super::c;\npub fn f() { c::f() }"),
        ("c.rs", "use super::{a, d};\npub fn f() { a::f(); d::f() }"),
        ("d.rs", "pub fn f() {}"),
    ]);
    assert_eq!(found, [["a.rs:1 crate::b::f → b.rs", "b.rs:2 c::f → c.rs", "c.rs:2 a::f → a.rs"]]);
}

#[test]
fn a_parent_and_its_child_are_a_circle_and_a_mod_line_is_no_import() {
    let child = ("a/child.rs", "use super::Least;\npub struct Child(Least);");
    let lib = ("lib.rs", "mod a;");
    let parent = "mod child;\npub struct Least;\nfn f(_: child::Child) {}";
    let found = circles(&[lib, ("a.rs", parent), child]);
    assert_eq!(found, [["a/child.rs:1 super::Least → a.rs", "a.rs:3 child::Child → a/child.rs"]]);
    let found = circles(&[lib, ("a.rs", "mod child;\npub struct Least;"), child]);
    assert_eq!(found, Vec::<Vec<String>>::new());
}

#[test]
fn a_reexport_is_no_import_and_is_followed_to_the_file_that_defines_the_item() {
    let files = [
        ("lib.rs", "mod a;\nmod user;\npub use a::deep::Deep as Renamed;"),
        ("a.rs", "pub mod deep;\npub(crate) use deep::{Deep, self as again};\npub struct Here;"),
        ("a/deep.rs", "use super::Here;\npub struct Deep(Here, crate::user::User);"),
        ("user.rs", "pub struct User;\nfn f() { crate::a::Deep; crate::a::again::Deep; crate::Renamed; }"),
    ];
    let deep = "a/deep.rs:2 crate::user::User → user.rs";
    assert_eq!(circles(&files), [[deep, "user.rs:2 crate::a::Deep → a/deep.rs"]]);
    // Who uses a name that it re-exports imports it.
    let uses = "pub mod deep;\npub use deep::Deep;\npub struct Here;\nfn f(_: Deep) {}";
    let files = [("lib.rs", "mod a;"), ("a.rs", uses), ("a/deep.rs", "pub struct Deep(super::Here);")];
    assert_eq!(circles(&files), [["a/deep.rs:1 super::Here → a.rs", "a.rs:4 Deep → a/deep.rs"]]);
}

#[test]
fn globs_bring_the_names_that_are_used() {
    let lib = ("lib.rs", "mod a;\nmod b;\nmod c;");
    let a = ("a.rs", "use crate::b::*;\nuse crate::c::*;\nfn f(_: B) {}\npub struct A;");
    let b = ("b.rs", "pub struct B(crate::a::A);");
    let c = ("c.rs", "pub struct C(crate::a::A);");
    assert_eq!(circles(&[lib, a, b, c]), [["a.rs:3 B → b.rs", "b.rs:1 crate::a::A → a.rs"]]);
    let through = ("lib.rs", "mod a;\nmod b;\nmod c;\npub use b::*;");
    let a = ("a.rs", "use crate::*;\nfn f(_: B) {}\npub struct A;");
    assert_eq!(circles(&[through, a, b, c]), [["a.rs:2 B → b.rs", "b.rs:1 crate::a::A → a.rs"]]);
}

#[test]
fn grouped_uses_enums_macros_and_attributes_count() {
    let b = ("b.rs", "pub struct B(crate::a::A);\npub enum E { V }\npub fn f() {}");
    for text in [
        "use crate::{\n  b::{E::{self, V}},\n};\npub struct A;",
        "use crate::b;\npub struct A;\nfn g() { println!(\"{}\", b::f()) }",
        "use crate::b as other;\npub struct A;\nfn g(e: u8) { matches!(e, other::E::V); }",
        "#[arg(parser = crate::b::f())]\npub struct A;",
        "pub struct A;\nimpl Into<crate::b::E> for A {}",
        "pub struct A;\nfn f() { use crate::b::E::V; }",
    ] {
        assert_eq!(circles(&[("lib.rs", "mod a;\nmod b;"), ("a.rs", text), b]).len(), 1, "{text}");
    }
}

#[test]
fn other_crates_variables_and_fields_do_not_count() {
    let b = ("b.rs", "pub struct B(crate::a::A);\npub fn f() {}");
    for text in [
        "pub struct A;\nfn g() { ::b::f() }",
        "pub struct A;\nfn g(b: Self) { b.f() }",
        "pub use crate::b::f;\npub struct A;\nfn g(f: u8) -> u8 { f }",
        "pub use crate::b::f;\npub struct A;\nfn g(a: A) { println!(\"{}\", a.f) }",
        "use anyhow::anyhow;\npub struct A;\nfn g() { anyhow!(1) }",
    ] {
        assert_eq!(circles(&[("lib.rs", "mod a;\nmod b;"), ("a.rs", text), b]).len(), 0, "{text}");
    }
}

#[test]
fn tests_may_import_what_they_like() {
    let b = ("b.rs", "pub struct B(crate::a::A);");
    for text in [
        "pub struct A;\n#[cfg(test)]\nmod tests { use crate::b::B; }",
        "pub struct A;\n#[cfg(test)]\nuse crate::b::B;",
        "pub struct A;\n#[cfg(test)]\nfn f() { crate::b::B; }",
        "pub struct A;\nimpl A { #[cfg(test)] fn f() { crate::b::B; } }",
        "pub struct A;\n#[cfg(all(test, unix))]\nmod tests;",
    ] {
        let files = [("lib.rs", "mod a;\nmod b;"), ("a.rs", text), b, ("a/tests.rs", "use crate::b::B;")];
        assert_eq!(circles(&files).len(), 0, "{text}");
    }
    let not = "pub struct A;\n#[cfg(not(test))]\nfn f() { crate::b::B; }";
    assert_eq!(circles(&[("lib.rs", "mod a;\nmod b;"), ("a.rs", not), b]).len(), 1);
}

#[test]
fn inline_modules_are_of_their_file() {
    let a = "pub mod inner { pub struct A; fn f(_: super::super::b::B) {} }";
    let found =
        circles(&[("main.rs", "mod a;\nmod b;"), ("a.rs", a), ("b.rs", "pub struct B(crate::a::inner::A);")]);
    assert_eq!(found, [["a.rs:1 super::super::b::B → b.rs", "b.rs:1 crate::a::inner::A → a.rs"]]);
}

#[test]
fn an_entry_of_a_room_is_a_module_and_its_reexport_and_no_import() {
    let lib = ("lib.rs", "mod filter;\npub struct Least;\nfn f() { filter::REGISTRATIONS; }");
    let room = ("filter.rs", "room! {\n    role::RoleFilter,\n}");
    let role = ("filter/role.rs", "pub struct RoleFilter(crate::Least);");
    assert_eq!(circles(&[lib, room, role]), Vec::<Vec<String>>::new());
    let uses = ("lib.rs", "mod filter;\npub struct Least;\nfn f(_: filter::RoleFilter) {}");
    let found = circles(&[uses, room, role]);
    assert_eq!(
        found,
        [["filter/role.rs:1 crate::Least → lib.rs", "lib.rs:3 filter::RoleFilter → filter/role.rs"]]
    );
    let table = ("filter.rs", "room! { role::RoleFilter }\nfn f(_: crate::Least) {}");
    let found = circles(&[lib, table, role]);
    assert_eq!(found, [["filter.rs:2 crate::Least → lib.rs", "lib.rs:3 filter::REGISTRATIONS → filter.rs"]]);
}
