//! What the documents name is there, and what they tell people to type works.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use rusqlite::Connection;

use crate::support::daemon::{Workspace, stdout};

/// Read by people who then look for what is named.
const DOCUMENTS: [&str; 22] = [
    "README.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "docs/avro.md",
    "docs/commands.md",
    "docs/compare.md",
    "docs/dashboard.md",
    "docs/debezium.md",
    "docs/errors.md",
    "docs/features.md",
    "docs/first-day.md",
    "docs/formats.md",
    "docs/http.md",
    "docs/kafka.md",
    "docs/labels.md",
    "docs/models.md",
    "docs/operations.md",
    "docs/recipes.md",
    "docs/settings.md",
    "docs/telegraf.md",
    "docs/tutorial.md",
];

/// Folders of the repository: what begins with one is a path.
const FOLDERS: [&str; 8] = ["src/", "tests/", "docs/", "benches/", "packaging/", "fuzz/", "findings/", "examples/"];

/// Words as people would take them for paths, without what stands around them.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let around = |c: char| c.is_whitespace() || "`()[]'\",;|!".contains(c);
    text.split(around).map(|word| word.trim_end_matches(['.', ':']))
}

#[test]
fn every_path_that_a_document_names_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut missing, mut seen) = (Vec::new(), 0);
    for document in DOCUMENTS {
        let text = fs::read_to_string(root.join(document)).expect(document);
        for word in words(&text) {
            let path =
                word.split("::").next().unwrap_or(word).trim_end_matches(|c: char| !c.is_alphanumeric() && c != '/');
            let is_path =
                FOLDERS.iter().any(|folder| path.starts_with(folder)) || path.ends_with(".md") && !path.contains("//");
            if !is_path || path.contains(['*', '{', '<', '…']) {
                continue;
            }
            seen += 1;
            let beside = Path::new(document).parent().unwrap_or(Path::new(""));
            if !root.join(path).exists() && !root.join(beside).join(path).exists() {
                missing.push(format!("{document}: {path}"));
            }
        }
    }
    assert!(seen > 150, "only {seen} paths found: this test does not see what it should");
    assert!(missing.is_empty(), "{missing:#?}");
}

/// The blocks of a document that are set apart, each without what sets it apart.
fn blocks(text: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut block = String::new();
    for line in text.lines() {
        if let Some(line) = line.strip_prefix("    ") {
            block.extend([line, "\n"]);
        } else if line.is_empty() && !block.is_empty() {
            // An empty line within a block is part of it.
            block.push('\n');
        } else {
            blocks.push(std::mem::take(&mut block));
        }
    }
    blocks.push(block);
    blocks
}

fn read(document: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(document)).expect(document)
}

#[test]
fn operators_are_told_what_each_event_of_kafka_asks_of_them() {
    let source = read("src/kafka/mod.rs");
    let events: Vec<&str> = source.lines().filter_map(|line| line.strip_prefix("//! | `")?.split('`').next()).collect();
    assert!(events.len() >= 14, "only {events:?} found: this test does not see what it should");
    let text = read("docs/kafka.md");
    let told = |event: &&str| text.contains(&format!("\n| `{event}` | "));
    let untold: Vec<&str> = events.into_iter().filter(|event| !told(event)).collect();
    assert!(untold.is_empty(), "docs/kafka.md does not tell what to do about {untold:?}");
}

/// A folder in which the daemon has run, with a CSV, and files where the documents have theirs.
fn worked_in() -> Workspace {
    let site = Workspace::new(&[]);
    let mut daemon = site.start(&["run"]);
    daemon.line("some records", |line| line["records"].as_u64() > Some(300));
    assert!(daemon.stop().success());
    let csv = stdout(&site.run(&["generate", "-n", "300", "--format", "csv"]));
    site.write("prices.csv", csv.replacen(",y", ",price", 1));
    site
}

/// A command as it is run here: less of it, and in a folder of our own. What needs a broker is checked and not run.
fn here(line: &str) -> String {
    let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/settings.toml");
    let line = line.replace("-n 50000", "-n 400").replace("-n 20000", "-n 400");
    let line =
        line.replace("/etc/thalweg/settings.toml", shipped).replace("/var/lib/thalweg/thalweg.db", "data/thalweg.db");
    let command = line.split('#').next().unwrap_or_default().trim_end();
    match command {
        // The daemon does not end by itself.
        "thalweg run" => "thalweg run --until-caught-up".to_owned(),
        _ if command.contains("transport.kind=kafka") => line.replacen("thalweg", "thalweg check", 1),
        _ if command.contains("--brokers") => format!("{command} --help"),
        _ => line,
    }
}

/// Runs a line in a shell, in a folder where the daemon has been at work.
fn ran(site: &Workspace, line: &str) -> Output {
    let binary = PathBuf::from(env!("CARGO_BIN_EXE_thalweg"));
    let folder = binary.parent().expect("a folder").display().to_string();
    let typed = format!("PATH='{folder}':\"$PATH\"; {}", here(line));
    Command::new("sh").args(["-c", &typed]).current_dir(site.path("")).output().expect("a shell")
}

#[test]
fn every_command_that_a_document_shows_runs_as_written() {
    let site = worked_in();
    let mut seen = 0;
    for document in DOCUMENTS {
        for block in blocks(&read(document)) {
            for line in block.lines() {
                if line.starts_with("thalweg ") {
                    seen += 1;
                    let ran = ran(&site, line);
                    let said = String::from_utf8_lossy(&ran.stderr);
                    assert!(ran.status.success(), "{document}: {line}\n{said}");
                } else if let Some(query) = line.strip_prefix("sqlite3 data/thalweg.db ") {
                    seen += 1;
                    let state = Connection::open(site.path("data/thalweg.db")).expect("the state file");
                    let found: Result<String, _> = state.query_row(query.trim_matches('"'), [], |row| row.get(0));
                    assert!(found.is_ok_and(|value| value.starts_with('{')), "{document}: {line}");
                }
            }
            // What `init` writes holds for its own block.
            let _ = fs::remove_file(site.path("settings.toml"));
        }
    }
    assert!(seen >= 15, "only {seen} commands found: this test does not see what it should");
}

/// The commands that a help lists, but for the help itself.
fn commands(help: &str) -> Vec<String> {
    let list = help.split("\nCommands:\n").nth(1).unwrap_or_default();
    let rows = list.lines().take_while(|line| line.starts_with("  ")).filter_map(|line| line.strip_prefix("  "));
    // What is long goes on below, further in.
    let names = rows.filter(|row| !row.starts_with(' ')).filter_map(|row| row.split_whitespace().next());
    names.filter(|name| *name != "help").map(str::to_owned).collect()
}

#[test]
fn the_help_of_every_command_has_examples_that_run() {
    let site = worked_in();
    let help = |command: &[String]| {
        let arguments: Vec<&str> = command.iter().map(String::as_str).chain(["--help"]).collect();
        stdout(&site.run(&arguments))
    };
    let mut all: Vec<Vec<String>> = vec![vec![]];
    let mut next = 0;
    while let Some(command) = all.get(next).cloned() {
        next += 1;
        all.extend(commands(&help(&command)).into_iter().map(|name| [&command[..], &[name]].concat()));
    }
    assert!(all.len() >= 14, "only {all:?} found: this test does not see what it should");
    let mut seen = 0;
    for command in all {
        let text = help(&command);
        let examples =
            text.split("\nExamples:\n").nth(1).unwrap_or_else(|| panic!("{command:?} has no example:\n{text}"));
        let examples: Vec<&str> = examples.lines().map_while(|line| line.strip_prefix("  ")).collect();
        let of_it = format!("thalweg {}", command.join(" "));
        assert!(examples.iter().any(|line| line.contains(of_it.trim_end())), "{command:?}: {examples:?}");
        // The daemon does not end by itself, and neither it nor a broker is here.
        let ends = |line: &&&str| {
            line.split('#').next().is_none_or(|line| line.trim() != "thalweg")
                && !line.contains("--brokers")
                && !line.contains("thalweg health")
        };
        for line in examples.iter().filter(ends) {
            seen += 1;
            let line = if line.contains("thalweg run ") && !line.contains("--until") {
                format!("{line} --until-caught-up")
            } else {
                (*line).to_owned()
            };
            let ran = ran(&site, &line);
            assert!(ran.status.success(), "{line}\n{}", String::from_utf8_lossy(&ran.stderr));
        }
        // What `init` writes holds for its own examples.
        for written in ["settings.toml", "prices.toml"] {
            let _ = fs::remove_file(site.path(written));
        }
    }
    assert!(seen >= 25, "only {seen} examples run: this test does not see what it should");
}

/// The settings files in a document: from a section to the next line that is typed.
fn settings_files(text: &str) -> Vec<String> {
    let mut files = Vec::new();
    for block in blocks(text) {
        let typed = |line: &str| line.starts_with("$ ") || line.starts_with("thalweg ");
        let lines: Vec<&str> = block.lines().collect();
        let is_file = |part: &&[&str]| part.first().is_some_and(|line| line.starts_with('[') && line.ends_with(']'));
        files.extend(lines.split(|line| typed(line)).filter(is_file).map(|part| part.join("\n")));
    }
    files
}

#[test]
fn every_settings_file_that_a_document_shows_is_good() {
    let mut seen = 0;
    for document in DOCUMENTS {
        for file in settings_files(&read(document)) {
            seen += 1;
            let site = Workspace::new(&[]);
            site.write("shown.toml", &file);
            let checked = if document == "docs/compare.md" {
                site.run(&["compare", "--function", "friedman", "-n", "200", "--grid", "shown.toml"])
            } else {
                site.run(&["check", "--settings", "shown.toml"])
            };
            let said = String::from_utf8_lossy(&checked.stderr);
            assert!(checked.status.success(), "{document}:\n{file}\n{said}");
        }
    }
    assert!(seen >= 5, "only {seen} settings files found: this test does not see what it should");
}
