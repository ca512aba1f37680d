//! Weights in the order in which tiles read them.

use std::sync::OnceLock;

use rayon::prelude::{IndexedParallelIterator, ParallelIterator, ParallelSliceMut};

use super::grid::{Line, lines, words, words_mut};
use super::level::{Level, Work, run};
use super::number::{Number, bf16};
use super::side::Side;
use super::tile::COLUMNS;

/// A weight matrix as panels of 32 outputs; a panel is groups of inputs by outputs. What is
/// missing in the last panel and the last group is zero.
#[derive(Debug)]
pub(super) struct Panels {
    pub(super) number: Number,
    pub(super) inputs: usize,
    pub(super) outputs: usize,
    lines: Vec<Line>,
    /// For each output, the value of a weight's unit; of [`Number::Int8`] only.
    pub(super) scales: Vec<f32>,
    /// For each output, the sum of its weights; of [`Number::Int8`] only.
    pub(super) sums: Vec<i32>,
    /// Made when they are first asked for: a level that multiplies bytes never does.
    products: OnceLock<Vec<i32>>,
}

impl Panels {
    /// # Shapes
    /// `weight`: (inputs, outputs), row-major.
    ///
    /// # Panics
    /// For [`Number::Int16`], which activations alone are in.
    pub(super) fn pack(number: Number, weight: &[f32], inputs: usize, outputs: usize) -> Self {
        assert!(number != Number::Int16, "weights are bytes");
        let panels = outputs.div_ceil(COLUMNS);
        let each = number.in_a_group();
        let groups = inputs.div_ceil(each);
        let mut packed = lines(panels * groups * COLUMNS);
        let mut scales = Vec::new();
        let mut sums = vec![0_i32; panels * COLUMNS];
        if number == Number::Int8 {
            let mut most = vec![0.0_f32; panels * COLUMNS];
            for row in weight.chunks(outputs.max(1)) {
                for (most, weight) in most.iter_mut().zip(row) {
                    *most = most.max(weight.abs());
                }
            }
            scales = most.iter().map(|most| most / 127.0).collect();
        }
        let to = words_mut(&mut packed);
        let panels = to.par_chunks_mut((groups * COLUMNS).max(1)).zip(sums.par_chunks_mut(COLUMNS));
        panels.enumerate().for_each(|(panel, (to, sums))| {
            let scales = scales.get(panel * COLUMNS..).unwrap_or_default();
            for (input, row) in weight.chunks(outputs.max(1)).enumerate() {
                let row = row.get(panel * COLUMNS..).unwrap_or_default();
                let place = input % each;
                let group = to.chunks_mut(COLUMNS).nth(input / each).unwrap_or_default();
                match number {
                    Number::F32 => {
                        group.iter_mut().zip(row).for_each(|(to, weight)| *to = weight.to_bits());
                    }
                    Number::Bf16 => {
                        for (to, weight) in group.iter_mut().zip(row) {
                            *to |= u32::from(bf16(*weight)) << (16 * place);
                        }
                    }
                    Number::Int16 => {}
                    Number::Int8 => {
                        let of = group.iter_mut().zip(row).zip(scales).zip(sums.iter_mut());
                        for (((to, weight), scale), sum) in of {
                            let unit = unit(*weight, *scale);
                            *to |= u32::from(unit.cast_unsigned()) << (8 * place);
                            *sum += i32::from(unit);
                        }
                    }
                }
            }
        });
        if number != Number::Int8 {
            sums.clear();
        }
        Self { number, inputs, outputs, lines: packed, scales, sums, products: OnceLock::new() }
    }

    /// Packs a matrix of f32 or bfloat16, of which `columns` are the columns.
    pub(super) fn of_columns(level: Level, number: Number, columns: Side<'_>) -> Self {
        assert!(!number.has_scale(), "bytes have scales");
        let (inputs, outputs) = (columns.depth(), columns.count());
        let (panels, groups) = (outputs.div_ceil(COLUMNS), number.groups(inputs));
        let mut packed = lines(panels * groups * COLUMNS);
        let each = (groups * COLUMNS).max(1);
        words_mut(&mut packed).par_chunks_mut(each).enumerate().for_each(|(panel, to)| {
            run(level, Panel { columns, number, panel, to });
        });
        let (scales, sums, products) = (Vec::new(), Vec::new(), OnceLock::new());
        Self { number, inputs, outputs, lines: packed, scales, sums, products }
    }

    /// For each output, the sum of its weights' own products, as [`Number::Int16`] has them; of
    /// [`Number::Int8`] only.
    pub(super) fn products(&self) -> &[i32] {
        self.products.get_or_init(|| {
            let mut products = vec![0_i32; self.count() * COLUMNS];
            for (panel, sums) in products.chunks_mut(COLUMNS).enumerate() {
                for group in self.panel(panel).chunks(COLUMNS) {
                    for (sum, word) in sums.iter_mut().zip(group) {
                        let [a, b, c, d] =
                            word.to_le_bytes().map(|byte| i32::from(byte.cast_signed()));
                        *sum = sum.wrapping_add(a * b + c * d);
                    }
                }
            }
            products
        })
    }

    /// Groups of inputs.
    pub(super) fn groups(&self) -> usize {
        self.number.groups(self.inputs)
    }

    /// Panels.
    pub(super) fn count(&self) -> usize {
        self.outputs.div_ceil(COLUMNS)
    }

    /// One panel: groups × 32.
    pub(super) fn panel(&self, panel: usize) -> &[u32] {
        self.part(panel, 0..self.groups())
    }

    /// Some groups of a panel. They may reach into the next one, which follows, and end with the
    /// last.
    pub(super) fn part(&self, panel: usize, groups: std::ops::Range<usize>) -> &[u32] {
        let first = panel * self.groups();
        let words = words(&self.lines);
        let end = ((first + groups.end) * COLUMNS).min(words.len());
        words.get((first + groups.start) * COLUMNS..end).unwrap_or_default()
    }
}

/// A panel that is being packed.
struct Panel<'a> {
    columns: Side<'a>,
    number: Number,
    panel: usize,
    to: &'a mut [u32],
}

impl Work for Panel<'_> {
    #[inline(always)]
    fn run<const FUSED: bool>(self, level: Level) {
        let Self { columns, number, panel, to } = self;
        let groups = 0..number.groups(columns.depth());
        columns.pack_panels(level, number, panel..panel + 1, &groups, to);
    }
}

/// A weight in units of its output's scale, ties to even.
#[expect(clippy::cast_possible_truncation, reason = "at most 127 by the choice of the scale")]
fn unit(weight: f32, scale: f32) -> i8 {
    let unit = if scale > 0.0 { weight / scale } else { 0.0 };
    unit.round_ties_even().clamp(-127.0, 127.0) as i8
}
