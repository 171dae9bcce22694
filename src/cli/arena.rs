//! The allocator's memory.

/// Starts this program anew, as the same process, where all its threads share one arena of the allocator. glibc keeps one
/// per thread otherwise, which here is of no use and holds a sixth more memory; it reads how many there may be from the
/// environment of a process that starts, and from nowhere else that safe code reaches. Where the environment says already
/// how the allocator is to work, or a new start fails, nothing is done.
pub(super) fn share() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[expect(clippy::disallowed_methods, reason = "of glibc's environment, not of ours")]
    {
        use std::{env, os::unix::process::CommandExt, process::Command};

        const ARENAS: &str = "MALLOC_ARENA_MAX";
        if env::var_os(ARENAS).is_some() || env::var_os("GLIBC_TUNABLES").is_some() {
            return;
        }
        // Not /proc/self/exe: a process is called as the file that it was started from.
        let Ok(program) = env::current_exe() else { return };
        let mut arguments = env::args_os();
        let mut command = Command::new(program);
        command.arg0(arguments.next().unwrap_or_default()).args(arguments).env(ARENAS, "1");
        // Comes back only if it fails.
        let _ = command.exec();
    }
}
