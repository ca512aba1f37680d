//! The model.

use std::sync::Arc;

use candle_core::{DType, Device, Result, Tensor};

use super::cache::Cache;
use super::config::Gpt2Config;
use crate::nn::blocks::{Block, Places, is_plain, run_plain};
use crate::nn::device::held;
use crate::nn::gradient::{Weight, is_native, numbers};
use crate::nn::layers::{
    Dropout, Embedding, Expected, Factors, Init, Linear, Norm, Seen, Source, entropy,
};
#[cfg(feature = "cuda")]
use crate::nn::{kernels::TrainKernels, layers::fused_entropy};

/// Numbers of matrices up to which a frozen model's are kept packed for training too: the blocks', as
/// they lie and transposed, and, where it is within that as well, the head. Those of GPT-2 small take
/// 340 MB each way, and 154 MB.
const PACKED: usize = 1 << 27;

/// A GPT-2 with its head.
#[derive(Debug)]
pub struct Gpt2 {
    config: Gpt2Config,
    tokens: Embedding,
    positions: Embedding,
    blocks: Arc<Vec<Block>>,
    norm: Norm,
    head: Weight,
    weights: Vec<(String, Weight)>,
    compute: DType,
    device: Device,
    /// Compiled when they are first asked for; none where there is no GPU that has what they need.
    #[cfg(feature = "cuda")]
    kernels: std::sync::OnceLock<Option<Arc<TrainKernels>>>,
}

impl Gpt2 {
    /// A GPT-2 of seeded random weights, distributed as transformers initialises one. If
    /// `trainable`, weights are kept in f32 and computed with in `dtype`.
    ///
    /// # Errors
    /// When the sizes are impossible or memory runs out.
    pub fn random(
        config: &Gpt2Config,
        seed: u64,
        device: &Device,
        dtype: DType,
        trainable: bool,
    ) -> crate::base::Result<Self> {
        Self::build(config.check()?, Source::random(seed, device, dtype, trainable), device, dtype)
    }

    pub(super) fn build(
        config: Gpt2Config,
        mut source: Source<'_>,
        device: &Device,
        compute: DType,
    ) -> crate::base::Result<Self> {
        let normal = Init::Normal(0.02);
        let width = config.width;
        let mut table = |part, rows| {
            Embedding::build(&mut source, &format!("transformer.{part}"), (rows, width), normal)
        };
        let tokens = table("wte", config.vocabulary)?;
        let positions = table("wpe", config.positions)?;
        let blocks = (0..config.layers)
            .map(|layer| Block::build_gpt2(&mut source, &format!("transformer.h.{layer}"), &config))
            .collect::<crate::base::Result<Vec<_>>>()?;
        let norm = Norm::build(&mut source, "transformer.ln_f", width, config.epsilon)?;
        let head = if config.tied {
            tokens.weight().clone()
        } else {
            source.weight("lm_head.weight", &[config.vocabulary, width], normal)?
        };
        let (weights, blocks) = (source.given(), Arc::new(blocks));
        let (compute, _) = held(compute, device)?;
        Ok(Self {
            #[cfg(feature = "cuda")]
            kernels: std::sync::OnceLock::new(),
            config,
            tokens,
            positions,
            blocks,
            norm,
            head,
            weights,
            compute,
            device: device.clone(),
        })
    }

    /// Its sizes.
    #[must_use]
    pub fn config(&self) -> &Gpt2Config {
        &self.config
    }

    /// Where it computes.
    #[must_use]
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The type of its activations. On the processor they are f32 in bf16 too, and rounded in products
    /// only.
    #[must_use]
    pub fn dtype(&self) -> DType {
        self.compute
    }

    /// Every weight, by transformers' name (`transformer.h.0.ln_1.weight`); a tied head is not
    /// listed a second time.
    #[must_use]
    pub fn weights(&self) -> &[(String, Weight)] {
        &self.weights
    }

    /// Whether it trains; else it is frozen.
    #[must_use]
    pub fn trains(&self) -> bool {
        self.weights.iter().any(|(_, weight)| weight.trains())
    }

    /// Name and shape of every weight of a GPT-2 of these sizes.
    #[must_use]
    pub fn expected(config: &Gpt2Config) -> Expected {
        let w = config.width;
        let mut out = vec![
            ("transformer.wte.weight".to_owned(), vec![config.vocabulary, w]),
            ("transformer.wpe.weight".to_owned(), vec![config.positions, w]),
        ];
        let mut both = |name: String, shape: Vec<usize>| {
            let bias = shape.last().copied().into_iter().collect();
            out.push((format!("{name}.weight"), shape));
            out.push((format!("{name}.bias"), bias));
        };
        for layer in 0..config.layers {
            let at = |part: &str| format!("transformer.h.{layer}.{part}");
            both(at("ln_1"), vec![w]);
            both(at("attn.c_attn"), vec![w, 3 * w]);
            both(at("attn.c_proj"), vec![w, w]);
            both(at("ln_2"), vec![w]);
            both(at("mlp.c_fc"), vec![w, config.inner]);
            both(at("mlp.c_proj"), vec![config.inner, w]);
        }
        both("transformer.ln_f".to_owned(), vec![w]);
        if !config.tied {
            out.push(("lm_head.weight".to_owned(), vec![config.vocabulary, w]));
        }
        out
    }

    /// Vectors of tokens, without positions.
    ///
    /// # Shapes
    /// `ids`: (rows, tokens), u32; the result: (rows, tokens, width).
    ///
    /// # Errors
    /// When an id is not in the vocabulary, or the device fails.
    pub fn embed(&self, ids: &Tensor) -> Result<Tensor> {
        let (rows, tokens) = ids.dims2()?;
        let ids = ids.flatten_all()?.to_vec1::<u32>()?;
        let embeds = self.tokens.forward(&ids)?.reshape((rows, tokens, self.config.width))?;
        embeds.to_dtype(self.compute)
    }

    /// Room for keys and values of `rows` texts of at most `capacity` tokens each.
    ///
    /// # Errors
    /// When the model has fewer positions, or memory runs out.
    pub fn cache(&self, rows: usize, capacity: usize) -> Result<Cache> {
        if capacity > self.config.positions {
            candle_core::bail!(
                "texts of {capacity} tokens, but the model has {} positions",
                self.config.positions
            );
        }
        let plain = self.is_plain() && self.compute == DType::F32;
        Cache::new(&self.config, rows, capacity, self.compute, &self.device, plain)
    }

    /// The last hidden state of every token, after the final norm.
    ///
    /// A token's position is the number of real tokens before it in its row, as transformers'
    /// `generate` counts; where padding is on the right this is plain counting. Padding is never
    /// looked at, and its own states mean nothing.
    ///
    /// # Shapes
    /// `embeds`: (rows, tokens, width), as of [`Gpt2::embed`] or a mapping network. `mask`: (rows,
    /// tokens), of any type, zero where there is padding, left or right; with a cache only of
    /// the new tokens, it remembers those before. The result: (rows, tokens, width).
    ///
    /// # Errors
    /// When shapes do not fit, there are more tokens than positions, or the device fails.
    pub fn hidden(
        &self,
        embeds: &Tensor,
        mask: Option<&Tensor>,
        cache: Option<&mut Cache>,
    ) -> Result<Tensor> {
        self.run(embeds, mask, cache, None, None)
    }

    /// As [`hidden`](Self::hidden) of whole texts without padding on the left, of those tokens alone
    /// that `at` names: row times tokens plus token. With dropout where transformers'
    /// model has it: on embeddings, attention weights, and what each half of a block adds.
    ///
    /// # Shapes
    /// The result: (named tokens, width).
    ///
    /// # Errors
    /// As [`hidden`](Self::hidden), and when a token that is named is not there.
    pub fn hidden_at(
        &self,
        embeds: &Tensor,
        at: &[u32],
        dropout: Option<&mut Dropout>,
    ) -> Result<Tensor> {
        self.run(embeds, None, None, Some(at), dropout)
    }

    fn run(
        &self,
        embeds: &Tensor,
        mask: Option<&Tensor>,
        mut cache: Option<&mut Cache>,
        at: Option<&[u32]>,
        mut dropout: Option<&mut Dropout>,
    ) -> Result<Tensor> {
        let (rows, tokens, width) = embeds.dims3()?;
        let real = match mask {
            Some(mask) if mask.dims() == [rows, tokens] => {
                let mask = mask.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>()?;
                Some(mask.into_iter().map(|x| x != 0.0).collect::<Vec<_>>())
            }
            Some(mask) => {
                candle_core::bail!("expected a mask of {rows}, {tokens}, got {:?}", mask.dims())
            }
            None => None,
        };
        let real = match cache.as_deref_mut() {
            None => real,
            Some(cache) => {
                let new = real.unwrap_or_else(|| vec![true; rows * tokens]);
                Some(cache.extend(&new, tokens)?)
            }
        };
        let positions = positions(real.as_deref(), rows, tokens);
        let positions = self.positions.forward(&positions)?.to_dtype(self.compute)?;
        let mut x = (embeds + positions.reshape((rows, tokens, width))?)?;
        if let Some(dropout) = dropout.as_deref_mut() {
            x = dropout.forward(&x)?;
        }
        let real = real.filter(|real| real.contains(&false)).map(Arc::new);
        #[cfg(feature = "cuda")]
        if cache.is_none()
            && real.is_none()
            && dropout.as_deref().is_none_or(Dropout::is_idle)
            && let Some(kernels) = self.kernels()?
        {
            return chosen(&super::fused::hidden(kernels, &self.blocks, &self.norm, &x)?, at);
        }
        let seen = Seen { causal: true, real };
        let x = if self.is_plain() && is_native(&x) {
            self.run_plain(&x, &seen, cache, at, dropout)?
        } else {
            for (layer, block) in self.blocks.iter().enumerate() {
                let cache = cache.as_deref_mut().map(|cache| (cache, layer));
                x = block.by_layers(&x, &seen, cache, dropout.as_deref_mut())?;
            }
            chosen(&x, at)?
        };
        self.norm.forward(&x)
    }

    #[cfg(feature = "cuda")]
    fn kernels(&self) -> Result<Option<&Arc<TrainKernels>>> {
        if let Some(known) = self.kernels.get() {
            return Ok(known.as_ref());
        }
        let of = (self.config.width, self.config.inner, self.config.heads);
        let made = if self.blocks.iter().all(Block::is_fused) {
            TrainKernels::compile(of, self.compute, &self.device)?.map(Arc::new)
        } else {
            None
        };
        Ok(self.kernels.get_or_init(|| made).as_ref())
    }

    fn is_plain(&self) -> bool {
        is_plain(&self.blocks)
    }

    /// How products read the matrices of the blocks and the head. Those of a frozen GPT-2 that is
    /// trained through are the same at every step.
    fn factors(&self, keeps: bool) -> [Factors; 2] {
        let blocks = self.weights.iter().filter(|(name, _)| name.contains(".h."));
        let blocks: usize = blocks.map(|(_, weight)| weight.tensor().elem_count()).sum();
        let keeps = keeps && !self.trains();
        [blocks, blocks + self.head.tensor().elem_count()].map(|numbers| {
            if keeps && numbers <= PACKED { Factors::Packed } else { Factors::AsTheyLie }
        })
    }

    /// All blocks, over plain numbers; the last goes on from its attention with the tokens `at` alone.
    fn run_plain(
        &self,
        x: &Tensor,
        seen: &Seen,
        cache: Option<&mut Cache>,
        at: Option<&[u32]>,
        dropout: Option<&mut Dropout>,
    ) -> Result<Tensor> {
        let sizes: [usize; 3] = x.dims3()?.into();
        if let Some(cache) = cache {
            let mut numbers = self::numbers(&x.contiguous()?)?.to_vec();
            let at = (cache.capacity(), cache.len());
            let rooms = cache.plain()?;
            for (block, room) in self.blocks.iter().zip(rooms) {
                block.run_onto(&mut numbers, sizes, seen, room, at)?;
            }
            return Tensor::from_vec(numbers, x.shape(), x.device());
        }
        let [how, _] = self.factors(x.track_op() || self.trains());
        let places = at.map(|at| Places::new(at, sizes)).transpose()?;
        let weights: Vec<&Weight> = self.weights.iter().map(|(_, weight)| weight).collect();
        let blocks = ("gpt2 blocks", &self.blocks);
        run_plain(blocks, x, seen, places.as_ref(), dropout, (&weights, how))
    }

    /// Scores of every token to come next.
    ///
    /// # Shapes
    /// `hidden`: (…, width); the result: (…, vocabulary), f32.
    ///
    /// # Errors
    /// When the device fails.
    pub fn logits(&self, hidden: &Tensor) -> Result<Tensor> {
        Linear::tied(&self.head)?.forward(hidden)?.to_dtype(DType::F32)
    }

    /// The mean cross entropy of the tokens that follow, head, softmax and loss in one, without a
    /// second array of rows × vocabulary.
    ///
    /// # Shapes
    /// `hidden`: (rows, width), of those positions that count and no others; `targets`: (rows),
    /// u32; the result: a single f32.
    ///
    /// # Errors
    /// When a target is not in the vocabulary, there are no rows, or the device fails.
    pub fn loss(&self, hidden: &Tensor, targets: &Tensor) -> Result<Tensor> {
        let targets = targets.to_vec1::<u32>()?;
        #[cfg(feature = "cuda")]
        if let Some(kernels) = self.kernels()? {
            return fused_entropy(kernels, hidden, &self.head, &targets);
        }
        let [_, how] = self.factors(hidden.track_op());
        entropy(hidden, &self.head, &targets, how)
    }
}

/// The states of those tokens that `at` names, (named tokens, width), or all as they are.
fn chosen(hidden: &Tensor, at: Option<&[u32]>) -> Result<Tensor> {
    let Some(at) = at else { return Ok(hidden.clone()) };
    let (rows, tokens, width) = hidden.dims3()?;
    let at = Tensor::new(at, hidden.device())?;
    hidden.reshape((rows * tokens, width))?.index_select(&at, 0)
}

/// The position of each of the last `tokens` tokens of every row.
fn positions(real: Option<&[bool]>, rows: usize, tokens: usize) -> Vec<u32> {
    let all = real.map_or(tokens, |real| real.len().checked_div(rows).unwrap_or(0));
    let mut out = Vec::with_capacity(rows * tokens);
    for row in 0..rows {
        let mut next = 0_u32;
        for token in 0..all {
            if token + tokens >= all {
                out.push(next);
            }
            next += u32::from(real.is_none_or(|real| real.get(row * all + token) == Some(&true)));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    use candle_core::Var;
    use candle_core::backprop::GradStore;

    use crate::nn::gradient::backward;

    fn small() -> Gpt2Config {
        Gpt2Config {
            vocabulary: 11,
            positions: 8,
            width: 12,
            inner: 20,
            layers: 2,
            heads: 3,
            ..Gpt2Config::default()
        }
    }

    #[test]
    fn blocks_over_plain_numbers_are_those_of_the_layers() {
        let device = Device::Cpu;
        let x = Var::rand(-1.0_f32, 1.0, (2, 5, 12), &device).unwrap();
        let wave = Tensor::rand(-1.0_f32, 1.0, (2, 5, 12), &device).unwrap();
        let some: &[u32] = &[2, 3, 4, 9];
        let cases = [(true, 0.0), (false, 0.0), (true, 0.3)];
        for ((trains, rate), at) in cases.iter().flat_map(|of| [(*of, None), (*of, Some(some))]) {
            let wave = chosen(&wave, at).unwrap();
            let gpt2 = Gpt2::random(&small(), 3, &device, DType::F32, trains).unwrap();
            assert!(gpt2.is_plain());
            let seen = Seen { causal: true, real: None };
            let of = |plain: bool| -> (Vec<f32>, GradStore) {
                let mut dropout = (rate > 0.0).then(|| Dropout::new(rate, 5, 6));
                let mut out = x.as_tensor().clone();
                if plain {
                    out = gpt2.run_plain(&out, &seen, None, at, dropout.as_mut()).unwrap();
                } else {
                    for block in gpt2.blocks.iter() {
                        out = block.by_layers(&out, &seen, None, dropout.as_mut()).unwrap();
                    }
                    out = chosen(&out, at).unwrap();
                }
                let loss = (&out * &wave).unwrap().sum_all().unwrap();
                let weights = gpt2.weights().iter().map(|(_, weight)| weight);
                let out = out.flatten_all().unwrap().to_vec1().unwrap();
                (out, backward(&loss, weights).unwrap())
            };
            let ((plain, by_plain), (layers, by_layers)) = (of(true), of(false));
            let agree = |a: &[f32], b: &[f32], what: &str| {
                assert_eq!(a.len(), b.len(), "{what}");
                for (a, b) in a.iter().zip(b) {
                    assert!((a - b).abs() < 1e-4, "{what}, {trains}, {rate}: {a} {b}");
                }
            };
            agree(&plain, &layers, "value");
            assert_eq!(by_plain.get_ids().count(), by_layers.get_ids().count());
            let numbers = |store: &GradStore, of: &Tensor| {
                store.get(of).map(|g| g.flatten_all().unwrap().to_vec1::<f32>().unwrap())
            };
            let all = gpt2.weights().iter().map(|(name, weight)| (name.as_str(), weight.tensor()));
            for (name, tensor) in all.chain([("x", x.as_tensor())]) {
                match (numbers(&by_plain, tensor), numbers(&by_layers, tensor)) {
                    (Some(a), Some(b)) => agree(&a, &b, name),
                    (None, None) => assert!(!trains || !name.contains(".h."), "{name}"),
                    _ => panic!("only one has a gradient of {name}"),
                }
            }
        }
    }

    #[test]
    fn a_frozen_weight_that_is_replaced_is_packed_anew() {
        let device = Device::Cpu;
        let x = Var::rand(-1.0_f32, 1.0, (2, 5, 12), &device).unwrap();
        let gpt2 = Gpt2::random(&small(), 3, &device, DType::F32, false).unwrap();
        let other = Gpt2::random(&small(), 4, &device, DType::F32, false).unwrap();
        assert_eq!(gpt2.factors(true), [Factors::Packed; 2]);
        assert_eq!(gpt2.factors(false), [Factors::AsTheyLie; 2], "nothing is trained through it");
        let of = |gpt2: &Gpt2| -> Vec<f32> {
            let hidden = gpt2.hidden_at(x.as_tensor(), &[1, 6], None).unwrap();
            let targets = Tensor::new(&[3_u32, 8], &device).unwrap();
            let loss = gpt2.loss(&hidden, &targets).unwrap();
            let gradients = loss.backward().unwrap();
            let both = [&hidden, &loss, gradients.get(&x).unwrap()];
            both.iter().flat_map(|x| x.flatten_all().unwrap().to_vec1().unwrap()).collect()
        };
        let before = of(&gpt2);
        for ((_, weight), (_, to)) in gpt2.weights().iter().zip(other.weights()) {
            weight.set(to.tensor()).unwrap();
        }
        assert_eq!(of(&gpt2), of(&other));
        assert_ne!(of(&gpt2), before);
    }

    #[test]
    fn a_token_that_is_not_there_is_refused() {
        let device = Device::Cpu;
        let gpt2 = Gpt2::random(&small(), 3, &device, DType::F32, true).unwrap();
        let x = Tensor::zeros((2, 5, 12), DType::F32, &device).unwrap();
        assert_eq!(gpt2.hidden_at(&x, &[9], None).unwrap().dims(), [1, 12]);
        let error = gpt2.hidden_at(&x, &[9, 10], None).unwrap_err().to_string();
        assert!(error.contains("[9, 10] are asked for, and there are 10"), "{error}");
    }

    #[test]
    fn positions_count_real_tokens() {
        assert_eq!(positions(None, 2, 3), [0, 1, 2, 0, 1, 2]);
        let real = [false, false, true, true, true, true, true, true];
        assert_eq!(positions(Some(&real), 2, 4), [0, 0, 0, 1, 0, 1, 2, 3]);
        assert_eq!(positions(Some(&real), 2, 1), [1, 3], "the last alone, after a cache");
    }
}
