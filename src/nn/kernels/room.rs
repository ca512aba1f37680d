//! How the allocator keeps what was given back.

use std::sync::{Mutex, PoisonError};

/// While one is held, room of more than 2 MB goes back to the system as soon as it is free.
///
/// glibc otherwise learns from the first large buffer that is freed to keep such room, in pieces
/// that later ones often do not fit: a run in int8 of ViT-B/32, which reads the f32 weights again
/// and again beside it, then has 60 MB more resident. Not for training, whose many buffers of that
/// size would be asked for anew at every step. Other allocators are left as they are.
#[derive(Debug)]
pub(in crate::nn) struct ReturnsRoom(());

/// Who holds one.
static HELD: Mutex<usize> = Mutex::new(0);

/// From this size on, in bytes.
const LARGE: i32 = 2 << 20;
/// What glibc ends at by itself (mallopt(3), `M_MMAP_THRESHOLD`), on 64-bit systems.
const MOST: i32 = 32 << 20;

impl ReturnsRoom {
    pub(in crate::nn) fn new() -> Self {
        let mut held = HELD.lock().unwrap_or_else(PoisonError::into_inner);
        *held += 1;
        if *held == 1 {
            keep_below(LARGE);
        }
        Self(())
    }
}

impl Drop for ReturnsRoom {
    fn drop(&mut self) {
        let mut held = HELD.lock().unwrap_or_else(PoisonError::into_inner);
        *held -= 1;
        if *held == 0 {
            keep_below(MOST);
        }
    }
}

/// Has buffers below `bytes` kept when they are free, and all others mapped and unmapped.
fn keep_below(bytes: i32) {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: both calls only set a number of the allocator, under its own lock; a value that it
    // does not take is one that it leaves.
    #[expect(unsafe_code, reason = "the allocator's settings are C's")]
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, bytes);
        // Setting one ends what glibc learns of the other, which would be twice as much.
        libc::mallopt(libc::M_TRIM_THRESHOLD, 2 * MOST);
    }
    #[cfg(not(all(target_os = "linux", target_env = "gnu")))]
    let _ = bytes;
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
        // The one given back leaves the other in force.
        drop(ReturnsRoom::new());
        let buffers: Vec<Vec<u8>> = (0..64).map(|_| vec![1; 8 << 20]).collect();
        let full = resident();
        let kept: Vec<Vec<u8>> = buffers.into_iter().step_by(2).collect();
        assert!(resident() + (200 << 20) < full, "{} of {full}", resident());
        drop((kept, held));
    }
}
