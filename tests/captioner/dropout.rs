//! Dropout is of the seed and the step alone.

use candle_core::Device;
use clipmill::nn::captioner::Batch;
use clipmill::nn::layers::Dropout;

use crate::case;

#[test]
fn the_same_stream_gives_the_same_loss_and_the_same_gradients() {
    for kind in ["mlp", "transformer", "bert"] {
        let (captioner, case) = case(kind);
        let examples = &case.batches[0];
        let captions: Vec<&[u32]> = examples.tokens.iter().map(Vec::as_slice).collect();
        let batch = Batch::new(&examples.features(), &captions, 0, &Device::Cpu).unwrap();
        let run = |stream| {
            let mut dropout = Dropout::new(0.1, 5, stream);
            let loss = captioner.loss(&batch, Some(&mut dropout)).unwrap();
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
        assert_ne!(run(3).0, run(4).0, "{kind}");
        let plain = captioner.loss(&batch, None).unwrap().to_scalar::<f32>().unwrap();
        assert_ne!(run(3).0, plain.to_bits(), "{kind}");
    }
}
