//! The GPUs of this machine.

use crate::nn::device;

/// GPUs of this machine, as `CUDA_VISIBLE_DEVICES` names them. `visible` is what that variable is
/// now; GPUs that it hides are not there.
#[must_use]
pub fn gpu_names(visible: Option<&str>) -> Vec<String> {
    named(visible, device::gpus())
}

fn named(visible: Option<&str>, count: usize) -> Vec<String> {
    match visible {
        Some(names) => names.split(',').map(|name| name.trim().to_owned()).take(count).collect(),
        None => (0..count).map(|number| number.to_string()).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gpus_have_the_names_that_the_driver_takes() {
        assert_eq!(named(None, 2), ["0", "1"]);
        // The driver stops at a name that is none, here the third.
        assert_eq!(named(Some("3, GPU-8a,-1"), 2), ["3", "GPU-8a"]);
        assert!(named(Some(""), 0).is_empty());
    }
}
