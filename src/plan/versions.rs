//! Versions of the operators: raised whenever one's numbers change, so that its rows are made
//! again. Last bits that follow from the order of a sum raise none: they differ between processors
//! too, within the tolerance that tests hold.

use super::fingerprint::Fingerprint;
use super::model::Dtype;

/// `index_images`: what is read of an image's header.
pub const INDEX_IMAGES: u32 = 1;
/// `embed_images`: decoding, preprocessing and the image tower.
pub const EMBED_IMAGES: u32 = 2;
/// `read_captions`: parsing, cleaning and drawing of splits. Since 2 what is cut off is read up to there.
pub const READ_CAPTIONS: u32 = 2;
/// `embed_captions`: tokenising and the text tower.
pub const EMBED_CAPTIONS: u32 = 2;
/// `align`: which columns an example has.
pub const ALIGN: u32 = 1;
/// `train_clip`: batches, loss, optimiser and schedule.
pub const TRAIN_CLIP: u32 = 1;
/// `train`: batches, loss, optimiser and schedule.
pub const TRAIN: u32 = 1;
/// `caption`: how tokens are chosen and put together.
pub const CAPTION: u32 = 1;
/// `caption` with a WordPiece vocabulary: its unknown token is never written, since 2.
pub const CAPTION_WORD_PIECE: u32 = 2;
/// `evaluate`: words and scores.
pub const EVALUATE: u32 = 1;

/// Adds the numeric type that a model computes in. Where only one type's numbers changed, that type
/// has a version of its own beside the operator's, and the others' rows stay.
pub(super) fn with_numbers(fingerprint: Fingerprint, dtype: Dtype) -> Fingerprint {
    let fingerprint = fingerprint.with("dtype", dtype.name());
    match dtype {
        // attention in bf16 too, since 2
        Dtype::Bf16 => fingerprint.with("operator.bf16", 2),
        _ => fingerprint,
    }
}

/// All of them, for what holds only while none was raised.
pub const ALL: [u32; 10] = [
    INDEX_IMAGES,
    EMBED_IMAGES,
    READ_CAPTIONS,
    EMBED_CAPTIONS,
    ALIGN,
    TRAIN_CLIP,
    TRAIN,
    CAPTION,
    CAPTION_WORD_PIECE,
    EVALUATE,
];
