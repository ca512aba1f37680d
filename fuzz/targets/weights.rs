//! Weight files: whatever the bytes are, an error or tensors whose numbers can be read.

use clipmill::nn::weights::Weights;

/// One input.
pub fn run(data: &[u8]) {
    let Ok(weights) = Weights::from_bytes(data) else { return };
    let names: Vec<String> = weights.names().map(str::to_owned).collect();
    for name in names.iter().take(64) {
        // A tensor of no numbers may have sides whose product is past the address space.
        let sides = |n: usize, side: &usize| n.checked_mul(*side);
        if let Some(tensor) = weights.get(name)
            && tensor.shape().iter().try_fold(1, sides).is_some_and(|count| count <= 1 << 20)
        {
            let _ = tensor.to_f32();
        }
    }
}
