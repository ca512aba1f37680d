//! What goes into a tower: an image's patches, and vectors with their places.

use candle_core::{Device, Result, Tensor};
use rayon::prelude::{IndexedParallelIterator, ParallelIterator, ParallelSlice, ParallelSliceMut};

use crate::nn::clip::VisionTower;
use crate::nn::gradient::{Weight, is_native, node, numbers};
use crate::nn::layers::add_columns;

/// The patches of images, each as a row of numbers: a convolution whose stride is its kernel is one
/// product of matrices.
///
/// # Shapes
/// `images`: rows of 3 × size × size numbers; the result: (rows, grid², 3 · side²).
pub(super) fn patches(images: &[f32], of: &VisionTower, device: &Device) -> Result<Tensor> {
    let (size, grid, side) = (of.size_px, of.grid(), of.patch_px);
    let (image, patch) = (3 * size * size, 3 * side * side);
    let rows = images.len().checked_div(image).unwrap_or(0);
    if rows * image != images.len() || grid == 0 {
        candle_core::bail!("{} numbers are no whole images of {size} px", images.len());
    }
    let mut out = vec![0.0; rows * grid * grid * patch];
    out.par_chunks_mut(grid * grid * patch).zip(images.par_chunks(image)).for_each(
        |(out, image)| {
            for (number, patch) in out.chunks_exact_mut(patch).enumerate() {
                let (top, left) = (number / grid * side, number % grid * side);
                for (line, to) in patch.chunks_exact_mut(side).enumerate() {
                    let (channel, y) = (line / side, top + line % side);
                    let from = (channel * size + y) * size + left;
                    if let Some(from) = image.get(from..from + side) {
                        to.copy_from_slice(from);
                    }
                }
            }
        },
    );
    Tensor::from_vec(out, (rows, grid * grid, patch), device)
}

/// `x` behind the token `first`, where there is one, and each token's place added.
///
/// # Shapes
/// `x`: (rows, tokens, width); `places`: (as many tokens or more, width); the result has one token
/// more where there is a first one.
pub(super) fn placed(x: &Tensor, first: Option<&Weight>, places: &Weight) -> Result<Tensor> {
    let (rows, tokens, width) = x.dims3()?;
    let all = tokens + usize::from(first.is_some());
    if !is_native(x) {
        let places = places.tensor().narrow(0, 0, all)?;
        return match first {
            None => x.broadcast_add(&places),
            Some(first) => {
                let first =
                    first.tensor().reshape((1, 1, width))?.broadcast_as((rows, 1, width))?;
                Tensor::cat(&[&first.contiguous()?, x], 1)?.broadcast_add(&places)
            }
        };
    }
    if tokens * width == 0 {
        candle_core::bail!("rows of {tokens} tokens of {width} numbers are empty");
    }
    let (there, wide) = places.tensor().dims2()?;
    if there < all || wide != width {
        candle_core::bail!("{all} tokens of {width} numbers have {there} places of {wide}");
    }
    if let Some(first) = first.filter(|first| first.tensor().elem_count() != width) {
        let numbers = first.tensor().elem_count();
        candle_core::bail!("a first token of {numbers} numbers before tokens of {width}");
    }
    let x = x.contiguous()?;
    let (row, begin) = (all * width, (all - tokens) * width);
    let mut out = vec![0.0; rows * row];
    {
        let (x, places) = (numbers(&x)?, numbers(places.tensor())?);
        let first = first.map(|first| numbers(first.tensor())).transpose()?;
        let places = places.get(..row).unwrap_or_default();
        out.par_chunks_mut(row).zip(x.par_chunks(tokens * width)).for_each(|(out, x)| {
            let (begin, rest) = out.split_at_mut(begin);
            first.iter().for_each(|first| begin.copy_from_slice(first));
            rest.copy_from_slice(x);
            out.iter_mut().zip(places).for_each(|(to, place)| *to += place);
        });
    }
    let kept = (first.cloned(), places.clone());
    let weights: Vec<&Weight> = first.into_iter().chain([places]).collect();
    node("placed", &x, &weights, out, (rows, all, width), move |of_out, wants| {
        let (first, places) = &kept;
        if places.trains() {
            places.add_gradient(|sum| add_columns(&mut sum[..row], of_out));
        }
        if let Some(first) = first.as_ref().filter(|first| first.trains()) {
            first.add_gradient(|sum| {
                for of_row in of_out.chunks_exact(row) {
                    sum.iter_mut().zip(of_row).for_each(|(sum, g)| *sum += g);
                }
            });
        }
        let mut of_x = Vec::with_capacity(if wants { rows * tokens * width } else { 0 });
        if wants {
            of_out.chunks_exact(row).for_each(|of_row| of_x.extend_from_slice(&of_row[begin..]));
        }
        Ok(wants.then_some(of_x))
    })
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Var};

    use super::*;
    use crate::nn::gradient::backward;

    fn wave(count: usize) -> Vec<f32> {
        (0..count).map(|i| f32::from(u16::try_from(i).unwrap()).sin()).collect()
    }

    fn weight(shape: (usize, usize)) -> Weight {
        Weight::new(wave(shape.0 * shape.1), shape, DType::F32, &Device::Cpu, true).unwrap()
    }

    #[test]
    fn patches_are_those_of_a_convolution() {
        let transformer = crate::nn::clip::Transformer {
            width: 4,
            heads: 1,
            layers: 1,
            hidden: 4,
            epsilon: 1e-5,
            activation: crate::nn::clip::Activation::Gelu,
        };
        // A last line and column that are no whole patch.
        let of = VisionTower { transformer, size_px: 7, patch_px: 3 };
        let numbers = wave(2 * 3 * 7 * 7);
        let images = Tensor::from_slice(&numbers, (2, 3, 7, 7), &Device::Cpu).unwrap();
        let kernel = Tensor::from_vec(wave(4 * 27), (4, 3, 3, 3), &Device::Cpu).unwrap();
        let want = images.conv2d(&kernel, 0, 3, 1, 1).unwrap().flatten_from(2).unwrap();
        let got = patches(&numbers, &of, &Device::Cpu).unwrap();
        assert_eq!(got.dims(), [2, 4, 27]);
        let kernel = kernel.reshape((4, 27)).unwrap().t().unwrap();
        let got = got.reshape((8, 27)).unwrap().matmul(&kernel).unwrap();
        let got = got.reshape((2, 4, 4)).unwrap().transpose(1, 2).unwrap();
        let off = (got - want).unwrap().abs().unwrap().max_all().unwrap();
        assert!(off.to_scalar::<f32>().unwrap() < 1e-5);
        assert!(patches(&numbers[1..], &of, &Device::Cpu).is_err());
    }

    #[test]
    fn tokens_get_their_places_and_places_their_gradients() {
        let x = Var::from_vec(wave(3 * 4 * 6), (3, 4, 6), &Device::Cpu).unwrap();
        let (first, places) = (weight((1, 6)), weight((9, 6)));
        for first in [None, Some(&first)] {
            let tokens = 4 + usize::from(first.is_some());
            let wave = wave(3 * tokens * 6);
            let wave = Tensor::from_vec(wave, (3, tokens, 6), &Device::Cpu).unwrap();
            let ours = placed(x.as_tensor(), first, &places).unwrap();
            let own = places.tensor().narrow(0, 0, tokens).unwrap();
            let begin = first.map(|f| f.tensor().reshape((1, 1, 6)).unwrap().repeat((3, 1, 1)));
            let all: Vec<Tensor> = begin.into_iter().map(Result::unwrap).collect();
            let all: Vec<&Tensor> = all.iter().chain([x.as_tensor()]).collect();
            let want = Tensor::cat(&all, 1).unwrap().broadcast_add(&own).unwrap();
            let weights = || first.into_iter().chain([&places]);
            let gradients = |out: &Tensor| {
                let loss = (out * &wave).unwrap().sum_all().unwrap();
                backward(&loss, weights()).unwrap()
            };
            let (by_ours, by_want) = (gradients(&ours), gradients(&want));
            let agree = |a: &Tensor, b: &Tensor| {
                assert_eq!(a.shape(), b.shape());
                let off = (a - b).unwrap().abs().unwrap().max_all().unwrap();
                assert!(off.to_scalar::<f32>().unwrap() < 1e-5);
            };
            agree(&ours, &want);
            for of in weights().map(Weight::tensor).chain([x.as_tensor()]) {
                agree(by_ours.get(of).unwrap(), by_want.get(of).unwrap());
            }
        }
        let refused = |first: Option<&Weight>, places: &Weight| {
            placed(x.as_tensor(), first, places).unwrap_err().to_string()
        };
        assert!(
            refused(None, &weight((3, 6))).contains("4 tokens of 6 numbers have 3 places of 6")
        );
        assert!(refused(None, &weight((6, 5))).contains("places of 5"));
        assert!(refused(Some(&weight((1, 5))), &places).contains("first token of 5 numbers"));
    }
}
