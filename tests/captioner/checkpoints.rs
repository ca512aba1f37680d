//! Checkpoints of three projects.

use candle_core::{DType, Device, Tensor};
use clipmill::nn::captioner::{Captioner, Names};
use clipmill::nn::mapper::{Mapper, MapperConfig, MapperKind};
use clipmill::nn::weights::Weights;

use crate::{case, checkpoint, gpt2, off};

/// The likeliest token, again and again, by the cache.
fn greedy(captioner: &Captioner, features: &Tensor, steps: usize) -> Vec<Vec<u32>> {
    let prefix = captioner.prefix(features).unwrap();
    let rows = prefix.dim(0).unwrap();
    let mut cache = captioner.gpt2.cache(rows, prefix.dim(1).unwrap() + steps).unwrap();
    let mut embeds = prefix;
    let mut out = vec![Vec::new(); rows];
    for _ in 0..steps {
        let hidden = captioner.gpt2.hidden(&embeds, None, Some(&mut cache)).unwrap();
        let last = hidden.narrow(1, hidden.dim(1).unwrap() - 1, 1).unwrap();
        let ids = captioner.gpt2.logits(&last).unwrap().argmax(2).unwrap();
        for (row, id) in out.iter_mut().zip(ids.flatten_all().unwrap().to_vec1::<u32>().unwrap()) {
            row.push(id);
        }
        embeds = captioner.gpt2.embed(&ids).unwrap();
    }
    out
}

#[test]
fn both_projects_checkpoints_caption_as_they_do() {
    for kind in ["mlp", "transformer", "bert"] {
        let (captioner, case) = case(kind);
        let got = greedy(&captioner, &case.batches[0].features(), case.greedy[0].len());
        assert_eq!(got, case.greedy, "{kind}");
    }
}

#[test]
fn sizes_are_read_from_the_tensors() {
    for kind in ["mlp", "transformer", "bert"] {
        let (captioner, case) = case(kind);
        let config = captioner.mapper.config();
        assert_eq!(config.kind.to_string(), case.mapper);
        assert_eq!((config.clip_width, config.gpt_width), (case.clip_width, 32));
        assert_eq!(config.prefix_length, case.prefix_length);
        if let (Some(made), Some(layers)) = (case.constant_length, case.layers) {
            assert_eq!((config.constant_length, config.layers), (made, layers));
        }
        // Without a config.json of GPT-2: 64 floats a head is a guess, all else is seen.
        let alone = Captioner::from_checkpoint(
            &checkpoint(kind),
            None,
            None,
            (&Device::Cpu, DType::F32, false),
        )
        .unwrap();
        let seen = alone.gpt2.config();
        let known = captioner.gpt2.config();
        assert_eq!(
            (seen.layers, seen.positions, seen.vocabulary, seen.inner, seen.tied),
            (known.layers, known.positions, known.vocabulary, known.inner, true)
        );
    }
}

#[test]
fn what_is_written_under_any_names_loads_again() {
    let folder = tempfile::tempdir().unwrap();
    for kind in ["mlp", "transformer", "bert"] {
        let (captioner, case) = case(kind);
        let want = captioner.prefix(&case.batches[0].features()).unwrap();
        for names in [Names::Ours, Names::ClipPrefixCaption, Names::ClipCapChinese] {
            let path = folder.path().join(format!("{kind}.safetensors"));
            captioner.save(&path, names).unwrap();
            let weights = Weights::open(&path).unwrap();
            assert_eq!(Names::detect(&weights), Some(names));
            let config = *captioner.mapper.config();
            let other = Captioner {
                gpt2: gpt2(true),
                mapper: Mapper::new(config, 99, &Device::Cpu).unwrap(),
                normalize_prefix: false,
            };
            assert!(off(&other.prefix(&case.batches[0].features()).unwrap(), &want) > 0.1);
            other.load_state(&weights).unwrap();
            for ((name, a), (_, b)) in captioner.state().iter().zip(other.state()) {
                assert_eq!(off(a, &b), 0.0, "{name}");
            }
        }
    }
}

#[test]
fn what_was_exported_has_every_tensor_of_the_project() {
    let (captioner, _) = case("bert");
    let mut ours: Vec<(String, Vec<usize>)> = captioner
        .state_of(Names::ClipCapChinese)
        .unwrap()
        .iter()
        .map(|(name, tensor)| (name.clone(), tensor.dims().to_vec()))
        .collect();
    ours.sort();
    let weights = checkpoint("bert");
    let theirs: Vec<(String, Vec<usize>)> = weights
        .names()
        .filter(|name| !name.ends_with("position_ids"))
        .map(|name| (name.to_owned(), weights.shape(name).unwrap().to_vec()))
        .collect();
    assert_eq!(ours, theirs);
}

#[test]
fn what_differs_is_listed_by_name_and_shape_and_nothing_is_replaced() {
    let (captioner, case) = case("mlp");
    let before = captioner.prefix(&case.batches[0].features()).unwrap();
    let mut weights = checkpoint("mlp");
    weights.rename(|name| match name {
        "clip_project.model.2.bias" => Some("clip_project.model.4.bias".into()),
        "gpt.transformer.ln_f.weight" => None,
        "gpt.transformer.ln_f.bias" => Some("gpt.transformer.h.0.mlp.c_fc.bias".into()),
        "gpt.transformer.h.0.mlp.c_fc.bias" => None,
        "gpt.lm_head.weight" => Some("epoch".into()),
        _ => Some(name.to_owned()),
    });
    let error = captioner.load_state(&weights).unwrap_err();
    for line in [
        "missing: gpt.transformer.ln_f.weight [32]",
        "missing: clip_project.model.2.bias [128]",
        "unexpected: clip_project.model.4.bias [128]",
        "unexpected: epoch [67, 32]",
        "shape: gpt.transformer.h.0.mlp.c_fc.bias is [32], expected [128]",
    ] {
        assert!(error.what().contains(line), "{line}\n{error:?}");
    }
    assert_eq!(off(&captioner.prefix(&case.batches[0].features()).unwrap(), &before), 0.0);
}

#[test]
fn a_file_of_no_captioner_says_so() {
    let mut weights = checkpoint("mlp");
    weights.rename(|name| Some(format!("other.{name}")));
    let placed = (&Device::Cpu, DType::F32, false);
    let error = Captioner::from_checkpoint(&weights, None, None, placed).unwrap_err();
    assert!(error.what().contains("no captioner"), "{error:?}");
    assert!(error.help_text().unwrap().contains("clip_project"));
}

#[test]
fn new_mappers_are_seeded_and_spread_like_pytorchs() {
    let made = |kind, seed| {
        let config = MapperConfig { layers: 1, ..MapperConfig::new(kind, 512, 10, 64) };
        Mapper::new(config, seed, &Device::Cpu).unwrap()
    };
    let numbers = |mapper: &Mapper, name: &str| -> Vec<f32> {
        let (_, weight) = mapper.weights().iter().find(|(of, _)| of == name).unwrap();
        weight.tensor().flatten_all().unwrap().to_vec1().unwrap()
    };
    let deviation = |numbers: &[f32]| {
        let squares: f64 = numbers.iter().map(|x| f64::from(*x).powi(2)).sum();
        (squares / numbers.len() as f64).sqrt()
    };
    for (kind, name, want) in [
        (MapperKind::Mlp, "model.0.weight", (3.0 * 512.0_f64).sqrt().recip()),
        (MapperKind::Mlp, "model.2.bias", (3.0 * 320.0_f64).sqrt().recip()),
        (MapperKind::Transformer, "linear.weight", (3.0 * 512.0_f64).sqrt().recip()),
        (MapperKind::Transformer, "prefix_const", 1.0),
        (MapperKind::Bert, "bert.encoder.layer.0.output.dense.weight", 0.02),
    ] {
        let of = numbers(&made(kind, 1), name);
        assert!((deviation(&of) / want - 1.0).abs() < 0.1, "{name}: {}", deviation(&of));
        assert_eq!(of, numbers(&made(kind, 1), name));
        assert_ne!(of, numbers(&made(kind, 2), name));
    }
}
