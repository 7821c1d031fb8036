//! The command line of the comparison.

use std::process::ExitCode;

fn main() -> ExitCode {
    compare::cli::main()
}
