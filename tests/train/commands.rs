//! The commands of a captioner, as a user and a script meet them.

use std::path::Path;
use std::process::{Command, Output};

use candle_core::{DType, Device};
use clipmill::nn::clip::write_random;
use clipmill::nn::weights::{Weights, write_safetensors};
use serde_json::Value;

use crate::house::{House, copy, picture, put, quick_clip, signal};
use crate::studio::{CAPTIONS, STAGES, definition, gpt2, studio, survey};

pub fn clipmill(house: &House, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_clipmill"))
        .current_dir(house.dir.path())
        .args(args)
        .output()
        .unwrap()
}

fn json(house: &House, args: &[&str]) -> Value {
    let out = clipmill(house, args);
    serde_json::from_slice(&out.stdout)
        .unwrap_or_else(|_| panic!("{args:?}: {}", String::from_utf8_lossy(&out.stderr)))
}

fn fails(house: &House, args: &[&str], code: i32, what: &str) {
    let out = clipmill(house, args);
    let said = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(code), "{args:?}: {said}");
    assert!(said.contains(what), "{args:?}: {said}");
}

#[test]
fn a_captioner_from_training_to_another_store() {
    let house = studio(12, &format!("{STAGES}{CAPTIONS}"));
    put(&house.path("photos/a.jpg"), &picture(3));
    put(&house.path("photos/deeper/b.jpg"), &picture(4));
    put(&house.path("photos/notes.txt"), b"no image");
    put(&house.path("broken.jpg"), b"no image either");
    fails(&house, &["caption", "pipeline.toml", "photos"], 1, "is no store");

    let trained = json(&house, &["train", "pipeline.toml", "--format", "json"]);
    assert_eq!(trained["command"], "train");
    assert!(trained["tables"]["captioner"]["computed"].as_u64().unwrap() > 0, "{trained}");
    assert!(trained["tables"].get("generated").is_none(), "nothing after it is made");

    let args = ["caption", "pipeline.toml", "photos", "--beams", "3", "--format", "json"];
    let made = json(&house, &args);
    assert!(made["images"].is_array(), "{made}");
    let images = made["images"].as_array().unwrap();
    let names: Vec<&str> = images.iter().map(|i| i["image"].as_str().unwrap()).collect();
    assert_eq!(names, ["photos/a.jpg", "photos/deeper/b.jpg"]);
    assert_eq!(made["exit_code"], 0);
    let sampled = ["caption", "pipeline.toml", "photos/a.jpg", "broken.jpg", "--top-p", "0.8"];
    let sampled = [&sampled[..], &["--samples", "3", "--seed", "2", "--format", "json"]].concat();
    let drawn = json(&house, &sampled);
    assert_eq!(drawn["images"][0]["captions"].as_array().unwrap().len(), 3);
    assert!(drawn["images"][1]["error"].as_str().unwrap().contains("broken.jpg"), "{drawn}");
    assert_eq!(drawn["exit_code"], 1);
    assert_eq!(json(&house, &sampled)["images"], drawn["images"], "seeded");

    let scored = json(&house, &["evaluate", "pipeline.toml", "--split", "val", "--format", "json"]);
    assert_eq!(scored["scores"]["scores"].as_object().unwrap().len(), 6, "{scored}");
    let of = |split: &str| {
        let rows: std::collections::BTreeSet<String> =
            house.rows("captions", &["split", "image_id"]).into_iter().collect();
        rows.iter().filter(|row| row.starts_with(split)).count()
    };
    assert_eq!(house.rows("scores", &["image_id"]).len(), of("val"));

    // Out under each project's names and back into another store: the same captions.
    let first = json(&house, &args)["images"].clone();
    let export = ["export-checkpoint", "pipeline.toml", "-o", "out.safetensors"];
    for (names, prefix) in [
        (&["--format", "safetensors"][..], "mapper."),
        (&["--format", "pytorch-names", "--project", "clip-prefix-caption"], "gpt."),
        (&["--format", "pytorch-names", "--project", "clipcap-chinese"], "clip_project."),
    ] {
        let out = clipmill(&house, &[&export[..], names].concat());
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        let weights = Weights::open(&house.path("out.safetensors")).unwrap();
        assert!(weights.names().any(|name| name.starts_with(prefix)));
        house.define(
            &definition(&format!("{STAGES}{CAPTIONS}"))
                .replace("store = \"store\"", "store = \"other\""),
        );
        let _gone = std::fs::remove_dir_all(house.path("other"));
        let import = [
            "import-checkpoint",
            "out.safetensors",
            "--into",
            "pipeline.toml",
            "--end",
            "<|endoftext|>",
            "--format",
            "json",
        ];
        let imported = json(&house, &import);
        assert_eq!(imported["table"], "captioner", "{imported}");
        assert_eq!(json(&house, &args)["images"], first, "{names:?}");
        house.define(&definition(&format!("{STAGES}{CAPTIONS}")));
    }
    // What was brought along is not trained over, and captions are made with it.
    house.define(
        &definition(&format!("{STAGES}{CAPTIONS}"))
            .replace("store = \"store\"", "store = \"other\""),
    );
    let run = json(&house, &["run", "pipeline.toml", "--format", "json"]);
    assert_eq!(run["tables"]["captioner"]["computed"], 0, "{run}");
    assert!(run["tables"]["generated"]["computed"].as_u64().unwrap() > 0, "{run}");

    // Another shape is named, with what to set; a file that is none is said.
    let other = definition(STAGES).replace("prefix_length = 2", "prefix_length = 3");
    put(&house.path("other.toml"), other.as_bytes());
    fails(
        &house,
        &["import-checkpoint", "out.safetensors", "--into", "other.toml"],
        1,
        "prefix_length = 2",
    );
    fails(
        &house,
        &["import-checkpoint", "broken.jpg", "--into", "pipeline.toml"],
        1,
        "neither safetensors nor a file of PyTorch",
    );
    fails(
        &house,
        &["import-checkpoint", "gpt2/model.safetensors", "--into", "pipeline.toml"],
        1,
        "is the checkpoint of no captioner",
    );
    fails(
        &house,
        &["export-checkpoint", "pipeline.toml", "-o", "x", "--checkpoint", "no"],
        3,
        "has no checkpoint `no`",
    );
    fails(&house, &["caption", "pipeline.toml", "nowhere.jpg"], 1, "is not there");
    fails(
        &house,
        &["caption", "pipeline.toml", "photos", "--beams", "2", "--top-k", "3"],
        3,
        "cannot be used with",
    );
    house.define(&definition(""));
    fails(&house, &["train", "pipeline.toml"], 3, "no stage of the definition is a `train`");
    fails(&house, &["evaluate", "pipeline.toml"], 3, "no stage of the definition is a `evaluate`");
}

#[test]
fn other_settings_are_told_and_another_frozen_gpt2_is_refused_while_captioning() {
    let house = studio(8, &STAGES.replace("epochs = 3", "epochs = 1\nfreeze = true"));
    put(&house.path("a.jpg"), &picture(3));
    assert!(clipmill(&house, &["train", "pipeline.toml"]).status.success());
    let says = |set: &[&str]| {
        let caption = ["caption", "pipeline.toml", "a.jpg"];
        let out = clipmill(&house, &[&caption[..], set].concat());
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        assert!(out.status.success(), "{said}");
        said
    };
    assert!(!says(&[]).contains("other settings"));
    for (set, named) in [
        ("stages.image_features.normalize=false", "settings.normalize"),
        ("stages.captioner.epochs=2", "settings.epochs"),
        ("stages.captioner.prefix_length=3", "settings.prefix_length"),
    ] {
        let said = says(&["--set", set]);
        assert!(said.contains("other settings") && said.contains(named), "{set}: {said}");
    }
    let refused = "has other weights than the frozen GPT-2";
    gpt2(&house, 6);
    fails(&house, &["caption", "pipeline.toml", "a.jpg"], 1, refused);
    fails(&house, &["export-checkpoint", "pipeline.toml", "-o", "x"], 1, refused);
    // Checkpoints of before do not say which it was, but their digest covers it.
    for path in house.rows("captioner", &["path"]) {
        let file = house.path("store").join(path).join("state.json");
        let text = std::fs::read_to_string(&file).unwrap();
        let mut state: Value = serde_json::from_str(&text).unwrap();
        assert!(state.as_object_mut().unwrap().remove("beside").is_some());
        put(&file, state.to_string().as_bytes());
    }
    fails(&house, &["caption", "pipeline.toml", "a.jpg"], 1, refused);
    gpt2(&house, 5);
    says(&[]);
}

#[test]
fn a_split_without_images_is_refused_where_it_is_asked_for_and_else_told() {
    let text = |split: &str| {
        definition(&format!("{STAGES}{CAPTIONS}"))
            .replace("train = 0.6, val = 0.2, test = 0.2", "train = 0.5, val = 0.5, test = 0.0")
            .replace("split = \"test\"", split)
    };
    let house = studio(12, &format!("{STAGES}{CAPTIONS}"));
    house.define(&text("split = \"val\""));
    assert!(house.run().unwrap().broken.is_empty());
    let (captions, scores) = (house.rows("generated", &["text"]), house.rows("scores", &["cider"]));
    assert!(!captions.is_empty() && !scores.is_empty());
    let evaluate = ["evaluate", "pipeline.toml", "--split", "test"];
    let none = "is in the split `test`: there are no captions to score";
    fails(&house, &evaluate, 1, none);
    let set = "stages.generated.split=test";
    fails(&house, &["plan", "pipeline.toml", "--set", set], 1, none);
    assert_eq!(house.rows("generated", &["text"]), captions);
    assert_eq!(house.rows("scores", &["cider"]), scores);
    // The definition itself may say so: data grows.
    house.define(&text("split = \"test\""));
    let note =
        "generated: no image of `image_features` is in the split `test`, and none is captioned";
    assert!(survey(&house).unwrap().notes.iter().any(|said| said == note));
    let report = house.run().unwrap();
    assert!(report.notes.iter().any(|said| said == note), "{:?}", report.notes);
    assert!(house.rows("generated", &["text"]).is_empty());
}

#[test]
fn a_split_is_that_of_all_captions_that_are_scored_also_where_one_stage_has_none() {
    let unsplit = CAPTIONS.replace("captions = \"captions\"\nsplit = \"test\"\n", "");
    let second = unsplit.replace("stages.generated", "stages.all").replace(
        "stages.scores.evaluate]\ngenerated = \"generated\"",
        "stages.all_scores.evaluate]\ngenerated = \"all\"",
    );
    let house = studio(12, &format!("{STAGES}{CAPTIONS}{second}"));
    let evaluate = ["evaluate", "pipeline.toml", "--split", "val", "--format", "json"];
    let scored = json(&house, &evaluate);
    assert_eq!(scored["scores"].as_object().unwrap().len(), 2, "{scored}");
    let rows = house.rows("generated", &["image_id"]);
    assert!(!rows.is_empty() && rows == house.rows("all", &["image_id"]));
}

#[test]
fn a_captioner_of_features_of_another_length_is_not_imported() {
    let stages = STAGES.replace("epochs = 3", "epochs = 1");
    let house = studio(8, &stages);
    assert!(clipmill(&house, &["train", "pipeline.toml"]).status.success());
    let export = ["export-checkpoint", "pipeline.toml", "-o", "out.safetensors"];
    assert!(clipmill(&house, &export).status.success());
    write_random(&house.path("narrow"), &quick_clip(32), 1, &["a dog"]).unwrap();
    let narrow = definition(&stages)
        .replace("path = \"clip\"", "path = \"narrow\"")
        .replace("store = \"store\"", "store = \"other\"");
    put(&house.path("narrow.toml"), narrow.as_bytes());
    let import = ["import-checkpoint", "out.safetensors", "--into", "narrow.toml"];
    let refused = "takes features of 64 numbers, those of `image_features` have 32";
    fails(&house, &import, 1, refused);
    assert!(!house.path("other").exists(), "nothing was made");
    // Without the CLIP, what it made says as much.
    let run = ["run", "narrow.toml", "--only", "image_features"];
    assert!(clipmill(&house, &run).status.success());
    std::fs::remove_dir_all(house.path("narrow")).unwrap();
    fails(&house, &import, 1, refused);
}

#[test]
fn what_training_scripts_put_around_a_checkpoint_is_taken_off_or_named() {
    let house = studio(8, &STAGES.replace("epochs = 3", "epochs = 1"));
    assert!(clipmill(&house, &["train", "pipeline.toml"]).status.success());
    let export = ["export-checkpoint", "pipeline.toml", "-o", "out", "--format", "pytorch-names"];
    assert!(clipmill(&house, &export).status.success());
    let weights = Weights::open(&house.path("out")).unwrap();
    for wrapper in ["module.", "model."] {
        let tensor = |name: &str| weights.tensor(name, DType::F32, &Device::Cpu).unwrap();
        let named = weights.names().map(|name| (format!("{wrapper}{name}"), tensor(name)));
        let file = house.path(&format!("{wrapper}safetensors"));
        write_safetensors(&file, &named.collect::<Vec<_>>()).unwrap();
    }
    let import = |file| ["import-checkpoint", file, "--into", "pipeline.toml"];
    let out = clipmill(&house, &import("module.safetensors"));
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let none = "is the checkpoint of no captioner, by its tensors: `model.clip_project.";
    fails(&house, &import("model.safetensors"), 1, none);
    fails(&house, &import("gpt2"), 1, "is a folder");
}

#[test]
fn what_a_training_leaves_out_or_cannot_do_is_told() {
    let stages = STAGES.replace("epochs = 3", "epochs = 1\npatience = 1\nmax_tokens = 3");
    let house = studio(8, &stages);
    let told = |text: &str| {
        house.define(text);
        let out = clipmill(&house, &["train", "pipeline.toml"]);
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        assert!(out.status.success(), "{said}");
        let has = |part: &str| said.contains(part);
        (has("`patience` ends nothing"), has("more than the 3 tokens of `max_tokens`, and are cut"))
    };
    let shares = "train = 0.6, val = 0.2, test = 0.2";
    let none = definition(&stages).replace(shares, "train = 1.0, val = 0.0, test = 0.0");
    assert_eq!(told(&none), (true, true));
    let some = none.replace("train = 1.0, val = 0.0", "train = 0.5, val = 0.5");
    assert_eq!(told(&some.replace("max_tokens = 3", "max_tokens = 60")), (false, false));
}

#[test]
fn a_mapper_is_not_exported_for_a_project_that_has_it_not() {
    let shape = "mapper = \"transformer\"\nlayers = 1\nheads = 2";
    let house = studio(8, &STAGES.replace("epochs = 3", &format!("epochs = 1\n{shape}")));
    assert!(clipmill(&house, &["train", "pipeline.toml"]).status.success());
    let export = ["export-checkpoint", "pipeline.toml", "-o", "x", "--format", "pytorch-names"];
    let of = |project| [&export[..], &["--project", project]].concat();
    fails(&house, &of("clipcap-chinese"), 3, "ClipCap-Chinese has no mapper `transformer`");
    assert!(!house.path("x").exists());
    assert!(clipmill(&house, &of("clip-prefix-caption")).status.success());
}

#[test]
fn files_that_are_left_out_are_said_also_where_only_failures_are_wanted() {
    let house = studio(8, &STAGES.replace("epochs = 3", "epochs = 1"));
    assert!(clipmill(&house, &["train", "pipeline.toml"]).status.success());
    put(&house.path("a.jpg"), &picture(3));
    put(&house.path("broken.jpg"), b"no image");
    let caption = ["-q", "caption", "pipeline.toml", "a.jpg"];
    let out = clipmill(&house, &[&caption[..], &["broken.jpg"]].concat());
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert_eq!(out.status.code(), Some(1), "{said}");
    assert!(said.contains("left out: broken.jpg"), "{said}");
    assert!(String::from_utf8_lossy(&out.stdout).starts_with("a.jpg\t"));
    #[cfg(unix)]
    {
        let made = Command::new("mkfifo").arg(house.path("pipe.jpg")).status().unwrap();
        assert!(made.success());
        fails(&house, &[&caption[..], &["pipe.jpg"]].concat(), 1, "is no regular file");
    }
}

#[test]
fn what_was_imported_stays_as_it_was_when_something_else_is_imported_from_the_same_file() {
    let house = studio(8, STAGES);
    house.run().unwrap();
    let out = house.path("out.safetensors");
    let export = ["export-checkpoint", "pipeline.toml", "-o", "out.safetensors"];
    assert!(clipmill(&house, &export).status.success());
    let import = || {
        let args = ["import-checkpoint", "out.safetensors", "--into", "pipeline.toml"];
        json(&house, &[&args[..], &["--format", "json"]].concat())
    };
    let weights = |imported: &Value| {
        let path = Path::new(imported["path"].as_str().unwrap()).join("model.safetensors");
        std::fs::read(path).unwrap()
    };
    let first = import();
    let before = weights(&first);
    let folders = || {
        let below = house.path("store/_clipmill/checkpoints/captioner");
        std::fs::read_dir(below).unwrap().count()
    };
    let trained_and_imported = folders();
    assert_eq!(import()["path"], first["path"], "the same is not kept twice");
    assert_eq!(folders(), trained_and_imported);

    let mut bytes = std::fs::read(&out).unwrap();
    let last = bytes.len() - 4;
    bytes[last..].copy_from_slice(&0.5_f32.to_le_bytes());
    put(&out, &bytes);
    let second = import();
    assert_ne!(second["digest"], first["digest"]);
    assert_ne!(weights(&second), before);
    assert_eq!(weights(&first), before);
    assert_eq!(folders(), trained_and_imported + 1);

    // One that was damaged meanwhile is made whole.
    let path = Path::new(second["path"].as_str().unwrap()).join("model.safetensors");
    let whole = weights(&second);
    put(&path, &whole[..whole.len() - 1]);
    assert_eq!(import()["path"], second["path"]);
    assert_eq!(weights(&second), whole);
    assert_eq!(folders(), trained_and_imported + 1);
}

#[test]
fn captions_are_made_again_when_the_same_weights_are_imported_with_another_end() {
    let house = studio(12, &format!("{STAGES}{CAPTIONS}"));
    json(&house, &["train", "pipeline.toml", "--format", "json"]);
    let export = ["export-checkpoint", "pipeline.toml", "-o", "out.safetensors"];
    assert!(clipmill(&house, &export).status.success());
    let import = |more: &[&str]| {
        let args = ["import-checkpoint", "out.safetensors", "--into", "pipeline.toml"];
        json(&house, &[&args[..], &["--format", "json"], more].concat())["digest"].clone()
    };
    let computed = || {
        let run = json(&house, &["run", "pipeline.toml", "--format", "json"]);
        run["tables"]["generated"]["computed"].as_u64().unwrap()
    };
    let own = import(&[]);
    assert!(computed() > 0);
    assert_eq!(import(&["--end", "<|endoftext|>"]), own);
    assert_eq!(computed(), 0, "the same end");
    let other = import(&["--end", "."]);
    assert_ne!(other, own);
    assert!(computed() > 0, "another end");
    assert_eq!(import(&["--end", "."]), other);
    assert_eq!(computed(), 0, "the same end again");
}

#[test]
fn a_store_that_was_moved_is_where_checkpoints_go_to_and_come_from() {
    let house = studio(8, STAGES);
    house.run().unwrap();
    std::fs::rename(house.path("store"), house.path("moved")).unwrap();
    let out = clipmill(&house, &["export-checkpoint", "moved", "-o", "out.safetensors"]);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let import = ["import-checkpoint", "out.safetensors", "--into", "moved", "--format", "json"];
    let imported = json(&house, &import);
    let path = Path::new(imported["path"].as_str().unwrap());
    assert!(path.starts_with(house.path("moved")), "{imported}");
    assert!(!house.path("store").exists());

    // Beside the one it was copied from, too.
    copy(&house.path("moved"), &house.path("store"));
    let imported = json(&house, &[&import[..], &["--end", "."]].concat());
    let path = Path::new(imported["path"].as_str().unwrap());
    assert!(path.starts_with(house.path("moved")), "{imported}");
}

#[test]
fn a_version_whose_checkpoints_are_gone_is_not_restored_and_verify_tells_of_them() {
    let house = studio(8, STAGES);
    house.run().unwrap();
    let verify = || clipmill(&house, &["verify", "store", "captioner"]);
    assert_eq!(verify().status.code(), Some(0));
    let paths = |house: &House| {
        let rows = house.rows("captioner", &["path"]);
        rows.iter().map(|path| house.path("store").join(path)).collect::<Vec<_>>()
    };
    // Another training takes the checkpoints of the first with it.
    house.define(&definition(&STAGES.replace("epochs = 3", "epochs = 2")));
    house.run().unwrap();
    fails(&house, &["restore", "store", "captioner", "0"], 1, "version 0 cannot be restored");
    fails(&house, &["restore", "store", "captioner", "0"], 1, "trains them anew");
    assert_eq!(house.store().snapshot("captioner").unwrap().unwrap().version(), 1);
    assert_eq!(clipmill(&house, &["restore", "store", "captioner", "1"]).status.code(), Some(0));
    // What is no table of checkpoints comes back as ever.
    assert_eq!(clipmill(&house, &["restore", "store", "examples", "0"]).status.code(), Some(0));

    let best = &paths(&house)[0];
    std::fs::remove_dir_all(best).unwrap();
    let out = verify();
    let said = String::from_utf8_lossy(&out.stdout);
    assert_eq!(out.status.code(), Some(1), "{said}");
    assert!(said.contains(best.file_name().unwrap().to_str().unwrap()), "{said}");
    assert!(said.contains("a checkpoint that `captioner` names is no checkpoint"), "{said}");
}

#[test]
fn commands_want_the_inputs_of_their_own_stages_and_no_others() {
    let elsewhere = "\n[sources.others.tar]\npaths = \"nowhere.tar\"\n\n\
                     [stages.other_images.index_images]\nsource = \"others\"\n";
    let house = studio(12, &format!("{STAGES}{CAPTIONS}{elsewhere}"));
    put(&house.path("photo.jpg"), &picture(3));
    fails(&house, &["run", "pipeline.toml"], 1, "nowhere.tar");
    let trained = json(&house, &["train", "pipeline.toml", "--format", "json"]);
    assert_eq!(trained["exit_code"], 0, "{trained}");
    assert!(trained["tables"]["examples"]["computed"].as_u64().unwrap() > 0, "{trained}");
    let scored = json(&house, &["evaluate", "pipeline.toml", "--format", "json"]);
    assert_eq!(scored["exit_code"], 0, "{scored}");

    // What was trained is used where neither images nor captions are.
    let args = ["caption", "pipeline.toml", "photo.jpg", "--format", "json"];
    let told = json(&house, &args);
    assert_eq!(told["exit_code"], 0, "{told}");
    assert!(told["images"][0]["captions"][0]["tokens"].as_u64().unwrap() <= 8, "{told}");
    for archive in ["images.tar", "captions.tar.gz"] {
        std::fs::remove_file(house.path(archive)).unwrap();
    }
    assert_eq!(json(&house, &args), told);
    // Its caps are the stage's also where that stage is not looked at.
    for (set, class) in [
        ("stages.images.max_pixels=100", "image_too_large"),
        ("stages.images.max_image_memory=100", "image_too_large"),
        ("sources.photos.max_member_bytes=100", "photo.jpg"),
    ] {
        let capped = json(&house, &[&args[..], &["--set", set]].concat());
        assert_eq!(capped["exit_code"], 1, "{set}: {capped}");
        let said = capped["images"][0]["error"].as_str().unwrap();
        assert!(said.contains(class), "{set}: {said}");
    }
    fails(&house, &["train", "pipeline.toml"], 1, "images.tar");

    // Taken out and brought along it is where not even the features' model is.
    std::fs::remove_dir_all(house.path("clip")).unwrap();
    fails(&house, &args, 1, "put it at clip");
    for place in ["pipeline.toml", "store"] {
        let out = clipmill(&house, &["export-checkpoint", place, "-o", "out.safetensors"]);
        assert!(out.status.success(), "{place}: {}", String::from_utf8_lossy(&out.stderr));
        let import = ["import-checkpoint", "out.safetensors", "--into", place, "--format", "json"];
        assert_eq!(json(&house, &import)["exit_code"], 0, "{place}");
    }
    std::fs::remove_dir_all(house.path("gpt2")).unwrap();
    fails(&house, &["export-checkpoint", "store", "-o", "x"], 1, "missing input");
}

#[test]
fn ctrl_c_finishes_the_step_and_saves() {
    let stages = STAGES
        .replace("epochs = 3", "epochs = 400")
        .replace("save_every = 2", "save_every = 100000");
    let house = studio(16, &stages);
    let mut child = Command::new(env!("CARGO_BIN_EXE_clipmill"))
        .current_dir(house.dir.path())
        .args(["run", "pipeline.toml"])
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let below = house.path("store/_clipmill/checkpoints/captioner");
    let found = || {
        let runs = std::fs::read_dir(&below).into_iter().flatten().flatten();
        runs.flat_map(|run| std::fs::read_dir(run.path()).into_iter().flatten().flatten())
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .filter(|name| name.starts_with("step-"))
            .max()
    };
    let begun = std::time::Instant::now();
    while found().is_none() && begun.elapsed().as_secs() < 120 {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert!(signal::send("-INT", child.id()));
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let step: u64 = found().unwrap().trim_start_matches("step-").parse().unwrap();
    let told = house.rows("metrics", &["name", "step"]);
    let last: u64 = told
        .iter()
        .filter_map(|row| row.strip_prefix("loss|"))
        .map(|step| step.parse().unwrap())
        .max()
        .unwrap();
    assert_eq!(last, step, "the newest checkpoint is of the last step");
    assert!(
        house.store().snapshot("captioner").unwrap().is_none(),
        "half a training is no captioner"
    );
}

#[test]
fn a_lock_holds_captions_and_scores_and_forgets_those_of_another_checkpoint() {
    let house = studio(12, &format!("{STAGES}{CAPTIONS}"));
    house.run().unwrap();
    let locked = json(&house, &["lock", "pipeline.toml", "--format", "json"]);
    let tables = locked["files"][0]["tables"].as_object().unwrap();
    for table in ["captioner", "generated", "scores", "rejects"] {
        assert!(tables.contains_key(table), "{table}: {locked}");
    }
    let out = clipmill(&house, &["run", "--locked", "pipeline.toml"]);
    assert_eq!(out.status.code(), Some(0), "{}", String::from_utf8_lossy(&out.stderr));

    // Trained anew, and no captions yet of what came of it.
    house.define(&definition(&format!("{STAGES}{CAPTIONS}").replace("epochs = 3", "epochs = 2")));
    json(&house, &["train", "pipeline.toml", "--format", "json"]);
    let locked = json(&house, &["lock", "pipeline.toml", "--format", "json"]);
    let tables = locked["files"][0]["tables"].as_object().unwrap();
    assert!(tables.contains_key("captioner"), "{locked}");
    for table in ["generated", "scores"] {
        assert!(!tables.contains_key(table), "{table}: {locked}");
    }
}

#[test]
fn explain_shows_captions_and_scores_and_what_a_training_would_do_to_them() {
    let all = format!("{STAGES}{CAPTIONS}");
    let house = studio(12, &all);
    house.run().unwrap();
    let captioned = house.rows("generated", &["image_id"]);
    let id = captioned.first().unwrap();
    let row = |table: &str| {
        let told = json(&house, &["explain", "pipeline.toml", id, "--format", "json"]);
        let rows = told["rows"].as_array().unwrap();
        let rows: Vec<_> = rows.iter().filter(|row| row["table"] == table).collect();
        assert_eq!(rows.len(), 1, "{told}");
        rows[0].clone()
    };
    for table in ["generated", "scores"] {
        let row = row(table);
        assert_eq!(row["reason"], "up_to_date", "{row}");
        assert_eq!(row["digest"]["now"], row["digest"]["stored"], "{row}");
        assert!(row["facts"].as_object().unwrap().values().all(|fact| fact["same"] == true));
    }
    assert_eq!(row("generated")["caption_index"], 0);
    assert!(row("generated")["facts"]["weights"]["now"].is_string());

    house.define(&definition(&all.replace("epochs = 3", "epochs = 4")));
    let made = row("generated");
    assert_eq!(made["reason"], "weights_changed", "{made}");
    assert_eq!(made["facts"]["weights"]["now"], "those that `captioner` will have");
    assert_eq!(row("scores")["reason"], "content_changed");
}
