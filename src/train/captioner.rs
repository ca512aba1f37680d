//! A captioner as the loop trains it, and as a checkpoint keeps it.

use std::path::Path;

use candle_core::backprop::GradStore;
use candle_core::{DType, Device, Tensor, Var};

use super::checkpoint::Checkpoint;
use super::fault::candle;
use super::learner::{Batch, Draw, Learner};
use super::trainer::digest_of;
use crate::base::files::read_text_capped;
use crate::base::{Cancel, Digest, Error, Kind, Result};
use crate::nn::captioner::{self, Captioner};
use crate::nn::device;
use crate::nn::gpt2::{Gpt2, Gpt2Config};
use crate::nn::in_pool;
use crate::nn::layers::Dropout;
use crate::nn::mapper::{self, Mapper, MapperConfig};
use crate::nn::tokens::TextCodec;
use crate::nn::weights::Weights;
use crate::plan::captioner::{Compute, Course, Gpt2Spec, MapperKind, Network, Train};
use crate::plan::model::{DeviceChoice, Dtype};

const CONFIG_CAP_BYTES: u64 = 16 << 20;

/// A captioner that trains.
#[derive(Debug)]
pub struct Learning {
    captioner: Captioner,
    device: Device,
    device_name: String,
    dropout: f64,
    codec: TextCodec,
    freeze: bool,
}

impl Learning {
    /// The captioner that a stage begins with: its GPT-2, and a mapper of random weights.
    ///
    /// # Errors
    /// When a file of the GPT-2 is damaged, when the captions have no place in it, or when the
    /// device is not there.
    pub fn begin(work: &Train, clip_width: usize) -> Result<Self> {
        let codec = TextCodec::open(&work.model.folder)?;
        let (opened, dtype) = place(work)?;
        let network = work.network;
        let gpt2 = Gpt2::load(&work.model.folder, &opened.device, dtype, !network.freeze)?;
        fits(gpt2.config(), work)?;
        knows(gpt2.config(), work, &codec)?;
        let config = mapper_config(network, clip_width, gpt2.config().width);
        let mapper = Mapper::new(config, work.course.seed, &opened.device)?;
        let captioner = Captioner { gpt2, mapper, normalize_prefix: network.normalize_prefix };
        Ok(Self {
            captioner,
            device: opened.device,
            device_name: opened.name,
            dropout: work.course.dropout,
            codec,
            freeze: network.freeze,
        })
    }

    /// The captioner as it is now.
    #[must_use]
    pub fn captioner(&self) -> &Captioner {
        &self.captioner
    }

    /// Its vocabulary.
    #[must_use]
    pub fn codec(&self) -> &TextCodec {
        &self.codec
    }

    /// What to tell the user of the device.
    #[must_use]
    pub fn device(&self) -> &str {
        &self.device_name
    }

    /// Does `work` where it is quickest.
    fn at_work<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        if self.device.is_cpu() { in_pool(work) } else { work() }
    }
}

/// Refuses captions that are longer than the GPT-2's texts, and a mapper that does not divide by its
/// heads.
fn fits(config: &Gpt2Config, work: &Train) -> Result<()> {
    let (prefix, most) = (work.network.prefix_length, work.course.max_tokens);
    let at = |error: Error| error.at(work.model.folder.display());
    if prefix + most > config.positions {
        let positions = config.positions;
        let what = format!(
            "a prefix of {prefix} and captions of {most} tokens do not fit its {positions} positions"
        );
        let help = match positions.saturating_sub(prefix) {
            0 => {
                format!("lower `prefix_length`: with `max_tokens` it is to be {positions} or less")
            }
            left => format!("set `max_tokens` to {left} or less"),
        };
        return Err(at(Error::new(Kind::BadInput, what).help(help)));
    }
    // How wide features are has no part in it.
    mapper_config(work.network, 1, config.width).check().map(|_| ()).map_err(at)
}

/// Refuses tokens that the GPT-2 does not know.
fn knows(config: &Gpt2Config, work: &Train, codec: &TextCodec) -> Result<()> {
    if codec.vocab_size() <= config.vocabulary {
        return Ok(());
    }
    let (tokens, known) = (codec.vocab_size(), config.vocabulary);
    let what = format!("its tokenizer has {tokens} tokens, its weights {known}");
    Err(Error::new(Kind::BadInput, what)
        .at(work.model.folder.display())
        .help("take the tokenizer's files that were published with the weights"))
}

fn mapper_config(network: Network, clip_width: usize, gpt_width: usize) -> MapperConfig {
    let kind = match network.mapper {
        MapperKind::Mlp => mapper::MapperKind::Mlp,
        MapperKind::Transformer => mapper::MapperKind::Transformer,
        MapperKind::Bert => mapper::MapperKind::Bert,
    };
    MapperConfig {
        constant_length: network.constant_length,
        layers: network.layers,
        heads: network.heads,
        ..MapperConfig::new(kind, clip_width, network.prefix_length, gpt_width)
    }
}

impl Learner for Learning {
    fn weights(&self) -> Vec<(String, Var)> {
        self.captioner.parameters()
    }

    fn loss(&self, batch: &Batch, draw: Option<Draw>) -> Result<Tensor> {
        let fault = || candle("computing the loss");
        let shape = (batch.tokens.len(), batch.features.width);
        let features = Tensor::from_slice(&batch.features.data, shape, &self.device);
        let captions: Vec<&[u32]> = batch.tokens.iter().map(Vec::as_slice).collect();
        let batch = features
            .and_then(|f| captioner::Batch::new(&f, &captions, self.codec.padding(), &self.device))
            .map_err(fault())?;
        #[expect(clippy::cast_possible_truncation, reason = "a share")]
        let mut dropout = draw
            .filter(|_| self.dropout > 0.0)
            .map(|draw| Dropout::new(self.dropout as f32, draw.seed, draw.stream));
        self.at_work(|| self.captioner.loss(&batch, dropout.as_mut())).map_err(fault())
    }

    fn saves_memory(&self, course: &Course) -> String {
        saves_memory(course, self.freeze, self.device.is_cuda())
    }

    fn gradients(&self, loss: &Tensor, earlier: Option<GradStore>) -> Result<GradStore> {
        self.at_work(|| self.captioner.backward_onto(loss, earlier))
            .map_err(candle("computing gradients"))
    }

    fn recycle(&self, gradients: GradStore) {
        self.captioner.recycle(gradients);
    }

    fn state(&self) -> Result<Vec<(String, Tensor)>> {
        let state = self.captioner.state();
        if !self.freeze {
            return Ok(state);
        }
        // A frozen GPT-2 lies where it always lay.
        let trained: Vec<String> = self.weights().into_iter().map(|(name, _)| name).collect();
        Ok(state.into_iter().filter(|(name, _)| trained.contains(name)).collect())
    }
}

/// What is set already, or saves nothing on the device, is left out.
fn saves_memory(course: &Course, freeze: bool, on_gpu: bool) -> String {
    let smaller = match course.batch_rows / 2 {
        0 => "lower `max_tokens`".to_owned(),
        half => format!(
            "lower `batch_size` to {half} and raise `accumulate` to {}: the steps stay the same; or \
             lower `max_tokens`",
            course.accumulate * 2
        ),
    };
    let half = (on_gpu && course.compute == Compute::F32).then_some("take `compute = \"bf16\"`");
    let frozen = (!freeze).then_some("train with `freeze = true`");
    let others = half.into_iter().chain(frozen).map(|other| format!(", or {other}"));
    std::iter::once(smaller).chain(others).collect()
}

/// A captioner to caption with.
#[derive(Debug)]
pub struct Ready {
    /// The captioner.
    pub captioner: Captioner,
    /// Its vocabulary.
    pub codec: TextCodec,
    /// What to tell the user of the device.
    pub device: String,
}

/// The device that a captioner is trained on, and its type there.
fn place(work: &Train) -> Result<(device::Opened, DType)> {
    let opened = device::open(work.model.device)?;
    let compute = match work.course.compute {
        Compute::F32 => Dtype::F32,
        Compute::Bf16 => Dtype::Bf16,
    };
    let dtype = device::training_dtype(compute, &opened.device).map_err(|error| {
        Error::new(error.kind(), error.what())
            .help("take `compute = \"f32\"`, or a `device` of the GPT-2 that is a GPU")
    })?;
    Ok((opened, dtype))
}

/// Whether a captioner can be trained as asked for: to be known before any work, not after hours
/// of it.
///
/// # Errors
/// [`Kind::Device`] when its device is not there, or does not compute in its type;
/// [`Kind::BadInput`] when the captions or the mapper do not fit the GPT-2.
pub fn check_training(work: &Train) -> Result<()> {
    fits(&gpt2_config(&work.model.folder)?, work)?;
    // `auto` takes what it finds, and all train in f32.
    if work.model.device == DeviceChoice::Auto && work.course.compute == Compute::F32 {
        return Ok(());
    }
    place(work).map(|_| ())
}

/// As [`check_training`], of captioning.
///
/// # Errors
/// As [`check_training`].
pub fn check_captioning(model: &Gpt2Spec) -> Result<()> {
    if model.device == DeviceChoice::Auto && model.dtype == Dtype::F32 {
        return Ok(());
    }
    place_generator(model).map(|_| ())
}

/// The device that captions are made on, and the type there.
fn place_generator(model: &Gpt2Spec) -> Result<(device::Opened, DType)> {
    let opened = device::open(model.device)?;
    let dtype = device::dtype(model.dtype, &opened.device)?;
    Ok((opened, dtype))
}

/// Opens the captioner that a checkpoint holds; `model` is its GPT-2, and `model_digest` that of its
/// weights.
///
/// # Errors
/// When the weights are damaged or of another GPT-2: what is missing, misshapen or unexpected is
/// listed. When the GPT-2 is not in the checkpoint, and is another than it was trained with. When the
/// device is not there.
pub fn open(checkpoint: &Checkpoint, model: &Gpt2Spec, model_digest: &str) -> Result<Ready> {
    let network = checkpoint.network()?;
    if network.freeze {
        same_gpt2(checkpoint, model, model_digest)?;
    }
    let (opened, dtype) = place_generator(model)?;
    let mut weights = Weights::open(&checkpoint.model())?;
    let placed = |error: Error| error.at(checkpoint.model().display());
    let mut captioner = if network.freeze {
        let gpt2 = Gpt2::load(&model.folder, &opened.device, dtype, false)?;
        weights.rename(|name| name.strip_prefix("mapper.").map(str::to_owned));
        let config = mapper_config(network, checkpoint.state.clip_width, gpt2.config().width);
        let mapper = Mapper::from_weights(config, &weights, &opened.device).map_err(placed)?;
        Captioner { gpt2, mapper, normalize_prefix: false }
    } else {
        let config = gpt2_config(&model.folder)?;
        let on = (&opened.device, dtype, false);
        Captioner::from_checkpoint(&weights, Some(&config), Some(network.heads), on)
            .map_err(placed)?
    };
    captioner.normalize_prefix = network.normalize_prefix;
    Ok(Ready { captioner, codec: TextCodec::open(&model.folder)?, device: opened.name })
}

/// Refuses another GPT-2 than a captioner was trained with that does not hold it.
fn same_gpt2(checkpoint: &Checkpoint, model: &Gpt2Spec, now: &str) -> Result<()> {
    let same = match &checkpoint.state.beside {
        Some(beside) => beside == now,
        // Older checkpoints say only what came of both digests.
        None => {
            let weights = Digest::of_file(&checkpoint.model(), &Cancel::new())?;
            digest_of(weights, Some(now)).to_string() == checkpoint.state.digest
        }
    };
    if same {
        return Ok(());
    }
    let what = format!(
        "has other weights than the frozen GPT-2 that the checkpoint {} was trained with",
        checkpoint.path.display()
    );
    Err(Error::new(Kind::BadInput, what)
        .at(model.folder.display())
        .help("put that GPT-2 back, or train with this one: `clipmill train FILE`"))
}

/// The captioner that a file holds, of this house or of either `PyTorch` project, in f32 on the
/// processor. `folder` is its GPT-2's, `heads` are those of its mapper.
///
/// # Errors
/// As [`open`].
pub fn of_weights(weights: &Weights, folder: &Path, heads: usize) -> Result<Captioner> {
    let config = gpt2_config(folder)?;
    let on = (&Device::Cpu, DType::F32, false);
    Captioner::from_checkpoint(weights, Some(&config), Some(heads), on)
}

/// The sizes of a GPT-2.
///
/// # Errors
/// When its `config.json` is not there or says nothing of the kind.
fn gpt2_config(folder: &Path) -> Result<Gpt2Config> {
    let path = folder.join("config.json");
    let text = read_text_capped(&path, CONFIG_CAP_BYTES)?;
    Gpt2Config::parse(&text).map_err(|error| error.at(path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::schedule::tests::course;

    #[test]
    fn what_saves_memory_is_not_set_yet() {
        let course = course();
        assert_eq!(
            saves_memory(&course, false, true),
            "lower `batch_size` to 4 and raise `accumulate` to 6: the steps stay the same; or lower \
             `max_tokens`, or take `compute = \"bf16\"`, or train with `freeze = true`"
        );
        let one = Course { batch_rows: 1, ..course.clone() };
        assert_eq!(
            saves_memory(&one, false, false),
            "lower `max_tokens`, or train with `freeze = true`",
            "bf16 saves nothing on a processor"
        );
        assert_eq!(saves_memory(&one, true, false), "lower `max_tokens`");
        let half = Course { compute: Compute::Bf16, ..one };
        assert_eq!(saves_memory(&half, true, true), "lower `max_tokens`");
    }
}
