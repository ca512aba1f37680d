//! Models, resolved: which files, which numeric type, which device.

use std::path::PathBuf;

/// A device, as it was asked for.
pub use crate::definition::model::Device as DeviceChoice;

/// A CLIP on disk.
#[derive(Debug, Clone)]
pub struct ModelSpec {
    /// Name in the definition.
    pub name: String,
    /// How its files are laid out.
    pub files: ModelFiles,
    /// Numeric type of the computation.
    pub dtype: Dtype,
    /// Where it runs.
    pub device: DeviceChoice,
    /// Of a model that a stage trains: the stage's table.
    pub trained_by: Option<String>,
    /// Whether it has yet to be trained; the files are then those that training starts from.
    pub awaits_training: bool,
}

/// The layouts in which CLIPs are published; every path exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModelFiles {
    /// OpenAI's TorchScript archive, `ViT-B-32.pt`.
    OpenAi {
        /// The archive.
        weights: PathBuf,
        /// `bpe_simple_vocab_16e6.txt.gz`, or a `tokenizer.json`; needed for texts.
        tokenizer: Option<PathBuf>,
    },
    /// A Hugging Face folder.
    HuggingFace {
        /// Holds `config.json`, weights, and the tokenizer's files.
        folder: PathBuf,
    },
    /// open_clip's `.safetensors` or `.pt`.
    OpenClip {
        /// The weights.
        weights: PathBuf,
        /// `open_clip_config.json`, where it is known.
        config: Option<PathBuf>,
        /// As for OpenAI.
        tokenizer: Option<PathBuf>,
    },
}

/// A numeric type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Dtype {
    /// 32-bit floats.
    #[default]
    F32,
    /// bfloat16.
    Bf16,
    /// IEEE half.
    F16,
    /// Weights and activations of eight bits.
    Int8,
}

impl Dtype {
    /// `f32`, `bf16`, `f16` or `int8`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
            Self::F16 => "f16",
            Self::Int8 => "int8",
        }
    }
}

/// What a file of a model decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// The numbers.
    Weights,
    /// The architecture.
    Config,
    /// Size, mean, standard deviation and filter of images.
    Preprocessing,
    /// How text becomes tokens.
    Tokenizer,
}

impl Role {
    /// The name in a fingerprint.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Weights => "weights",
            Self::Config => "config",
            Self::Preprocessing => "preprocessing",
            Self::Tokenizer => "tokenizer",
        }
    }
}

/// Files of a Hugging Face folder that may hold the weights, in the order they are looked for.
pub const HF_WEIGHTS: [&str; 4] = [
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
];

/// Files of a Hugging Face folder that hold the tokenizer.
pub const HF_TOKENIZER: [&str; 5] = [
    "tokenizer.json",
    "vocab.json",
    "merges.txt",
    "tokenizer_config.json",
    "special_tokens_map.json",
];

/// A file that a layout needs and that is not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Absent {
    /// Where it was looked for.
    pub path: PathBuf,
    /// What it is, and what else would do.
    pub what: String,
}

/// Looks which files of a GPT-2's folder are there.
#[must_use]
pub fn gpt2_inventory(folder: &std::path::Path) -> Inventory {
    let mut found = Inventory::default();
    found.hugging_face(folder, false);
    found.files.retain(|(role, _)| matches!(role, Role::Weights | Role::Config));
    if !folder.is_dir() {
        return found;
    }
    // The order in which they are looked for; the first that is there is the tokenizer.
    let kinds: [&[&str]; 3] = [&["tokenizer.json"], &["vocab.json", "merges.txt"], &["vocab.txt"]];
    let whole = |names: &&&[&str]| names.iter().all(|name| folder.join(name).is_file());
    match kinds.iter().find(whole) {
        Some(names) => {
            found.files.extend(names.iter().map(|name| (Role::Tokenizer, folder.join(name))));
            // A BERT's vocabulary does not say whether texts are brought to lower case: this does.
            let rules = folder.join("tokenizer_config.json");
            if names.contains(&"vocab.txt") && rules.is_file() {
                found.files.push((Role::Tokenizer, rules));
            }
        }
        None => {
            let half = folder.join("vocab.json").is_file();
            found.absent.push(Absent {
                path: folder.join(if half { "merges.txt" } else { "vocab.json" }),
                what: "the tokens: `vocab.json` and `merges.txt`, `tokenizer.json`, or `vocab.txt`"
                    .to_owned(),
            });
        }
    }
    found
}

/// Whether the vocabulary that [`gpt2_inventory`] finds is BERT's: a `vocab.txt`, or a
/// `tokenizer.json` with its token that ends a text and without GPT-2's.
#[must_use]
pub fn is_word_piece(folder: &std::path::Path) -> bool {
    const CAP_BYTES: u64 = 256 << 20;
    let there = |name: &str| folder.join(name).is_file();
    if !there("tokenizer.json") {
        return there("vocab.txt") && !(there("vocab.json") && there("merges.txt"));
    }
    let text = crate::base::files::read_text_capped(&folder.join("tokenizer.json"), CAP_BYTES);
    text.is_ok_and(|text| text.contains("\"[SEP]\"") && !text.contains("\"<|endoftext|>\""))
}

/// The files of a layout that decide numbers, and those that are missing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inventory {
    /// What each file decides; a file of several roles is listed once for each.
    pub files: Vec<(Role, PathBuf)>,
    /// What is missing.
    pub absent: Vec<Absent>,
}

impl ModelFiles {
    /// The kind in a definition: `openai`, `huggingface`, `open_clip`.
    #[must_use]
    pub fn layout(&self) -> &'static str {
        match self {
            Self::OpenAi { .. } => "openai",
            Self::HuggingFace { .. } => "huggingface",
            Self::OpenClip { .. } => "open_clip",
        }
    }

    /// Looks which files of the layout are there. `texts` asks for a tokenizer too.
    #[must_use]
    pub fn inventory(&self, texts: bool) -> Inventory {
        let mut found = Inventory::default();
        let tokenizer_help = "its tokenizer: set `tokenizer` to `bpe_simple_vocab_16e6.txt.gz` \
                              (of the packages `clip` and `open_clip_torch`) or a `tokenizer.json`";
        match self {
            Self::OpenAi { weights, tokenizer } => {
                found.need(Role::Weights, weights, "the TorchScript archive of the weights");
                found.tokenizer(weights, tokenizer.as_ref(), texts, tokenizer_help);
            }
            Self::OpenClip { weights, config, tokenizer } => {
                found.need(Role::Weights, weights, "the weights, `.safetensors` or `.pt`");
                if let Some(config) = config {
                    found.need(Role::Config, config, "the architecture and preprocessing");
                }
                found.tokenizer(weights, tokenizer.as_ref(), texts, tokenizer_help);
            }
            Self::HuggingFace { folder } => found.hugging_face(folder, texts),
        }
        found
    }
}

impl Inventory {
    fn need(&mut self, role: Role, path: &std::path::Path, what: &str) {
        if path.is_file() {
            self.files.push((role, path.to_owned()));
        } else {
            self.absent.push(Absent { path: path.to_owned(), what: what.to_owned() });
        }
    }

    fn tokenizer(
        &mut self,
        weights: &std::path::Path,
        tokenizer: Option<&PathBuf>,
        texts: bool,
        help: &str,
    ) {
        match tokenizer {
            Some(path) => self.need(Role::Tokenizer, path, help),
            None if texts => self.absent.push(Absent {
                path: weights.with_file_name("bpe_simple_vocab_16e6.txt.gz"),
                what: help.to_owned(),
            }),
            None => {}
        }
    }

    fn hugging_face(&mut self, folder: &std::path::Path, texts: bool) {
        if !folder.is_dir() {
            self.absent.push(Absent {
                path: folder.to_owned(),
                what: "the folder of the model, with `config.json` and `model.safetensors`"
                    .to_owned(),
            });
            return;
        }
        self.need(Role::Config, &folder.join("config.json"), "the architecture");
        match HF_WEIGHTS.iter().map(|name| folder.join(name)).find(|path| path.is_file()) {
            Some(path) => {
                // An index names its shards; each of them decides numbers.
                let sharded = path.to_string_lossy().ends_with(".index.json");
                self.files.push((Role::Weights, path.clone()));
                if sharded {
                    self.shards(folder, &path);
                }
            }
            None => self.absent.push(Absent {
                path: folder.join("model.safetensors"),
                what: "the weights: `model.safetensors` or `pytorch_model.bin`".to_owned(),
            }),
        }
        let preprocessing = folder.join("preprocessor_config.json");
        if preprocessing.is_file() {
            self.files.push((Role::Preprocessing, preprocessing));
        }
        let there: Vec<_> =
            HF_TOKENIZER.iter().map(|name| folder.join(name)).filter(|p| p.is_file()).collect();
        let has = |name: &str| there.iter().any(|path| path.ends_with(name));
        let whole = has("tokenizer.json") || (has("vocab.json") && has("merges.txt"));
        if whole {
            self.files.extend(there.into_iter().map(|path| (Role::Tokenizer, path)));
        } else if texts {
            self.absent.push(Absent {
                path: folder.join("tokenizer.json"),
                what: "the tokenizer: `tokenizer.json`, or `vocab.json` and `merges.txt`"
                    .to_owned(),
            });
        }
    }

    fn shards(&mut self, folder: &std::path::Path, index: &std::path::Path) {
        const CAP_BYTES: u64 = 64 << 20;
        let names = crate::base::files::read_capped(index, CAP_BYTES)
            .ok()
            .and_then(|bytes| serde_json::from_slice::<serde_json::Value>(&bytes).ok())
            .and_then(|json| json.get("weight_map")?.as_object().cloned())
            .and_then(|map| {
                map.values().map(|v| v.as_str().map(str::to_owned)).collect::<Option<Vec<_>>>()
            });
        let Some(mut names) = names else {
            self.absent.push(Absent {
                path: index.to_owned(),
                what: "a readable index of the weights' shards".to_owned(),
            });
            return;
        };
        names.sort();
        names.dedup();
        let outside = |name: &&String| name.contains(['/', '\\']) || name.starts_with('.');
        if let Some(name) = names.iter().find(outside) {
            self.absent.push(Absent {
                path: index.to_owned(),
                what: format!("an index of shards in its own folder, where `{name}` is none"),
            });
            return;
        }
        for name in names {
            self.need(Role::Weights, &folder.join(name), "a shard of the weights");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::files::write_atomic;
    use std::io::Write as _;

    #[test]
    fn names_every_missing_file_of_a_folder() {
        let dir = tempfile::tempdir().unwrap();
        let files = ModelFiles::HuggingFace { folder: dir.path().to_owned() };
        let absent = files.inventory(true).absent;
        let names: Vec<_> =
            absent.iter().map(|a| a.path.file_name().unwrap().to_string_lossy()).collect();
        assert_eq!(names, ["config.json", "model.safetensors", "tokenizer.json"]);
        for name in ["config.json", "a.safetensors"] {
            write_atomic(&dir.path().join(name), |_| Ok(())).unwrap();
        }
        let index = dir.path().join("model.safetensors.index.json");
        let json = br#"{"weight_map":{"x":"a.safetensors","y":"b.safetensors"}}"#;
        write_atomic(&index, |w| {
            w.write_all(json).unwrap();
            Ok(())
        })
        .unwrap();
        let inventory = files.inventory(false);
        assert_eq!(inventory.absent.len(), 1);
        assert!(inventory.absent[0].path.ends_with("b.safetensors"));
        assert_eq!(inventory.files.len(), 3);
    }

    #[test]
    fn a_shard_outside_its_folder_is_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("clip");
        for path in [folder.join("config.json"), dir.path().join("x.safetensors")] {
            write_atomic(&path, |_| Ok(())).unwrap();
        }
        let index = folder.join("model.safetensors.index.json");
        let files = ModelFiles::HuggingFace { folder };
        for name in ["../x.safetensors", "/x.safetensors", ".hidden", "sub/x.safetensors"] {
            let json = serde_json::json!({"weight_map": {"x": name}}).to_string();
            write_atomic(&index, |w| {
                w.write_all(json.as_bytes()).unwrap();
                Ok(())
            })
            .unwrap();
            let inventory = files.inventory(false);
            assert_eq!(inventory.absent.len(), 1, "{name}");
            assert_eq!(inventory.absent[0].path, index);
            assert!(inventory.absent[0].what.contains(name), "{}", inventory.absent[0].what);
            assert!(inventory.files.iter().all(|(_, path)| !path.ends_with("x.safetensors")));
        }
    }

    fn gpt2_with(names: &[&str]) -> Inventory {
        let dir = tempfile::tempdir().unwrap();
        for name in names.iter().chain(&["config.json", "model.safetensors"]) {
            write_atomic(&dir.path().join(name), |_| Ok(())).unwrap();
        }
        gpt2_inventory(dir.path())
    }

    #[test]
    fn rules_of_a_word_piece_vocabulary_count_as_its_tokenizer_where_they_are_there() {
        let tokens = |names: &[&str]| -> Vec<String> {
            let files = gpt2_with(names).files.into_iter();
            let tokens = files.filter(|(role, _)| *role == Role::Tokenizer);
            tokens.map(|(_, p)| p.file_name().unwrap().to_string_lossy().into_owned()).collect()
        };
        assert_eq!(tokens(&["vocab.txt"]), ["vocab.txt"]);
        let rules = "tokenizer_config.json";
        assert_eq!(tokens(&["vocab.txt", rules]), ["vocab.txt", rules]);
        assert_eq!(tokens(&["tokenizer.json", "vocab.txt", rules]), ["tokenizer.json"]);
    }

    #[test]
    fn a_vocabulary_is_berts_by_the_file_that_is_taken() {
        let dir = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &str| {
            write_atomic(&dir.path().join(name), |w| {
                w.write_all(text.as_bytes()).unwrap();
                Ok(())
            })
            .unwrap();
            is_word_piece(dir.path())
        };
        assert!(put("vocab.txt", "[UNK]\n[SEP]"));
        assert!(put("vocab.json", "{}") && !put("merges.txt", ""));
        assert!(put("tokenizer.json", r#"{"model": {"vocab": {"[UNK]": 0, "[SEP]": 1}}}"#));
        assert!(!put("tokenizer.json", r#"{"model": {"vocab": {"<|endoftext|>": 0}}}"#));
    }

    #[test]
    fn of_two_files_that_belong_together_the_one_that_is_not_there_is_missing() {
        for (there, missing) in [
            (&["vocab.json"][..], "merges.txt"),
            (&["merges.txt"], "vocab.json"),
            (&[], "vocab.json"),
        ] {
            let absent = gpt2_with(there).absent;
            assert!(absent.len() == 1 && absent[0].path.ends_with(missing), "{absent:?}");
        }
    }
}
