//! Products of the rows of two f32 matrices as they lie in memory, such as training has, whose
//! weights change.
//!
//! Both factors are packed as they are multiplied (Goto and van de Geijn, 2008): the rows of one by
//! all threads, those of the other each by the thread that needs them. An element is one sum in
//! the order of what is summed over, in parts of at most [`DEPTH`].

use std::cell::Cell;
use std::ops::Range;

use super::grid::{LINE, Line, floats_mut, make_room, stride, words};
use super::level::{Level, Work, run};
use super::multiply::{self, multiply};
use super::panels::Number;
use super::share::{Out, Share};
use super::tile::{COLUMNS, Factors, Tile};

/// Numbers of a row that are multiplied at once: what a tile reads of both factors stays near.
const DEPTH: usize = 1536;
/// Tiles whose rows a thread packs at once: each panel is fetched once for all of them.
const TILES: usize = 4;

thread_local! {
    /// What threads share; the calling thread keeps it for its next product. It is taken out
    /// meanwhile, so that a task which rayon has this thread do between does not meet it.
    static SHARED: Cell<Vec<Line>> = const { Cell::new(Vec::new()) };
    /// What a thread packs for itself.
    static OWN: Cell<Vec<Line>> = const { Cell::new(Vec::new()) };
}

/// Writes the product of every row of `a` with every row of `b` into `out`, or, with `onto`, adds
/// it to what is there: `a · bᵀ`, where `b` is the larger.
///
/// # Shapes
/// `a`: (m, k); `b`: (n, k); `out`: (m, n); all row-major; `k` is at least 1.
pub(in crate::nn::kernels) fn multiply_rows(
    level: Level,
    out: &mut [f32],
    a: &[f32],
    b: &[f32],
    k: usize,
    onto: bool,
    share: Share,
) {
    let width = b.len().checked_div(k).unwrap_or(0);
    let parts = k.div_ceil(DEPTH);
    let to = Out::new(out);
    let mut shared = SHARED.take();
    for part in 0..parts {
        let depth = part * k / parts..(part + 1) * k / parts;
        let rows = a.len() / k;
        let (panels, each) = (rows.div_ceil(COLUMNS), depth.len() * COLUMNS);
        make_room(&mut shared, panels * each);
        let room = Out::new(floats_mut(&mut shared));
        share.out(panels, 1, |panels| {
            for panel in panels {
                // SAFETY: the buffer is borrowed here, and every panel is one thread's.
                let to = unsafe { room.part(panel * each, each) };
                pack_panel(a, k, panel, &depth, to);
            }
        });
        let adds = onto || part > 0;
        let of = Part { panels: words(&shared), rows, b, k, depth, to, width, adds };
        let tile = multiply::rows(level, Number::F32);
        share.out(width.div_ceil(tile), TILES, |tiles| {
            run(level, (&of, tiles.start * tile..(tiles.end * tile).min(width)));
        });
    }
    SHARED.set(shared);
}

/// The products of the numbers of a row that are within `depth`.
struct Part<'a> {
    /// The rows of the smaller factor as columns of panels.
    panels: &'a [u32],
    rows: usize,
    b: &'a [f32],
    k: usize,
    depth: Range<usize>,
    to: Out,
    width: usize,
    adds: bool,
}

/// Some rows of the larger factor.
impl Work for (&Part<'_>, Range<usize>) {
    #[inline(always)]
    fn run<const FUSED: bool>(self, level: Level) {
        let (of, rows) = self;
        let groups = of.depth.len();
        let left_stride = stride(groups);
        let at_once = multiply::rows(level, Number::F32);
        let mut own = OWN.take();
        make_room(&mut own, TILES * at_once * left_stride);
        let mut tile = Tile::zero();
        for first in rows.clone().step_by(TILES * at_once) {
            let rows = first..(first + TILES * at_once).min(rows.end);
            for (row, to) in rows.clone().zip(floats_mut(&mut own).chunks_mut(left_stride)) {
                let from = line(of.b, of.k, row, &of.depth);
                to.iter_mut().zip(from).for_each(|(to, x)| *to = *x);
            }
            for panel in 0..of.rows.div_ceil(COLUMNS) {
                let right = of.panels.get(panel * groups * COLUMNS..).unwrap_or_default();
                for start in rows.clone().step_by(at_once) {
                    let within = start..(start + at_once).min(rows.end);
                    let left = words(&own).get((start - first) * left_stride..);
                    let left = left.unwrap_or_default();
                    let factors =
                        Factors { left, left_stride, right, right_stride: COLUMNS, groups };
                    multiply(level, Number::F32, &factors, within.len(), &mut tile);
                    of.write(&tile, within, panel);
                }
            }
        }
        OWN.set(own);
    }
}

impl Part<'_> {
    /// A tile's rows are columns of the result.
    #[inline(always)]
    fn write(&self, tile: &Tile, columns: Range<usize>, panel: usize) {
        let rows = panel * COLUMNS..((panel + 1) * COLUMNS).min(self.rows);
        for (i, row) in rows.enumerate() {
            // SAFETY: `to` is borrowed by the caller, and no two panels or ranges overlap.
            let to = unsafe { self.to.part(row * self.width + columns.start, columns.len()) };
            for (to, sums) in to.iter_mut().zip(&tile.0) {
                let sum = sums.get(i).copied().map_or(0.0, f32::from_bits);
                *to = if self.adds { *to + sum } else { sum };
            }
        }
    }
}

/// A part of a row.
#[inline(always)]
fn line<'a>(of: &'a [f32], k: usize, row: usize, part: &Range<usize>) -> &'a [f32] {
    of.get(row * k + part.start..row * k + part.end).unwrap_or_default()
}

/// Writes 32 rows as columns; those that are not there are zeros.
fn pack_panel(from: &[f32], k: usize, panel: usize, depth: &Range<usize>, to: &mut [f32]) {
    // As many at once as fill a cache line of the panel.
    for first in (0..COLUMNS).step_by(LINE) {
        let lines: [&[f32]; LINE] =
            std::array::from_fn(|i| line(from, k, panel * COLUMNS + first + i, depth));
        for (at, to) in to.chunks_exact_mut(COLUMNS).enumerate() {
            let to = to.get_mut(first..first + LINE).unwrap_or_default();
            for (to, line) in to.iter_mut().zip(&lines) {
                *to = line.get(at).copied().unwrap_or(0.0);
            }
        }
    }
}
