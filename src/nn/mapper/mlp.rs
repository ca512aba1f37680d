//! Both projects' `MLP((clip, prefix · width / 2, prefix · width))`.

use candle_core::{Result, Tensor};

use super::config::MapperConfig;
use crate::nn::layers::{Curve, Expected, Form, Init, Linear, Source, curve};

#[derive(Debug)]
pub(super) struct Mlp {
    first: Linear,
    second: Linear,
}

impl Mlp {
    pub(super) fn build(source: &mut Source<'_>, of: &MapperConfig) -> crate::base::Result<Self> {
        let mut linear = |name: &str, sizes: (usize, usize)| {
            let init = Init::linear(sizes.0);
            Linear::build(source, name, Form::OutputFirst, sizes, Some(init), init)
        };
        let (hidden, out) = (of.hidden(), of.prefix_length * of.gpt_width);
        Ok(Self {
            first: linear("model.0", (of.clip_width, hidden))?,
            second: linear("model.2", (hidden, out))?,
        })
    }

    pub(super) fn expected(of: &MapperConfig) -> Expected {
        let (hidden, out) = (of.hidden(), of.prefix_length * of.gpt_width);
        vec![
            ("model.0.weight".to_owned(), vec![hidden, of.clip_width]),
            ("model.0.bias".to_owned(), vec![hidden]),
            ("model.2.weight".to_owned(), vec![out, hidden]),
            ("model.2.bias".to_owned(), vec![out]),
        ]
    }

    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.second.forward(&curve(&self.first.forward(x)?, Curve::Tanh)?)
    }
}
