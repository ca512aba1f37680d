//! Definitions and contracts from end to end: messages, digests, `--set`, schemas.
//!
//! `CLIPMILL_UPDATE_SCHEMAS=1 cargo test --test definition` writes `schemas/*.schema.json` anew.

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

use std::path::{Path, PathBuf};

use clipmill::base::environment::Environment;
use clipmill::base::files::{read_text_capped, write_atomic};
use clipmill::definition::contract::{self, CheckKind, TableKind};
use clipmill::definition::warm_up::WarmUp;
use clipmill::definition::{self, Operator, Pipeline};
use proptest::prelude::*;

const GOOD: &str = r#"
[pipeline]
name = "p"
store = "store"
[sources.photos.tar]
paths = "a.tar"
[sources.sentences.flickr]
paths = "a.token"
[models.clip.huggingface]
path = "clip"
[stages.examples.align]
captions = "captions"
image_features = "image_features"
[stages.image_features.embed_images]
images = "images"
model = "clip"
[stages.images.index_images]
source = "photos"
[stages.captions.read_captions]
source = "sentences"
images = "images"
clean = ["whitespace"]
"#;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

fn parse(text: &str, sets: &[(&str, &str)]) -> clipmill::base::Result<Pipeline> {
    let env: Environment = [("DATA", "/data")].into_iter().collect();
    let sets: Vec<(String, String)> =
        sets.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
    definition::parse("p.toml", text, &env, &sets)
}

fn findings(text: &str, sets: &[(&str, &str)]) -> String {
    let error = parse(text, sets).expect_err("a broken definition");
    error.report().expect("a report").plain()
}

#[test]
fn a_good_definition_is_read_in_the_order_of_its_data() {
    let pipeline = parse(GOOD, &[]).unwrap();
    let order: Vec<&str> = pipeline.order().map(|stage| stage.table.as_str()).collect();
    let at = |table: &str| order.iter().position(|name| *name == table).unwrap();
    assert!(at("images") < at("image_features") && at("images") < at("captions"));
    assert!(at("captions") < at("examples") && at("image_features") < at("examples"));
    let Operator::Align(align) = &pipeline.find_stage("examples").unwrap().operator else {
        panic!()
    };
    assert_eq!(align.column.value, "clean_text", "the captions are cleaned");
}

#[test]
fn every_kind_of_mistake_has_its_message() {
    let text = include_str!("definitions/broken.toml");
    insta::assert_snapshot!("broken", findings(text, &[]));
    insta::assert_snapshot!(
        "syntax",
        findings("[pipeline]\nname = \nstore = 'x'\nstore = 'y'\n[x\n", &[])
    );
    insta::assert_snapshot!("empty", findings("", &[]));
    let sets = [
        ("stages.image_features.batchsize", "8"),
        ("stages.imagefeatures.batch_size", "8"),
        ("stages.image_features.embed_images.batch_size", "many"),
        ("stage.x", "1"),
        ("sources.photos", "1"),
        ("sources.photos.paths", "${DATTA}/x.tar"),
    ];
    insta::assert_snapshot!("sets", findings(GOOD, &sets));
}

#[test]
fn blocks_that_could_not_be_read_are_still_there_for_who_names_them() {
    let misspelt = GOOD.replace("paths = \"a.tar\"", "path = \"a.tar\"");
    let found = findings(&misspelt.replace("source = \"photos\"", "source = \"photo\""), &[]);
    assert!(found.contains("did you mean `photos`?") && !found.contains("at all"), "{found}");
    let found = findings(&misspelt.replace("source = \"photos\"", "source = \"words\""), &[]);
    assert!(found.contains("expected `photos`"), "{found}");
    let csv = GOOD.replace("sentences.flickr", "sentences.csv");
    let found = findings(&csv.replace("source = \"photos\"", "source = \"sentences\""), &[]);
    assert!(found.contains("lacks `text`"), "{found}");
    assert!(found.contains("`sentences` is a source of captions (`csv`)"), "{found}");
    let stage = GOOD.replace("model = \"clip\"", "modle = \"clip\"");
    let stage = stage.replace("= \"image_features\"", "= \"image_feature\"");
    let found = findings(&stage, &[]);
    assert!(found.contains("did you mean `image_features`?"), "{found}");
}

#[test]
fn a_misspelt_share_is_one_finding_and_sums_are_rounded() {
    let with = |split: &str| {
        let clean = "clean = [\"whitespace\"]";
        findings(&GOOD.replace(clean, &format!("{clean}\nsplit = {split}")), &[])
    };
    let found = with("{ train = 0.8, val = 0.1, tset = 0.1 }");
    assert!(found.contains("did you mean `test`?") && !found.contains("add up"), "{found}");
    let found = with("{ train = 0.8, val = 0.1, test = 0.05 }");
    assert!(found.contains("the shares add up to 0.95\n"), "{found}");
}

#[test]
fn sets_replace_values_with_and_without_the_operator() {
    for key in ["stages.image_features.batch_size", "stages.image_features.embed_images.batch_size"]
    {
        let pipeline = parse(GOOD, &[(key, "8")]).unwrap();
        let stage = pipeline.find_stage("image_features").unwrap();
        let Operator::EmbedImages(settings) = &stage.operator else { panic!() };
        assert_eq!(settings.batch_size, Some(8));
    }
    let sets = [
        ("models.clip.path", "${DATA}/clip"),
        ("stages.captions.split.seed", "7"),
        ("pipeline.store", "$${x}"),
    ];
    let pipeline = parse(GOOD, &sets).unwrap();
    assert_eq!(pipeline.models[0].layout.paths()[0].1.value, "/data/clip");
    assert_eq!(pipeline.store.value, "${x}");
    let Operator::ReadCaptions(settings) = &pipeline.find_stage("captions").unwrap().operator
    else {
        panic!()
    };
    assert_eq!(settings.split.unwrap().seed, 7);
}

#[test]
fn the_digest_sees_values_and_nothing_else() {
    let digest = |text: &str| parse(text, &[]).unwrap().digest();
    let plain = digest(GOOD);
    let spaced = GOOD.replace(" = ", "   =  ").replace('\n', " # note\n\n");
    assert_eq!(digest(&spaced), plain);
    let mut blocks: Vec<&str> = GOOD.trim().split("\n[").collect();
    blocks[1..].reverse();
    assert_eq!(digest(&blocks.join("\n[")), plain, "order of blocks");
    assert_eq!(
        digest(&GOOD.replace("model = \"clip\"", "model = \"clip\"\nnormalize = true")),
        plain
    );
    for (from, to) in [
        ("a.tar", "b.tar"),
        ("\"p\"", "\"q\""),
        ("\"whitespace\"", "\"zero_width\""),
        ("model = \"clip\"", "model = \"clip\"\nnormalize = false"),
        ("path = \"clip\"", "path = \"clip\"\ndtype = \"bf16\""),
    ] {
        assert_ne!(digest(&GOOD.replace(from, to)), plain, "{from} → {to}");
    }
}

#[test]
fn the_shipped_definitions_are_right() {
    for file in std::fs::read_dir(root().join("pipelines")).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "toml") {
            continue; // their lock
        }
        let text = read_text_capped(&path, 1 << 20).unwrap();
        assert!(text.starts_with("#:schema "), "{}", path.display());
        if let Err(error) = parse(&text, &[]) {
            panic!("{}: {}", path.display(), error.report().unwrap().plain());
        }
    }
}

/// ClipCap-Chinese trains and predicts on what `clip_model.encode_image` gives.
#[test]
fn features_for_clipcap_chinese_are_not_normalised() {
    let path = root().join("pipelines/flickr8k-zh.toml");
    let pipeline = parse(&read_text_capped(&path, 1 << 20).unwrap(), &[]).unwrap();
    let normalised = pipeline.stages.iter().find_map(|stage| match &stage.operator {
        Operator::EmbedImages(settings) => Some(settings.normalize),
        _ => None,
    });
    assert_eq!(normalised, Some(false));
}

/// Both take transformers' AdamW as it comes, and leave gradients as they are; dropout is that of the
/// published configurations.
#[test]
fn captioners_train_as_in_the_projects_that_definitions_name() {
    for name in ["flickr30k.toml", "flickr8k-zh.toml"] {
        let path = root().join("pipelines").join(name);
        let pipeline = parse(&read_text_capped(&path, 1 << 20).unwrap(), &[]).unwrap();
        let Operator::Train(of) = &pipeline.find_stage("captioner").unwrap().operator else {
            panic!("{name} trains no captioner");
        };
        assert_eq!((of.dropout, of.weight_decay, of.clip_norm), (0.1, 0.0, 0.0), "{name}");
        assert_eq!((of.warmup_steps, of.batch_size), (WarmUp::Steps(5000), 40), "{name}");
    }
}

#[test]
fn the_built_in_contracts_hold_their_own_rules() {
    let pipeline = parse(GOOD, &[("stages.image_features.normalize", "false")]).unwrap();
    for kind in TableKind::ALL {
        let contract = contract::builtin(kind).unwrap();
        assert_eq!(contract.name, kind.name());
        let text = read_text_capped(&root().join(format!("schemas/{kind}.toml")), 1 << 20).unwrap();
        assert_eq!(contract::custom(kind, "copy", &text).unwrap(), contract);
        let names: std::collections::BTreeSet<_> =
            contract.checks.iter().map(|c| &c.name).collect();
        assert_eq!(names.len(), contract.checks.len(), "{kind}: names of checks");
        assert!(contract.checks.iter().any(|c| c.kind == CheckKind::UniqueKey {}));
    }
    let l2 = |c: &contract::Contract| {
        c.checks.iter().any(|c| matches!(c.kind, CheckKind::L2Norm { .. }))
    };
    assert!(l2(&contract::builtin(TableKind::ImageFeatures).unwrap()));
    let stage = pipeline.find_stage("image_features").unwrap();
    assert!(!l2(&contract::for_stage(stage, None).unwrap()), "normalize = false");
}

#[test]
fn a_custom_contract_must_keep_what_the_operator_makes() {
    let text = "[table]\nname = 't'\ndescription = 'd'\nkey = ['member']\n\
        [columns.member]\ntype = 'int64'\nmeaning = 'm'\n[columns.mine]\ntype = 'string'\nmeaning = 'm'\n";
    let error = contract::custom(TableKind::Rejects, "mine.toml", text).unwrap_err();
    insta::assert_snapshot!("custom_contract", error.report().unwrap().plain());
}

#[test]
fn reject_classes_of_contracts_are_those_of_rows() {
    let classes: Vec<&str> = clipmill::flow::RejectClass::ALL.iter().map(|c| c.name()).collect();
    assert_eq!(classes, contract::REJECT_CLASSES);
}

#[test]
fn a_contract_bounds_what_a_reduced_type_costs() {
    let parse = |keys: &str| {
        let text = format!(
            "[table]\nname = 't'\ndescription = 'd'\nkey = ['member']\n\
             [columns.member]\ntype = 'string'\nmeaning = 'm'\n[checks.near.fidelity]\n{keys}"
        );
        contract::parse("c", &text).map_err(|error| error.report().unwrap().plain())
    };
    let read = parse("median_cosine = 0.99\nneighbour_overlap = 0").unwrap();
    let expected = CheckKind::Fidelity {
        min_cosine: None,
        median_cosine: Some(0.99),
        neighbour_overlap: Some(0.0),
    };
    assert!(read.checks.iter().any(|check| check.kind == expected), "{:?}", read.checks);
    for (keys, what, label) in [
        ("", "a check that bounds nothing", "expected `min_cosine`, `median_cosine`"),
        ("min_cosine = 1.5", "`min_cosine` is 1.5", "expected -1 to 1"),
        ("neighbour_overlap = -0.1", "`neighbour_overlap` is -0.1", "expected 0 to 1"),
        ("median_cosine = \"high\"", "median_cosine", "number"),
        ("overlap = 1", "overlap", "neighbour_overlap"),
    ] {
        let said = parse(keys).unwrap_err();
        assert!(said.contains(what) && said.contains(label), "{keys}: {said}");
    }
}

#[test]
fn the_schemas_are_not_stale() {
    let update = Environment::of_process().get("CLIPMILL_UPDATE_SCHEMAS").is_some();
    for (name, schema) in [
        ("pipeline.schema.json", definition::json_schema()),
        ("contract.schema.json", definition::contract_json_schema()),
    ] {
        let path = root().join("schemas").join(name);
        if update {
            use std::io::Write as _;
            write_atomic(&path, |out| {
                out.write_all(schema.as_bytes()).unwrap();
                Ok(())
            })
            .unwrap();
        }
        let kept = read_text_capped(&path, 4 << 20).unwrap_or_default();
        assert!(
            kept == schema,
            "schemas/{name} is stale: CLIPMILL_UPDATE_SCHEMAS=1 cargo test --test definition"
        );
    }
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in r#"(\[?\[?(pipeline|sources|stages|a|\.|"x")*\]?\]?\n?|[a-z]{1,5} ?= ?("[^"\n]{0,9}"|[0-9.eE+-]{1,6}|\[.{0,6}\]|\{.{0,6}\})\n|.{0,9}\n){0,12}"#) {
        if let Err(error) = parse(&text, &[]) { prop_assert!(!error.report().unwrap().plain().is_empty()); }
        if let Err(error) = contract::parse("c", &text) { prop_assert!(!error.report().unwrap().plain().is_empty()); }
    }

    #[test]
    fn no_edit_of_a_good_text_makes_the_parser_panic(at in 0..GOOD.len(), cut in 0usize..40, put in ".{0,6}") {
        let end = (at + cut).min(GOOD.len());
        let text = format!("{}{put}{}", &GOOD[..at], &GOOD[end..]);
        if let Err(error) = parse(&text, &[]) { prop_assert!(!error.report().unwrap().plain().is_empty()); }
    }

    #[test]
    fn no_set_makes_the_parser_panic(key in "(stages|sources|pipeline|[.a-z_]){1,12}", value in ".{0,12}") {
        if let Err(error) = parse(GOOD, &[(&key, &value)]) { prop_assert!(!error.report().unwrap().plain().is_empty()); }
    }
}

const CAPTIONER: &str = r#"
[models.gpt2.gpt2]
path = "gpt2"
[stages.captioner.train]
examples = "examples"
model = "gpt2"
[stages.generated.caption]
captioner = "captioner"
image_features = "image_features"
captions = "captions"
split = "test"
beams = 5
[stages.scores.evaluate]
generated = "generated"
captions = "captions"
"#;

#[test]
fn a_captioner_is_trained_captions_and_is_scored() {
    let text = format!("{GOOD}{CAPTIONER}");
    let pipeline = parse(&text, &[("stages.captioner.epochs", "3")]).unwrap();
    let order: Vec<&str> = pipeline.order().map(|stage| stage.table.as_str()).collect();
    let at = |table: &str| order.iter().position(|name| *name == table).unwrap();
    assert!(at("examples") < at("captioner") && at("captioner") < at("generated"));
    assert!(at("generated") < at("scores"));
    let Operator::Train(train) = &pipeline.find_stage("captioner").unwrap().operator else {
        panic!()
    };
    assert_eq!((train.epochs, train.batch_size, train.prefix_length), (3, 40, 10));
    assert_eq!(train.learning_rate.to_bits(), 2e-5_f64.to_bits());
}

#[test]
fn what_is_wrong_with_a_captioner_is_said_at_once() {
    let text = format!("{GOOD}{CAPTIONER}")
        .replace("examples = \"examples\"\nmodel = \"gpt2\"", "examples = \"captions\"\nmodel = \"clip\"\nmapper = \"mpl\"\nlearning_rate = 0\nepochs = 0\ndropout = 1.5\npatience = 0\nschedule = \"step\"")
        .replace("split = \"test\"\nbeams = 5", "beams = 5\ntop_p = 0.9\ntemperature = 0.0")
        .replace("generated = \"generated\"", "generated = \"examples\"\ntokenizer = \"words\"")
        .replace("model = \"clip\"\n[stages.images", "model = \"gpt2\"\n[stages.images");
    insta::assert_snapshot!("captioner", findings(&text, &[]));
    for (from, to) in [
        ("captions = \"captions\"\nsplit = \"test\"", "split = \"test\""),
        ("beams = 5", "samples = 5"),
        ("beams = 5", "length_penalty = 2"),
        ("[stages.scores.", "[stages.metrics."),
        ("[stages.scores.", "[stages.runs."),
    ] {
        let text = format!("{GOOD}{}", CAPTIONER.replace(from, to));
        assert!(parse(&text, &[]).is_err(), "{from} → {to}");
    }
}
