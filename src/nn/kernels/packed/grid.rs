//! Rows of numbers with room between them.

use super::number::Number;

/// A cache line.
#[repr(C, align(64))]
#[derive(Debug, Clone, Copy)]
pub(super) struct Line([u32; LINE]);

/// Numbers of four bytes in a cache line.
pub(super) const LINE: usize = 16;

/// What a tile may read past the last row, in lines.
const SLACK: usize = 2;

/// A reusable buffer of rows. Rows begin at cache lines and are an odd number of lines apart, so
/// that neighbouring rows do not fall into the same set of a cache.
#[derive(Debug, Default)]
pub(in crate::nn) struct Grid {
    lines: Vec<Line>,
    rows: usize,
    stride: usize,
    number: Number,
}

impl Grid {
    /// Makes it `rows` × `width`; what stands in it is of no meaning afterwards. Allocates only
    /// where it never was as large.
    pub(in crate::nn) fn shape(&mut self, rows: usize, width: usize) {
        self.shape_of(Number::F32, rows, width);
    }

    /// As [`Self::shape`], for `width` numbers a row in groups of `number`; two more words a row
    /// for what has a scale.
    pub(super) fn shape_of(&mut self, number: Number, rows: usize, width: usize) {
        let more = if number.has_scale() { 2 } else { 0 };
        self.number = number;
        self.rows = rows;
        self.stride = stride(number.groups(width) + more);
        make_room(&mut self.lines, rows * self.stride);
    }

    /// What its numbers are.
    pub(super) fn number(&self) -> Number {
        self.number
    }

    /// Rows.
    pub(in crate::nn) fn rows(&self) -> usize {
        self.rows
    }

    /// Words from a row to the next.
    pub(super) fn stride(&self) -> usize {
        self.stride
    }

    /// All numbers, the room between rows and the slack after the last included.
    pub(super) fn words(&self) -> &[u32] {
        words(&self.lines)
    }

    /// As [`Self::words`].
    pub(super) fn words_mut(&mut self) -> &mut [u32] {
        words_mut(&mut self.lines)
    }

    /// As [`Self::words`], as floats.
    pub(super) fn floats(&self) -> &[f32] {
        floats(self.words())
    }

    /// As [`Self::floats`].
    pub(super) fn floats_mut(&mut self) -> &mut [f32] {
        floats_mut(&mut self.lines)
    }

    /// As [`Self::row_mut`], as bits.
    pub(super) fn row_words_mut(&mut self, row: usize) -> &mut [u32] {
        let stride = self.stride;
        self.words_mut().get_mut(row * stride..(row + 1) * stride).unwrap_or_default()
    }

    /// A row with the room behind it.
    pub(in crate::nn) fn row(&self, row: usize) -> &[f32] {
        self.floats().get(row * self.stride..(row + 1) * self.stride).unwrap_or_default()
    }

    /// As [`Self::row`].
    pub(in crate::nn) fn row_mut(&mut self, row: usize) -> &mut [f32] {
        let stride = self.stride;
        self.floats_mut().get_mut(row * stride..(row + 1) * stride).unwrap_or_default()
    }
}

/// Words from a row of `width` words to the next: an odd number of cache lines.
pub(super) fn stride(width: usize) -> usize {
    (width.div_ceil(LINE) | 1) * LINE
}

/// Room for `count` numbers, and for what a tile reads past them; it never shrinks.
pub(super) fn make_room(lines: &mut Vec<Line>, count: usize) {
    let wanted = count.div_ceil(LINE) + SLACK;
    if lines.len() < wanted {
        // What stood there is of no meaning: no reason to copy it.
        *lines = Vec::new();
        *lines = zeros(wanted);
    }
}

/// Zeros in whole cache lines.
pub(super) fn lines(words: usize) -> Vec<Line> {
    zeros(words.div_ceil(LINE))
}

/// Cache lines of zeros, in large pages where the system has some: with small ones, which take long to
/// find, a ViT-B/32 in bf16 took a twelfth longer.
fn zeros(count: usize) -> Vec<Line> {
    let mut lines = Vec::with_capacity(count);
    #[cfg(target_os = "linux")]
    {
        const LARGE_PAGE: usize = 2 << 20;
        let room = lines.spare_capacity_mut();
        let start = room.as_mut_ptr().addr();
        let first = start.next_multiple_of(LARGE_PAGE) - start;
        let whole = size_of_val(room).saturating_sub(first) / LARGE_PAGE * LARGE_PAGE;
        if whole > 0 {
            // SAFETY: whole pages within room that is ours; their contents stay as they are. It is a
            // wish: where it is not heard, nothing changes.
            unsafe {
                let at = room.as_mut_ptr().byte_add(first);
                libc::madvise(at.cast(), whole, libc::MADV_HUGEPAGE);
            }
        }
    }
    lines.resize(count, Line([0; LINE]));
    lines
}

/// The numbers of `lines`.
pub(super) fn words(lines: &[Line]) -> &[u32] {
    // SAFETY: a line is sixteen u32 without padding.
    unsafe { std::slice::from_raw_parts(lines.as_ptr().cast(), lines.len() * LINE) }
}

/// As [`words`].
pub(super) fn words_mut(lines: &mut [Line]) -> &mut [u32] {
    // SAFETY: a line is sixteen u32 without padding.
    unsafe { std::slice::from_raw_parts_mut(lines.as_mut_ptr().cast(), lines.len() * LINE) }
}

/// The numbers of `lines` as floats.
pub(super) fn floats_mut(lines: &mut [Line]) -> &mut [f32] {
    let words = words_mut(lines);
    // SAFETY: f32 has the size and alignment of u32, and every pattern of bits is one.
    unsafe { std::slice::from_raw_parts_mut(words.as_mut_ptr().cast(), words.len()) }
}

/// The same bits as floats.
pub(super) fn floats(words: &[u32]) -> &[f32] {
    // SAFETY: f32 has the size and alignment of u32, and every pattern of bits is one.
    unsafe { std::slice::from_raw_parts(words.as_ptr().cast(), words.len()) }
}

/// The same numbers as bits.
pub(super) fn words_of(floats: &mut [f32]) -> &mut [u32] {
    // SAFETY: u32 has the size and alignment of f32, and every pattern of bits is one.
    unsafe { std::slice::from_raw_parts_mut(floats.as_mut_ptr().cast(), floats.len()) }
}
