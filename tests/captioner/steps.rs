//! Fifty steps of AdamW beside PyTorch's, from the same weights over the same batches.

use clipmill::nn::captioner::Batch;
use clipmill::train::adamw::AdamW;

use crate::{Case, case, device};

fn batch(case: &Case, step: usize) -> Batch {
    let examples = &case.batches[step % case.batches.len()];
    let captions: Vec<&[u32]> = examples.tokens.iter().map(Vec::as_slice).collect();
    Batch::new(&examples.features(), &captions, 0, &device()).unwrap()
}

fn run(kind: &str) {
    let (captioner, case) = case(kind);
    assert_eq!(case.losses.len(), 50);
    // what the optimiser that trains is fixed to
    assert_eq!((case.betas, case.epsilon), ([0.9, 0.999], 1e-8));
    let mut optimizer = AdamW::new(captioner.parameters(), case.weight_decay).unwrap();
    let mut worst = 0.0_f64;
    for (step, (want, rate)) in case.losses.iter().zip(&case.learning_rates).enumerate() {
        let loss = captioner.loss(&batch(&case, step), None).unwrap();
        let got = f64::from(loss.to_scalar::<f32>().unwrap());
        worst = worst.max((got / want - 1.0).abs());
        assert!((got / want - 1.0).abs() <= 1e-4, "{kind}, step {step}: {got} {want}");
        let gradients = captioner.backward(&loss).unwrap();
        let norm = optimizer.norm(&gradients).unwrap();
        optimizer.step(&gradients, *rate, norm, None).unwrap();
    }
    assert!(case.losses[48] < 0.9 * case.losses[0], "it learns: both are of one batch");
    println!("{kind}: {worst:.1e} at worst");
}

#[test]
fn mlp_and_fine_tuned() {
    run("mlp");
}

#[test]
fn transformer_and_frozen() {
    run("transformer");
}

#[test]
fn bert_and_frozen() {
    run("bert");
}

#[test]
fn what_is_frozen_gets_no_gradients_and_the_rest_gets_all() {
    for kind in ["mlp", "transformer", "bert"] {
        let (captioner, case) = case(kind);
        let loss = captioner.loss(&batch(&case, 0), None).unwrap();
        let grads = captioner.backward(&loss).unwrap();
        let parameters = captioner.parameters();
        let with: Vec<_> = parameters.iter().filter(|(_, var)| grads.get(var).is_some()).collect();
        assert_eq!(with.len(), parameters.len(), "{kind}");
        for (name, weight) in captioner.weights().filter(|(_, weight)| !weight.trains()) {
            assert!(grads.get(weight.tensor()).is_none(), "{kind}: {name}");
        }
        let of_gpt2 = parameters.iter().any(|(name, _)| name.starts_with("gpt2."));
        assert_eq!(of_gpt2, !case.freeze, "{kind}");
    }
}

#[test]
fn padding_changes_no_loss() {
    let (captioner, case) = case("mlp");
    let examples = &case.batches[2];
    let mut sum = 0.0;
    let mut count = 0;
    for (row, caption) in examples.tokens.iter().enumerate() {
        let features = examples.features().narrow(0, row, 1).unwrap();
        let alone = Batch::new(&features, &[caption], 0, &device()).unwrap();
        let loss = captioner.loss(&alone, None).unwrap().to_scalar::<f32>().unwrap();
        sum += f64::from(loss) * alone.count() as f64;
        count += alone.count();
    }
    for padding in [0, 5] {
        let captions: Vec<&[u32]> = examples.tokens.iter().map(Vec::as_slice).collect();
        let batch = Batch::new(&examples.features(), &captions, padding, &device()).unwrap();
        let loss = captioner.loss(&batch, None).unwrap().to_scalar::<f32>().unwrap();
        assert!((f64::from(loss) - sum / count as f64).abs() < 1e-5, "{loss}");
    }
}
