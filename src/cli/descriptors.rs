//! The number of descriptors that this process may open.

/// Raises the limit as far as a process may by itself. The usual one is low for the sake of old programs alone, which this is
/// not; where the system refuses, it stays, and whoever needs more says so.
pub(super) fn raise_limit() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

        let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
        let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    }
}
