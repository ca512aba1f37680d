//! Signals to the processes of a test.

use std::process::Command;

/// Sends `signal`, such as `-INT`; false where the process is there no more. The shell has a `kill`
/// of its own: the program is not on every machine.
pub fn send(signal: &str, to: u32) -> bool {
    Command::new("sh").arg("-c").arg(format!("kill {signal} {to}")).status().unwrap().success()
}
