//! What a CLIP is made of, whatever file it came in.

use std::fmt;

use crate::base::{Error, Kind, Result};

/// The non-linearity between the two layers of an MLP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// `x * sigmoid(1.702 x)`: OpenAI's weights, and what was trained after them.
    QuickGelu,
    /// `x * Φ(x)` with the error function: `torch.nn.GELU()`.
    Gelu,
    /// The approximation with tanh: `torch.nn.GELU(approximate="tanh")`.
    GeluTanh,
}

impl fmt::Display for Activation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::QuickGelu => "quick-GELU",
            Self::Gelu => "GELU",
            Self::GeluTanh => "GELU (tanh)",
        })
    }
}

/// A stack of pre-norm residual blocks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Transformer {
    /// Floats a token.
    pub width: usize,
    /// Blocks.
    pub layers: usize,
    /// Attention heads; divides `width`.
    pub heads: usize,
    /// Floats in the middle of an MLP.
    pub hidden: usize,
    /// Added to the variance by layer norms.
    pub epsilon: f64,
    /// Of the MLPs.
    pub activation: Activation,
}

impl Transformer {
    /// Bytes of what a block makes of so many tokens of one text or image, where it stands in memory
    /// all at once and in f32: the stream, its norm, queries, keys and values with a copy of these,
    /// scores before and after the soft-max, and both sides of the activation.
    fn row_bytes(&self, tokens: usize) -> usize {
        let scores = tokens.saturating_mul(tokens).saturating_mul(2 * self.heads);
        let rows = tokens.saturating_mul(8 * self.width + 2 * self.hidden);
        rows.saturating_add(scores).saturating_mul(size_of::<f32>())
    }
}

/// The image tower.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct VisionTower {
    /// Its blocks.
    pub transformer: Transformer,
    /// Side of the square input, in pixels.
    pub size_px: usize,
    /// Side of a patch, in pixels.
    pub patch_px: usize,
}

impl VisionTower {
    /// Patches along a side; pixels past the last whole patch are not looked at.
    #[must_use]
    pub fn grid(&self) -> usize {
        self.size_px.checked_div(self.patch_px).unwrap_or(0)
    }

    /// Most bytes of an image's activations.
    #[must_use]
    pub fn row_bytes(&self) -> usize {
        self.transformer.row_bytes(self.grid() * self.grid() + 1)
    }
}

/// Which token's state becomes the text's feature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pooling {
    /// The first token with the highest id: OpenAI's rule, which the end token satisfies. Also
    /// Hugging Face's where the configuration has the wrong `eos_token_id = 2` of its early
    /// conversions.
    HighestId,
    /// The first token with this id.
    First(u32),
}

/// The text tower.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TextTower {
    /// Its blocks.
    pub transformer: Transformer,
    /// Token ids it knows.
    pub vocabulary: usize,
    /// Most tokens of a text, start and end included.
    pub context: usize,
    /// Which token is the text's feature.
    pub pooling: Pooling,
}

impl TextTower {
    /// Most bytes of a text's activations.
    #[must_use]
    pub fn row_bytes(&self) -> usize {
        self.transformer.row_bytes(self.context)
    }

    /// Which token of a text is its feature.
    #[must_use]
    pub fn pooled(&self, ids: &[u32]) -> usize {
        let wanted = match self.pooling {
            Pooling::First(id) => Some(id),
            Pooling::HighestId => ids.iter().max().copied(),
        };
        ids.iter().position(|id| Some(*id) == wanted).unwrap_or(0)
    }
}

/// A whole CLIP.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Architecture {
    /// For images.
    pub vision: VisionTower,
    /// For texts.
    pub text: TextTower,
    /// Floats of a feature.
    pub width: usize,
}

impl Architecture {
    /// Refuses sizes that no model has, before anything is allocated by them.
    ///
    /// # Errors
    /// [`Kind::BadInput`] naming the size.
    pub fn check(self) -> Result<Self> {
        let bad = |what: String| Err(Error::new(Kind::BadInput, what));
        for (tower, t) in [("image", self.vision.transformer), ("text", self.text.transformer)] {
            for (name, size, most) in [
                ("width", t.width, 1 << 16),
                ("number of layers", t.layers, 1 << 10),
                ("number of heads", t.heads, 1 << 10),
                ("MLP size", t.hidden, 1 << 18),
            ] {
                if size == 0 || size > most {
                    return bad(format!(
                        "the {name} of the {tower} tower is {size}, expected 1 to {most}"
                    ));
                }
            }
            if !t.width.is_multiple_of(t.heads) {
                return bad(format!(
                    "the {tower} tower is {} wide, which its {} heads do not divide",
                    t.width, t.heads
                ));
            }
        }
        for (name, size, most) in [
            ("image size", self.vision.size_px, 1 << 14),
            ("patch size", self.vision.patch_px, self.vision.size_px),
            ("vocabulary", self.text.vocabulary, 1 << 24),
            ("context length", self.text.context, 1 << 16),
            ("feature width", self.width, 1 << 16),
        ] {
            if size == 0 || size > most {
                return bad(format!("the {name} is {size}, expected 1 to {most}"));
            }
        }
        Ok(self)
    }
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (v, t) = (self.vision.transformer, self.text.transformer);
        write!(
            f,
            "ViT {}x{}/{} at {} px, text {}x{} of {} tokens, {}, {} floats",
            v.layers,
            v.width,
            self.vision.patch_px,
            self.vision.size_px,
            t.layers,
            t.width,
            self.text.context,
            v.activation,
            self.width
        )
    }
}
