//! What somebody who looked, before the daemon does, has to say.

use serde::Serialize;

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at, in a word, such as `broker`.
    pub check: &'static str,
    /// Which one of them; may be empty.
    pub subject: String,
    /// Outcome.
    pub verdict: Verdict,
    /// What was found and, where something is wrong, what to do about it.
    pub told: String,
}

/// Outcome of a look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It is as it should be.
    Ok,
    /// The daemon starts, but this may hurt.
    Warning,
    /// The daemon waits until this has passed, which it may do by itself.
    Away,
    /// The daemon does not start until somebody changes something.
    Wrong,
}

impl Finding {
    /// Makes one.
    pub fn new(check: &'static str, subject: &str, verdict: Verdict, told: impl Into<String>) -> Self {
        Self { check, subject: subject.to_owned(), verdict, told: told.into() }
    }
}
