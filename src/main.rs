//! The server binary; its entry point is `server::cli`.

use std::process::ExitCode;

// Rendering makes thousands of small allocations on every thread, at which mimalloc is quicker than the C library.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    atomfeed_console::server::cli::main()
}
