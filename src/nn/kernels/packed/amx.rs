//! Tiles in AMX: thirty-two rows by thirty-two columns, sixteen groups deep a step.
//!
//! In assembly, since the compiler's own functions for these instructions are not stable yet. The
//! eight registers hold four squares of sums, two of rows and two of columns.
#![cfg(target_arch = "x86_64")]

use std::arch::asm;
use std::marker::PhantomData;
use std::sync::LazyLock;

use super::grid::LINE;
use super::tile::{COLUMNS, Factors, Sums};

/// Rows of a register, and groups of one.
const SIDE: usize = 16;
/// Bytes of a group.
const GROUP: usize = 4;

/// Whether the processor has AMX with bfloat16 and bytes, and the system lets us use it.
pub(super) fn is_there() -> bool {
    static THERE: LazyLock<bool> = LazyLock::new(|| has_instructions() && is_permitted());
    *THERE
}

/// Intel's manual, volume 2, CPUID: leaf 7; volume 1, 13.3: XCR0 has bits 17 and 18 where the system
/// keeps the registers from thread to thread.
fn has_instructions() -> bool {
    use std::arch::x86_64::{__cpuid_count, __get_cpuid_max, _xgetbv};
    const BF16_TILE_INT8: u32 = 1 << 22 | 1 << 24 | 1 << 25;
    const KEPT: u64 = 1 << 17 | 1 << 18;
    #[target_feature(enable = "xsave")]
    fn kept() -> u64 {
        // SAFETY: the register that is always there.
        unsafe { _xgetbv(0) }
    }
    is_x86_feature_detected!("xsave")
        && __get_cpuid_max(0).0 >= 7
        && __cpuid_count(7, 0).edx & BF16_TILE_INT8 == BF16_TILE_INT8
        // SAFETY: the processor was asked for the instruction. The system allows it: AVX, which is
        // detected only with its consent, is asked for before (`Level::available`).
        && unsafe { kept() } & KEPT == KEPT
}

/// Asks Linux for room for the registers in every thread: it gives it to who asks (its
/// documentation, `arch/x86/xstate`).
#[cfg(target_os = "linux")]
fn is_permitted() -> bool {
    const ARCH_REQ_XCOMP_PERM: libc::c_long = 0x1023;
    const XTILEDATA: libc::c_long = 18;
    // SAFETY: two numbers, no memory; a kernel that does not know the call says so.
    unsafe { libc::syscall(libc::SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XTILEDATA) == 0 }
}

#[cfg(not(target_os = "linux"))]
fn is_permitted() -> bool {
    false
}

/// What LDTILECFG reads: the size of each register.
#[repr(C, align(64))]
struct Sizes {
    palette: u8,
    start: u8,
    reserved: [u8; 14],
    bytes: [u16; 16],
    rows: [u8; 16],
}

impl Sizes {
    /// For `rows` rows of a step of `groups`; registers without rows are not there.
    #[expect(clippy::cast_possible_truncation, reason = "at most 64")]
    fn of(rows: usize, groups: usize) -> Self {
        let (top, below) = (rows.min(SIDE), rows.saturating_sub(SIDE));
        let mut sizes =
            Self { palette: 1, start: 0, reserved: [0; 14], bytes: [0; 16], rows: [0; 16] };
        let all = [
            (top, SIDE),
            (top, SIDE),
            (below, SIDE),
            (below, SIDE),
            (top, groups),
            (below, groups),
            (groups, SIDE),
            (groups, SIDE),
        ];
        let places = sizes.rows.iter_mut().zip(&mut sizes.bytes);
        for ((to_rows, to_bytes), (rows, words)) in places.zip(all) {
            if rows > 0 {
                (*to_rows, *to_bytes) = (rows as u8, (words * GROUP) as u16);
            }
        }
        sizes
    }
}

/// This thread's registers, sized; given back when it is dropped, so that the system need not keep
/// them. Between, nothing else may use them: who holds one calls nothing but kernels.
#[derive(Debug)]
pub(super) struct Tiles {
    /// Rows and groups of a step; no rows before the first.
    sized: (usize, usize),
    /// The registers are a thread's.
    this_thread: PhantomData<*const ()>,
}

/// Steps of a tile, and where they begin.
struct Steps {
    left: *const u32,
    left_stride: usize,
    right: *const u32,
    right_stride: usize,
    count: usize,
    /// Whether the sums are added to what stands there.
    onto: bool,
    /// What is asked for meanwhile, so many cache lines a step.
    ahead: *const u32,
    lines: usize,
}

/// Bits of what the code is told: sums are added to what stands there; there are rows for the lower
/// registers, which are not to be touched otherwise.
const ONTO: usize = 1;
const BELOW: usize = 2;

macro_rules! steps {
    ($(#[$doc:meta])* $name:ident, $multiply:literal) => {
        $(#[$doc])*
        ///
        /// # Safety
        /// AMX is there, its registers are sized for as many rows as there are sums and for the
        /// groups of a step, there is a step, and what the steps read lies within the factors.
        unsafe fn $name(steps: &Steps, sums: &mut [Sums]) {
            let below = if sums.len() > SIDE { BELOW } else { 0 };
            let how = below | if steps.onto { ONTO } else { 0 };
            // SAFETY: the caller's promise.
            unsafe {
                asm!(
                    "test {how}, {ONTO}",
                    "jz 2f",
                    "tileloadd tmm0, [{to} + {row}*1]",
                    "tileloadd tmm1, [{to} + {row}*1 + 64]",
                    "test {how}, {BELOW}",
                    "jz 3f",
                    "tileloadd tmm2, [{to} + {row}*1 + 2048]",
                    "tileloadd tmm3, [{to} + {row}*1 + 2112]",
                    "jmp 3f",
                    "2:",
                    "tilezero tmm0",
                    "tilezero tmm1",
                    "test {how}, {BELOW}",
                    "jz 3f",
                    "tilezero tmm2",
                    "tilezero tmm3",
                    // a step: some lines ahead, then the products
                    "3:",
                    "mov {i}, {lines}",
                    "test {i}, {i}",
                    "jz 5f",
                    "4:",
                    "prefetcht1 [{ahead}]",
                    "add {ahead}, 64",
                    "dec {i}",
                    "jnz 4b",
                    "5:",
                    "tileloadd tmm4, [{top} + {left}*1]",
                    "tileloadd tmm6, [{at} + {right}*1]",
                    concat!($multiply, " tmm0, tmm4, tmm6"),
                    "tileloadd tmm7, [{at} + {right}*1 + 64]",
                    concat!($multiply, " tmm1, tmm4, tmm7"),
                    "test {how}, {BELOW}",
                    "jz 6f",
                    "tileloadd tmm5, [{below} + {left}*1]",
                    concat!($multiply, " tmm2, tmm5, tmm6"),
                    concat!($multiply, " tmm3, tmm5, tmm7"),
                    "6:",
                    "add {top}, 64",
                    "add {below}, 64",
                    // sixteen groups of the right factor
                    "mov {i}, {right}",
                    "shl {i}, 4",
                    "add {at}, {i}",
                    "dec {count}",
                    "jnz 3b",
                    "tilestored [{to} + {row}*1], tmm0",
                    "tilestored [{to} + {row}*1 + 64], tmm1",
                    "test {how}, {BELOW}",
                    "jz 7f",
                    "tilestored [{to} + {row}*1 + 2048], tmm2",
                    "tilestored [{to} + {row}*1 + 2112], tmm3",
                    "7:",
                    ONTO = const ONTO,
                    BELOW = const BELOW,
                    how = in(reg) how,
                    to = in(reg) sums.as_mut_ptr(),
                    row = in(reg) COLUMNS * GROUP,
                    top = inout(reg) steps.left => _,
                    below = inout(reg) steps.left.wrapping_add(SIDE * steps.left_stride) => _,
                    left = in(reg) steps.left_stride * GROUP,
                    at = inout(reg) steps.right => _,
                    right = in(reg) steps.right_stride * GROUP,
                    count = inout(reg) steps.count => _,
                    ahead = inout(reg) steps.ahead => _,
                    lines = in(reg) steps.lines,
                    i = out(reg) _,
                    out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                    out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                    options(nostack),
                );
            }
        }
    };
}

steps!(
    /// Pairs of bfloat16: the first numbers of all pairs of a step and the second ones are summed
    /// apart in f32, then together onto what was.
    bf16,
    "tdpbf16ps"
);

steps!(
    /// Groups of four bytes, the left without sign, summed in i32.
    int8,
    "tdpbusd"
);

impl Tiles {
    /// Registers of no size yet.
    pub(super) fn new() -> Self {
        Self { sized: (0, 0), this_thread: PhantomData }
    }

    /// Pairs of bfloat16, summed in f32; with `onto` onto what stands there.
    ///
    /// # Safety
    /// AMX is there, there are 1 to 32 rows of sums, and that many rows and 32 columns of `groups`
    /// groups, one at least, lie within the factors.
    pub(super) unsafe fn bf16(&mut self, factors: &Factors<'_>, onto: bool, sums: &mut [Sums]) {
        let rows = sums.len();
        // SAFETY: the caller's promise, and the registers are sized.
        self.parts(factors, onto, rows, |steps| unsafe { bf16(steps, sums) });
    }

    /// Groups of four bytes, the left without sign, summed in i32; otherwise as [`Self::bf16`].
    ///
    /// # Safety
    /// As of [`Self::bf16`].
    pub(super) unsafe fn int8(&mut self, factors: &Factors<'_>, onto: bool, sums: &mut [Sums]) {
        let rows = sums.len();
        // SAFETY: the caller's promise, and the registers are sized.
        self.parts(factors, onto, rows, |steps| unsafe { int8(steps, sums) });
    }

    /// Calls `each` for whole steps and for what is left, with the registers sized for it.
    #[inline(always)]
    fn parts(
        &mut self,
        factors: &Factors<'_>,
        onto: bool,
        rows: usize,
        mut each: impl FnMut(&Steps),
    ) {
        let (count, rest) = (factors.groups / SIDE, factors.groups % SIDE);
        let whole = count * SIDE;
        let mut steps = Steps {
            left: factors.left.as_ptr(),
            left_stride: factors.left_stride,
            right: factors.right.as_ptr(),
            right_stride: factors.right_stride,
            count,
            onto,
            ahead: factors.ahead.as_ptr(),
            lines: factors.ahead.len().div_ceil(LINE).div_ceil(count.max(1)),
        };
        if count > 0 {
            self.size(rows, SIDE);
            each(&steps);
            steps.onto = true;
        }
        if rest > 0 {
            self.size(rows, rest);
            steps.left = steps.left.wrapping_add(whole);
            steps.right = steps.right.wrapping_add(whole * factors.right_stride);
            steps.count = 1;
            each(&steps);
        }
    }

    /// Sizes the registers, which takes as long as ten products of them.
    #[inline(always)]
    fn size(&mut self, rows: usize, groups: usize) {
        if self.sized != (rows, groups) {
            let sizes = Sizes::of(rows, groups);
            // SAFETY: who multiplies promised that AMX is there; the sizes are within a register's.
            unsafe {
                asm!("ldtilecfg [{}]", in(reg) &raw const sizes, options(nostack, readonly));
            }
            self.sized = (rows, groups);
        }
    }
}

impl Drop for Tiles {
    #[inline]
    fn drop(&mut self) {
        if self.sized != (0, 0) {
            // SAFETY: it was sized, so AMX is there.
            unsafe { asm!("tilerelease", options(nostack, nomem)) };
        }
    }
}
