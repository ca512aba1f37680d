//! Dropout is of the seed and the step alone, and none is in a GPT-2 that is frozen.

use candle_core::Tensor;
use clipmill::nn::captioner::{Batch, Captioner};
use clipmill::nn::layers::Dropout;

use crate::{Examples, case, device};

fn batch(examples: &Examples) -> Batch {
    let captions: Vec<&[u32]> = examples.tokens.iter().map(Vec::as_slice).collect();
    Batch::new(&examples.features(), &captions, 0, &device()).unwrap()
}

fn dropout(stream: u64) -> Dropout {
    Dropout::new(0.1, 5, stream)
}

/// The loss with dropout in the mapper alone.
fn dropped_in_the_mapper(captioner: &Captioner, batch: &Batch, dropout: &mut Dropout) -> f32 {
    let gpt2 = &captioner.gpt2;
    let prefix = captioner.mapper.forward_dropped(&batch.features, Some(dropout)).unwrap();
    let embeds = Tensor::cat(&[&prefix, &gpt2.embed(&batch.tokens).unwrap()], 1).unwrap();
    let (before, all) = (prefix.dim(1).unwrap(), embeds.dim(1).unwrap());
    let (mut at, mut targets) = (Vec::new(), Vec::<u32>::new());
    let tokens = batch.tokens.to_vec2::<u32>().unwrap();
    for (row, (tokens, length)) in tokens.iter().zip(&batch.lengths).enumerate() {
        at.extend((0..*length).map(|token| (row * all + before + token - 1) as u32));
        targets.extend(&tokens[..*length]);
    }
    let hidden = gpt2.hidden_at(&embeds, &at, None).unwrap();
    let targets = Tensor::new(targets, &device()).unwrap();
    gpt2.loss(&hidden, &targets).unwrap().to_scalar().unwrap()
}

#[test]
fn the_same_stream_gives_the_same_loss_and_the_same_gradients() {
    for kind in ["mlp", "transformer", "bert"] {
        let (captioner, case) = case(kind);
        let batch = batch(&case.batches[0]);
        let run = |stream| {
            let loss = captioner.loss(&batch, Some(&mut dropout(stream))).unwrap();
            let grads = captioner.backward(&loss).unwrap();
            let all: Vec<Vec<u32>> = captioner
                .parameters()
                .iter()
                .map(|(_, var)| {
                    let grad = grads.get(var).unwrap().flatten_all().unwrap();
                    grad.to_vec1::<f32>().unwrap().iter().map(|x| x.to_bits()).collect()
                })
                .collect();
            (loss.to_scalar::<f32>().unwrap().to_bits(), all)
        };
        assert_eq!(run(3), run(3), "{kind}");
        // What drops is the GPT-2 that trains, and the mapper of kind `bert`.
        let drops = !case.freeze || kind == "bert";
        assert_eq!(run(3).0 != run(4).0, drops, "{kind}");
        let plain = captioner.loss(&batch, None).unwrap().to_scalar::<f32>().unwrap();
        assert_eq!(run(3).0 != plain.to_bits(), drops, "{kind}");
    }
}

/// As `ClipCaptionPrefix.train` and ClipCap-Chinese's `ClipCaptionModel.train` have it.
#[test]
fn a_frozen_gpt2_has_no_dropout_and_its_mapper_keeps_its_own() {
    for (kind, frozen) in [("mlp", false), ("transformer", true), ("bert", true)] {
        let (captioner, case) = case(kind);
        assert_eq!((case.freeze, captioner.gpt2.trains()), (frozen, !frozen), "{kind}");
        for stream in [3, 4] {
            let batch = batch(&case.batches[0]);
            let loss = captioner.loss(&batch, Some(&mut dropout(stream))).unwrap();
            let loss = loss.to_scalar::<f32>().unwrap();
            let alone = dropped_in_the_mapper(&captioner, &batch, &mut dropout(stream));
            assert_eq!((loss - alone).abs() < 1e-5, frozen, "{kind}: {loss} {alone}");
        }
    }
}
