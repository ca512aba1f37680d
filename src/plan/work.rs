//! What each stage of a definition does, and the fingerprint of its rows.

use std::collections::BTreeMap;

use crate::definition;
use crate::definition::read_captions;
use crate::definition::stage::Operator;
use crate::flow::Split;

use super::captioner::{Caption, Course, Evaluate, Gpt2Spec, Network, Strategy, Train};
use super::clip::TrainClip;
use super::fingerprint::{Fingerprint, LAYOUT, NORMALIZE, ORIENTATION};
use super::model::{ModelSpec, Role, is_word_piece};
use super::source::{CaptionSource, ImageSource, SplitSource};
use super::stage::{
    Align, EmbedCaptions, EmbedImages, IndexImages, ReadCaptions, Shares, SplitRule, Stage, Work,
};
use super::{inputs, versions};

/// What stages refer to by name.
pub(super) struct Known {
    pub(super) images: BTreeMap<String, ImageSource>,
    pub(super) captions: BTreeMap<String, CaptionSource>,
    pub(super) splits: BTreeMap<String, SplitSource>,
    pub(super) models: BTreeMap<String, inputs::Model<ModelSpec>>,
    pub(super) writers: BTreeMap<String, inputs::Model<Gpt2Spec>>,
}

impl Known {
    /// The work of a stage, and the fingerprint of its rows; none where something that it names
    /// is missing, which was reported. `before` are the stages that it may read.
    pub(super) fn work(
        &self,
        operator: &Operator,
        before: &[Stage],
    ) -> Option<(Work, Fingerprint)> {
        match operator {
            Operator::IndexImages(settings) => {
                // The limits are not in the fingerprint: a cap that was not reached changes
                // no row, and what it refused is tried again when it changes.
                let work = Work::IndexImages(IndexImages {
                    source: self.images.get(&settings.source.value)?.clone(),
                    max_pixels: settings.max_pixels,
                    max_memory_bytes: settings.max_image_memory.0,
                });
                Some((work, Fingerprint::new(operator.name(), versions::INDEX_IMAGES)))
            }
            Operator::EmbedImages(settings) => {
                let model = self.models.get(&settings.model.value)?;
                let apply_orientation =
                    matches!(settings.orientation, definition::embed_images::Orientation::Apply);
                let fingerprint = image_model(
                    Fingerprint::new(operator.name(), versions::EMBED_IMAGES)
                        .with(NORMALIZE, settings.normalize)
                        .with(ORIENTATION, apply_orientation),
                    model,
                );
                let work = Work::EmbedImages(EmbedImages {
                    images: settings.images.value.clone(),
                    model: model.spec.clone(),
                    normalize: settings.normalize,
                    apply_orientation,
                    batch_rows: settings.batch_size.map(|rows| rows as usize),
                });
                Some((work, fingerprint))
            }
            Operator::ReadCaptions(settings) => self.read_captions(operator, settings),
            Operator::EmbedCaptions(settings) => {
                let model = self.models.get(&settings.model.value)?;
                let fingerprint = with_roles(
                    versions::with_numbers(
                        Fingerprint::new(operator.name(), versions::EMBED_CAPTIONS)
                            .with(NORMALIZE, settings.normalize)
                            .with("settings.column", &settings.column.value),
                        model.spec.dtype,
                    ),
                    model,
                    &[Role::Weights, Role::Config, Role::Tokenizer],
                );
                let work = Work::EmbedCaptions(EmbedCaptions {
                    captions: settings.captions.value.clone(),
                    column: settings.column.value.clone(),
                    model: model.spec.clone(),
                    normalize: settings.normalize,
                    batch_rows: settings.batch_size.map(|rows| rows as usize),
                });
                Some((work, fingerprint))
            }
            Operator::Align(settings) => {
                let work = Work::Align(Align {
                    captions: settings.captions.value.clone(),
                    image_features: settings.image_features.value.clone(),
                    column: settings.column.value.clone(),
                });
                let fingerprint = Fingerprint::new(operator.name(), versions::ALIGN)
                    .with("settings.column", &settings.column.value);
                Some((work, fingerprint))
            }
            Operator::Train(settings) => {
                let model = self.writers.get(&settings.model.value)?;
                let work = Train {
                    examples: settings.examples.value.clone(),
                    model: model.spec.clone(),
                    // Files are not looked for where the text alone is asked.
                    model_digest: model
                        .digest_of(Role::Weights)
                        .map(|digest| digest.to_string())
                        .unwrap_or_default(),
                    network: Network::of(settings),
                    course: Course::of(settings),
                    keep_last: settings.keep_last as usize,
                    save_every: settings.save_every.into(),
                    sample_captions: settings.sample_captions as usize,
                };
                let roles = [Role::Weights, Role::Config, Role::Tokenizer];
                let fingerprint = with_digests(work.fingerprint(), model, &roles);
                Some((Work::Train(work), fingerprint))
            }
            Operator::TrainClip(settings) => {
                let model = self.models.get(&settings.model.value)?;
                let work = TrainClip::of(settings, model.spec.clone());
                let roles = [Role::Weights, Role::Config, Role::Preprocessing, Role::Tokenizer];
                let fingerprint = with_digests(work.fingerprint(), model, &roles);
                Some((Work::TrainClip(work), fingerprint))
            }
            Operator::Caption(settings) => self.caption(settings, before),
            Operator::Evaluate(settings) => {
                let work = Evaluate {
                    generated: settings.generated.value.clone(),
                    captions: settings.captions.value.clone(),
                    words: settings.tokenizer,
                };
                let fingerprint = work.fingerprint();
                Some((Work::Evaluate(work), fingerprint))
            }
        }
    }

    fn caption(
        &self,
        settings: &definition::caption::Caption,
        before: &[Stage],
    ) -> Option<(Work, Fingerprint)> {
        let captioner = before.iter().find(|stage| stage.table == settings.captioner.value)?;
        let Work::Train(train) = &captioner.work else { return None };
        let model = self.writers.get(&train.model.name)?;
        let split = settings.split.as_ref().zip(settings.captions.as_ref());
        let split = split.map(|(split, captions)| {
            let split = match split.value {
                definition::caption::Split::Train => Split::Train,
                definition::caption::Split::Val => Split::Val,
                definition::caption::Split::Test => Split::Test,
            };
            (split, captions.value.clone())
        });
        let work = Caption {
            captioner: settings.captioner.value.clone(),
            image_features: settings.image_features.value.clone(),
            split,
            strategy: Strategy::of(settings),
            max_tokens: settings.max_tokens as usize,
            batch_rows: settings.batch_size as usize,
            model: train.model.clone(),
            model_digest: train.model_digest.clone(),
            network: train.network,
        };
        // The weights are those of the checkpoint, which the run adds.
        let roles = [Role::Config, Role::Tokenizer];
        let mut fingerprint = with_digests(work.fingerprint(), model, &roles);
        // Files are not looked at where the text alone is asked.
        if model.digest_of(Role::Tokenizer).is_some() && is_word_piece(&model.spec.folder) {
            fingerprint = fingerprint.with("operator.word_piece", versions::CAPTION_WORD_PIECE);
        }
        Some((Work::Caption(work), fingerprint))
    }

    fn read_captions(
        &self,
        operator: &Operator,
        settings: &read_captions::ReadCaptions,
    ) -> Option<(Work, Fingerprint)> {
        let shares = |s: read_captions::Shares| Shares {
            of: [(Split::Train, s.train), (Split::Val, s.val), (Split::Test, s.test)],
            seed: s.seed,
        };
        let split = match settings.split_rule() {
            read_captions::SplitRule::Listed(name) => {
                SplitRule::Listed(self.splits.get(&name.value)?.clone())
            }
            read_captions::SplitRule::Drawn(s) => SplitRule::Drawn(shares(s)),
            read_captions::SplitRule::OfFile { otherwise } => SplitRule::OfFile(shares(otherwise)),
        };
        // Neither the split nor the file is in the fingerprint: a row's digest covers its own
        // text and split, so that one changed line changes one row.
        let clean: Vec<_> = settings.clean.iter().map(|step| step.name()).collect();
        let fingerprint = Fingerprint::new(operator.name(), versions::READ_CAPTIONS)
            .with("settings.clean", clean.join(","));
        let work = Work::ReadCaptions(ReadCaptions {
            source: self.captions.get(&settings.source.value)?.clone(),
            images: settings.images.as_ref().map(|table| table.value.clone()),
            split,
            clean: settings.clean.clone(),
        });
        Some((work, fingerprint))
    }
}

fn image_model(fingerprint: Fingerprint, model: &inputs::Model<ModelSpec>) -> Fingerprint {
    with_roles(
        versions::with_numbers(fingerprint, model.spec.dtype),
        model,
        &[Role::Weights, Role::Config, Role::Preprocessing],
    )
}

/// What a model's files are, whichever tower they are of.
pub(super) fn model_facts(model: &inputs::Model<ModelSpec>) -> Fingerprint {
    let roles = [Role::Weights, Role::Config, Role::Preprocessing, Role::Tokenizer];
    with_roles(Fingerprint::default(), model, &roles)
}

fn with_roles(
    fingerprint: Fingerprint,
    model: &inputs::Model<ModelSpec>,
    roles: &[Role],
) -> Fingerprint {
    with_digests(fingerprint, model, roles).with(LAYOUT, model.spec.files.layout())
}

fn with_digests<S>(
    mut fingerprint: Fingerprint,
    model: &inputs::Model<S>,
    roles: &[Role],
) -> Fingerprint {
    for role in roles {
        if let Some(digest) = model.digest_of(*role) {
            fingerprint = fingerprint.with(role.name(), digest);
        }
    }
    fingerprint
}
