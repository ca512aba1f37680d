//! A house with a small GPT-2 and the stages that train it, caption with it and score it.

use std::path::PathBuf;

use clipmill::nn::gpt2::{Gpt2Config, write_random};

use std::sync::Arc;

use clipmill::base::clock::SystemClock;
use clipmill::base::environment::Environment;
use clipmill::base::files::read_text_capped;
use clipmill::base::progress::Silent;
use clipmill::base::{Cancel, Result};
use clipmill::run::{Options, Survey};

use crate::house::{House, caption_lines};

pub const STAGES: &str = r#"
[models.gpt2.gpt2]
path = "gpt2"

[stages.captioner.train]
examples = "examples"
model = "gpt2"
prefix_length = 2
epochs = 3
batch_size = 4
learning_rate = 3e-3
warmup_steps = 2
save_every = 2
dropout = 0.1
sample_captions = 2
"#;

pub const CAPTIONS: &str = r#"
[stages.generated.caption]
captioner = "captioner"
image_features = "image_features"
captions = "captions"
split = "test"
max_tokens = 8
batch_size = 4

[stages.scores.evaluate]
generated = "generated"
captions = "captions"
"#;

/// Every image is in a split: two thirds train.
const SPLIT: &str = "images = \"images\"\nsplit = { train = 0.6, val = 0.2, test = 0.2, seed = 3 }";

pub fn definition(stages: &str) -> String {
    let base = crate::house::DEFINITION.replace(
        "source = \"sentences\"\nimages = \"images\"",
        &format!("source = \"sentences\"\n{SPLIT}"),
    );
    format!("{base}{stages}")
}

/// A house of `count` images whose definition trains.
pub fn studio(count: usize, stages: &str) -> House {
    let house = House::new(count);
    gpt2(&house, 5);
    house.define(&definition(stages));
    house
}

pub fn gpt2(house: &House, seed: u64) -> PathBuf {
    let lines = caption_lines(8);
    let texts: Vec<&str> = lines.iter().map(String::as_str).collect();
    let config = Gpt2Config {
        vocabulary: 300,
        positions: 80,
        width: 32,
        layers: 2,
        heads: 2,
        inner: 64,
        ..Gpt2Config::default()
    };
    let folder = house.path("gpt2");
    write_random(&folder, &config, seed, &texts).unwrap();
    folder
}

/// What a run of the house would do.
pub fn survey(house: &House) -> Result<Survey> {
    let file = house.path("pipeline.toml");
    let text = read_text_capped(&file, 1 << 20)?;
    let pipeline = clipmill::definition::parse("p.toml", &text, &Environment::default(), &[])?;
    let plan = clipmill::plan::resolve(&pipeline, &file)?;
    let options = Options {
        cancel: Cancel::new(),
        progress: Arc::new(Silent),
        clock: Arc::new(SystemClock),
        retry_rejects: false,
        only: Vec::new(),
        wait: false,
    };
    clipmill::run::survey(&plan, &options)
}
