//! Products of two f32 matrices as they lie in memory, such as training has, whose weights change.
//!
//! Both factors are packed as they are multiplied (Goto and van de Geijn, 2008): the smaller by
//! all threads, the rows of the larger each by the thread that needs them. An element is one sum in
//! the order of what is summed over, in parts of at most [`DEPTH`] groups.

use std::cell::Cell;
use std::ops::Range;

use super::grid::{Line, floats_mut, make_room, stride, words, words_mut, words_of};
use super::level::{Level, Work, run};
use super::multiply::{self, Multiplier};
use super::number::Number;
use super::share::{Out, Share};
use super::side::{Lies, Side};
use super::tile::{COLUMNS, Factors, Tile};

/// Groups of a row that are multiplied at once, half as many where a thread packs panels, which are
/// wider: what a tile reads of both factors stays near.
const DEPTH: usize = 1536;
/// Tiles whose rows, or panels, a thread packs at once: the shared factor is fetched once for all.
const TILES: usize = 4;

thread_local! {
    /// What threads share; the calling thread keeps it for its next product. It is taken out
    /// meanwhile, so that a task which rayon has this thread do between does not meet it.
    static SHARED: Cell<Vec<Line>> = const { Cell::new(Vec::new()) };
    /// What a thread packs for itself.
    static OWN: Cell<Vec<Line>> = const { Cell::new(Vec::new()) };
}

/// Writes the product of every row of `a` with every row of `b` into `out`, or, with `onto`, adds
/// it to what is there: `a · bᵀ`, of numbers rounded to `number`, which is f32 or bfloat16, and
/// summed in f32.
///
/// # Shapes
/// `a`: m rows of k numbers; `b`: n rows of as many; `out`: (m, n), row-major; `k` is at least 1.
pub(in crate::nn::kernels) fn multiply_rows(
    level: Level,
    number: Number,
    out: &mut [f32],
    a: Side<'_>,
    b: Side<'_>,
    onto: bool,
    share: Share,
) {
    let is_b = b.count() >= a.count();
    let (shared, own) = if is_b { (a, b) } else { (b, a) };
    // The larger factor's rows are the rows of tiles, but those of a `b` that lies by columns are
    // columns of panels. Tiles lie as the result does where rows are of `a` or columns of `b`.
    let by_panels = is_b && own.lies() == Lies::ByColumns;
    let upright = by_panels || !is_b;
    let width = b.count();
    let of = Product { level, number, shared, own, by_panels, width, upright, to: Out::new(out) };
    let groups = a.depth().div_ceil(number.in_a_group());
    let parts = groups.div_ceil(if by_panels { DEPTH / 2 } else { DEPTH });
    let each = if by_panels { COLUMNS } else { multiply::rows(level, number) };
    let units = own.count().div_ceil(each);
    let least = TILES.min(units.div_ceil(rayon::current_num_threads()));
    let mut room = SHARED.take();
    for part in 0..parts {
        let groups = part * groups / parts..(part + 1) * groups / parts;
        of.pack_shared(&groups, &mut room, share);
        let adds = onto || part > 0;
        let part = Part { of: &of, shared: words(&room), groups, adds };
        share.out(units, least, |some| {
            run(level, (&part, some.start * each..(some.end * each).min(own.count())));
        });
    }
    SHARED.set(room);
}

/// Factors and where their product goes.
struct Product<'a> {
    level: Level,
    number: Number,
    /// The one that all threads pack.
    shared: Side<'a>,
    /// The one that each packs a part of.
    own: Side<'a>,
    /// Whether its rows are columns of panels; those of the shared one are, if not.
    by_panels: bool,
    /// Numbers of a row of the result.
    width: usize,
    /// Whether rows of tiles are rows of the result; columns, if not.
    upright: bool,
    to: Out,
}

impl Product<'_> {
    /// Packs the smaller factor, in the order that the larger leaves to it.
    fn pack_shared(&self, groups: &Range<usize>, room: &mut Vec<Line>, share: Share) {
        let stride = stride(groups.len());
        let units = self.shared.count().div_ceil(COLUMNS);
        let each = if self.by_panels { COLUMNS * stride } else { groups.len() * COLUMNS };
        make_room(room, units * each);
        let to = Out::new(floats_mut(room));
        share.out(units, 1, |units| run(self.level, Packing { of: self, groups, to, each, units }));
    }
}

/// Some of the smaller factor, 32 rows a unit.
struct Packing<'a> {
    of: &'a Product<'a>,
    groups: &'a Range<usize>,
    to: Out,
    each: usize,
    units: Range<usize>,
}

impl Work for Packing<'_> {
    #[inline(always)]
    fn run<const FUSED: bool>(self, level: Level) {
        let Product { number, shared, by_panels, .. } = *self.of;
        for unit in self.units {
            // SAFETY: the buffer is borrowed by the caller, and every unit is one thread's.
            let to = words_of(unsafe { self.to.part(unit * self.each, self.each) });
            if by_panels {
                let rows = unit * COLUMNS..((unit + 1) * COLUMNS).min(shared.count());
                let to = (to, stride(self.groups.len()));
                shared.pack_rows(level, number, rows, self.groups, to);
            } else {
                shared.pack_panels(level, number, unit..unit + 1, self.groups, to);
            }
        }
    }
}

/// The products of some groups of all rows.
struct Part<'a> {
    of: &'a Product<'a>,
    /// The smaller factor, packed.
    shared: &'a [u32],
    groups: Range<usize>,
    adds: bool,
}

/// Some rows of the larger factor.
impl Work for (&Part<'_>, Range<usize>) {
    #[inline(always)]
    fn run<const FUSED: bool>(self, level: Level) {
        let (part, rows) = self;
        let mut room = OWN.take();
        if part.of.by_panels {
            part.by_panels(level, rows, &mut room);
        } else {
            part.by_rows(level, rows, &mut room);
        }
        OWN.set(room);
    }
}

impl Part<'_> {
    #[inline(always)]
    fn by_rows(&self, level: Level, rows: Range<usize>, room: &mut Vec<Line>) {
        let Product { number, shared, own, .. } = *self.of;
        let groups = self.groups.len();
        let (left_stride, at_once) = (stride(groups), multiply::rows(level, number));
        make_room(room, TILES * at_once * left_stride);
        let mut multiplier = Multiplier::new(level, number);
        let mut tile = Tile::zero();
        for first in rows.clone().step_by(TILES * at_once) {
            let rows = first..(first + TILES * at_once).min(rows.end);
            let to = (words_mut(room), left_stride);
            own.pack_rows(level, number, rows.clone(), &self.groups, to);
            for panel in 0..shared.count().div_ceil(COLUMNS) {
                let right = self.shared.get(panel * groups * COLUMNS..).unwrap_or_default();
                let columns = panel * COLUMNS..((panel + 1) * COLUMNS).min(shared.count());
                for start in rows.clone().step_by(at_once) {
                    let within = start..(start + at_once).min(rows.end);
                    let left = words(room).get((start - first) * left_stride..);
                    let left = left.unwrap_or_default();
                    let factors = Factors::of_panel((left, left_stride), right, groups);
                    multiplier.multiply(&factors, false, tile.rows(within.len()));
                    self.write(&tile, within, columns.clone());
                }
            }
        }
    }

    #[inline(always)]
    fn by_panels(&self, level: Level, rows: Range<usize>, room: &mut Vec<Line>) {
        let Product { number, shared, own, .. } = *self.of;
        let groups = self.groups.len();
        let left_stride = stride(groups);
        make_room(room, TILES * groups * COLUMNS);
        let mut multiplier = Multiplier::new(level, number);
        let mut tile = Tile::zero();
        let panels = rows.start / COLUMNS..rows.end.div_ceil(COLUMNS);
        for first in panels.clone().step_by(TILES) {
            let panels = first..(first + TILES).min(panels.end);
            own.pack_panels(level, number, panels.clone(), &self.groups, words_mut(room));
            for rows in multiplier.blocks(shared.count()) {
                let left = self.shared.get(rows.start * left_stride..).unwrap_or_default();
                for panel in panels.clone() {
                    let columns = panel * COLUMNS..((panel + 1) * COLUMNS).min(own.count());
                    let right = words(room).get((panel - first) * groups * COLUMNS..);
                    let right = right.unwrap_or_default();
                    let factors = Factors::of_panel((left, left_stride), right, groups);
                    multiplier.multiply(&factors, false, tile.rows(rows.len()));
                    self.write(&tile, rows.clone(), columns);
                }
            }
        }
    }

    /// Writes the sums of a tile.
    #[inline(always)]
    fn write(&self, tile: &Tile, rows: Range<usize>, columns: Range<usize>) {
        let Product { to, width, upright, .. } = *self.of;
        let put = |to: &mut f32, sum: u32| {
            let sum = f32::from_bits(sum);
            *to = if self.adds { *to + sum } else { sum };
        };
        if upright {
            for (row, sums) in rows.zip(&tile.0) {
                // SAFETY: `to` is borrowed by the caller, and no two tiles overlap.
                let to = unsafe { to.part(row * width + columns.start, columns.len()) };
                to.iter_mut().zip(sums).for_each(|(to, sum)| put(to, *sum));
            }
            return;
        }
        for (i, column) in columns.enumerate() {
            // SAFETY: as above.
            let to = unsafe { to.part(column * width + rows.start, rows.len()) };
            for (to, sums) in to.iter_mut().zip(&tile.0) {
                put(to, sums.get(i).copied().unwrap_or(0));
            }
        }
    }
}
