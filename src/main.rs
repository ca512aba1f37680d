//! The binary: the command line goes to the library, its exit code to the system.

fn main() -> std::process::ExitCode {
    clipmill::cli::main(
        std::env::args_os().collect(),
        &clipmill::base::environment::Environment::of_process(),
    )
}
