//! Two coefficients of a JPEG block in one look. Codes of photographs are short: in three looks of
//! five the bits that find a coefficient hold all of the next one too, and to find it there costs
//! less than to wait for the first one's length.

/// Bits that are looked at together: codes up to this length, and short ones with their value, are
/// found in one look.
pub(super) const LOOK_BITS: u32 = 11;
/// Where the fields of an entry begin. The length stands alone in the lowest six bits, since shifts
/// take as many; values are bytes, at the top.
const RUN: u32 = 6;
const APART: u32 = 10;
const FIRST: u32 = 16;
const SECOND: u32 = 24;

/// What is found in one look at the next [`LOOK_BITS`] bits.
#[derive(Clone)]
pub(super) struct Pairs(Box<[u32; 1 << LOOK_BITS]>);

impl Pairs {
    /// Of what one look finds: bits, run and value of a coefficient, if it finds one.
    pub(super) fn new(found: impl Fn(usize) -> Option<(u32, u32, i32)>) -> Self {
        let mut entries = Box::new([0; 1 << LOOK_BITS]);
        let small = |look: usize| {
            let (length, run, value) = found(look)?;
            Some((length, run, u32::from(i8::try_from(value).ok()?.cast_unsigned())))
        };
        for (look, entry) in entries.iter_mut().enumerate() {
            let Some((length, run, first)) = small(look) else { continue };
            let rest = look << length & ((1 << LOOK_BITS) - 1);
            // one that is alone counts twice, at one place
            let (apart, second, both) = match small(rest) {
                Some((more, run, second)) if length + more <= LOOK_BITS => {
                    (run + 1, second, length + more)
                }
                _ => (0, first, length),
            };
            *entry = both | run << RUN | apart << APART | first << FIRST | second << SECOND;
        }
        Self(entries)
    }

    /// What the bits of a look begin with.
    #[inline(always)]
    pub(super) fn at(&self, look: usize) -> Pair {
        Pair(self.0[look & ((1 << LOOK_BITS) - 1)])
    }
}

/// One coefficient, or two; a single one is its own second.
#[derive(Clone, Copy)]
pub(super) struct Pair(u32);

impl Pair {
    /// False where a symbol stands alone, or a coefficient is too long or too large to be here.
    #[inline(always)]
    pub(super) fn is_found(self) -> bool {
        self.0 & 15 != 0
    }

    /// Bits of the codes and their values, in the lowest six bits; anything lies above them.
    #[inline(always)]
    pub(super) fn length(self) -> u32 {
        self.0
    }

    /// Where in the zigzag both stand, if the next coefficient is the `k`-th.
    #[inline(always)]
    pub(super) fn places(self, k: usize) -> [usize; 2] {
        let first = k + (self.0 >> RUN & 15) as usize;
        [first, first + (self.0 >> APART & 31) as usize]
    }

    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "a byte is taken")]
    pub(super) fn values(self) -> [i16; 2] {
        [FIRST, SECOND].map(|at| i16::from((self.0 >> at) as i8))
    }
}
