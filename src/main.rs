//! The `ringlog` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    ringlog::cli::main()
}
