//! Rows times a matrix that stays as it is, such as training has where a model is frozen.

use std::cell::Cell;

use super::grid::{Grid, words_of};
use super::level::{Level, Work, run};
use super::number::Number;
use super::panels::Panels;
use super::product::{Finish, To, product};
use super::share::{Out, Share};
use super::side::Side;
use super::tile::COLUMNS;

thread_local! {
    /// Rows as tiles read them; kept from product to product.
    static ROWS: Cell<Grid> = Cell::default();
}

/// A matrix packed once, in the numbers it is multiplied in: f32, or bfloat16.
#[derive(Debug)]
pub(in crate::nn) struct Constant {
    panels: Panels,
}

impl Constant {
    /// Packs a matrix, of which `columns` are the columns.
    pub(in crate::nn::kernels) fn pack(number: Number, columns: Side<'_>) -> Self {
        Self { panels: Panels::of_columns(Level::best(), number, columns) }
    }

    /// Writes `x` times the matrix plus `bias` into `out` or, with `onto`, adds it to what is there.
    ///
    /// # Shapes
    /// With a matrix of (inputs, outputs), `x`: (rows, inputs); `bias`: (outputs), or empty for
    /// none; `out`: (rows, outputs), row-major all of them.
    ///
    /// # Panics
    /// When the sizes do not belong together: a fault of the caller, which has checked shapes.
    pub(in crate::nn) fn multiply(&self, x: &[f32], bias: &[f32], out: &mut [f32], onto: bool) {
        let share = Share::of(out.len() * self.panels.inputs);
        self.multiply_at(Level::best(), share, x, bias, (out, onto));
    }

    pub(super) fn multiply_at(
        &self,
        level: Level,
        share: Share,
        x: &[f32],
        bias: &[f32],
        (out, onto): (&mut [f32], bool),
    ) {
        let Panels { number, inputs, outputs, .. } = self.panels;
        let x = Side::by_rows(x, inputs);
        assert_eq!(out.len(), x.count() * outputs, "{} rows of {outputs} numbers", x.count());
        assert!([0, outputs].contains(&bias.len()), "a bias of another layer");
        let mut padded = vec![0.0; self.panels.count() * COLUMNS];
        padded.iter_mut().zip(bias).for_each(|(to, x)| *to = *x);
        let mut rows = ROWS.take();
        rows.shape_of(number, x.count(), inputs);
        let (stride, to) = (rows.stride(), Out::new(rows.floats_mut()));
        share.out(x.count(), 1, |some| run(level, Laying { x, number, to, stride, some }));
        let to = To { out: Out::new(out), stride: outputs, number: Number::F32 };
        let finish = if onto { Finish::Add } else { Finish::Store(Number::F32) };
        product(level, &rows, &self.panels, &padded, to, finish, share);
        ROWS.set(rows);
    }
}

/// Some rows, in the numbers they are multiplied in.
struct Laying<'a> {
    x: Side<'a>,
    number: Number,
    to: Out,
    stride: usize,
    some: std::ops::Range<usize>,
}

impl Work for Laying<'_> {
    #[inline(always)]
    fn run<const FUSED: bool>(self, level: Level) {
        let Self { x, number, to, stride, some } = self;
        // SAFETY: the buffer is borrowed by the caller, and a row is one thread's.
        let to = unsafe { to.part(some.start * stride, some.len() * stride) };
        let groups = 0..number.groups(x.depth());
        x.pack_rows(level, number, some, &groups, (words_of(to), stride));
    }
}
