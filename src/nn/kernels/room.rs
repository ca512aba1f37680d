//! How the allocator keeps what was given back.

use std::sync::{Mutex, PoisonError};

/// While one is held, room of more than 2 MB goes back to the system as soon as it is free.
///
/// glibc otherwise learns from the first large buffer that is freed to keep such room, in pieces
/// that later ones often do not fit: a run in int8 of ViT-B/32, which reads the f32 weights again
/// and again beside it, then has 60 MB more resident. Other allocators are left as they are.
#[derive(Debug)]
pub(in crate::nn) struct ReturnsRoom(());

/// While one is held, and no [`ReturnsRoom`], free room below 32 MB a buffer stays: for training,
/// whose steps all ask for the same. glibc otherwise gives back what is free at the end of its heap,
/// and has it cleared anew at every step, which took a sixth of one.
#[derive(Debug)]
pub(crate) struct KeepsRoom(());

/// How many of each are held.
#[derive(Debug, Default)]
struct Held {
    returning: usize,
    keeping: usize,
}

static HELD: Mutex<Held> = Mutex::new(Held { returning: 0, keeping: 0 });

/// From this size on, in bytes, a buffer is mapped and unmapped.
const LARGE: i32 = 2 << 20;
/// What glibc ends at by itself (mallopt(3), `M_MMAP_THRESHOLD`), on 64-bit systems.
const MOST: i32 = 32 << 20;
/// Of `M_TRIM_THRESHOLD`: nothing is given back.
const NEVER: i32 = -1;

impl ReturnsRoom {
    pub(in crate::nn) fn new() -> Self {
        change(|held| held.returning += 1);
        Self(())
    }
}

impl Drop for ReturnsRoom {
    fn drop(&mut self) {
        change(|held| held.returning -= 1);
    }
}

impl KeepsRoom {
    pub(crate) fn new() -> Self {
        change(|held| held.keeping += 1);
        Self(())
    }
}

impl Drop for KeepsRoom {
    fn drop(&mut self) {
        if change(|held| held.keeping -= 1) == 0 {
            give_back();
        }
    }
}

impl Held {
    /// Bytes from which on a buffer is mapped, and bytes free at the end of the heap from which on
    /// they are given back.
    fn thresholds(&self) -> (i32, i32) {
        match self {
            Self { returning: 1.., .. } => (LARGE, 2 * MOST),
            Self { keeping: 1.., .. } => (MOST, NEVER),
            Self { .. } => (MOST, 2 * MOST),
        }
    }
}

/// Changes what is held, and has the allocator follow; how many keep it now.
fn change(how: impl FnOnce(&mut Held)) -> usize {
    let mut held = HELD.lock().unwrap_or_else(PoisonError::into_inner);
    how(&mut held);
    set(held.thresholds());
    held.keeping
}

/// Has buffers of `mapped` bytes and more mapped and unmapped, and the end of the heap given back
/// once `trimmed` bytes of it are free. Both are always set: setting one ends what glibc learns of
/// the other, which would be twice as much.
fn set((mapped, trimmed): (i32, i32)) {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: both calls only set a number of the allocator, under its own lock; a value that it
    // does not take is one that it leaves.
    #[expect(unsafe_code, reason = "the allocator's settings are C's")]
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, mapped);
        libc::mallopt(libc::M_TRIM_THRESHOLD, trimmed);
    }
    #[cfg(not(all(target_os = "linux", target_env = "gnu")))]
    let _ = (mapped, trimmed);
}

/// Gives back all that is free.
fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: it looks through the allocator's own lists, under its own locks.
    #[expect(unsafe_code, reason = "the allocator is C's")]
    unsafe {
        libc::malloc_trim(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::files::read_text_capped;

    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[test]
    fn large_room_goes_back_at_once() {
        let resident = || {
            let statm = read_text_capped("/proc/self/statm".as_ref(), 1 << 10).unwrap();
            statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
        };
        // What glibc learns from: without the setting, room of this size is kept from here on.
        drop(std::hint::black_box(vec![1_u8; 16 << 20]));
        let held = ReturnsRoom::new();
        // The one given back leaves the other in force, and so does one that keeps.
        drop(ReturnsRoom::new());
        let keeps = KeepsRoom::new();
        let buffers: Vec<Vec<u8>> = (0..64).map(|_| vec![1; 8 << 20]).collect();
        let full = resident();
        let kept: Vec<Vec<u8>> = buffers.into_iter().step_by(2).collect();
        assert!(resident() + (200 << 20) < full, "{} of {full}", resident());
        drop((kept, keeps, held));
    }

    #[test]
    fn who_returns_goes_before_who_keeps() {
        let of = |returning, keeping| Held { returning, keeping }.thresholds();
        assert_eq!(of(0, 2), (MOST, NEVER));
        assert_eq!(of(1, 2), (LARGE, 2 * MOST));
        assert_eq!(of(0, 0), (MOST, 2 * MOST));
    }
}
