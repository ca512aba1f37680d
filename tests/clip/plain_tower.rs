//! Our towers against candle-transformers' plain ones, written by others from the same papers.

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::models::clip::text_model::{Activation, ClipTextConfig};
use candle_transformers::models::clip::vision_model::ClipVisionConfig;
use candle_transformers::models::clip::{ClipConfig as PlainConfig, ClipModel};
use clipmill::embed::{ImageEncoder, TextEncoder, describe};
use clipmill::nn::clip::ClipConfig;

use super::{images, largest_difference, random_clip};

#[test]
fn both_towers_agree_with_candle_transformers() {
    let folder = tempfile::tempdir().unwrap();
    let config = ClipConfig { merges: 60, ..ClipConfig::default() };
    let model = random_clip(folder.path(), &config);
    let of = describe(&model).unwrap().architecture;
    let (v, t) = (of.vision.transformer, of.text.transformer);
    let plain = PlainConfig {
        text_config: ClipTextConfig {
            vocab_size: of.text.vocabulary,
            embed_dim: t.width,
            activation: Activation::QuickGelu,
            intermediate_size: t.hidden,
            max_position_embeddings: of.text.context,
            pad_with: None,
            num_hidden_layers: t.layers,
            num_attention_heads: t.heads,
            projection_dim: of.width,
        },
        vision_config: ClipVisionConfig {
            embed_dim: v.width,
            activation: Activation::QuickGelu,
            intermediate_size: v.hidden,
            num_hidden_layers: v.layers,
            num_attention_heads: v.heads,
            projection_dim: of.width,
            num_channels: 3,
            image_size: of.vision.size_px,
            patch_size: of.vision.patch_px,
        },
        logit_scale_init_value: 2.6592,
        image_size: of.vision.size_px,
    };
    let weights = std::fs::File::open(folder.path().join("model.safetensors")).unwrap();
    let mut bytes = Vec::new();
    std::io::copy(&mut { weights }, &mut bytes).unwrap();
    let weights = VarBuilder::from_buffered_safetensors(bytes, DType::F32, &Device::Cpu).unwrap();
    let plain = ClipModel::new(weights, &plain).unwrap();

    let side = config.size_px;
    let batch = images(3, side);
    let theirs = plain
        .get_image_features(&Tensor::from_slice(&batch, (3, 3, side, side), &Device::Cpu).unwrap())
        .unwrap();
    let theirs: Vec<f32> = theirs.flatten_all().unwrap().to_vec1().unwrap();
    let ours = ImageEncoder::load(&model).unwrap().encode(&batch, 3).unwrap();
    let off = largest_difference(&ours.data, &theirs, config.width);
    assert!(off < 1e-5, "images are off by {off} of the norm");

    let text = "a red circle above a blue square";
    let tokenizer = tokenizers::Tokenizer::from_file(folder.path().join("tokenizer.json")).unwrap();
    let ids = tokenizer.encode_fast(text, true).unwrap().get_ids().to_vec();
    let theirs = plain
        .get_text_features(&Tensor::new(ids, &Device::Cpu).unwrap().unsqueeze(0).unwrap())
        .unwrap();
    let theirs: Vec<f32> = theirs.flatten_all().unwrap().to_vec1().unwrap();
    let ours = TextEncoder::load(&model).unwrap().encode(&[text]).unwrap();
    let off = largest_difference(&ours.data, &theirs, config.width);
    assert!(off < 1e-5, "texts are off by {off} of the norm");
}
