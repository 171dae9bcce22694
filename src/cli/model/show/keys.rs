//! Models per key: how many keys follow what, and how good it is for some of them.

use std::io::{self, Write};

use super::table::Table;
use crate::models::describe::PerKey;

pub(super) fn print(out: &mut impl Write, learned: &PerKey) -> io::Result<()> {
    let PerKey { keys, count, evicted, followed } = learned;
    let forgotten = if *evicted > 0 { format!(", {evicted} forgotten for want of room") } else { String::new() };
    let followed: Vec<String> = followed.iter().map(|it| format!("{} by {}", it.name, it.keys)).collect();
    writeln!(out, "  {count} keys{forgotten}; followed: {}", followed.join(", "))?;
    let Some(first) = keys.first() else { return Ok(()) };
    let names = first.predictors.iter().map(|it| it.name.as_str());
    let mut table = Table::new(&["key: followed", "n"].into_iter().chain(names).collect::<Vec<_>>());
    for key in keys {
        let name = if key.key.is_empty() { "(none)" } else { &key.key };
        let errors = key.predictors.iter().map(|it| it.recent_rmse);
        table.row(&format!("{name}: {}", key.followed), std::iter::once(key.n as f64).chain(errors));
    }
    table.print(out, 2)?;
    match count.saturating_sub(keys.len()) {
        0 => Ok(()),
        left_out => writeln!(out, "    recent RMSE, the largest first; {left_out} more keys are not shown"),
    }
}
