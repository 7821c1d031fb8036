//! The command `everyway`.

use std::process::ExitCode;

fn main() -> ExitCode {
    everyway::cli::main()
}
