//! A model that the pipeline trains itself: what a plan, `explain` and a lock say of its features
//! before a training, and what the training then changes.

use std::process::{Command, Output};

use clipmill::plan::Reason;
use clipmill::run::Options;

use super::house::{self, House, caption_lines, id, picture, pictures};
use super::step::{Step, all, changes, options, plan_and_run, step_with};

/// Images of every house; each has two captions.
const IMAGES: usize = 8;
/// An image that trains, and one that validates.
const TRAINS: usize = 3;
const VALIDATES: usize = 1;

/// The features are made with a CLIP that the pipeline trains from the one of the folder.
fn definition() -> String {
    let text = house::DEFINITION
        .replace("[models.clip.huggingface]", "[models.start.huggingface]")
        .replace(
            "source = \"sentences\"",
            "source = \"sentences\"\nsplit = { train = 0.6, val = 0.4, test = 0.0, seed = 3 }",
        );
    format!(
        "{text}\n[models.clip.trained]\nstage = \"training\"\n\n\
         [stages.training.train_clip]\nimages = \"images\"\ncaptions = \"captions\"\n\
         model = \"start\"\nepochs = 1\nbatch_size = 4\nlearning_rate = 1e-3\n\
         warmup_steps = 1\nkeep_last = 1\n"
    )
}

fn define(house: &House, from: &str, to: &str) {
    let text = definition();
    assert!(text.contains(from), "{from} is not in {text}");
    house.define(&text.replace(from, to));
}

fn made() -> House {
    let house = House::new(IMAGES);
    house.define(&definition());
    step_with(&house, &options());
    house
}

/// What becomes of the rows of a table, as was foreseen; of checkpoints nobody knows how many.
fn foreseen(step: &Step, table: &str) -> String {
    all(&step.foreseen.tables.iter().find(|one| one.table == table).unwrap().counts)
}

struct Kind {
    name: &'static str,
    change: fn(&House),
    /// Why the model is trained anew, if it is.
    training: Option<Reason>,
    /// Rows of the other tables with a reason to be touched.
    expected: &'static str,
}

const ALL: &str = "image_features weights_changed 8; caption_features weights_changed 16; \
                   examples content_changed 16";

fn with(before: &str) -> String {
    format!("{before}; {ALL}")
}

#[test]
fn a_training_makes_what_its_model_makes_anew_and_nothing_else() {
    let kinds = [
        Kind { name: "nothing", change: |_| (), training: None, expected: "" },
        Kind {
            name: "what changes no number",
            change: |h| define(h, "keep_last = 1", "keep_last = 2\nsave_every = 7"),
            training: None,
            expected: "",
        },
        Kind {
            name: "the learning rate changes",
            change: |h| define(h, "learning_rate = 1e-3", "learning_rate = 2e-3"),
            training: Some(Reason::SettingsChanged),
            expected: ALL,
        },
        Kind {
            name: "the weights that it starts from change",
            change: |h| h.model(8),
            training: Some(Reason::WeightsChanged),
            expected: ALL,
        },
        Kind {
            name: "the bytes of an image that trains change",
            change: |h| {
                let mut images = pictures(IMAGES);
                images[TRAINS].1 = picture(TRAINS + 5 * 10);
                h.images(&images);
            },
            training: Some(Reason::ContentChanged),
            expected: "images content_changed 1; ALL",
        },
        Kind {
            name: "the stage of the features changes, and not the training",
            change: |h| define(h, "batch_size = 4\n\n", "batch_size = 4\nnormalize = false\n\n"),
            training: None,
            expected: "image_features settings_changed 8; examples content_changed 16",
        },
    ];
    for kind in kinds {
        let house = made();
        (kind.change)(&house);
        let step = plan_and_run(&house, &options());
        let told = changes(&step.report);
        let told: Vec<_> = told
            .split("; ")
            .filter(|one| !one.starts_with("training ") && !one.starts_with("metrics "))
            .collect();
        let expected = match kind.expected.strip_suffix("; ALL") {
            Some(before) => with(before),
            None => kind.expected.to_owned(),
        };
        assert_eq!(told.join("; "), expected, "{}", kind.name);
        let training = step.foreseen.tables.iter().find(|t| t.table == "training").unwrap();
        assert_eq!(training.pending, kind.training.is_some(), "{}", kind.name);
        for (reason, rows) in training.counts.iter().filter(|(_, rows)| *rows > 0) {
            assert_eq!(reason, kind.training.unwrap_or(Reason::UpToDate), "{} {rows}", kind.name);
        }
        for table in ["images", "image_features", "captions", "caption_features", "examples"] {
            let done = step.report.tables.iter().find(|one| one.table == table).unwrap();
            assert_eq!(foreseen(&step, table), all(&done.counts), "{}: {table}", kind.name);
        }
        let prints = house.rows("image_features", &["fingerprint"]);
        assert!(prints.windows(2).all(|w| w[0] == w[1]), "{}: two models", kind.name);
    }
}

#[test]
fn a_training_that_ends_with_the_same_weights_leaves_features() {
    let house = made();
    let mut images = pictures(IMAGES);
    images[VALIDATES].1 = picture(VALIDATES + 5 * 10);
    house.images(&images);
    let step = plan_and_run(&house, &options());
    assert_eq!(foreseen(&step, "image_features"), "weights_changed 8", "nobody can know better");
    let done = |table: &str| {
        let table = step.report.tables.iter().find(|one| one.table == table).unwrap();
        (table.computed, all(&table.counts))
    };
    assert!(done("training").0 > 0);
    assert_eq!(done("image_features"), (1, "content_changed 1, up_to_date 7".to_owned()));
    assert_eq!(done("caption_features"), (0, "up_to_date 16".to_owned()));
}

#[test]
fn a_reject_is_tried_once_by_a_run_of_two_phases() {
    let house = House::new(IMAGES);
    house.define(&definition());
    let mut images = pictures(IMAGES);
    images[5].1 = b"no picture at all".to_vec();
    images[6].1.truncate(200);
    house.images(&images);
    plan_and_run(&house, &options());
    let rejected = || house.rows("rejects", &["image_id", "stage", "class", "attempts"]);
    let rows = |attempts: u32| {
        [
            format!("{}|images|unknown_format|{attempts}", id(5)),
            format!("{}|image_features|truncated_image|{attempts}", id(6)),
            // The training stands, so that nothing of it is tried.
            format!("{}|training|truncated_image|1", id(6)),
        ]
    };
    assert_eq!(rejected(), rows(1));
    let retry = Options { retry_rejects: true, ..options() };
    let step = plan_and_run(&house, &retry);
    assert_eq!(rejected(), rows(2));
    assert_eq!(foreseen(&step, "images"), "new 1, up_to_date 7");
    let made = step.report.tables.iter().find(|one| one.table == "images").unwrap();
    assert_eq!(all(&made.counts), foreseen(&step, "images"));

    // Another training tries nothing of it: neither its bytes nor how they are decoded changed.
    define(&house, "learning_rate = 1e-3", "learning_rate = 2e-3");
    plan_and_run(&house, &options());
    assert_eq!(rejected(), rows(2));
}

fn clipmill(house: &House, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_clipmill"));
    command.current_dir(house.dir.path()).args(args).output().unwrap()
}

fn said(output: &Output) -> String {
    let both = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    String::from_utf8(both).unwrap()
}

#[test]
fn explain_says_before_a_training_that_its_features_are_to_be_made_anew() {
    for (what, change) in [
        ("settings", (|h| define(h, "epochs = 1", "epochs = 2")) as fn(&House)),
        ("a caption that trains", |h| {
            let mut lines = caption_lines(IMAGES);
            lines.iter_mut().for_each(|line| *line = line.replace("picture", "pixture"));
            h.captions(&lines);
        }),
    ] {
        let house = made();
        change(&house);
        let text = said(&clipmill(&house, &["explain", "pipeline.toml", &id(0)]));
        let rows: Vec<_> = text.split("\n\n").collect();
        let of = |table: &str| *rows.iter().find(|row| row.starts_with(table)).unwrap();
        let features = of("image_features: ");
        assert!(
            features.contains("weights, their configuration or tokenizer changed"),
            "{what}: {text}"
        );
        let weights = features.lines().find(|line| line.trim().starts_with("weights ")).unwrap();
        assert!(weights.ends_with(" is stored, not trained yet now"), "{what}: {weights}");
        assert!(of("images: ").contains("up to date"), "{what}: {text}");
        house.run().unwrap();
        let text = said(&clipmill(&house, &["explain", "pipeline.toml", &id(0)]));
        assert!(!text.contains("not trained yet") && !text.contains("computes"), "{what}: {text}");
    }
}

#[test]
fn a_lock_follows_a_training_to_what_its_model_makes() {
    let house = made();
    let good = |args: &[&str]| {
        let out = clipmill(&house, args);
        assert!(out.status.success(), "{args:?}: {}", said(&out));
        said(&out)
    };
    let locked = good(&["lock", "pipeline.toml"]);
    assert!(!locked.contains("not seen"), "{locked}");
    good(&["check", "--locked", "pipeline.toml"]);
    good(&["run", "--locked", "pipeline.toml"]);

    define(&house, "epochs = 1", "epochs = 2");
    let out = clipmill(&house, &["check", "--locked", "pipeline.toml"]);
    assert_eq!(out.status.code(), Some(2));
    let text = said(&out);
    for line in [
        "training, all rows: settings.epochs was 1, is 2",
        "image_features, all rows: its model is trained by training",
        "caption_features, all rows: its model is trained by training",
        "examples, all rows: it reads image_features",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    assert!(!text.contains("  images, ") && !text.contains("  captions, "), "{text}");
    let out = clipmill(&house, &["run", "--locked", "pipeline.toml"]);
    assert_eq!(out.status.code(), Some(1), "{}", said(&out));

    // Locked before it is trained: the lock invents no weights, and forgets tables of others.
    let locked = good(&["lock", "pipeline.toml"]);
    for table in ["training", "image_features", "caption_features", "examples"] {
        assert!(locked.contains(&format!("not seen: table {table}: ")), "{locked}");
    }
    let text = std::fs::read_to_string(house.path("clipmill.lock")).unwrap();
    let features = text.split("stages.image_features").nth(1).unwrap();
    let features = features.split("\n[").next().unwrap();
    assert!(!features.contains("weights"), "{features}");
    good(&["run", "pipeline.toml"]);
    good(&["lock", "pipeline.toml"]);
    good(&["run", "--locked", "pipeline.toml"]);
}
