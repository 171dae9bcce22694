//! docs/errors.md against the code: every warning, error, reason and message that a user can meet is there, and nothing that is
//! not.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

const PAGE: &str = include_str!("../../docs/errors.md");

/// Sources without their unit tests.
fn sources() -> Vec<(PathBuf, String)> {
    fn all(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                all(&path, found);
            } else if path.extension().is_some_and(|it| it == "rs") {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    all(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
    found.sort();
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).expect("read");
        let code = text.split("#[cfg(test)]\nmod tests").next().expect("the first part").to_owned();
        (path, code)
    };
    found.into_iter().map(read).collect()
}

/// What stands behind each `start` in a text, up to `end`.
fn each<'t>(text: &'t str, start: &str, end: &str) -> Vec<&'t str> {
    text.split(start).skip(1).map(|rest| rest.split(end).next().expect("the first part")).collect()
}

/// Levels of the events in the code.
fn events() -> BTreeMap<String, BTreeSet<&'static str>> {
    let mut events: BTreeMap<String, BTreeSet<&'static str>> = BTreeMap::new();
    for (path, code) in sources() {
        for (level, start) in [("error", "tracing::error!("), ("warn", "tracing::warn!("), ("info", "tracing::info!(")]
        {
            for call in each(&code, start, ");\n") {
                if let Some(name) = each(call, "event = \"", "\"").first() {
                    events.entry((*name).to_owned()).or_default().insert(level);
                } else {
                    // One macro takes the event's name, and one line that of a notice.
                    let is_known = ["event = notice.name()", "$($about = $value,)+"].iter().any(|it| call.contains(it));
                    assert!(is_known, "{}: a line without an event: {call}", path.display());
                }
            }
        }
        // Notices of the decoder have their names in a table, and are warnings but for those that are named.
        if path.ends_with("decode/notice.rs") {
            let names = each(&code, "Notice::", ",\n").into_iter().filter_map(|arm| {
                let (variant, name) = arm.split_once("=> \"")?;
                Some((variant.split([' ', '(', '{']).next()?.to_owned(), name.trim_end_matches('"').to_owned()))
            });
            let quiet = each(&code, "!matches!(", ")").join(" ");
            for (variant, name) in names {
                let level = if quiet.contains(&format!("Notice::{variant}")) { "info" } else { "warn" };
                events.entry(name).or_default().insert(level);
            }
        }
    }
    assert!(events.len() > 50, "only {} events found: this test does not see what it should", events.len());
    events
}

#[test]
fn every_warning_and_error_in_the_log_has_its_cause_and_next_step() {
    let events = events();
    let rows: BTreeMap<&str, &str> = PAGE
        .lines()
        .filter_map(|row| {
            let cells: Vec<&str> = row.strip_prefix("| `")?.split(" | ").collect();
            let level = cells.get(1).filter(|level| ["warn", "error", "info"].contains(level))?;
            assert!(cells.len() == 4 && cells[2..].iter().all(|cell| cell.trim_end_matches(" |").len() > 3), "{row}");
            Some((cells[0].trim_end_matches('`'), *level))
        })
        .collect();
    let loud = |levels: &BTreeSet<&str>| levels.contains("warn") || levels.contains("error");
    let untold: Vec<&String> = events
        .iter()
        .filter(|(name, levels)| loud(levels) && !rows.contains_key(name.as_str()))
        .map(|(name, _)| name)
        .collect();
    assert!(untold.is_empty(), "docs/errors.md does not tell of {untold:?}");
    for (name, level) in rows {
        let levels = events.get(name).unwrap_or_else(|| panic!("docs/errors.md tells of `{name}`, which no code logs"));
        assert!(levels.contains(level), "docs/errors.md calls `{name}` {level}; it is {levels:?}");
    }
}

/// A text without what only sets parts of it apart.
fn plain(text: &str) -> String {
    text.replace('`', "").split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A message as the page writes it: `…` for what differs.
fn message(literal: &str) -> String {
    let literal = literal.split("\\\n").map(str::trim_start).collect::<Vec<_>>().concat().replace("\\\"", "\"");
    let (mut text, mut depth) = (String::new(), 0);
    for c in literal.chars() {
        match c {
            '{' => depth += 1,
            '}' => {
                depth -= 1;
                text.push('…');
            }
            c if depth == 0 => text.push(c),
            _ => {}
        }
    }
    plain(&text)
}

/// Says whether the parts of a pattern are in a text, in their order.
fn fits(pattern: &str, text: &str) -> bool {
    let mut rest = text;
    pattern.split('…').map(str::trim).filter(|part| !part.is_empty()).all(|part| match rest.split_once(part) {
        Some((_, behind)) => {
            rest = behind;
            true
        }
        None => false,
    })
}

/// Letters that are always the same.
fn weight(text: &str) -> usize {
    text.chars().filter(|c| c.is_alphanumeric()).count()
}

/// The text in quotes at the beginning of some code.
fn literal(code: &str) -> Option<&str> {
    let rest = code.trim_start().strip_prefix('"')?;
    let mut escaped = false;
    let end = rest.char_indices().find(|(_, c)| {
        let ends = *c == '"' && !escaped;
        escaped = *c == '\\' && !escaped;
        ends
    });
    Some(&rest[..end?.0])
}

#[test]
fn every_message_with_which_something_ends_has_its_next_step() {
    let rows = PAGE.lines().filter(|line| line.starts_with("| "));
    let patterns: Vec<String> = rows.flat_map(|row| row.split('`').skip(1).step_by(2)).map(plain).collect();
    let mut untold = Vec::new();
    let mut seen = 0;
    for (path, code) in sources() {
        let mut starts = vec!["#[error("];
        if path.components().any(|part| part.as_os_str() == "cli") {
            starts.extend(["bail!(", "anyhow!("]);
        }
        for text in starts.iter().flat_map(|start| code.split(start).skip(1)).filter_map(literal).map(message) {
            let whole = weight(&text);
            if whole < 6 {
                continue;
            }
            seen += 1;
            // A pattern that fits nearly everything tells of nothing.
            let tells = |pattern: &String| weight(pattern) >= 20.min(whole * 3 / 5) && fits(pattern, &text);
            if !patterns.iter().any(tells) {
                untold.push(format!("{}: {text}", path.display()));
            }
        }
    }
    assert!(seen > 70, "only {seen} messages found: this test does not see what it should");
    assert!(untold.is_empty(), "docs/errors.md does not tell of\n{}", untold.join("\n"));
}

#[test]
fn every_reason_of_a_dead_letter_and_every_exit_code_is_told() {
    let code = |name: &str| sources().into_iter().find(|(path, _)| path.ends_with(name)).expect(name).1;
    let reasons: Vec<String> = each(&code("decode/rejection.rs"), "=> \"", "\"")
        .into_iter()
        .filter(|reason| reason.chars().all(|c| c.is_ascii_lowercase() || c == '_'))
        .map(str::to_owned)
        .chain(each(&code("samples/table.rs"), "Unusable::at(line, \"", "\"").into_iter().map(str::to_owned))
        .collect();
    assert!(reasons.len() > 13, "only {reasons:?} found: this test does not see what it should");
    for reason in reasons {
        assert!(PAGE.contains(&format!("\n| `{reason}` | `")), "docs/errors.md does not tell of the reason {reason}");
    }
    let settings = each(&code("src/cli/mod.rs"), "const BAD_SETTINGS: u8 = ", ";")[0].to_owned();
    for exit in ["0", "1", "2", &settings] {
        assert!(PAGE.contains(&format!("\n| {exit} | ")), "docs/errors.md does not tell of the exit code {exit}");
    }
}
