//! Which GPU each of several processes takes.

use crate::nn::device;
use crate::plan::model::DeviceChoice;

/// GPUs of this machine, as `CUDA_VISIBLE_DEVICES` names them. `visible` is what that variable is
/// now; GPUs that it hides are not there.
#[must_use]
pub fn gpus(visible: Option<&str>) -> Vec<String> {
    named(visible, device::gpus())
}

fn named(visible: Option<&str>, count: usize) -> Vec<String> {
    match visible {
        Some(names) => names.split(',').map(|name| name.trim().to_owned()).take(count).collect(),
        None => (0..count).map(|number| number.to_string()).collect(),
    }
}

/// Whether models leave it to us which GPU they run on: one of them asks for one, and none for a
/// certain one.
#[must_use]
pub fn leaves_choice(devices: &[DeviceChoice]) -> bool {
    let certain = |of: &DeviceChoice| matches!(of, DeviceChoice::Cuda(Some(_)));
    devices.iter().any(|of| *of != DeviceChoice::Cpu) && !devices.iter().any(certain)
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

    #[test]
    fn a_number_in_a_definition_is_kept() {
        use DeviceChoice::{Auto, Cpu, Cuda};
        assert!(leaves_choice(&[Cpu, Cuda(None)]));
        assert!(leaves_choice(&[Auto]));
        assert!(!leaves_choice(&[Cpu]));
        assert!(!leaves_choice(&[Cuda(None), Cuda(Some(0))]));
    }
}
