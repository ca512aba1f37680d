//! The published sizes, out of the names and shapes of open_clip's own models
//! (`tests/golden/clip_sizes.py`): files of holes, since no number of a tower is read for this.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use clipmill::embed::describe;
use clipmill::nn::clip::{Activation, Architecture, Transformer};
use clipmill::plan::model::ModelFiles;
use serde::Deserialize;
use serde_json::{Value, json};

use super::spec;

#[derive(Deserialize)]
struct Of<T> {
    visual: T,
    text: T,
}

#[derive(Deserialize)]
struct Published {
    name: String,
    model_cfg: Value,
    layers: Of<usize>,
    heads: Of<usize>,
    hidden: Of<usize>,
    gelu: String,
    /// Shapes by name; `*` stands for every layer.
    tensors: BTreeMap<String, Vec<u64>>,
}

impl Published {
    fn all() -> Vec<Self> {
        serde_json::from_str(include_str!("../golden/clip/sizes.json")).unwrap()
    }

    /// A safetensors file of f16 with all tensors, which takes no room on a disk.
    fn write(&self, path: &Path) {
        let mut header = serde_json::Map::new();
        let mut end = 0_u64;
        for (folded, shape) in &self.tensors {
            let layers =
                if folded.starts_with("visual.") { self.layers.visual } else { self.layers.text };
            let count = if folded.contains('*') { layers } else { 1 };
            for layer in 0..count {
                let start = end;
                end += 2 * shape.iter().product::<u64>();
                header.insert(
                    folded.replace('*', &layer.to_string()),
                    json!({"dtype": "F16", "shape": shape, "data_offsets": [start, end]}),
                );
            }
        }
        let header = Value::Object(header).to_string();
        let mut file = std::fs::File::create(path).unwrap();
        file.write_all(&u64::try_from(header.len()).unwrap().to_le_bytes()).unwrap();
        file.write_all(header.as_bytes()).unwrap();
        file.set_len(8 + u64::try_from(header.len()).unwrap() + end).unwrap();
    }

    fn activation(&self) -> Activation {
        if self.gelu == "QuickGELU" { Activation::QuickGelu } else { Activation::Gelu }
    }

    fn assert_is(&self, of: &Architecture, activation: Activation) {
        let wanted = |key: &str, field: &str| {
            usize::try_from(self.model_cfg[key][field].as_u64().unwrap()).unwrap()
        };
        let tower = |of: &Transformer| {
            assert_eq!(of.activation, activation, "{}", self.name);
            [of.width, of.layers, of.heads, of.hidden]
        };
        let width = (wanted("vision_cfg", "width"), wanted("text_cfg", "width"));
        let (v, t) = (&of.vision, &of.text);
        assert_eq!(
            tower(&v.transformer),
            [width.0, self.layers.visual, self.heads.visual, self.hidden.visual],
            "{}",
            self.name
        );
        assert_eq!(
            tower(&t.transformer),
            [width.1, self.layers.text, self.heads.text, self.hidden.text],
            "{}",
            self.name
        );
        let sizes = [v.size_px, v.patch_px, t.vocabulary, t.context];
        let wanted = [
            wanted("vision_cfg", "image_size"),
            wanted("vision_cfg", "patch_size"),
            wanted("text_cfg", "vocab_size"),
            wanted("text_cfg", "context_length"),
        ];
        assert_eq!(sizes, wanted, "{}", self.name);
        assert_eq!(Some(of.width), self.model_cfg["embed_dim"].as_u64().map(|n| n as usize));
    }
}

#[test]
fn published_sizes_are_read_from_weights_and_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let weights = folder.path().join("open_clip_model.safetensors");
    let config = folder.path().join("open_clip_config.json");
    let mut without = 0;
    for published in Published::all() {
        published.write(&weights);
        let text = json!({"model_cfg": published.model_cfg, "preprocess_cfg": {}}).to_string();
        std::fs::write(&config, text).unwrap();
        let files = |config| {
            let weights = weights.clone();
            ModelFiles::OpenClip { weights, config, tokenizer: None }
        };
        let facts = describe(&spec(files(Some(config.clone())))).unwrap();
        published.assert_is(&facts.architecture, published.activation());
        // Weights alone tell all but how wide a head is, which is 64 in all of OpenAI's, and the
        // activation, which is open_clip's own.
        if published.heads.visual * 64 == facts.architecture.vision.transformer.width {
            let facts = describe(&spec(files(None))).unwrap();
            published.assert_is(&facts.architecture, Activation::Gelu);
            without += 1;
        }
    }
    assert!(without >= 5);
}
