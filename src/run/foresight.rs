//! What tables will hold once the run that is planned is over: tables that are made from them
//! are judged by it.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::Digest;
use crate::plan::source::Cleaning;

use super::caption_row::CaptionRow;

/// Tables to be, by name.
#[derive(Debug, Default)]
pub(super) struct Foresight {
    pub images: BTreeMap<String, BTreeSet<String>>,
    pub features: BTreeMap<String, Features>,
    pub captions: BTreeMap<String, Captions>,
    pub generated: BTreeMap<String, Generated>,
}

/// A table of made captions.
#[derive(Debug)]
pub(super) struct Generated {
    /// The images that will have captions.
    pub images: BTreeSet<String>,
    /// Whether what any of them will say is not known yet: it is to be made, or lies in no version.
    pub unknown: bool,
}

/// A table of image features.
#[derive(Debug)]
pub(super) struct Features {
    pub fingerprint: String,
    /// The images, and the digest of their content where it matters.
    pub rows: Vec<(String, Option<Digest>)>,
}

/// A table of captions.
#[derive(Debug)]
pub(super) struct Captions {
    pub rows: Vec<CaptionRow>,
    pub clean: Vec<Cleaning>,
}
