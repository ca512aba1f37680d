//! Code compiled for the processor's vectors, by autovectorisation.

use pulp::{Arch, NullaryFnOnce};

/// Calls its closure as `FnMut`: through `FnOnce` the compiler puts a shim in between, which is
/// not inlined, and what it calls is then compiled for the oldest processor.
struct Inlined<F>(F);

impl<R, F: FnMut() -> R> NullaryFnOnce for Inlined<F> {
    type Output = R;

    #[inline(always)]
    fn call(mut self) -> R {
        (self.0)()
    }
}

/// Runs `work` with the best vectors that the processor has.
///
/// The closure and all it calls in its loops must be `#[inline(always)]`.
pub(super) fn wide<R>(work: impl FnMut() -> R) -> R {
    Arch::new().dispatch(Inlined(work))
}

/// Whether [`wide`] code multiplies and adds in one instruction; where not, it calls a function.
pub(super) fn has_fused() -> bool {
    #[cfg(target_arch = "x86_64")]
    return !matches!(Arch::new(), Arch::Scalar);
    #[cfg(not(target_arch = "x86_64"))]
    cfg!(target_arch = "aarch64")
}
