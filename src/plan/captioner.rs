//! Training a captioner, captioning with it and scoring it, resolved.

use std::path::PathBuf;

use crate::definition;
use crate::flow::Split;

use super::fingerprint::Fingerprint;
use super::model::{DeviceChoice, Dtype};
use super::versions;

pub use crate::definition::caption::LEAST_TEMPERATURE;
pub use crate::definition::evaluate::Words;
pub use crate::definition::train::{Compute, MapperKind, Schedule};
pub use crate::definition::warm_up::WarmUp;

/// A GPT-2 on disk.
#[derive(Debug, Clone)]
pub struct Gpt2Spec {
    /// Name in the definition.
    pub name: String,
    /// Its folder.
    pub folder: PathBuf,
    /// Numeric type of captioning; training has its own.
    pub dtype: Dtype,
    /// Where it runs.
    pub device: DeviceChoice,
}

/// What shape the captioner has beside its GPT-2, as the definition and a checkpoint say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Network {
    /// The mapper's kind.
    #[serde(with = "mapper_name")]
    pub mapper: MapperKind,
    /// Embeddings that the mapper gives GPT-2.
    pub prefix_length: usize,
    /// Tokens that the mapper makes of the feature, beside the learned ones.
    pub constant_length: usize,
    /// Layers of the mapper.
    pub layers: usize,
    /// Heads of the mapper.
    pub heads: usize,
    /// Whether features are scaled to an L2 norm of one first.
    pub normalize_prefix: bool,
    /// Whether GPT-2 stays as it is.
    pub freeze: bool,
}

/// Settings of `train`.
#[derive(Debug, Clone)]
pub struct Train {
    /// Table of examples.
    pub examples: String,
    /// The GPT-2 that training starts from.
    pub model: Gpt2Spec,
    /// Digest of the GPT-2's weights.
    pub model_digest: String,
    /// The captioner's shape.
    pub network: Network,
    /// How it is trained.
    pub course: Course,
    /// Checkpoints kept beside the best.
    pub keep_last: usize,
    /// Steps between two checkpoints.
    pub save_every: u64,
    /// Validation images whose captions are shown after each epoch.
    pub sample_captions: usize,
}

/// How a captioner is trained: whatever changes its numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct Course {
    /// Passes over the examples.
    pub epochs: u32,
    /// Captions a batch.
    pub batch_rows: usize,
    /// Batches a step.
    pub accumulate: usize,
    /// Highest learning rate.
    pub learning_rate: f64,
    /// How it falls.
    pub schedule: Schedule,
    /// Steps of its rise.
    pub warmup_steps: WarmUp,
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// Largest norm of the gradients; none leaves them.
    pub clip_norm: Option<f64>,
    /// Share of activations set to zero.
    pub dropout: f64,
    /// Numeric type of the computation.
    pub compute: Compute,
    /// Seed of everything drawn.
    pub seed: u64,
    /// Epochs without a better validation loss after which training ends.
    pub patience: Option<u32>,
    /// Longest caption in tokens.
    pub max_tokens: usize,
}

/// How the next token is chosen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Strategy {
    /// The likeliest.
    Greedy,
    /// The likeliest caption that a search of this width finds.
    Beam {
        /// Captions followed side by side.
        beams: usize,
        /// Power of the length that a score is divided by.
        length_penalty: f64,
    },
    /// Drawn.
    Sample {
        /// Among so many likeliest.
        top_k: Option<usize>,
        /// Among those that have this share of the probability.
        top_p: Option<f64>,
        /// Divides the logits.
        temperature: f64,
        /// Captions an image.
        samples: usize,
        /// Seed of the draws.
        seed: u64,
    },
}

/// Settings of `caption`.
#[derive(Debug, Clone)]
pub struct Caption {
    /// Table of checkpoints.
    pub captioner: String,
    /// Table of features.
    pub image_features: String,
    /// The part of the data that is captioned, and the table that knows it; none captions all.
    pub split: Option<(Split, String)>,
    /// How tokens are chosen.
    pub strategy: Strategy,
    /// Longest caption in tokens.
    pub max_tokens: usize,
    /// Images a batch.
    pub batch_rows: usize,
    /// The GPT-2 of the captioner: its configuration, its tokens, its frozen weights.
    pub model: Gpt2Spec,
    /// Digest of the GPT-2's weights.
    pub model_digest: String,
    /// The captioner's shape.
    pub network: Network,
}

/// Settings of `evaluate`.
#[derive(Debug, Clone)]
pub struct Evaluate {
    /// Table of made captions.
    pub generated: String,
    /// Table of references.
    pub captions: String,
    /// How captions become words.
    pub words: Words,
}

impl Network {
    pub(super) fn of(settings: &definition::train::Train) -> Self {
        Self {
            mapper: settings.mapper,
            prefix_length: settings.prefix_length as usize,
            constant_length: settings.constant_length.unwrap_or(settings.prefix_length) as usize,
            layers: settings.layers as usize,
            heads: settings.heads as usize,
            normalize_prefix: settings.normalize_prefix,
            freeze: settings.freeze,
        }
    }

    /// What a share of dropout sets to zero. A frozen GPT-2 had dropout once: trainings with it are
    /// told from those.
    fn dropped(&self, share: f64) -> String {
        match self.mapper {
            _ if !self.freeze || share == 0.0 => share.to_string(),
            MapperKind::Bert => format!("{share} in the mapper"),
            MapperKind::Mlp | MapperKind::Transformer => "0".to_owned(),
        }
    }

    fn facts(&self, fingerprint: Fingerprint) -> Fingerprint {
        let fingerprint = fingerprint
            .with("settings.mapper", mapper_name::of(self.mapper))
            .with("settings.prefix_length", self.prefix_length)
            .with("settings.normalize_prefix", self.normalize_prefix)
            .with("settings.freeze", self.freeze);
        if self.mapper == MapperKind::Mlp {
            return fingerprint;
        }
        fingerprint
            .with("settings.constant_length", self.constant_length)
            .with("settings.layers", self.layers)
            .with("settings.heads", self.heads)
    }
}

impl Course {
    pub(super) fn of(settings: &definition::train::Train) -> Self {
        Self {
            epochs: settings.epochs,
            batch_rows: settings.batch_size as usize,
            accumulate: settings.accumulate as usize,
            learning_rate: settings.learning_rate,
            schedule: settings.schedule,
            warmup_steps: settings.warmup_steps,
            weight_decay: settings.weight_decay,
            clip_norm: (settings.clip_norm > 0.0).then_some(settings.clip_norm),
            dropout: settings.dropout,
            compute: settings.compute,
            seed: settings.seed,
            patience: settings.patience,
            max_tokens: settings.max_tokens as usize,
        }
    }

    fn facts(&self, fingerprint: Fingerprint) -> Fingerprint {
        let fingerprint = fingerprint
            .with("settings.epochs", self.epochs)
            .with("settings.batch_size", self.batch_rows)
            .with("settings.accumulate", self.accumulate)
            .with("settings.learning_rate", self.learning_rate)
            .with("settings.schedule", self.schedule.name())
            .with("settings.warmup_steps", self.warmup_steps)
            .with("settings.weight_decay", self.weight_decay)
            .with("dtype", self.compute.name())
            .with("settings.seed", self.seed)
            .with("settings.max_tokens", self.max_tokens);
        let fingerprint = match self.clip_norm {
            Some(norm) => fingerprint.with("settings.clip_norm", norm),
            None => fingerprint,
        };
        match self.patience {
            Some(epochs) => fingerprint.with("settings.patience", epochs),
            None => fingerprint,
        }
    }
}

impl Strategy {
    pub(super) fn of(settings: &definition::caption::Caption) -> Self {
        let wide = |n: u32| n as usize;
        match settings.beams {
            Some(beams) if beams > 1 => {
                Self::Beam { beams: wide(beams), length_penalty: settings.length_penalty }
            }
            _ if settings.top_k.is_some() || settings.top_p.is_some() => Self::Sample {
                top_k: settings.top_k.map(wide),
                top_p: settings.top_p,
                temperature: settings.temperature,
                samples: wide(settings.samples),
                seed: settings.seed,
            },
            _ => Self::Greedy,
        }
    }

    /// Captions it makes of one image.
    #[must_use]
    pub fn captions(&self) -> usize {
        match self {
            Self::Sample { samples, .. } => *samples,
            Self::Greedy | Self::Beam { .. } => 1,
        }
    }

    fn facts(&self, fingerprint: Fingerprint) -> Fingerprint {
        match self {
            Self::Greedy => fingerprint.with("settings.strategy", "greedy"),
            Self::Beam { beams, length_penalty } => fingerprint
                .with("settings.strategy", "beam")
                .with("settings.beams", beams)
                .with("settings.length_penalty", length_penalty),
            Self::Sample { top_k, top_p, temperature, samples, seed } => {
                let mut fingerprint = fingerprint
                    .with("settings.strategy", "sample")
                    .with("settings.temperature", temperature)
                    .with("settings.samples", samples)
                    .with("settings.seed", seed);
                if let Some(top_k) = top_k {
                    fingerprint = fingerprint.with("settings.top_k", top_k);
                }
                if let Some(top_p) = top_p {
                    fingerprint = fingerprint.with("settings.top_p", top_p);
                }
                fingerprint
            }
        }
    }
}

impl Train {
    /// The facts that change a training's numbers; the files' digests are added to it.
    pub(super) fn fingerprint(&self) -> Fingerprint {
        let fingerprint = Fingerprint::new("train", versions::TRAIN);
        self.course
            .facts(self.network.facts(fingerprint))
            .with("settings.dropout", self.network.dropped(self.course.dropout))
    }
}

impl Caption {
    /// The facts that change a caption; the run adds the digest of the checkpoint.
    pub(super) fn fingerprint(&self) -> Fingerprint {
        let fingerprint = Fingerprint::new("caption", versions::CAPTION)
            .with("settings.max_tokens", self.max_tokens)
            .with("dtype", self.model.dtype.name());
        self.strategy.facts(self.network.facts(fingerprint))
    }
}

impl Evaluate {
    pub(super) fn fingerprint(&self) -> Fingerprint {
        Fingerprint::new("evaluate", versions::EVALUATE)
            .with("settings.tokenizer", self.words.name())
    }
}

/// A mapper's kind as its name.
mod mapper_name {
    use serde::{Deserialize as _, Deserializer, Serializer};

    use super::MapperKind;

    const NAMES: [(&str, MapperKind); 3] = [
        ("mlp", MapperKind::Mlp),
        ("transformer", MapperKind::Transformer),
        ("bert", MapperKind::Bert),
    ];

    pub(super) fn of(kind: MapperKind) -> &'static str {
        NAMES.iter().find(|(_, known)| *known == kind).map_or("", |(name, _)| name)
    }

    pub(super) fn serialize<S: Serializer>(
        kind: &MapperKind,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(of(*kind))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<MapperKind, D::Error> {
        let name = String::deserialize(deserializer)?;
        NAMES
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, kind)| *kind)
            .ok_or_else(|| serde::de::Error::custom(format!("`{name}` is no mapper")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::environment::Environment;
    use crate::plan::locked;

    /// What the fingerprint of a stage of the demo has of a setting, where the demo says nothing of
    /// it, with what `sets` sets in the stage.
    fn fact(table: &str, setting: &str, sets: &[(&str, &str)]) -> String {
        let demo = include_str!("../cli/demo/pipeline.toml").lines();
        let silent = demo.filter(|line| !line.starts_with(&format!("{setting} =")));
        let text = silent.collect::<Vec<_>>().join("\n");
        let sets: Vec<(String, String)> = sets
            .iter()
            .map(|(key, value)| (format!("stages.{table}.{key}"), (*value).to_owned()))
            .collect();
        let env = Environment::from_iter(std::iter::empty::<(&str, &str)>());
        let pipeline = definition::parse("p.toml", &text, &env, &sets).unwrap();
        let facts = locked::facts(&pipeline, std::path::Path::new("p.toml")).unwrap();
        facts.stages[table].parts[&format!("settings.{setting}")].clone()
    }

    #[test]
    fn trainings_without_dropout_or_with_a_gpt2_that_trains_have_the_facts_they_had() {
        let dropped = |dropout, freeze, mapper| {
            let mapper = format!("\"{mapper}\"");
            let sets = [("dropout", dropout), ("freeze", freeze), ("mapper", mapper.as_str())];
            fact("captioner", "dropout", &sets)
        };
        for mapper in ["mlp", "transformer", "bert"] {
            assert_eq!(dropped("0.0", "true", mapper), "0", "{mapper}");
            assert_eq!(dropped("0.1", "false", mapper), "0.1", "{mapper}");
        }
        assert_eq!(dropped("0.1", "true", "bert"), "0.1 in the mapper");
        assert_eq!(dropped("0.1", "true", "mlp"), "0", "as without it");
        assert_eq!(dropped("0.1", "true", "transformer"), "0", "as without it");
    }

    #[test]
    fn trainings_whose_warm_up_is_not_cut_any_more_are_told_from_those_before() {
        for (table, default) in [("captioner", "5000"), ("clip_training", "1000")] {
            let warm_up = |sets: &[(&str, &str)]| fact(table, "warmup_steps", sets);
            assert_eq!(warm_up(&[]), default, "as it was");
            assert_eq!(warm_up(&[("warmup_steps", "0")]), "0", "as it was");
            let named = warm_up(&[("warmup_steps", default)]);
            assert_eq!(named, format!("{default} in full"));
        }
    }
}
