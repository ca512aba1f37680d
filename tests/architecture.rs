//! The rules of the house as a program: which room may import which, who owns which crate, how
//! files are cut. Reads the sources with syn; builds nothing.

#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    clippy::string_slice,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a test fails by panicking"
)]

#[path = "architecture/paths.rs"]
mod paths;
#[path = "architecture/rules.rs"]
mod rules;
#[path = "architecture/tree.rs"]
mod tree;

use std::path::Path;

use tree::Tree;

#[test]
fn the_house_keeps_its_rules() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let tree = Tree::read(&root);
    assert!(tree.files.len() > 20, "only {} files were found below {root:?}", tree.files.len());
    let broken = rules::broken(&tree);
    assert!(broken.is_empty(), "{} rules are broken:\n{}", broken.len(), broken.join("\n"));
}

#[test]
fn every_room_of_the_table_is_there_or_announced() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for (room, _) in rules::ROOMS {
        assert!(root.join(room).is_dir(), "no room {room}");
    }
}

/// Planted violations: a checker that finds nothing proves nothing.
mod planted {
    use super::*;

    fn broken(files: &[(&str, &str)]) -> Vec<String> {
        rules::broken(&Tree::of(files))
    }

    fn finds(files: &[(&str, &str)], what: &str) {
        let found = broken(files);
        assert!(found.iter().any(|line| line.contains(what)), "{what} is not in {found:#?}");
    }

    #[test]
    fn a_clean_tree_passes() {
        let found = broken(&[
            ("lib.rs", "//! docs\npub mod base;\npub mod flow;"),
            ("base/mod.rs", "//! docs\npub mod error;\npub use error::Error;"),
            ("base/error.rs", "pub struct Error;"),
            ("flow/mod.rs", "pub mod image;\npub use image::Pixels;"),
            ("flow/image.rs", "use crate::base::Error; pub struct Pixels(Error);"),
        ]);
        assert_eq!(found, Vec::<String>::new());
    }

    #[test]
    fn an_import_against_the_flow() {
        finds(&[("base/a.rs", "use crate::flow::Pixels;")], "base may not import flow");
        finds(
            &[("sources/a.rs", "use crate::{base::Error, decode};")],
            "sources may not import decode",
        );
        finds(&[("caption/a.rs", "use crate::train::x;")], "caption may not import train");
    }

    #[test]
    fn a_path_and_a_macro_against_the_flow() {
        finds(&[("plan/a.rs", "fn f() { crate::table::open() }")], "plan may not import table");
        finds(&[("plan/a.rs", "fn f() { assert!(crate::run::go()) }")], "plan may not import run");
        finds(&[("flow/a/b.rs", "use super::super::super::plan::X;")], "flow may not import plan");
    }

    #[test]
    fn a_crate_in_the_wrong_room() {
        finds(&[("plan/a.rs", "fn f() { toml::from_str(x) }")], "toml belongs to definition");
        finds(&[("run/a.rs", "use polars::prelude::DataFrame;")], "polars belongs to");
        finds(&[("run/a.rs", "use candle_core as c;")], "candle_core belongs to");
        finds(&[("base/a.rs", "fn f() { vec![clap::x()] }")], "clap belongs to cli");
    }

    #[test]
    fn what_is_lent_to_tests_is_for_tests() {
        finds(&[("nn/a.rs", "fn f() { zip::ZipArchive::new(x) }")], "zip belongs to sources");
        let tests = "#[cfg(test)] mod tests { fn f() { zip::ZipWriter::new(x) } }";
        assert_eq!(broken(&[("nn/a.rs", tests)]), Vec::<String>::new());
        finds(&[("plan/a.rs", tests)], "zip belongs to sources");
    }

    #[test]
    fn a_module_of_ours_with_a_crates_name_is_no_crate() {
        let found = broken(&[
            ("flow/mod.rs", "pub mod image;\npub use image::Pixels;"),
            ("flow/image.rs", "pub struct Pixels;"),
            ("plan/a.rs", "use crate::flow::image; fn f() { image::g() }"),
        ]);
        assert_eq!(found, Vec::<String>::new());
    }

    #[test]
    fn a_cycle_inside_a_room() {
        finds(
            &[
                ("plan/mod.rs", "mod a; mod b; pub use b::B;"),
                ("plan/a.rs", "use super::B;"),
                ("plan/b.rs", "use super::a::A;"),
            ],
            "cycle",
        );
        finds(
            &[
                ("plan/mod.rs", "mod a; mod b;"),
                ("plan/a.rs", "use crate::plan::b::f;"),
                ("plan/b.rs", "fn g() { super::a::f() }"),
            ],
            "cycle",
        );
    }

    #[test]
    fn tests_may_look_back_without_a_cycle() {
        let found = broken(&[
            ("plan/mod.rs", "mod a; mod b;"),
            ("plan/a.rs", "use super::b::f;"),
            ("plan/b.rs", "pub fn f() {} #[cfg(test)] mod tests { use crate::plan::a::g; }"),
        ]);
        assert_eq!(found, Vec::<String>::new());
    }

    #[test]
    fn a_long_file_a_vague_name_and_code_in_a_mod_file() {
        let long = "// x\n".repeat(601);
        finds(&[("plan/a.rs", &long)], "601 lines");
        finds(&[("plan/helpers.rs", "")], "says nothing");
        finds(&[("plan/mod.rs", "mod utils { }")], "holds more than docs and exports");
        finds(&[("plan/mod.rs", "fn f() {}")], "holds more than docs and exports");
        finds(&[("attic/a.rs", "")], "no room of the house");
        finds(&[("plan/a.rs", "fn f( {")], "cannot be parsed");
    }
}
