//! From a member's bytes to a model's input; many threads apply it at once.

use rayon::prelude::*;

use crate::base::Digest;
use crate::decode::{self, Fault, Limits, Orientation};
use crate::flow::{ImageHeader, Pixels, Preprocessing, Reject};
use crate::sources::{Archive, Member};

use super::pass::{Needs, Pass};

/// One member on its way to be decoded.
#[derive(Debug)]
pub(super) enum Task<'a> {
    /// A member, with its number in the archive's listing where that is known, and with its bytes
    /// where the archive can only be streamed.
    Look { archive: &'a Archive, member: Member, number: Option<u32>, bytes: Option<bytes::Bytes> },
    /// What the reader of an archive could not make a member of.
    Refused { archive: usize, reject: Reject },
}

/// What became of one member.
#[derive(Debug)]
pub(super) enum Outcome {
    /// Its content is known now, and what it was needed for is done.
    Looked(Box<Looked>),
    /// There is no content; where streaming showed that, the archive's index keeps it.
    Refused { streamed: Option<usize>, reject: Reject },
}

/// A member whose bytes were read.
#[derive(Debug)]
pub(super) struct Looked {
    /// With its digest.
    pub member: Member,
    /// In the archive's listing, where that is known.
    pub number: Option<u32>,
    pub needs: Needs,
    pub header: Option<ImageHeader>,
    /// For each target that needs one, the model's input (`size × size × 3` levels, interleaved).
    pub inputs: Vec<Option<Vec<u8>>>,
    /// The table that refused it (0 the images, then the targets), and why.
    pub rejects: Vec<(usize, Reject)>,
}

/// What to do with bytes; shared by all threads of a pass.
#[derive(Debug)]
pub(super) struct Recipe<'p> {
    pass: &'p Pass<'p>,
    limits: Limits,
}

impl<'p> Recipe<'p> {
    pub(super) fn of(pass: &'p Pass<'p>) -> Self {
        let limits = Limits {
            bytes: pass.work.source.caps.member_bytes,
            pixels: pass.work.max_pixels,
            memory_bytes: pass.work.max_memory_bytes,
        };
        Self { pass, limits }
    }

    /// What becomes of each, in their order; on all cores.
    pub(super) fn apply_all(&self, tasks: Vec<Task<'_>>) -> Vec<Outcome> {
        tasks.into_par_iter().map(|task| self.apply(task)).collect()
    }

    fn apply(&self, task: Task<'_>) -> Outcome {
        let (mut member, number, bytes) = match task {
            Task::Refused { archive, reject } => {
                return Outcome::Refused { streamed: Some(archive), reject };
            }
            Task::Look { member, number, bytes: Some(bytes), .. } => (member, number, bytes),
            Task::Look { archive, member, number, bytes: None } => match archive.read(&member) {
                Ok(bytes) => (member, number, bytes),
                Err(reject) => return Outcome::Refused { streamed: None, reject },
            },
        };
        let digest = Digest::of(&bytes);
        member.digest = Some(digest);
        let needs = self.pass.needs(&member, &digest);
        let mut looked = Looked {
            inputs: vec![None; self.pass.targets.len()],
            member,
            number,
            needs,
            header: None,
            rejects: Vec::new(),
        };
        if looked.needs.bytes() {
            self.look(&bytes, digest, &mut looked);
        }
        Outcome::Looked(Box::new(looked))
    }

    fn look(&self, bytes: &[u8], digest: Digest, looked: &mut Looked) {
        if looked.needs.index.computes() {
            match decode::probe(bytes, &self.limits) {
                Ok(header) => looked.header = Some(header),
                Err(fault) => {
                    let reject = refusal(&looked.member, digest, fault);
                    looked.rejects.push((0, reject));
                    return;
                }
            }
        }
        // Targets that agree on how to decode share the pixels, and those that agree on the
        // model's input share that too.
        let mut decoded: [Option<Result<Pixels, Fault>>; 2] = [None, None];
        let wanted: Vec<Preprocessing> = self
            .pass
            .targets
            .iter()
            .zip(&looked.needs.targets)
            .filter(|(_, reason)| reason.computes())
            .map(|(target, _)| target.preprocessing)
            .collect();
        let mut prepared: Vec<(Preprocessing, bool, usize)> = Vec::new();
        for (number, target) in self.pass.targets.iter().enumerate() {
            if !looked.needs.targets.get(number).is_some_and(|reason| reason.computes()) {
                continue;
            }
            let turned = target.work.apply_orientation;
            let same = prepared.iter().find(|(p, t, _)| *p == target.preprocessing && *t == turned);
            let input = if let Some((_, _, other)) = same {
                looked.inputs.get(*other).cloned().flatten()
            } else {
                let orientation = if turned { Orientation::Apply } else { Orientation::Ignore };
                let [plain, upright] = &mut decoded;
                let slot = if turned { upright } else { plain };
                let pixels = slot.get_or_insert_with(|| {
                    decode::decode_for(bytes, &self.limits, orientation, &wanted)
                });
                match pixels {
                    Ok(pixels) => Some(decode::preprocess_u8(pixels, &target.preprocessing).data),
                    Err(fault) => {
                        let reject = refusal(&looked.member, digest, fault.clone());
                        looked.rejects.push((number + 1, reject));
                        None
                    }
                }
            };
            if input.is_some() {
                prepared.push((target.preprocessing, turned, number));
            }
            if let Some(slot) = looked.inputs.get_mut(number) {
                *slot = input;
            }
        }
    }
}

/// What becomes of bytes that cannot be decoded.
pub(super) fn refusal(member: &Member, digest: Digest, fault: Fault) -> Reject {
    Reject {
        origin: member.origin.clone(),
        image_id: Some(member.image_id.clone()),
        class: fault.class,
        message: fault.message,
        digest: Some(digest),
    }
}
