//! Descriptors that a process may have open, and those that a cluster takes.

use rustix::process::{Resource, getrlimit};

use super::fault::{Fault, Try};

/// Connections to a broker.
const PER_BROKER: u64 = 3;
/// Descriptors beside: the state file, the log, the runtime, and whatever is opened for a moment.
const BESIDE: u64 = 32;

/// Makes sure that this process may connect to so many brokers.
///
/// # Errors
/// When the limit is too low, with the numbers.
pub(super) fn check(brokers: usize) -> Try<()> {
    // No limit is enough.
    let Some(limit) = getrlimit(Resource::Nofile).current else { return Ok(()) };
    match lacking(limit, brokers as u64) {
        None => Ok(()),
        Some(reason) => {
            let problem = "this process may not open enough descriptors for this cluster; raise its limit (LimitNOFILE= of the \
                           systemd unit, `ulimit -n` of the shell)";
            Err(Fault::access("connecting to the cluster", problem, reason))
        }
    }
}

/// Says what is wrong with a limit, if it is too low.
fn lacking(limit: u64, brokers: u64) -> Option<String> {
    let needed = PER_BROKER * brokers + BESIDE;
    (limit < needed).then(|| {
        format!("{PER_BROKER} connections to each of {brokers} brokers and {BESIDE} descriptors beside are {needed}, the limit is {limit}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_that_is_too_low_is_told_with_the_numbers() {
        assert_eq!(lacking(35, 1), None);
        let told = lacking(64, 20).expect("too low");
        for number in ["3", "20", "92", "64"] {
            assert!(told.contains(number), "{number}: {told}");
        }
    }
}
