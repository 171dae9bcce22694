//! Imports point one way: main → cli → app → {generator, pipeline} → state → models → metrics. Settings are read by cli and
//! app only, and the engine knows no runtime, transport, clock or entropy.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

/// What each part of the crate may name of the others.
const MAY_USE: [(&str, &[&str]); 9] = [
    ("cli", &["app", "settings", "logging", "generator", "pipeline", "models", "metrics"]),
    ("app", &["settings", "logging", "generator", "pipeline", "models", "metrics"]),
    ("settings", &["logging", "generator", "pipeline", "models", "metrics"]),
    ("logging", &[]),
    ("generator", &[]),
    ("pipeline", &["state", "models", "metrics"]),
    ("state", &["models", "metrics"]),
    ("models", &["metrics"]),
    ("metrics", &[]),
];

/// What the engine must not know.
const ENGINE: [&str; 2] = ["models", "metrics"];
const FORBIDDEN_IN_ENGINE: [&str; 11] = [
    "tokio",
    "rskafka",
    "rusqlite",
    "std::time",
    "SystemTime",
    "Instant",
    "rand::",
    "getrandom",
    "std::thread",
    "std::env",
    "HashMap",
];

/// The one way to random numbers that is open to it: a generator whose seed is a parameter.
const SEEDED: &str = "use rand::{RngExt, SeedableRng};";

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Every source file of the library with the part it belongs to and its code, comments left out.
fn parts() -> BTreeMap<String, Vec<(PathBuf, String)>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    let mut parts: BTreeMap<String, Vec<(PathBuf, String)>> = BTreeMap::new();
    for file in files {
        let inside = file.strip_prefix(&root).expect("below src").to_owned();
        let first = inside.components().next().expect("a name").as_os_str().to_string_lossy().into_owned();
        let part = first.trim_end_matches(".rs").to_owned();
        let text = fs::read_to_string(&file).expect("a source file");
        let code: Vec<&str> = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
        parts.entry(part).or_default().push((inside, code.join("\n")));
    }
    parts
}

/// The parts that code names after `crate::`, in a path or in braces.
fn named(code: &str) -> Vec<String> {
    let mut names = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        if let Some(group) = rest.strip_prefix('{') {
            let mut depth = 1;
            let mut word = String::new();
            let mut fresh = true;
            for c in group.chars() {
                match c {
                    '{' => depth += 1,
                    '}' => depth -= 1,
                    ',' if depth == 1 => fresh = true,
                    c if c.is_alphanumeric() || c == '_' => {
                        if fresh && depth == 1 {
                            word.push(c);
                        }
                        continue;
                    }
                    c if c.is_whitespace() => continue,
                    _ => {}
                }
                if !word.is_empty() {
                    names.push(std::mem::take(&mut word));
                    fresh = false;
                }
                if c == ',' && depth == 1 {
                    fresh = true;
                }
                if depth == 0 {
                    break;
                }
            }
        } else {
            names.push(rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect());
        }
    }
    names
}

#[test]
fn imports_point_one_way() {
    let parts = parts();
    let mut wrong = Vec::new();
    let mut seen = 0;
    for (part, allowed) in MAY_USE {
        for (file, code) in parts.get(part).unwrap_or_else(|| panic!("no part `{part}` in src")) {
            for name in named(code).into_iter().filter(|name| parts.contains_key(name)) {
                seen += 1;
                if name != part && !allowed.contains(&name.as_str()) {
                    wrong.push(format!("{} names {name}", file.display()));
                }
            }
        }
    }
    assert!(seen > 50, "only {seen} imports found: this test does not see what it should");
    assert!(wrong.is_empty(), "against the direction of the layers: {wrong:#?}");
}

#[test]
fn every_part_has_its_place_in_the_order() {
    let known: Vec<&str> = MAY_USE.iter().map(|(part, _)| *part).chain(["main", "lib", "stream", "engine"]).collect();
    let unknown: Vec<String> = parts().into_keys().filter(|part| !known.contains(&part.as_str())).collect();
    assert!(unknown.is_empty(), "parts without a place in the order: {unknown:?}");
}

#[test]
fn the_engine_knows_no_runtime_clock_or_entropy() {
    let parts = parts();
    let mut wrong = Vec::new();
    for part in ENGINE {
        for (file, code) in &parts[part] {
            let code = code.replace(SEEDED, "");
            let found = FORBIDDEN_IN_ENGINE.iter().filter(|word| code.contains(**word));
            wrong.extend(found.map(|word| format!("{} names {word}", file.display())));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn only_the_transport_knows_which_one_runs() {
    let parts = parts();
    let inside = |file: &Path| file.starts_with("pipeline/transport") || file.starts_with("settings");
    let mut wrong = Vec::new();
    for (file, code) in parts.values().flatten().filter(|(file, _)| !inside(file)) {
        // The composition root opens it; nobody else names it.
        if code.contains("rskafka") || (code.contains("Embedded") || code.contains("Kafka")) && !file.starts_with("app")
        {
            wrong.push(file.display().to_string());
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn the_binary_stays_small() {
    let main = &parts()["main"][0].1;
    assert!(main.lines().count() < 60);
}

/// Cargo finds none by itself here, since two of the programs are of other packages.
#[test]
fn every_file_of_tests_is_in_a_program() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |path: PathBuf| fs::read_to_string(path).expect("read");
    let manifest = read(root.join("Cargo.toml"));
    let mut unknown = Vec::new();
    for group in ["", "daemon", "engine", "stream"] {
        let folder = root.join("tests").join(group);
        let listed = if group.is_empty() { manifest.clone() } else { read(folder.join("main.rs")) };
        for entry in fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            let name = path.file_stem().and_then(|name| name.to_str()).expect("a name").to_owned();
            let wanted = if group.is_empty() { format!("name = \"{name}\"") } else { format!("mod {name};") };
            if path.extension().is_some_and(|it| it == "rs") && name != "main" && !listed.contains(&wanted) {
                unknown.push(path);
            }
        }
    }
    assert!(unknown.is_empty(), "no program has {unknown:?}");
}
