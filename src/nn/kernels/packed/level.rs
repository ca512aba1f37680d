//! Which vector instructions there are, asked at run time.

use std::sync::LazyLock;

#[cfg(target_arch = "x86_64")]
use super::amx;

/// A set of instructions the kernels are compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::nn) enum Level {
    /// What every processor of the target has.
    Portable,
    /// AVX2 and fused multiply-add.
    Avx2,
    /// These, and AVX-VNNI for bytes: what Intel's processors for desktops have, which have no AVX-512.
    AvxVnni,
    /// AVX-512 F, BW, VL and DQ; VNNI and BF16 are asked for where they are used.
    Avx512,
    /// All of these, and AMX for bfloat16 and bytes.
    Amx,
}

impl Level {
    /// The best of this processor.
    pub(in crate::nn) fn best() -> Self {
        static BEST: LazyLock<Level> =
            LazyLock::new(|| Level::available().last().copied().unwrap_or(Level::Portable));
        *BEST
    }

    /// All of this processor, from the plainest to the best.
    pub(in crate::nn) fn available() -> Vec<Self> {
        let mut levels = vec![Self::Portable];
        levels.extend(has_avx2().then_some(Self::Avx2));
        levels.extend(has_avx_vnni().then_some(Self::AvxVnni));
        levels.extend(has_avx512().then_some(Self::Avx512));
        levels.extend(has_amx().then_some(Self::Amx));
        levels
    }

    /// Whether this processor multiplies pairs of bfloat16.
    #[inline]
    pub(in crate::nn) fn has_bf16() -> bool {
        #[cfg(target_arch = "x86_64")]
        {
            static HAS: LazyLock<bool> =
                LazyLock::new(|| has_avx512() && is_x86_feature_detected!("avx512bf16"));
            *HAS
        }
        #[cfg(not(target_arch = "x86_64"))]
        false
    }

    /// Whether this level multiplies groups of four bytes: AVX-VNNI, AVX-512 with VNNI, or AMX.
    // AVX-512 asks it before every tile, as the one above.
    #[inline]
    pub(in crate::nn) fn multiplies_bytes(self) -> bool {
        #[cfg(target_arch = "x86_64")]
        {
            match self {
                Self::Portable | Self::Avx2 => false,
                Self::AvxVnni => true,
                Self::Avx512 | Self::Amx => is_x86_feature_detected!("avx512vnni"),
            }
        }
        #[cfg(not(target_arch = "x86_64"))]
        false
    }
}

// What the processor answered once is kept, and nothing is allocated.
#[inline]
fn has_avx2() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")
    }
    #[cfg(not(target_arch = "x86_64"))]
    false
}

fn has_avx_vnni() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        has_avx2() && is_x86_feature_detected!("avxvnni")
    }
    #[cfg(not(target_arch = "x86_64"))]
    false
}

#[inline]
fn has_avx512() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        has_avx2()
            && is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512dq")
    }
    #[cfg(not(target_arch = "x86_64"))]
    false
}

fn has_amx() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        // AVX-512 BF16 rounds what AMX multiplies.
        has_avx512()
            && is_x86_feature_detected!("avx512vnni")
            && is_x86_feature_detected!("avx512bf16")
            && amx::is_there()
    }
    #[cfg(not(target_arch = "x86_64"))]
    false
}

/// Whether [`f32::mul_add`] is one instruction on every processor of the target.
pub(super) const FUSED_EVERYWHERE: bool =
    cfg!(any(target_arch = "aarch64", target_feature = "fma"));

/// Code without instructions of its own, compiled once for each level.
pub(super) trait Work {
    /// Runs it; `FUSED` says that [`f32::mul_add`] is one instruction. Must be
    /// `#[inline(always)]`, or it is compiled for the plainest processor only.
    fn run<const FUSED: bool>(self, level: Level);
}

/// Runs `work` compiled for `level`, which must be one of [`Level::available`].
pub(super) fn run<W: Work>(level: Level, work: W) {
    match level {
        Level::Portable => work.run::<FUSED_EVERYWHERE>(level),
        // SAFETY: a `Level` above `Portable` comes from `Level::available`, which asked the
        // processor for these instructions.
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 | Level::AvxVnni => unsafe { with_avx2(work, level) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 | Level::Amx => unsafe { with_avx512(work, level) },
        #[cfg(not(target_arch = "x86_64"))]
        _ => work.run::<FUSED_EVERYWHERE>(level),
    }
}

/// Runs `work`, a closure that must be `#[inline(always)]`, compiled for the best of this
/// processor. Products are not fused with sums, so that its numbers are the same on all.
#[inline(always)]
pub(in crate::nn) fn widest<F: FnOnce()>(work: F) {
    run(Level::best(), Plain(work));
}

struct Plain<F>(F);

impl<F: FnOnce()> Work for Plain<F> {
    #[inline(always)]
    fn run<const FUSED: bool>(self, _: Level) {
        (self.0)();
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn with_avx2<W: Work>(work: W, level: Level) {
    work.run::<true>(level);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx2,fma")]
fn with_avx512<W: Work>(work: W, level: Level) {
    work.run::<true>(level);
}
