//! How threads wait: rayon's, and candle's own.

use crate::base::environment::Environment;

/// Candle's variable: threads of the pool that its element-wise operators share.
const THREADS: &str = "CANDLE_NUM_THREADS";

/// Cores up to which that pool takes more than it gives.
const FEW_CORES: usize = 4;

/// On few cores, keeps candle from starting its pool. Its threads wait by spinning, and so take the
/// cores from those that multiply: of training a small model on two cores it was half the time. No
/// number depends on it. A variable that the user set stays.
///
/// For the start of a process: it does nothing once there is a second thread, or where the system
/// does not say how many there are.
pub(crate) fn keep_cores_free(environment: &Environment) {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let threads = std::fs::read_dir("/proc/self/task").map_or(0, Iterator::count);
    if cores > FEW_CORES || threads != 1 || environment.get(THREADS).is_some() {
        return;
    }
    // SAFETY: this is the process's only thread, as was just counted, so none reads or writes the
    // environment meanwhile.
    #[expect(unsafe_code, reason = "candle takes it from the environment alone")]
    unsafe {
        std::env::set_var(THREADS, "1");
    }
}

/// Does `work` on a thread of rayon's pool, so that what it shares out need not be handed over to threads that
/// sleep, and be waited for, each time.
pub(crate) fn in_pool<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    rayon::join(work, || ()).0
}
