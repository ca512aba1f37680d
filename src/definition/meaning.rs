//! What a definition's blocks mean, block by block, the same on every machine.
//!
//! Differs from [`Pipeline::digest`] in three ways. Each block has its own digest, so that two
//! edits of different blocks merge. Strings count as they were written, `${DATA}/photos.tar`, so
//! that a variable's value on one machine is in no digest. And settings that cannot change a row
//! are left out: where the files come from and what they are for (`obtain`, `description`), how
//! fast it goes (`batch_size`, `device`), what is only checked (`sha256`, `contract`), and all of
//! `[pipeline]`: names, and where the tables are.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::pipeline::Pipeline;
use super::variables::Variable;
use crate::base::Digest;

/// Keys whose values change no row.
const IDLE: [&str; 6] = ["batch_size", "contract", "description", "device", "obtain", "sha256"];

/// Digests of what the blocks of a definition mean, by name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Meaning {
    /// Of each source.
    pub sources: BTreeMap<String, Digest>,
    /// Of each model.
    pub models: BTreeMap<String, Digest>,
    /// Of each stage, by its table.
    pub stages: BTreeMap<String, Digest>,
}

impl Meaning {
    /// What `pipeline` means. Comments, layout, the order of blocks and keys, and defaults that
    /// are written out change nothing.
    #[must_use]
    pub fn of(pipeline: &Pipeline) -> Self {
        let variables = &pipeline.variables;
        let sources = pipeline.sources.iter().map(|source| {
            let name = &source.name.value;
            (name.clone(), digest(source, &format!("sources.{name}"), variables))
        });
        let models = pipeline.models.iter().map(|model| {
            let name = &model.name.value;
            (name.clone(), digest(model, &format!("models.{name}"), variables))
        });
        let stages = pipeline.stages.iter().map(|stage| {
            let name = &stage.table.value;
            (name.clone(), digest(stage, &format!("stages.{name}"), variables))
        });
        Self { sources: sources.collect(), models: models.collect(), stages: stages.collect() }
    }
}

fn digest(block: &impl Serialize, path: &str, variables: &[Variable]) -> Digest {
    let here: Vec<&Variable> = variables.iter().filter(|v| v.block == path).collect();
    // Plain values always serialise.
    let value = serde_json::to_value(block).unwrap_or_default();
    let canonical = canonical(&value, "", &here);
    Digest::of(canonical.to_string().as_bytes())
}

/// Keys sorted, idle ones left out, variables as they were written.
fn canonical(value: &Value, key: &str, variables: &[&Variable]) -> Value {
    match value {
        Value::Object(fields) => {
            let kept: BTreeMap<&String, Value> = fields
                .iter()
                .filter(|(name, value)| !IDLE.contains(&name.as_str()) && !value.is_null())
                .map(|(name, value)| (name, canonical(value, name, variables)))
                .collect();
            Value::Object(kept.into_iter().map(|(name, value)| (name.clone(), value)).collect())
        }
        Value::Array(items) => {
            Value::Array(items.iter().map(|item| canonical(item, key, variables)).collect())
        }
        Value::String(text) => {
            // A digest is kept in lower case, however the variable spells it.
            let variable = variables
                .iter()
                .find(|variable| variable.key == key && variable.value.eq_ignore_ascii_case(text));
            Value::String(variable.map_or_else(|| text.clone(), |v| v.written.clone()))
        }
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::environment::Environment;
    use crate::definition::parse;

    const TEXT: &str = r#"
[pipeline]
name = "p"
store = "s"
[sources.photos.tar]
paths = ["${DATA}/a.tar", "b.tar"]
[models.clip.huggingface]
path = "clip"
device = "${DEVICE}"
[stages.images.index_images]
source = "photos"
[stages.features.embed_images]
images = "images"
model = "clip"
"#;

    fn meaning(text: &str, data: &str) -> Meaning {
        let env = Environment::from_iter([("DATA", data), ("DEVICE", "cpu")]);
        Meaning::of(&parse("p.toml", text, &env, &[]).unwrap())
    }

    #[test]
    fn what_changes_no_row_changes_no_digest() {
        let before = meaning(TEXT, "/data");
        assert_eq!(before, meaning(TEXT, "/mnt/elsewhere"), "a variable's value");
        for (from, to) in [
            ("name = \"p\"", "name = \"q\" # renamed"),
            ("store = \"s\"", "description = \"d\"\nstore = \"t\""),
            ("device = \"${DEVICE}\"", "device = \"cuda:1\""),
            ("model = \"clip\"", "model = \"clip\"\nbatch_size = 7\nnormalize = true"),
        ] {
            assert_eq!(before, meaning(&TEXT.replace(from, to), "/data"), "{to}");
        }
    }

    #[test]
    fn an_edit_changes_its_own_block_alone() {
        let before = meaning(TEXT, "/data");
        let after = meaning(&TEXT.replace("b.tar", "c.tar"), "/data");
        assert_ne!(before.sources, after.sources);
        assert_eq!((&before.models, &before.stages), (&after.models, &after.stages));
        let after =
            meaning(&TEXT.replace("model = \"clip\"", "model = \"clip\"\nnormalize = false"), "/");
        assert_eq!(before.stages["images"], after.stages["images"]);
        assert_ne!(before.stages["features"], after.stages["features"]);
        let written = TEXT.replace("${DATA}/a.tar", "/data/a.tar");
        let after = meaning(&written, "/data");
        assert_ne!(before.sources, after.sources, "a variable is not what it stands for");
    }
}
