//! What three projects call a captioner's tensors.

use crate::nn::gpt2::canonical;
use crate::nn::weights::Weights;

/// Whose names a checkpoint has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Names {
    /// clipmill's: `gpt2.transformer.…` and `mapper.…`.
    Ours,
    /// rmokady/CLIP_prefix_caption's: `gpt.transformer.…` and `clip_project.…`.
    ClipPrefixCaption,
    /// yangjianxin1/ClipCap-Chinese's: `gpt2.transformer.…` and `clip_project.…`.
    ClipCapChinese,
}

impl Names {
    /// What stands before GPT-2's names, and before the mapper's.
    #[must_use]
    pub fn prefixes(self) -> (&'static str, &'static str) {
        match self {
            Self::Ours => ("gpt2.", "mapper."),
            Self::ClipPrefixCaption => ("gpt.", "clip_project."),
            Self::ClipCapChinese => ("gpt2.", "clip_project."),
        }
    }

    /// Whose names these are, by their first parts; `None` if of nobody's captioner.
    #[must_use]
    pub fn detect(weights: &Weights) -> Option<Self> {
        let has = |prefix: &str| weights.names().any(|name| name.starts_with(prefix));
        if has("mapper.") {
            return Some(Self::Ours);
        }
        let project = has("clip_project.");
        [Self::ClipPrefixCaption, Self::ClipCapChinese]
            .into_iter()
            .find(|names| project && (has(names.prefixes().0)))
            .or_else(|| project.then_some(Self::ClipPrefixCaption))
    }
}

/// GPT-2's tensors and the mapper's, each under the names that this house gives them. What belongs
/// to neither is in the third, under its own name.
pub(super) fn split(weights: &Weights, names: Names, tied: bool) -> (Weights, Weights, Weights) {
    let (of_gpt2, of_mapper) = names.prefixes();
    let mut gpt2 = weights.below(of_gpt2);
    canonical(&mut gpt2, tied);
    let mut mapper = weights.below(of_mapper);
    // A buffer of positions that old versions of transformers stored.
    mapper.rename(|name| (name != "bert.embeddings.position_ids").then(|| name.to_owned()));
    let mut rest = weights.below("");
    rest.rename(|name| {
        let ours = name.starts_with(of_gpt2) || name.starts_with(of_mapper);
        (!ours).then(|| name.to_owned())
    });
    (gpt2, mapper, rest)
}
