//! State dicts: of this house, and of the two projects it takes over from.

use std::path::Path;

use candle_core::{DType, Device, Tensor};

use super::model::Captioner;
use super::names::{Names, split};
use crate::base::{Error, Kind, Result};
use crate::nn::fault::candle;
use crate::nn::gpt2::{Gpt2, Gpt2Config};
use crate::nn::layers::Differences;
use crate::nn::mapper::{Mapper, MapperConfig};
use crate::nn::weights::{Weights, write_named_safetensors};

impl Captioner {
    /// All tensors by our names, those that train and those that do not.
    #[must_use]
    pub fn state(&self) -> Vec<(String, Tensor)> {
        self.weights().map(|(name, weight)| (name, weight.tensor().detach())).collect()
    }

    /// All tensors under the names of a project, also those that it stores twice (a tied head) or
    /// stores and never reads (the `bert`'s token table and pooler: zeros), so that its
    /// `load_state_dict` is content.
    ///
    /// # Errors
    /// When memory runs out.
    pub fn state_of(&self, names: Names) -> Result<Vec<(String, Tensor)>> {
        if names == Names::Ours {
            return Ok(self.state());
        }
        let (of_gpt2, of_mapper) = names.prefixes();
        let gpt2 = self.gpt2.weights().iter();
        let mut out: Vec<(String, Tensor)> = gpt2
            .map(|(name, weight)| (format!("{of_gpt2}{name}"), weight.tensor().detach()))
            .collect();
        if self.gpt2.config().tied {
            let table = out.iter().find(|(name, _)| name.ends_with("transformer.wte.weight"));
            let table = table.map(|(_, tensor)| tensor.clone());
            out.extend(table.map(|table| (format!("{of_gpt2}lm_head.weight"), table)));
        }
        let mapper = self.mapper.weights().iter();
        out.extend(
            mapper.map(|(name, weight)| (format!("{of_mapper}{name}"), weight.tensor().detach())),
        );
        for (name, shape) in Mapper::idle(self.mapper.config()) {
            let zeros = Tensor::zeros(shape, DType::F32, &Device::Cpu)
                .map_err(candle("cannot make room for a tensor"))?;
            out.push((format!("{of_mapper}{name}"), zeros));
        }
        Ok(out)
    }

    /// Writes a safetensors file under the names of a project, durably or not at all; a pipe is
    /// written into.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn save(&self, path: &Path, names: Names) -> Result<()> {
        write_named_safetensors(path, &self.state_of(names)?)
    }

    /// Replaces every weight by a checkpoint's, under our names or those of either project.
    ///
    /// # Errors
    /// [`Kind::BadInput`] listing every tensor that is missing, misshapen or unexpected; then
    /// nothing was replaced.
    pub fn load_state(&self, weights: &Weights) -> Result<()> {
        let names = detect(weights)?;
        let (gpt2, mapper, rest) = split(weights, names, self.gpt2.config().tied);
        compare((&gpt2, self.gpt2.config()), (&mapper, self.mapper.config()), &rest, names)
            .none()?;
        let of_gpt2 = self.gpt2.weights().iter().map(|(name, weight)| (&gpt2, name, weight));
        let of_mapper = self.mapper.weights().iter().map(|(name, weight)| (&mapper, name, weight));
        for (from, name, weight) in of_gpt2.chain(of_mapper) {
            let tensor = from.tensor(name, DType::F32, &Device::Cpu)?;
            weight.set(&tensor).map_err(candle("cannot replace a weight"))?;
        }
        Ok(())
    }

    /// A captioner out of a checkpoint of this house or either project. The mapper and all sizes
    /// are read from its tensors; heads cannot be: GPT-2's are those of `gpt2`, its
    /// `config.json`, or without one as many as make 64 floats each; the mapper's are `heads`, or
    /// 8 as in both projects.
    ///
    /// # Errors
    /// [`Kind::BadInput`] listing every tensor that is missing, misshapen or unexpected, or when it
    /// is of no captioner.
    pub fn from_checkpoint(
        weights: &Weights,
        gpt2: Option<&Gpt2Config>,
        heads: Option<usize>,
        (device, dtype, trainable): (&Device, DType, bool),
    ) -> Result<Self> {
        let names = detect(weights)?;
        let tied = match gpt2 {
            Some(config) => config.tied,
            None => is_tied(weights, names.prefixes().0)?,
        };
        let (of_gpt2, of_mapper, rest) = split(weights, names, tied);
        let config = match gpt2 {
            Some(config) => *config,
            None => Gpt2Config::detect(&of_gpt2, tied)?,
        };
        let mapper = MapperConfig::detect(&of_mapper, config.width, heads)?;
        compare((&of_gpt2, &config), (&of_mapper, &mapper), &rest, names).none()?;
        Ok(Self {
            gpt2: Gpt2::from_weights(&config, of_gpt2, device, dtype, trainable)?,
            mapper: Mapper::from_weights(mapper, &of_mapper, device)?,
            normalize_prefix: false,
        })
    }
}

fn detect(weights: &Weights) -> Result<Names> {
    Names::detect(weights).ok_or_else(|| {
        let names: Vec<&str> = weights.names().collect();
        let mut shown: Vec<String> = names.iter().take(3).map(|n| format!("`{n}`")).collect();
        if shown.is_empty() {
            shown.push("none".to_owned());
        } else if names.len() > shown.len() {
            shown.push(format!("{} others", names.len() - shown.len()));
        }
        let what = "is the checkpoint of no captioner, by its tensors: ";
        Error::new(Kind::BadInput, format!("{what}{}", shown.join(", "))).help(
            "expected tensors named `gpt.…` or `gpt2.…` and `clip_project.…`, as \
             CLIP_prefix_caption and ClipCap-Chinese save them, or clipmill's `mapper.…`",
        )
    })
}

/// Whether the head is not there or has the numbers of the token table.
fn is_tied(weights: &Weights, prefix: &str) -> Result<bool> {
    let Some(head) = weights.get(&format!("{prefix}lm_head.weight")) else { return Ok(true) };
    let table = weights
        .get(&format!("{prefix}transformer.wte.weight"))
        .or_else(|| weights.get(&format!("{prefix}wte.weight")));
    match table {
        Some(table) if table.shape() == head.shape() => Ok(table.to_f32()? == head.to_f32()?),
        _ => Ok(false),
    }
}

/// All that differs, under the checkpoint's own names.
fn compare(
    (gpt2, of_gpt2): (&Weights, &Gpt2Config),
    (mapper, of_mapper): (&Weights, &MapperConfig),
    rest: &Weights,
    names: Names,
) -> Differences {
    let (gpt2_prefix, mapper_prefix) = names.prefixes();
    let mut all = Differences::between(gpt2, &Gpt2::expected(of_gpt2)).below(gpt2_prefix);
    let mut mapper =
        Differences::between(mapper, &Mapper::expected(of_mapper)).below(mapper_prefix);
    let idle = Mapper::idle(of_mapper);
    mapper.unexpected.retain(|(name, _)| {
        let name = name.strip_prefix(mapper_prefix).unwrap_or(name);
        !idle.iter().any(|(idle, _)| idle == name)
    });
    all.extend(mapper);
    all.extend(Differences::between(rest, &Vec::new()));
    all
}
