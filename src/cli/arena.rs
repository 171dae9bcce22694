//! The allocator's memory.

/// Starts this program anew, as the same process, with one arena of the allocator for all its threads. Otherwise glibc
/// keeps one per thread, which is of no use here and holds a sixth more memory; it reads the limit only from the
/// environment of a starting process, as far as safe code can reach it. Where the environment configures the allocator
/// already, or the new start fails, it does nothing.
pub(super) fn share() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[expect(clippy::disallowed_methods, reason = "of glibc's environment, not of ours")]
    {
        use std::{env, os::unix::process::CommandExt, process::Command};

        const ARENAS: &str = "MALLOC_ARENA_MAX";
        if env::var_os(ARENAS).is_some() || env::var_os("GLIBC_TUNABLES").is_some() {
            return;
        }
        // We do not use /proc/self/exe: a process gets the name of the file that it was started from.
        let Ok(program) = env::current_exe() else { return };
        let mut arguments = env::args_os();
        let mut command = Command::new(program);
        command.arg0(arguments.next().unwrap_or_default()).args(arguments).env(ARENAS, "1");
        // It returns only if it fails.
        let _ = command.exec();
    }
}
