//! Some rows times thirty-two columns: what fits the registers.

/// Columns of a tile, and of a panel of packed weights.
pub(super) const COLUMNS: usize = 32;
/// Columns of half a panel: two registers of AVX2.
pub(super) const HALF: usize = COLUMNS / 2;
/// Rows of a tile at most: those of AMX.
pub(super) const ROWS: usize = 32;

/// A row of sums: floats, or integers of bytes, as bits.
pub(super) type Sums = [u32; COLUMNS];

/// Sums of a tile's products.
#[repr(C, align(64))]
#[derive(Debug, Clone)]
pub(super) struct Tile(pub(super) [Sums; ROWS]);

impl Tile {
    pub(super) fn zero() -> Self {
        Self([[0; COLUMNS]; ROWS])
    }

    /// The first rows.
    #[inline(always)]
    pub(super) fn rows(&mut self, count: usize) -> &mut [Sums] {
        self.0.get_mut(..count).unwrap_or_default()
    }
}

/// Where sums of some columns go.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    /// First of the columns.
    pub(super) column: usize,
    /// Whether they are added to what stands there.
    pub(super) onto: bool,
}

/// The two factors of a tile. A group is four bytes: one f32, two bf16, two i16 or four bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Factors<'a> {
    /// Row `r`, group `g` of the left factor stands at `r * left_stride + g`.
    pub(super) left: &'a [u32],
    pub(super) left_stride: usize,
    /// Group `g`, column `c` of the right factor stands at `g * right_stride + c`.
    pub(super) right: &'a [u32],
    pub(super) right_stride: usize,
    /// Groups to sum over.
    pub(super) groups: usize,
    /// What comes next, asked for meanwhile, a little at each step: in a burst it would keep products waiting.
    #[cfg_attr(not(target_arch = "x86_64"), expect(dead_code, reason = "others do not ask"))]
    pub(super) ahead: &'a [u32],
}

impl<'a> Factors<'a> {
    /// Rows, `left_stride` words apart, and a panel, whose columns lie side by side.
    #[inline(always)]
    pub(super) fn of_panel(
        (left, left_stride): (&'a [u32], usize),
        right: &'a [u32],
        groups: usize,
    ) -> Self {
        Self { left, left_stride, right, right_stride: COLUMNS, groups, ahead: &[] }
    }

    /// Whether `rows` rows and `columns` columns lie within both factors.
    #[inline(always)]
    pub(super) fn fit(&self, rows: usize, columns: usize) -> bool {
        let last = self.groups.wrapping_sub(1);
        (1..=ROWS).contains(&rows)
            && self.groups > 0
            && (rows - 1) * self.left_stride + last < self.left.len()
            && last * self.right_stride + columns <= self.right.len()
    }
}
