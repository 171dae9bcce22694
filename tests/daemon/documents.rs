//! What the documents name is there.

use std::{fs, path::Path};

/// Read by people who then look for what is named.
const DOCUMENTS: [&str; 11] = [
    "README.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "docs/commands.md",
    "docs/compare.md",
    "docs/first-day.md",
    "docs/formats.md",
    "docs/models.md",
    "docs/operations.md",
    "docs/settings.md",
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
