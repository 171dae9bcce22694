//! The `thalweg` binary: everything is in the library.

use std::process::ExitCode;

/// Records are allocated in one thread and freed in another, at which the system's allocator spends a sixth of the time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    thalweg::cli::main()
}
