//! The server binary. Everything it does begins in `server::cli`.

use std::process::ExitCode;

// Pages are drawn from thousands of small pieces, on every thread: that is what it is quicker at than the C library's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    atomfeed_console::server::cli::main()
}
