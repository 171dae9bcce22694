//! The examples of docs/http.md, run as people paste them.

use std::{path::Path, process::Command};

use serde_json::Value;

use crate::support::{
    daemon::{Workspace, read},
    http::{address, get},
};

/// The lines of the examples, each with the line that shows its answer.
fn examples(text: &str) -> Vec<(String, Option<String>)> {
    let mut examples: Vec<(String, Option<String>)> = Vec::new();
    for line in text.lines().filter_map(|line| line.strip_prefix("    ")) {
        match (line.strip_prefix("# "), examples.last_mut()) {
            (Some(answer), Some((_, shown))) => *shown = Some(answer.to_owned()),
            _ => examples.push((line.to_owned(), None)),
        }
    }
    examples
}

/// Names of members, of what is within them, too, where they are promised.
fn shape(value: &Value) -> Vec<String> {
    let Some(object) = value.as_object() else { return Vec::new() };
    let mut names: Vec<String> = object.keys().cloned().collect();
    names.extend(object.get("error").into_iter().flat_map(shape));
    names.sort();
    names
}

#[test]
fn the_examples_of_the_document_run_and_answer_in_the_form_shown() {
    let site = Workspace::new(&["http.listen=127.0.0.1:0", "generator.count=300", "generator.rate=0"]);
    let mut daemon = site.start(&["run"]);
    let address = address(&mut daemon);
    while !get(address, "/api/v1/status").body.contains("\"confirmed\":300") {
        std::thread::yield_now();
    }
    let text = read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/http.md"));
    let examples = examples(&text);
    assert!(examples.len() >= 8, "only {} found: this test does not see what it should", examples.len());
    for (line, shown) in examples {
        let here = line.replace("127.0.0.1:8391", &address.to_string());
        assert!(here.contains("curl -s") && here != line, "{line}");
        let ran = Command::new("sh").args(["-ec", &here]).output().expect("a shell");
        let answer = String::from_utf8(ran.stdout).expect("text");
        assert!(ran.status.success() && !answer.is_empty(), "{line}: {answer}");
        let Some(shown) = shown else {
            assert!(!answer.contains("\"error\""), "{line}: {answer}");
            continue;
        };
        let parsed = |text: &str| serde_json::from_str::<Value>(text).unwrap_or_else(|error| panic!("{error}: {text}"));
        assert_eq!(shape(&parsed(&answer)), shape(&parsed(&shown)), "{line}: {answer}");
    }
    assert!(daemon.stop().success());
}
