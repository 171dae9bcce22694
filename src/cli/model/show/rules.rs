//! Prints rules as lines: the condition of each, and its prediction.

use std::io::{self, Write};

use super::tree::{describe, in_words};
use crate::models::describe::{Rule, Rules};

/// Prints all rules in the order in which they are tested.
pub(super) fn print(out: &mut impl Write, rules: &Rules) -> io::Result<()> {
    writeln!(out, "  {} rules", rules.rules.len())?;
    for Rule { literals, predicts } in &rules.rules {
        let tests: Vec<String> = literals.iter().map(|it| in_words(&it.feature, &it.test, it.holds)).collect();
        writeln!(out, "    if {}", tests.join(" and "))?;
        writeln!(out, "      {}", describe(predicts))?;
    }
    writeln!(out, "    else")?;
    writeln!(out, "      {}", describe(&rules.default))
}
