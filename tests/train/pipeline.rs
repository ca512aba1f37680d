//! Whole pipelines with a captioner.

use std::path::Path;

use clipmill::base::{Cancel, Kind};
use clipmill::plan::{Counts, Reason};
use clipmill::run::RunReport;

use crate::commands::clipmill;
use crate::house::{House, picture, pictures, put, told};
use crate::studio::{CAPTIONS, STAGES, definition, gpt2, studio, survey};

/// Training is a part of its own, and the part that took longest is the bottleneck.
pub fn assert_training_is_told(report: &RunReport) {
    let busy = |name: &str| {
        let part = report.spent.iter().find(|(part, _)| *part == name);
        part.unwrap_or_else(|| panic!("{name}: {:?}", report.spent)).1.busy
    };
    assert!(!busy("train").is_zero(), "{:?}", report.spent);
    let longest = report.spent.iter().max_by_key(|(_, spent)| spent.busy).map(|(part, _)| *part);
    assert_eq!(report.bottleneck, longest, "{:?}", report.spent);
}

fn computed(report: &RunReport) -> Vec<(&str, u64)> {
    report
        .tables
        .iter()
        .filter(|t| t.computed > 0)
        .map(|t| (t.table.as_str(), t.computed))
        .collect()
}

#[test]
fn a_captioner_is_trained_once() {
    let house = studio(12, STAGES);
    let report = house.run().unwrap();
    assert!(report.broken.is_empty(), "{:?}", report.broken);
    assert_training_is_told(&report);
    let rows = house.rows("captioner", &["checkpoint", "step", "epoch", "path", "best"]);
    assert!(rows.len() == 2 || rows.len() == 3, "{rows:?}");
    assert_eq!(rows.iter().filter(|row| row.ends_with("true")).count(), 1, "{rows:?}");
    for row in &rows {
        let path = house.path("store").join(row.split('|').nth(3).unwrap());
        for file in ["model.safetensors", "optimizer.safetensors", "state.json"] {
            assert!(path.join(file).is_file(), "{row}");
        }
    }
    let losses = house.rows("metrics", &["name", "step", "value"]);
    let of = |name: &str| losses.iter().filter(|row| row.starts_with(&format!("{name}|"))).count();
    assert!(of("loss") > 6 && of("loss") == of("learning_rate") && of("validation_loss") == 3);

    let again = house.run().unwrap();
    assert!(again.is_up_to_date(), "{:?}", computed(&again));

    // What changes no number trains nothing.
    house.define(&definition(&STAGES.replace("save_every = 2", "save_every = 3\nkeep_last = 1")));
    assert!(computed(&house.run().unwrap()).is_empty());
    // Another setting trains anew, and says why.
    house.define(&definition(&STAGES.replace("epochs = 3", "epochs = 2")));
    let report = house.run().unwrap();
    let captioner = report.tables.iter().find(|t| t.table == "captioner").unwrap();
    assert!(captioner.counts.get(Reason::SettingsChanged) > 0);
    assert_eq!(computed(&report).iter().filter(|(t, _)| *t != "metrics").count(), 1);
    // So do other weights of the GPT-2.
    gpt2(&house, 6);
    let report = house.run().unwrap();
    let captioner = report.tables.iter().find(|t| t.table == "captioner").unwrap();
    assert!(captioner.counts.get(Reason::WeightsChanged) > 0);
    // The checkpoints of trainings before are gone, their metrics are not.
    let below = house.path("store/_clipmill/checkpoints/captioner");
    assert_eq!(std::fs::read_dir(below).unwrap().count(), 1);
    let runs: std::collections::BTreeSet<String> =
        house.rows("metrics", &["run"]).into_iter().collect();
    assert_eq!(runs.len(), 3);
    told::check_all(&house);
}

#[test]
fn every_way_to_train_trains() {
    for (mapper, more) in [
        ("mlp", "freeze = true\naccumulate = 2"),
        ("transformer", "layers = 1\nheads = 2\nconstant_length = 3\nschedule = \"cosine\""),
        ("bert", "layers = 1\nheads = 2\nfreeze = true\nnormalize_prefix = true"),
    ] {
        let stages =
            STAGES.replace("epochs = 3", &format!("epochs = 1\nmapper = \"{mapper}\"\n{more}"));
        let house = studio(8, &stages);
        let report = house.run().unwrap();
        assert!(report.broken.is_empty(), "{:?}", report.broken);
        let rows = house.rows("captioner", &["path"]);
        let model = house.path("store").join(&rows[0]).join("model.safetensors");
        let weights = clipmill::nn::weights::Weights::open(&model).unwrap();
        let has_gpt2 = weights.names().any(|name| name.starts_with("gpt2."));
        assert_eq!(
            has_gpt2,
            !more.contains("freeze"),
            "{mapper}: a frozen GPT-2 is not kept twice"
        );
    }
}

#[test]
fn what_cannot_be_trained_is_said_with_what_to_do() {
    let house = studio(8, STAGES);
    for (from, to, kind, what, help) in [
        (
            "dropout = 0.1",
            "max_tokens = 79",
            Kind::BadInput,
            "do not fit its 80 positions",
            "`max_tokens` to 78",
        ),
        (
            "dropout = 0.1",
            "mapper = \"bert\"\nheads = 5",
            Kind::BadInput,
            "5 heads do not divide",
            "`heads`",
        ),
        (
            "prefix_length = 2",
            "prefix_length = 80",
            Kind::BadInput,
            "do not fit its 80 positions",
            "lower `prefix_length`",
        ),
    ] {
        house.define(&definition(&STAGES.replace(from, to)));
        let error = house.run().unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(what), "{error}");
        assert!(error.help_text().unwrap().contains(help), "{error:?}");
        assert!(!house.path("store/images").exists(), "work was done before");
    }
    std::fs::remove_file(house.path("gpt2/merges.txt")).unwrap();
    std::fs::remove_file(house.path("gpt2/tokenizer.json")).unwrap();
    std::fs::remove_file(house.path("gpt2/config.json")).unwrap();
    std::fs::remove_file(house.path("images.tar")).unwrap();
    let error = house.run().unwrap_err();
    assert_eq!(error.kind(), Kind::MissingInput);
    let report = error.report().unwrap().plain();
    for missing in ["images.tar", "gpt2/config.json", "gpt2/merges.txt"] {
        assert!(report.contains(missing), "{report}");
    }
    let house = studio(8, STAGES);
    house.define(
        &definition(STAGES)
            .replace("train = 0.6, val = 0.2, test = 0.2", "train = 0.0, val = 0.5, test = 0.5"),
    );
    let error = house.run().unwrap_err();
    assert!(error.to_string().contains("no example is in the split `train`"), "{error}");
}

#[test]
fn bf16_trains_another_captioner_or_says_what_the_processor_lacks() {
    let losses = |house: &House| -> Vec<f64> {
        let rows = house.rows("metrics", &["name", "step", "value"]);
        let losses = rows.iter().filter(|row| row.starts_with("loss|"));
        losses.map(|row| row.rsplit('|').next().unwrap().parse().unwrap()).collect()
    };
    let whole = studio(8, STAGES);
    assert!(whole.run().unwrap().broken.is_empty());
    let whole = losses(&whole);
    let house = studio(8, &STAGES.replace("dropout = 0.1", "dropout = 0.1\ncompute = \"bf16\""));
    match house.run() {
        Ok(report) => {
            assert!(report.broken.is_empty(), "{:?}", report.broken);
            let half = losses(&house);
            assert!(half.len() == whole.len() && half != whole, "{half:?}");
            for (half, whole) in half.iter().zip(&whole) {
                assert!((half / whole - 1.0).abs() < 0.001, "{half} {whole}");
            }
            assert!(house.run().unwrap().is_up_to_date());
        }
        Err(error) => {
            assert_eq!(error.kind(), Kind::Device, "{error}");
            assert!(error.to_string().contains("AVX-512 BF16"), "{error}");
            assert!(error.help_text().unwrap().contains("compute = \"f32\""), "{error:?}");
        }
    }
}

#[test]
fn a_type_that_captioning_does_not_have_is_told_before_the_training() {
    let house = studio(8, &all());
    let text = std::fs::read_to_string(house.path("pipeline.toml")).unwrap();
    let typed =
        text.replace("path = \"gpt2\"", "path = \"gpt2\"\ndtype = \"bf16\"\ndevice = \"cpu\"");
    assert!(typed != text, "{text}");
    house.define(&typed);
    let error = house.run().unwrap_err();
    assert_eq!(error.kind(), Kind::Device, "{error}");
    assert!(error.help_text().unwrap().contains("f16"), "{error:?}");
    assert!(!house.path("store/images").exists(), "work was done before");
}

fn all() -> String {
    format!("{STAGES}{CAPTIONS}")
}

#[test]
fn retraining_makes_captions_stale_and_nothing_else() {
    let house = studio(16, &all());
    let report = house.run().unwrap();
    assert!(report.broken.is_empty(), "{:?}", report.broken);
    let captions = house.rows("generated", &["image_id", "caption_index", "text", "tokens"]);
    let tests: std::collections::BTreeSet<String> =
        house.rows("captions", &["split", "image_id"]).into_iter().collect();
    let tests: Vec<&str> = tests.iter().filter_map(|row| row.strip_prefix("test|")).collect();
    assert_eq!(captions.len(), tests.len(), "one caption for each image of the split test");
    assert!(captions.iter().zip(&tests).all(|(row, id)| row.starts_with(*id)), "{captions:?}");
    let scores = house.rows("scores", &["image_id", "bleu_1", "cider", "references"]);
    assert_eq!(scores.len(), tests.len());
    let corpus = &report.scores["scores"];
    assert_eq!(corpus.len(), 6, "{corpus:?}");
    let told = house.rows("metrics", &["stage", "name"]);
    assert!(told.contains(&"scores|cider".to_owned()));

    let again = house.run().unwrap();
    assert!(again.is_up_to_date(), "{:?}", computed(&again));
    assert_eq!(&again.scores["scores"], corpus, "told again without computing");

    // The same training again, with other captions of it: nothing before them is computed.
    house.define(&definition(&all().replace("max_tokens = 8", "max_tokens = 8\nbeams = 3")));
    let report = house.run().unwrap();
    let tables: Vec<&str> =
        report.tables.iter().filter(|t| t.computed > 0).map(|t| t.table.as_str()).collect();
    assert!(tables.contains(&"generated") && !tables.contains(&"captioner"), "{tables:?}");

    // Another training: its captions and scores follow, nothing else.
    house.define(&definition(&all().replace("epochs = 3", "epochs = 4")));
    let report = house.run().unwrap();
    let mut tables: Vec<&str> =
        report.tables.iter().filter(|t| t.computed > 0).map(|t| t.table.as_str()).collect();
    tables.sort_unstable();
    tables.retain(|table| *table != "scores");
    assert_eq!(tables, ["captioner", "generated", "metrics"]);
    let generated = report.tables.iter().find(|t| t.table == "generated").unwrap();
    assert_eq!(generated.counts.get(Reason::WeightsChanged), tests.len() as u64);
    assert_eq!(generated.computed, tests.len() as u64);
    told::check_all(&house);
}

#[test]
fn samples_are_rows_and_one_new_image_is_one_new_row() {
    let captions = CAPTIONS.replacen(
        "captions = \"captions\"\nsplit = \"test\"\n",
        "top_p = 0.9\nsamples = 3\nseed = 4\n",
        1,
    );
    let house = studio(10, &format!("{STAGES}{captions}"));
    house.run().unwrap();
    let first = house.rows("generated", &["image_id", "caption_index", "text", "score"]);
    assert_eq!(first.len(), 30);
    // Gone from the table, they come again as they were: sampling is seeded by the image.
    std::fs::remove_dir_all(house.path("store/generated")).unwrap();
    house.run().unwrap();
    assert_eq!(house.rows("generated", &["image_id", "caption_index", "text", "score"]), first);
}

#[test]
fn a_survey_foresees_a_training_and_what_follows_from_it() {
    let house = studio(12, &all());
    let foreseen = || {
        let seen = survey(&house).unwrap();
        let rows = seen.tables.iter().map(|t| (t.table.clone(), t.pending, t.counts.computed()));
        rows.filter(|(_, pending, _)| *pending).collect::<Vec<_>>()
    };
    let tables: Vec<String> = foreseen().into_iter().map(|(table, _, _)| table).collect();
    assert!(tables.contains(&"captioner".to_owned()) && tables.contains(&"scores".to_owned()));
    house.run().unwrap();
    assert!(foreseen().is_empty(), "{:?}", foreseen());
    house.define(&definition(&all().replace("learning_rate = 3e-3", "learning_rate = 1e-3")));
    let pending = foreseen();
    let tables: Vec<&str> = pending.iter().map(|(table, _, _)| table.as_str()).collect();
    assert_eq!(tables, ["captioner", "generated", "scores"], "and nothing else");
    let rows = house.rows("generated", &["image_id"]).len() as u64;
    assert_eq!(pending[1].2, rows);
    // Other settings of the captions alone are judged row by row.
    house.define(&definition(&all().replace("max_tokens = 8", "max_tokens = 9")));
    let tables: Vec<String> = foreseen().into_iter().map(|(table, _, _)| table).collect();
    assert_eq!(tables, ["generated", "scores"]);
}

/// Captions that a training will change are those of the images that there will be then, of the part
/// of the data that is captioned; likewise their scores.
#[test]
fn captions_of_a_captioner_that_is_to_be_trained_are_counted_image_by_image() {
    let house = studio(40, &all());
    let both = || {
        let foreseen = survey(&house).unwrap();
        let report = house.run().unwrap();
        ["generated", "scores"].map(|table| {
            let foreseen = foreseen.tables.iter().find(|t| t.table == table).unwrap();
            let done = report.tables.iter().find(|t| t.table == table).unwrap();
            let counts = |of: &Counts| of.iter().filter(|(_, n)| *n > 0).collect::<Vec<_>>();
            assert_eq!(counts(&foreseen.counts), counts(&done.counts), "{table}");
            counts(&done.counts)
        })
    };
    let made = both();
    let tests = house.rows("generated", &["image_id"]).len() as u64;
    assert!(tests < 20, "a fifth or so is captioned");
    assert_eq!(made, [[(Reason::New, tests)], [(Reason::New, tests)]].map(Vec::from));
    house.images(&pictures(40).split_off(20));
    let made = both();
    let left = house.rows("generated", &["image_id"]).len() as u64;
    assert!(0 < left && left < tests, "{left} of {tests}");
    let gone = (Reason::Removed, tests - left);
    let expected = [Reason::WeightsChanged, Reason::ContentChanged];
    assert_eq!(made, expected.map(|reason| vec![(reason, left), gone]));
}

#[test]
fn a_contract_of_made_captions_that_changes_alone_changes_no_score() {
    let house = studio(40, &all());
    house.run().unwrap();
    let builtin = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas/generated.toml");
    let contract = std::fs::read_to_string(builtin).unwrap();
    let more = "\n[checks.text_is_there.length]\ncolumn = \"text\"\nmin = 0\n";
    put(&house.path("made.toml"), format!("{contract}{more}").as_bytes());
    let stage = "[stages.generated.caption]\n";
    let with = format!("{stage}contract = \"made.toml\"\n");
    house.define(&definition(&all().replace(stage, &with)));
    let foreseen = survey(&house).unwrap();
    let generated = foreseen.tables.iter().find(|t| t.table == "generated").unwrap();
    assert!(generated.pending && generated.contract_changed, "{generated:?}");
    let scored = house.rows("scores", &["image_id"]).len() as u64;
    assert_eq!(of_table(&house, "scores"), [(Reason::UpToDate, scored)]);
}

/// What is foreseen of a table, and then done; both are the same.
fn of_table(house: &House, table: &str) -> Vec<(Reason, u64)> {
    let counts = |of: &Counts| of.iter().filter(|(_, rows)| *rows > 0).collect::<Vec<_>>();
    let foreseen = survey(house).unwrap();
    let foreseen = foreseen.tables.iter().find(|t| t.table == table).unwrap();
    let report = house.run().unwrap();
    let done = report.tables.iter().find(|t| t.table == table).unwrap();
    assert_eq!(counts(&foreseen.counts), counts(&done.counts));
    assert_eq!(foreseen.pending, done.published);
    counts(&done.counts)
}

fn of_captions(house: &House) -> Vec<(Reason, u64)> {
    of_table(house, "generated")
}

/// A house whose captioner was brought along: it is not trained again, whatever examples become.
fn with_imported(count: usize) -> House {
    let stages = format!("{STAGES}{CAPTIONS}");
    let house = studio(count, &stages);
    house.run().unwrap();
    let succeeds = |arguments: &[&str]| {
        let out = clipmill(&house, arguments);
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    };
    succeeds(&["export-checkpoint", "pipeline.toml", "-o", "out.safetensors"]);
    std::fs::remove_dir_all(house.path("store")).unwrap();
    let import = ["import-checkpoint", "out.safetensors", "--into", "pipeline.toml"];
    succeeds(&[&import[..], &["--end", "<|endoftext|>"]].concat());
    house.run().unwrap();
    house
}

#[test]
fn scores_are_foreseen_to_change_where_a_caption_of_an_image_that_is_scored_does() {
    let house = with_imported(40);
    let scored = house.rows("scores", &["image_id"]);
    let all = scored.len() as u64;
    assert_eq!(of_table(&house, "scores"), [(Reason::UpToDate, all)]);
    let mut lines = crate::house::caption_lines(40);
    let is_scored = |line: &str| scored.iter().any(|id| line.starts_with(id.as_str()));
    for (wanted, reason) in [(false, Reason::UpToDate), (true, Reason::ContentChanged)] {
        let line = lines.iter_mut().find(|line| is_scored(line) == wanted).unwrap();
        line.push_str(" again");
        house.captions(&lines);
        assert_eq!(of_table(&house, "scores"), [(reason, all)], "scored: {wanted}");
    }
}

#[test]
fn captions_of_a_captioner_that_stands_are_foreseen_image_by_image() {
    let house = with_imported(40);
    let captioned = house.rows("generated", &["image_id"]);
    let all = captioned.len() as u64;
    assert_eq!(of_captions(&house), [(Reason::UpToDate, all)]);

    // The features come again as they were.
    let parts = std::fs::read_dir(house.path("store/image_features")).unwrap();
    let mut parts = parts.map(|entry| entry.unwrap().path());
    let part = parts.find(|path| path.extension().is_some_and(|e| e == "parquet")).unwrap();
    put(&part, b"no parquet");
    assert_eq!(of_captions(&house), [(Reason::UpToDate, all)]);

    // Other pixels of one that is captioned; one that is not changes nothing.
    let mut images = pictures(40);
    let is_captioned = |name: &str| captioned.iter().any(|id| name == format!("{id}.jpg"));
    for (wanted, expected) in [
        (false, vec![(Reason::UpToDate, all)]),
        (true, vec![(Reason::ContentChanged, 1), (Reason::UpToDate, all - 1)]),
    ] {
        let at = images.iter().position(|(name, _)| is_captioned(name) == wanted).unwrap();
        images[at].1 = picture(at + 50);
        house.images(&images);
        assert_eq!(of_captions(&house), expected);
    }
    // All scores were computed where the caption is another one now; those of the other images came
    // out as they were.
    let (told, first) = (told::newest(&house, "scores"), format!("+{all} -0 ~0: new {all}"));
    assert!([&first, "+0 -0 ~0: ", "+0 -0 ~1: content_changed 1"].contains(&&*told), "{told}");
    told::check_all(&house);
    let gone = images.iter().position(|(name, _)| is_captioned(name)).unwrap();
    images.remove(gone);
    house.images(&images);
    assert_eq!(of_captions(&house), [(Reason::Removed, 1), (Reason::UpToDate, all - 1)]);
}

#[test]
fn an_image_of_no_split_file_is_kept_and_left_out_of_training_and_captioning() {
    let house = studio(12, &format!("{STAGES}{CAPTIONS}"));
    let lists = [("train", 0..6), ("val", 6..8), ("test", 8..11)];
    for (name, of) in lists {
        let ids: Vec<String> = of.map(crate::house::id).collect();
        crate::house::put(&house.path(&format!("{name}.txt")), ids.join("\n").as_bytes());
    }
    let drawn = "split = { train = 0.6, val = 0.2, test = 0.2, seed = 3 }";
    let text = definition(&format!("{STAGES}{CAPTIONS}")).replace(drawn, "splits = \"lists\"");
    let source = "\n[sources.lists.splits]\ntrain = \"train.txt\"\nval = \"val.txt\"\n\
                  test = \"test.txt\"\n";
    // What drawn splits made stands in the store, under the same contract.
    assert!(house.run().unwrap().broken.is_empty());
    house.define(&format!("{text}{source}"));
    let report = house.run().unwrap();
    assert!(report.broken.is_empty(), "{:?}", report.broken);
    let note = "captions: 1 images are in none of the split files; their split is null";
    assert!(report.notes.iter().any(|said| said == note), "{:?}", report.notes);
    let unlisted = crate::house::id(11);
    for table in ["captions", "examples"] {
        let rows = house.rows(table, &["image_id", "split"]);
        let of: Vec<_> = rows.iter().filter(|row| row.ends_with("|null")).collect();
        assert_eq!(of, [&format!("{unlisted}|null"), &format!("{unlisted}|null")], "{table}");
    }
    let captioned = house.rows("generated", &["image_id"]);
    assert_eq!(captioned, (8..11).map(crate::house::id).collect::<Vec<_>>());
    assert_eq!(house.rows("scores", &["image_id"]), captioned);
    assert!(house.run().unwrap().is_up_to_date());
}

fn first_part(house: &House, table: &str) -> std::path::PathBuf {
    house.store().snapshot(table).unwrap().unwrap().part_paths()[0].clone()
}

/// Turns a bit in the middle of a part.
fn flip(path: &std::path::Path) {
    let mut bytes = std::fs::read(path).unwrap();
    let at = bytes.len() / 2;
    bytes[at] ^= 1;
    crate::house::put(path, &bytes);
}

#[test]
fn a_damaged_part_of_a_captioners_table_is_published_anew_and_nothing_else_changes() {
    let house = studio(12, &all());
    house.run().unwrap();
    let tables = ["captioner", "generated"].map(|table| (table, ["input_digest", "fingerprint"]));
    let rows = || tables.map(|(table, columns)| house.rows(table, &columns));
    let before = (rows(), house.rows("captioner", &["checkpoint", "digest", "best"]));
    for damage in [|path: &std::path::Path| std::fs::remove_file(path).unwrap(), flip] {
        damage(&first_part(&house, "captioner"));
        let seen = survey(&house).unwrap();
        let captioner = seen.tables.iter().find(|one| one.table == "captioner").unwrap();
        let lost = before.1.len() as u64;
        assert_eq!(captioner.counts.get(Reason::PartDamaged), lost);
        let report = house.run().unwrap();
        let made: Vec<_> = report.tables.iter().filter(|t| t.published).collect();
        let made: Vec<&str> = made.iter().map(|made| made.table.as_str()).collect();
        assert_eq!(made, ["metrics", "captioner"]);
        assert_eq!((rows(), house.rows("captioner", &["checkpoint", "digest", "best"])), before);
        assert!(!survey(&house).unwrap().is_pending());
    }
}

#[test]
fn what_was_measured_is_told_anew_where_a_part_of_it_is_damaged() {
    let house = studio(12, &all());
    let scores = house.run().unwrap().scores;
    assert!(!scores["scores"].is_empty());
    let measured = || house.rows("metrics", &["stage", "run", "step", "name", "value"]);
    let before = measured();
    for damage in [|path: &std::path::Path| std::fs::remove_file(path).unwrap(), flip] {
        let parts = house.store().snapshot("metrics").unwrap().unwrap().part_paths();
        parts.iter().for_each(|path| damage(path));
        let verdict = house.store().verify("metrics", None, &Cancel::new()).unwrap();
        assert!(verdict.faults.len() >= parts.len());
        assert!(!survey(&house).unwrap().is_pending(), "no table of the plan changes");
        let report = house.run().unwrap();
        assert_eq!(report.scores, scores);
        assert_eq!(measured(), before);
        let published: Vec<_> = report.tables.iter().filter(|made| made.published).collect();
        assert!(published.iter().all(|made| made.table == "metrics"), "{published:?}");
        assert!(!house.run().unwrap().tables.iter().any(|made| made.published));
    }
}

/// What a vacuum says of the checkpoints of the captioner: names of those that go, and of what was
/// left unfinished.
fn vacuumed(house: &House, more: &[&str]) -> [Vec<String>; 2] {
    let out = clipmill(house, &[&["vacuum", "store", "--format", "json"], more].concat());
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let said: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    ["checkpoints", "temporary"].map(|what| {
        let paths = said["tables"]["captioner"][what].as_array().unwrap().iter();
        let names = paths.map(|path| std::path::Path::new(path.as_str().unwrap()).file_name());
        names.map(|name| name.unwrap().to_string_lossy().into_owned()).collect()
    })
}

#[test]
fn a_vacuum_takes_imported_checkpoints_that_no_version_names_and_what_dead_imports_left() {
    let house = studio(8, STAGES);
    house.run().unwrap();
    let said = |arguments: &[&str]| {
        let out = clipmill(&house, arguments);
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap()
    };
    said(&["export-checkpoint", "pipeline.toml", "-o", "out.safetensors"]);
    let below = house.path("store/_clipmill/checkpoints/captioner");
    let folders = || {
        let entries = std::fs::read_dir(&below).unwrap();
        let names = entries.map(|e| e.unwrap().file_name().to_string_lossy().into_owned());
        names.collect::<std::collections::BTreeSet<_>>()
    };
    let trained = folders();
    let import = |end: &str| {
        let before = folders();
        let args = ["import-checkpoint", "out.safetensors", "--into", "pipeline.toml"];
        said(&[&args[..], &["--end", end]].concat());
        folders().difference(&before).next().unwrap().clone()
    };
    let (first, second) = (import("."), import("<|endoftext|>"));

    // Nothing of them is young any more but the versions that name them.
    let left = ".imported.unfinished";
    crate::house::copy(&below.join(&first), &below.join("imported-orphan"));
    crate::house::copy(&below.join(&first), &below.join(left));
    let mut old = vec![below.clone()];
    while let Some(path) = old.pop() {
        if path.is_dir() {
            old.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
        let file = std::fs::File::open(&path).unwrap();
        file.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    }
    let gone = [vec!["imported-orphan".to_owned()], vec![left.to_owned()]];
    let all = folders();
    assert_eq!(vacuumed(&house, &["--dry-run"]), gone);
    assert_eq!(folders(), all);
    assert_eq!(vacuumed(&house, &[]), gone);
    assert!(folders().is_superset(&trained));
    assert_eq!(folders().len(), trained.len() + 2, "a version names each");

    for last in [&["--older-than", "0s", "--dry-run"][..], &["--older-than", "0s"]] {
        assert_eq!(vacuumed(&house, last)[0].iter().collect::<Vec<_>>(), [&first]);
    }
    assert!(!below.join(&first).exists());
    assert!(below.join(&second).is_dir());

    // A run sweeps what an import left, and the table stands.
    std::fs::create_dir(below.join(left)).unwrap();
    let report = house.run().unwrap();
    assert!(!below.join(left).exists());
    assert!(report.tables.iter().all(|made| made.table != "captioner" || made.computed == 0));

    // Without its table nothing names it.
    std::fs::remove_dir_all(house.path("store/captioner")).unwrap();
    assert_eq!(vacuumed(&house, &["--older-than", "0s"])[0], [second]);
}

#[test]
fn a_vacuum_keeps_imported_checkpoints_where_a_version_cannot_be_read() {
    let house = studio(8, STAGES);
    house.run().unwrap();
    for arguments in [
        &["export-checkpoint", "pipeline.toml", "-o", "out.safetensors"][..],
        &["import-checkpoint", "out.safetensors", "--into", "pipeline.toml"],
    ] {
        assert!(clipmill(&house, arguments).status.success());
    }
    let part = first_part(&house, "captioner");
    let whole = std::fs::read(&part).unwrap();
    for bytes in [None, Some(&whole[..whole.len() / 2])] {
        std::fs::remove_file(&part).unwrap();
        bytes.into_iter().for_each(|bytes| put(&part, bytes));
        assert!(vacuumed(&house, &["--older-than", "0s"])[0].is_empty());
        put(&part, &whole);
    }
}
