//! The middle of a pass: decides about members in their order, gathers batches, runs the
//! models, hands rows to the writer.

use crossbeam_channel::{Receiver, Sender};

use arrow::datatypes::SchemaRef;

use crate::base::{Error, Kind, Result};
use crate::embed::ImageEncoder;
use crate::flow::{Fidelity, Reject, RejectClass, Vectors};
use crate::sources::Member;
use crate::table::schema::arrow_schema;

use super::book::Book;
use super::clocks::{Clocks, Part, Spend};
use super::compare::{self, Comparison};
use super::context::Options;
use super::pass::Pass;
use super::queues::Queue;
use super::recipe::{Looked, Outcome};
use super::rows;
use super::sink::Write;

/// A target's rows that wait for a full batch.
struct Batch {
    schema: SchemaRef,
    encoder: Option<ImageEncoder>,
    members: Vec<Member>,
    /// Levels of theirs, one image after the other.
    input: Vec<u8>,
    /// Rows of a reduced type are held back until it is over.
    comparison: Option<Comparison>,
    fidelity: Option<Fidelity>,
}

/// Decides, encodes and hands on.
pub(super) struct Encoder<'r, 'p, 'b, 'l> {
    options: &'r Options,
    clocks: &'r Clocks,
    pass: &'r Pass<'r>,
    book: &'b mut Book<'p, 'l>,
    out: Sender<Write>,
    images: SchemaRef,
    batches: Vec<Batch>,
}

impl<'r, 'p, 'b, 'l> Encoder<'r, 'p, 'b, 'l> {
    pub(super) fn new(
        options: &'r Options,
        clocks: &'r Clocks,
        pass: &'r Pass<'r>,
        book: &'b mut Book<'p, 'l>,
        out: Sender<Write>,
    ) -> Self {
        let mut loaded = std::mem::take(&mut book.encoders).into_iter();
        let mut known = std::mem::take(&mut book.fidelity).into_iter();
        let batches = pass.targets.iter().map(|target| {
            let fidelity = known.next().flatten();
            let compares = fidelity.is_none() && compare::is_reduced(&target.work.model);
            Batch {
                schema: arrow_schema(&target.stage.contract),
                encoder: loaded.next().flatten(),
                members: Vec::new(),
                input: Vec::new(),
                comparison: compares.then(Comparison::default),
                fidelity,
            }
        });
        let batches = batches.collect();
        let images = arrow_schema(&pass.stage.contract);
        Self { options, clocks, pass, book, out, images, batches }
    }

    /// Takes outcomes until there are none, then empties the batches.
    pub(super) fn run(mut self, outcomes: &Receiver<Vec<Outcome>>) -> Result<()> {
        let clocks = self.clocks;
        let next = || clocks.receive(Part::Encode, (Queue::Images, outcomes), Receiver::recv);
        while let Ok(chunk) = next() {
            let members = chunk.len() as u64;
            self.chunk(chunk)?;
            self.options.progress.advance(&self.pass.stage.table, members);
        }
        for target in 0..self.batches.len() {
            self.encode(target)?;
            self.compared(target)?;
        }
        self.book.fidelity = self.batches.iter().map(|batch| batch.fidelity).collect();
        self.book.encoders = self.batches.into_iter().map(|batch| batch.encoder).collect();
        Ok(())
    }

    fn chunk(&mut self, chunk: Vec<Outcome>) -> Result<()> {
        let mut images = Vec::new();
        for outcome in chunk {
            match outcome {
                Outcome::Refused { streamed, reject } => {
                    if let Some(archive) = streamed {
                        self.book.unread.entry(archive).or_default().push(reject.clone());
                    }
                    self.book.lost(reject);
                }
                Outcome::Looked(looked) => self.looked(*looked, &mut images)?,
            }
        }
        if images.is_empty() {
            return Ok(());
        }
        let batch = image_rows(&self.images, &self.pass.prints.plain, &images)?;
        self.send(Write { table: 0, batch, fidelity: None })
    }

    fn looked(&mut self, looked: Looked, images: &mut Vec<ImageRow>) -> Result<()> {
        let Looked { member, number, needs, header, inputs, rejects } = looked;
        self.book.looked(&member, number);
        if !self.book.meet(&member) {
            return Ok(());
        }
        self.book.settle(&member, &needs);
        for (table, reject) in rejects {
            self.book.refused(table, reject);
        }
        if let Some(header) = header {
            self.book.made(0, &member.image_id);
            images.push(ImageRow { member: member.clone(), header });
        }
        for (target, input) in inputs.into_iter().enumerate() {
            let Some(input) = input else { continue };
            let Some(batch) = self.batches.get_mut(target) else { continue };
            batch.members.push(member.clone());
            batch.input.extend_from_slice(&input);
            let waiting = batch.members.len();
            if waiting >= self.batch_rows(target)? {
                self.encode(target)?;
            }
        }
        Ok(())
    }

    /// Rows of a batch of the target `number`. Its model is loaded when the first row needs it:
    /// nothing to do loads no weights.
    fn batch_rows(&mut self, number: usize) -> Result<usize> {
        let (Some(batch), Some(target)) =
            (self.batches.get_mut(number), self.pass.targets.get(number))
        else {
            return Ok(1);
        };
        let asked = target.work.batch_rows;
        if let Some(encoder) = &batch.encoder {
            return Ok(encoder.batch_rows(asked));
        }
        let encoder = ImageEncoder::load(&target.work.model)?;
        let rows = encoder.batch_rows(asked);
        self.options.tell_model(&target.stage.table, &target.work.model, (encoder.device(), rows));
        batch.encoder = Some(encoder);
        Ok(rows)
    }

    fn encode(&mut self, number: usize) -> Result<()> {
        let (Some(batch), Some(target)) =
            (self.batches.get_mut(number), self.pass.targets.get(number))
        else {
            return Ok(());
        };
        let Some(encoder) = batch.encoder.as_ref().filter(|_| !batch.members.is_empty()) else {
            return Ok(());
        };
        let members = std::mem::take(&mut batch.members);
        let mut vectors = self.clocks.time(Part::Encode, Spend::Busy, || {
            encoder.encode_levels(&batch.input, members.len())
        })?;
        if let Some(rows) = encoder.shrunk() {
            self.options.tell_smaller(&target.stage.table, rows);
        }
        if let Some(comparison) = &mut batch.comparison {
            let add = || comparison.add((&target.work.model, encoder), &batch.input, &vectors);
            self.clocks.time(Part::Encode, Spend::Busy, add)?;
        }
        batch.input.clear();
        tracing::debug!(table = %target.stage.table, rows = members.len(), "computed");
        if target.work.normalize {
            vectors.normalise();
        }
        let (members, vectors, infinite) = finite(members, vectors);
        let schema = SchemaRef::clone(&batch.schema);
        for member in &members {
            self.book.made(number + 1, &member.image_id);
        }
        for member in infinite {
            let reject = Reject {
                origin: member.origin,
                image_id: Some(member.image_id),
                class: RejectClass::NotFinite,
                message: format!("model `{}` gave NaN or infinity", target.work.model.name),
                digest: member.digest,
            };
            self.book.refused(number + 1, reject);
        }
        if members.is_empty() {
            return Ok(());
        }
        let rows = feature_rows(&schema, &target.prints.plain, &members, &vectors)?;
        let Some(batch) = self.batches.get_mut(number) else { return Ok(()) };
        let Some(comparison) = &mut batch.comparison else {
            let fidelity = batch.fidelity;
            return self.send(Write { table: number + 1, batch: rows, fidelity });
        };
        comparison.held.push(rows);
        if comparison.is_full() { self.compared(number) } else { Ok(()) }
    }

    /// The rows that waited for the comparison of the target `number` go on.
    fn compared(&mut self, number: usize) -> Result<()> {
        let Some(batch) = self.batches.get_mut(number) else { return Ok(()) };
        let (Some(mut comparison), Some(encoder), Some(target)) =
            (batch.comparison.take(), &batch.encoder, self.pass.targets.get(number))
        else {
            return Ok(());
        };
        let measure = || comparison.measure(&target.work.model, encoder);
        batch.fidelity = self.clocks.time(Part::Encode, Spend::Busy, measure)?;
        let fidelity = batch.fidelity;
        for batch in comparison.held {
            self.send(Write { table: number + 1, batch, fidelity })?;
        }
        Ok(())
    }

    fn send(&self, write: Write) -> Result<()> {
        self.clocks.send(Part::Encode, (Queue::Rows, &self.out), write).map_err(|_closed| {
            // The writer's own error says why, and is reported in its place.
            Error::new(Kind::Internal, "the writer ended early")
        })
    }
}

/// Splits off the rows that hold NaN or infinity.
fn finite(members: Vec<Member>, vectors: Vectors) -> (Vec<Member>, Vectors, Vec<Member>) {
    if vectors.data.iter().all(|x| x.is_finite()) {
        return (members, vectors, Vec::new());
    }
    let mut good = Vec::new();
    let mut kept = Vectors { width: vectors.width, data: Vec::new() };
    let mut bad = Vec::new();
    for (member, row) in members.into_iter().zip(vectors.iter()) {
        if row.iter().all(|x| x.is_finite()) {
            kept.data.extend_from_slice(row);
            good.push(member);
        } else {
            bad.push(member);
        }
    }
    (good, kept, bad)
}

/// A row of the table of images.
#[derive(Debug)]
pub(super) struct ImageRow {
    pub member: Member,
    pub header: crate::flow::ImageHeader,
}

fn digest_of(member: &Member) -> String {
    member.digest.map(|digest| digest.to_string()).unwrap_or_default()
}

fn image_rows(
    schema: &SchemaRef,
    fingerprint: &str,
    images: &[ImageRow],
) -> Result<arrow::array::RecordBatch> {
    let px = |n: u32| i32::try_from(n).unwrap_or(i32::MAX);
    let of = |get: fn(&ImageRow) -> &str| rows::strings(images.iter().map(get));
    rows::batch(
        schema,
        &[
            ("image_id", of(|r| &r.member.image_id)),
            ("source", of(|r| &r.member.origin.source)),
            ("member", of(|r| &r.member.origin.member)),
            ("offset", rows::int64s(images.iter().map(|r| rows::signed(r.member.origin.offset)))),
            ("size_bytes", rows::int64s(images.iter().map(|r| rows::signed(r.member.size_bytes)))),
            ("digest", rows::strings(images.iter().map(|r| digest_of(&r.member)))),
            ("width_px", rows::int32s(images.iter().map(|r| px(r.header.width_px)))),
            ("height_px", rows::int32s(images.iter().map(|r| px(r.header.height_px)))),
            ("format", of(|r| r.header.format)),
            ("mode", of(|r| r.header.mode)),
            ("fingerprint", rows::strings(images.iter().map(|_| fingerprint))),
        ],
    )
}

fn feature_rows(
    schema: &SchemaRef,
    fingerprint: &str,
    members: &[Member],
    vectors: &Vectors,
) -> Result<arrow::array::RecordBatch> {
    rows::batch(
        schema,
        &[
            ("image_id", rows::strings(members.iter().map(|m| &m.image_id))),
            ("embedding", rows::embeddings(schema, "embedding", vectors)?),
            ("input_digest", rows::strings(members.iter().map(digest_of))),
            ("fingerprint", rows::strings(members.iter().map(|_| fingerprint))),
        ],
    )
}
