//! A tiny model and data for the loop alone: the logits of the next token are a linear map of the
//! feature plus an embedding of the last token.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;

use candle_core::backprop::GradStore;
use candle_core::{D, DType, Device, Tensor, Var};
use clipmill::base::clock::TestClock;
use clipmill::base::progress::Progress;
use clipmill::base::{Cancel, Digest, Result};
use clipmill::flow::Vectors;
use clipmill::nn::weights::Weights;
use clipmill::plan::captioner::{Compute, Course, MapperKind, Network, Schedule, WarmUp};
use clipmill::train::data::Encoded;
use clipmill::train::examples::{Examples, Part};
use clipmill::train::learner::{Batch, Draw, Learner};
use clipmill::train::trainer::{self, Data, Home, Identity, Outcome, Watch};

pub const WORDS: usize = 12;
pub const WIDTH: usize = 4;

/// What the loop trains here.
pub struct Tiny {
    map: Var,
    table: Var,
    /// The loss becomes NaN once so many were asked for.
    pub spoil_after: Option<usize>,
    /// The validation loss is NaN.
    pub spoils_validation: bool,
    /// The device runs out of memory.
    pub no_memory: bool,
    asked: Mutex<usize>,
}

impl Tiny {
    pub fn new() -> Self {
        let filled = |rows: usize, by: f32| {
            let data: Vec<f32> = (0..rows * WORDS).map(|n| (n as f32 * by).sin() * 0.3).collect();
            Var::from_vec(data, (rows, WORDS), &Device::Cpu).unwrap()
        };
        Self {
            map: filled(WIDTH, 1.3),
            table: filled(WORDS, 0.7),
            spoil_after: None,
            spoils_validation: false,
            no_memory: false,
            asked: Mutex::new(0),
        }
    }

    fn logits(&self, batch: &Batch) -> candle_core::Result<Tensor> {
        let mut sum = Tensor::zeros((), DType::F32, &Device::Cpu)?;
        for (feature, tokens) in batch.features.iter().zip(&batch.tokens) {
            let image = Tensor::from_slice(feature, (1, WIDTH), &Device::Cpu)?.matmul(&self.map)?;
            let mut last = vec![0_u32];
            last.extend(&tokens[..tokens.len() - 1]);
            let last = Tensor::new(last.as_slice(), &Device::Cpu)?;
            let logits = self.table.index_select(&last, 0)?.broadcast_add(&image)?;
            let log = logits.broadcast_sub(&logits.exp()?.sum_keepdim(D::Minus1)?.log()?)?;
            let targets = Tensor::new(tokens.as_slice(), &Device::Cpu)?.unsqueeze(1)?;
            sum = (sum - log.gather(&targets, 1)?.sum_all()?)?;
        }
        sum / batch.token_count() as f64
    }
}

impl Learner for Tiny {
    fn weights(&self) -> Vec<(String, Var)> {
        vec![("map".into(), self.map.clone()), ("table".into(), self.table.clone())]
    }

    fn loss(&self, batch: &Batch, draw: Option<Draw>) -> Result<Tensor> {
        let mut asked = self.asked.lock().unwrap();
        *asked += 1;
        let loss = self.logits(batch).unwrap();
        if self.no_memory {
            return Err(clipmill::base::Error::new(
                clipmill::base::Kind::Internal,
                "CUDA_ERROR_OUT_OF_MEMORY",
            ));
        }
        let spoilt = match draw {
            Some(_) => self.spoil_after.is_some_and(|most| *asked > most),
            None => self.spoils_validation,
        };
        if spoilt {
            return Ok((loss * f64::NAN).unwrap());
        }
        Ok(loss)
    }

    fn saves_memory(&self, course: &Course) -> String {
        format!("lower what is {}", course.batch_rows)
    }

    fn gradients(&self, loss: &Tensor, earlier: Option<GradStore>) -> Result<GradStore> {
        let mut made = loss.backward().unwrap();
        if let Some(earlier) = earlier {
            made.extend(earlier).unwrap();
        }
        Ok(made)
    }

    fn recycle(&self, _: GradStore) {}

    fn state(&self) -> Result<Vec<(String, Tensor)>> {
        Ok(self.weights().into_iter().map(|(n, v)| (n, v.as_detached_tensor())).collect())
    }

    fn restore(&mut self, model: &Path) -> Result<()> {
        let weights = Weights::open(model)?;
        for (name, var) in self.weights() {
            var.set(&weights.tensor(&name, DType::F32, &Device::Cpu)?).unwrap();
        }
        Ok(())
    }
}

/// Stops a training after so many steps, as Ctrl-C would.
#[derive(Debug)]
pub struct StopAfter {
    pub cancel: Cancel,
    pub steps: u64,
    pub seen: Mutex<u64>,
    pub notes: Mutex<Vec<String>>,
    pub words: Mutex<BTreeMap<String, String>>,
}

impl StopAfter {
    pub fn new(steps: u64) -> Self {
        Self {
            cancel: Cancel::new(),
            steps,
            seen: Mutex::default(),
            notes: Mutex::default(),
            words: Mutex::default(),
        }
    }
}

impl Progress for StopAfter {
    fn begin(&self, _: &str, _: Option<u64>) {}
    fn advance(&self, _: &str, done: u64) {
        let mut seen = self.seen.lock().unwrap();
        *seen += u64::from(done == 1);
        if *seen == self.steps {
            self.cancel.cancel();
        }
    }
    fn status(&self, task: &str, words: &str) {
        self.words.lock().unwrap().insert(task.into(), words.into());
    }
    fn end(&self, _: &str) {}
    fn note(&self, line: &str) {
        self.notes.lock().unwrap().push(line.into());
    }
}

/// 23 images of two captions; every fifth validates.
pub fn examples() -> Examples {
    let mut examples = Examples {
        images: Vec::new(),
        features: Vectors { width: WIDTH, data: Vec::new() },
        train: Part::default(),
        validation: Part::default(),
        digest: Digest::of(b"examples"),
    };
    for n in 0..23_usize {
        examples.images.push(format!("i{n}"));
        examples.features.data.extend((0..WIDTH).map(|k| ((n * 3 + k) as f32).cos()));
        let part = if n % 5 == 4 { &mut examples.validation } else { &mut examples.train };
        for caption in 0..2 {
            part.images.push(n);
            let words: Vec<String> = (0..2 + (n + caption) % 4)
                .map(|w| ((n * w + caption) % 11 + 1).to_string())
                .collect();
            part.texts.push(words.join(" "));
        }
    }
    examples
}

pub fn course() -> Course {
    Course {
        epochs: 4,
        batch_rows: 4,
        accumulate: 1,
        learning_rate: 0.05,
        schedule: Schedule::Linear,
        warmup_steps: WarmUp::Steps(3),
        weight_decay: 0.01,
        clip_norm: Some(1.0),
        dropout: 0.0,
        compute: Compute::F32,
        seed: 9,
        patience: None,
        max_tokens: 8,
    }
}

pub fn encode(text: &str) -> Result<Vec<u32>> {
    Ok(text.split_whitespace().map(|word| word.parse().unwrap()).collect())
}

pub fn network() -> Network {
    Network {
        mapper: MapperKind::Mlp,
        prefix_length: 2,
        constant_length: 2,
        layers: 1,
        heads: 1,
        normalize_prefix: false,
        freeze: false,
    }
}

/// Trains in `folder`; `stop` watches.
pub fn train(
    folder: &Path,
    learner: &mut Tiny,
    course: &Course,
    stop: &StopAfter,
) -> Result<Outcome> {
    let examples = examples();
    let encoded =
        |part: &Part| Encoded::new(&examples, part, encode, 0, course.max_tokens).unwrap();
    let (train, validation) = (encoded(&examples.train), encoded(&examples.validation));
    let data = Data { inputs: &examples, train: &train, validation: &validation };
    let identity = Identity {
        stage: "captioner".into(),
        fingerprint: "f".into(),
        network: Some(network()),
        definition: "[pipeline]".into(),
        beside: None,
        end: 0,
    };
    let home =
        Home { kept: folder.join("kept"), shown: folder.join("runs"), keep_last: 2, save_every: 3 };
    let clock = TestClock::default();
    let watch = Watch { cancel: &stop.cancel, progress: stop, clock: &clock };
    let sampler = |_: &Tiny| Ok(vec![("i4".to_owned(), "a caption".to_owned())]);
    trainer::train(learner, data, course, &identity, &home, watch, &sampler)
}
