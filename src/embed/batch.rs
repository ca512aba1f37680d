//! How many rows a batch has where nobody says: no number depends on it.

use std::path::Path;

use crate::base::files::read_text_capped;

/// Most rows of a batch on a GPU: more are no faster.
const MOST_ON_GPU: usize = 1024;
/// The part of the free memory that a batch may take, of a GPU and of the machine, on which the
/// rest of a run works too.
const OF_GPU: u64 = 2;
const OF_MACHINE: u64 = 4;

/// What a row of a batch takes.
#[derive(Debug, Clone, Copy)]
pub(super) struct RowSize {
    /// Bytes of a row that waits for its batch.
    pub(super) input_bytes: usize,
    /// Bytes of its activations, where a batch is computed at once; else 0.
    pub(super) activation_bytes: usize,
}

/// Memory that is free, in bytes; none where nobody says.
#[derive(Debug, Clone, Copy)]
pub(super) struct Free {
    pub(super) machine: Option<u64>,
    pub(super) gpu: Option<u64>,
}

/// Rows of a batch: on a GPU as many as fit, in whole pieces of those that it has `at_once`; on the
/// processor, where more are no faster, at most `usual`.
pub(super) fn rows(row: RowSize, usual: usize, at_once: Option<usize>, free: Free) -> usize {
    let (input, activations) = (row.input_bytes, row.activation_bytes);
    let most = match free.gpu {
        Some(_) => {
            let fit = fitting(free.gpu, OF_GPU, activations);
            MOST_ON_GPU.min(fit).min(fitting(free.machine, OF_MACHINE, input))
        }
        None => usual.min(fitting(free.machine, OF_MACHINE, input.saturating_add(activations))),
    };
    let piece = at_once.filter(|piece| (1..=most).contains(piece)).unwrap_or(1);
    (most - most % piece).max(1)
}

/// Rows of `each` bytes in one `part`-th of `free`.
fn fitting(free: Option<u64>, part: u64, each: usize) -> usize {
    let Some(free) = free else { return usize::MAX };
    usize::try_from(free / part).unwrap_or(usize::MAX) / each.max(1)
}

/// Bytes that the machine can still give, where it says so (Linux).
pub(super) fn free_bytes() -> Option<u64> {
    available(&read_text_capped(Path::new("/proc/meminfo"), 1 << 16).ok()?)
}

fn available(meminfo: &str) -> Option<u64> {
    let number = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    number.trim().strip_suffix("kB")?.trim_end().parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MB: u64 = 1 << 20;
    /// An image of 224 pixels on packed weights.
    const LEVELS: RowSize = RowSize { input_bytes: 3 * 224 * 224, activation_bytes: 0 };
    /// As much again on a GPU, with two megabytes of activations.
    const ON_GPU: RowSize = RowSize { activation_bytes: 2 << 20, ..LEVELS };

    fn free(machine: u64, gpu: Option<u64>) -> Free {
        Free { machine: Some(machine), gpu }
    }

    #[test]
    fn the_processor_takes_its_usual_batch_unless_memory_is_short() {
        assert_eq!(rows(LEVELS, 32, None, free(8 << 30, None)), 32);
        assert_eq!(rows(LEVELS, 64, None, Free { machine: None, gpu: None }), 64);
        assert_eq!(rows(LEVELS, 32, None, free(8 * MB, None)), 13, "2 MiB of 147 KiB each");
        assert_eq!(rows(ON_GPU, 32, None, free(100 * MB, None)), 11, "computed at once");
        assert_eq!(rows(LEVELS, 32, None, free(0, None)), 1);
    }

    #[test]
    fn a_gpu_takes_what_fits_in_whole_pieces() {
        let on = |gpu| rows(ON_GPU, 32, Some(128), free(64 << 30, Some(gpu)));
        assert_eq!(on(80 << 30), 1024);
        assert_eq!(on(2048 * MB), 512);
        assert_eq!(on(2044 * MB), 384, "511 fit");
        assert_eq!(on(200 * MB), 50, "less than a piece");
        assert_eq!(on(0), 1);
        assert_eq!(rows(ON_GPU, 64, None, free(64 << 30, Some(2044 * MB))), 511);
        let poor = rows(ON_GPU, 32, Some(128), free(300 * MB, Some(80 << 30)));
        assert_eq!(poor, 512, "522 wait in 75 MiB of the machine");
    }

    #[test]
    fn the_machine_says_what_it_can_give() {
        let said = "MemTotal:       24689040 kB\nMemFree: 1 kB\nMemAvailable:   22020096 kB\n";
        assert_eq!(available(said), Some(21 << 30));
        assert_eq!(available("MemTotal: 24689040 kB\n"), None);
        assert_eq!(available("MemAvailable: many\n"), None);
    }
}
