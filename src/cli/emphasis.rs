//! Emphasis among numbers on a terminal.

use console::Style;

/// True where text may be emphasised: on a terminal, unless `NO_COLOR` is set (no-color.org).
#[derive(Clone, Copy, Debug)]
pub(super) struct Emphasis(bool);

impl Emphasis {
    pub(super) fn of_stdout() -> Self {
        Self(console::colors_enabled())
    }

    pub(super) fn of_stderr() -> Self {
        Self(console::colors_enabled_stderr())
    }

    /// Emphasises the best, or the one that counts.
    pub(super) fn strong(self, text: String) -> String {
        if self.0 { Style::new().bold().green().force_styling(true).apply_to(text).to_string() } else { text }
    }

    /// Emphasises what somebody has to see to.
    pub(super) fn alarm(self, text: String) -> String {
        if self.0 { Style::new().bold().red().force_styling(true).apply_to(text).to_string() } else { text }
    }
}
