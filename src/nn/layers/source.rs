//! Where the weights of a network come from: a file, or seeded random numbers.

use std::collections::BTreeMap;

use candle_core::{DType, Device};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::base::{Error, Kind, Result};
use crate::nn::fault::candle;
use crate::nn::gradient::Weight;
use crate::nn::weights::Weights;

/// How a weight begins where no file has it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::nn) enum Init {
    Zero,
    One,
    /// Normal, of this standard deviation.
    Normal(f32),
    /// Uniform within ± this bound.
    Uniform(f32),
}

impl Init {
    /// What `torch.nn.Linear` begins with, weight and bias alike: Kaiming's uniform with `a = √5`
    /// is uniform within `±1/√inputs` (`torch/nn/modules/linear.py`, `reset_parameters`).
    pub(in crate::nn) fn linear(inputs: usize) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "a bound on random numbers")]
        let inputs = inputs.max(1) as f32;
        Self::Uniform(inputs.sqrt().recip())
    }
}

/// Name and shape of every weight that a network has.
pub type Expected = Vec<(String, Vec<usize>)>;

enum From<'a> {
    File(&'a Weights),
    Random(Box<ChaCha8Rng>),
}

/// Hands out weights by name, below a prefix, and remembers them.
pub(in crate::nn) struct Source<'a> {
    from: From<'a>,
    device: &'a Device,
    dtype: DType,
    trains: bool,
    given: Vec<(String, Weight)>,
}

impl<'a> Source<'a> {
    pub(in crate::nn) fn file(
        weights: &'a Weights,
        device: &'a Device,
        dtype: DType,
        trains: bool,
    ) -> Self {
        Self { from: From::File(weights), device, dtype, trains, given: Vec::new() }
    }

    pub(in crate::nn) fn random(seed: u64, device: &'a Device, dtype: DType, trains: bool) -> Self {
        let random = Box::new(ChaCha8Rng::seed_from_u64(seed));
        Self { from: From::Random(random), device, dtype, trains, given: Vec::new() }
    }

    /// The weight `name` of this shape.
    pub(in crate::nn) fn weight(
        &mut self,
        name: &str,
        shape: &[usize],
        init: Init,
    ) -> Result<Weight> {
        let numbers = match &mut self.from {
            From::File(weights) => {
                let stored = weights.get(name).filter(|stored| stored.shape() == shape);
                let stored = stored.ok_or_else(|| {
                    let found = weights.shape(name);
                    let found = found.map_or("nothing".to_owned(), |shape| format!("{shape:?}"));
                    let what = format!("tensor `{name}` should be {shape:?}, found {found}");
                    Error::new(Kind::BadInput, what)
                })?;
                stored.to_f32()?
            }
            From::Random(random) => draw(random, shape.iter().product(), init),
        };
        let weight = Weight::new(numbers, shape, self.dtype, self.device, self.trains)
            .map_err(candle("cannot place a weight on its device"))?;
        self.given.push((name.to_owned(), weight.clone()));
        Ok(weight)
    }

    /// Every weight that was handed out, in that order.
    pub(in crate::nn) fn given(self) -> Vec<(String, Weight)> {
        self.given
    }
}

fn draw(random: &mut ChaCha8Rng, count: usize, init: Init) -> Vec<f32> {
    match init {
        Init::Zero => vec![0.0; count],
        Init::One => vec![1.0; count],
        Init::Uniform(bound) => {
            (0..count).map(|_| bound * random.random_range(-1.0_f32..1.0)).collect()
        }
        // Box and Muller, 1958; in f64, so that every platform rounds to the same f32.
        Init::Normal(deviation) => {
            let mut out = Vec::with_capacity(count + 1);
            while out.len() < count {
                let radius = (-2.0 * (1.0 - random.random::<f64>()).ln()).sqrt();
                let (sin, cos) = (std::f64::consts::TAU * random.random::<f64>()).sin_cos();
                #[expect(clippy::cast_possible_truncation, reason = "weights are f32")]
                out.extend([cos, sin].map(|part| (radius * part) as f32 * deviation));
            }
            out.truncate(count);
            out
        }
    }
}

/// What differs between the tensors of a file and those that a network has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Differences {
    /// Wanted and not there.
    pub missing: Expected,
    /// There and not wanted.
    pub unexpected: Expected,
    /// There in another shape: name, wanted, found.
    pub misshapen: Vec<(String, Vec<usize>, Vec<usize>)>,
}

impl Differences {
    /// Compares them.
    #[must_use]
    pub fn between(weights: &Weights, expected: &Expected) -> Self {
        let mut out = Self::default();
        let wanted: BTreeMap<&str, &Vec<usize>> =
            expected.iter().map(|(name, shape)| (name.as_str(), shape)).collect();
        for (name, shape) in expected {
            match weights.shape(name) {
                None => out.missing.push((name.clone(), shape.clone())),
                Some(found) if found != shape.as_slice() => {
                    out.misshapen.push((name.clone(), shape.clone(), found.to_vec()));
                }
                Some(_) => {}
            }
        }
        for name in weights.names().filter(|name| !wanted.contains_key(name)) {
            let shape = weights.shape(name).unwrap_or_default().to_vec();
            out.unexpected.push((name.to_owned(), shape));
        }
        out
    }

    /// The same with `prefix` before every name.
    #[must_use]
    pub fn below(mut self, prefix: &str) -> Self {
        let named = self.missing.iter_mut().chain(&mut self.unexpected);
        named.for_each(|(name, _)| name.insert_str(0, prefix));
        self.misshapen.iter_mut().for_each(|(name, ..)| name.insert_str(0, prefix));
        self
    }

    /// Adds another comparison.
    pub fn extend(&mut self, other: Self) {
        self.missing.extend(other.missing);
        self.unexpected.extend(other.unexpected);
        self.misshapen.extend(other.misshapen);
    }

    /// An error that lists all of it, if there is any.
    ///
    /// # Errors
    /// [`Kind::BadInput`], a line a tensor.
    pub fn none(&self) -> Result<()> {
        let missing = self.missing.iter().map(|(name, shape)| format!("missing: {name} {shape:?}"));
        let unexpected =
            self.unexpected.iter().map(|(name, shape)| format!("unexpected: {name} {shape:?}"));
        let misshapen = self.misshapen.iter().map(|(name, wanted, found)| {
            format!("shape: {name} is {found:?}, expected {wanted:?}")
        });
        let lines: Vec<String> = missing.chain(misshapen).chain(unexpected).collect();
        if lines.is_empty() {
            return Ok(());
        }
        let what = format!(
            "the weights are not those of this model, {} tensors differ:\n  {}",
            lines.len(),
            lines.join("\n  ")
        );
        Err(Error::new(Kind::BadInput, what)
            .help("check that weights and configuration belong together"))
    }
}
