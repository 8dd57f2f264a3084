//! The server binary. Everything it does begins in `server::cli`.

use std::process::ExitCode;

fn main() -> ExitCode {
    atomfeed_console::server::cli::main()
}
