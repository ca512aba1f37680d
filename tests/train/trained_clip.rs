//! Pipelines that train their own CLIP.

use std::process::Stdio;

use clipmill::base::Kind;
use clipmill::plan::Reason;
use clipmill::run::RunReport;

use crate::house::{House, Images, id, pictures};
use crate::killed::{command, newest, numbers};
use crate::studio::definition;

const STAGE: &str = r#"
[models.clip.trained]
stage = "clip_training"

[stages.clip_training.train_clip]
images = "images"
captions = "captions"
model = "start"
epochs = 3
batch_size = 8
learning_rate = 1e-3
warmup_steps = 2
save_every = 1
"#;

fn pipeline(stage: &str) -> String {
    definition(stage).replace("[models.clip.huggingface]", "[models.start.huggingface]")
}

const IMAGES: usize = 20;
/// One that trains.
const BROKEN: usize = 3;

/// The pictures of a house, some of them cut short within their data.
fn cut_short(which: &[usize]) -> Images {
    let mut images = pictures(IMAGES);
    for number in which {
        let bytes = &mut images[*number].1;
        bytes.truncate(bytes.len() - 100);
    }
    images
}

fn house(stage: &str) -> House {
    let house = House::new(IMAGES);
    house.define(&pipeline(stage));
    house
}

/// Tables in which rows were computed.
fn computed(report: &RunReport) -> Vec<&str> {
    let mut tables: Vec<&str> =
        report.tables.iter().filter(|t| t.computed > 0).map(|t| t.table.as_str()).collect();
    tables.sort_unstable();
    tables
}

const FEATURES: [&str; 3] = ["image_id", "embedding", "fingerprint"];

#[test]
fn retraining_changes_features_and_what_follows_from_them_and_nothing_else() {
    let house = house(STAGE);
    let report = house.run().unwrap();
    assert!(report.broken.is_empty(), "{:?}", report.broken);
    super::pipeline::assert_training_is_told(&report);
    let before = house.rows("image_features", &FEATURES);
    assert_eq!(before.len(), 20);
    assert!(house.run().unwrap().is_up_to_date());

    // What changes no number trains nothing.
    house.define(&pipeline(&STAGE.replace("save_every = 1", "save_every = 2")));
    assert!(computed(&house.run().unwrap()).is_empty());

    house.define(&pipeline(&STAGE.replace("epochs = 3", "epochs = 4")));
    let report = house.run().unwrap();
    let follow = ["caption_features", "clip_training", "examples", "image_features"];
    assert_eq!(computed(&report), follow);
    let of = |table: &str| report.tables.iter().find(|t| t.table == table).unwrap();
    assert!(of("clip_training").counts.get(Reason::SettingsChanged) > 0);
    assert_eq!(of("image_features").counts.get(Reason::WeightsChanged), 20);
    let after = house.rows("image_features", &FEATURES);
    for (before, after) in before.iter().zip(&after) {
        let (old, new): (Vec<&str>, Vec<&str>) =
            (before.split('|').collect(), after.split('|').collect());
        assert_eq!(old[0], new[0]);
        assert!(old[1] != new[1] && old[2] != new[2], "{after}");
    }
}

#[test]
fn a_broken_image_is_left_out_and_told_of() {
    let house = house(STAGE);
    // Listing reads its header, which is there.
    house.images(&cut_short(&[BROKEN]));
    let report = house.run().unwrap();
    assert!(report.broken.is_empty(), "{:?}", report.broken);
    let rejects = house.rows("rejects", &["image_id", "stage", "class", "attempts"]);
    let of = |stage: &str| format!("{}|{stage}|truncated_image|1", id(BROKEN));
    assert_eq!(rejects, [of("clip_training"), of("image_features")]);
    assert_eq!(house.rows("image_features", &FEATURES).len(), 19);

    let foreseen = crate::studio::survey(&house).unwrap();
    assert!(foreseen.tables.iter().all(|one| !one.pending), "{:?}", foreseen.tables);
    assert!(house.run().unwrap().is_up_to_date());
    assert_eq!(house.rows("rejects", &["image_id", "stage", "class", "attempts"]), rejects);

    house.images(&pictures(IMAGES));
    let report = house.run().unwrap();
    assert!(computed(&report).contains(&"clip_training"));
    assert!(house.rows("rejects", &["image_id"]).is_empty());
    assert_eq!(house.rows("image_features", &FEATURES).len(), 20);
}

#[test]
fn where_nothing_that_trains_can_be_decoded_one_of_them_is_named() {
    let house = house(STAGE);
    house.images(&cut_short(&(0..IMAGES).collect::<Vec<_>>()));
    let report = house.run();
    let said = match &report {
        Err(error) => format!("{error} {:?}", error.help_text()),
        Ok(report) => format!("{:?}", report.broken),
    };
    assert!(report.is_err() && said.contains("truncated_image"), "{said}");
    assert!(said.contains("clip_training") && said.contains("can be decoded"), "{said}");
}

#[test]
fn a_run_that_fails_says_what_it_rejected() {
    let house = house(STAGE);
    house.images(&cut_short(&(0..IMAGES).collect::<Vec<_>>()));
    let ran = command(&house).stderr(Stdio::piped()).output().unwrap();
    let said = String::from_utf8_lossy(&ran.stderr);
    assert_eq!(ran.status.code(), Some(1), "{said}");
    let line = said.lines().find(|line| line.starts_with("rejected: "));
    let line = line.unwrap_or_else(|| panic!("{said}"));
    assert!(
        line.contains("photos/flickr30k-images/") && line.contains("truncated_image"),
        "{line}"
    );
    // It is published, so that no later run would say it.
    assert!(!house.rows("rejects", &["image_id"]).is_empty());
}

#[test]
fn a_type_that_captioning_does_not_have_is_told_before_a_clip_is_trained() {
    let stages = format!("{STAGE}{}{}", crate::studio::STAGES, crate::studio::CAPTIONS);
    let typed = "path = \"gpt2\"\ndtype = \"bf16\"\ndevice = \"cpu\"";
    let house = house(&stages.replace("path = \"gpt2\"", typed));
    crate::studio::gpt2(&house, 5);
    let error = house.run().unwrap_err();
    assert_eq!(error.kind(), Kind::Device, "{error}");
    assert!(error.help_text().unwrap().contains("f16"), "{error:?}");
    assert!(!house.path("store").exists(), "work was done before");
}

#[test]
fn killed_and_run_again_it_is_the_clip_of_an_undisturbed_run() {
    let stage = STAGE.replace("epochs = 3", "epochs = 12");
    let calm = house(&stage);
    assert!(command(&calm).status().unwrap().success());
    let whole = (numbers(&calm, "clip_training"), calm.rows("image_features", &FEATURES));
    assert!(whole.0.0.len() > 60, "{}", whole.0.0.len());

    let house = house(&stage);
    let mut kills = 0;
    for pause_ms in [0, 12, 3] {
        let before = newest(&house, "clip_training");
        let mut child = command(&house).spawn().unwrap();
        let begun = std::time::Instant::now();
        while newest(&house, "clip_training") == before && begun.elapsed().as_secs() < 120 {
            std::thread::sleep(std::time::Duration::from_millis(2));
            if child.try_wait().unwrap().is_some() {
                break;
            }
        }
        std::thread::sleep(std::time::Duration::from_millis(pause_ms));
        child.kill().unwrap();
        kills += u32::from(!child.wait().unwrap().success());
    }
    assert!(kills > 0, "the training was over before it was killed");
    assert!(command(&house).status().unwrap().success());
    let again = (numbers(&house, "clip_training"), house.rows("image_features", &FEATURES));
    assert_eq!(again, whole);
}
