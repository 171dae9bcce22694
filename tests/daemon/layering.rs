//! A package per layer, its manifest in the folder it owns: Cargo forbids an arrow upward, and this says which ones there are.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

/// Each folder with what its package may name of the others. Tests may name more.
const MAY_USE: [(&str, &[&str]); 18] = [
    (
        ".",
        &[
            "app",
            "columnar",
            "embedded",
            "features",
            "generator",
            "http",
            "kafka",
            "logging",
            "metrics",
            "models",
            "pipeline",
            "settings",
            "state",
            "store",
            "topic",
        ],
    ),
    ("benches/hot_loops", &[]),
    (
        "src/app",
        &[
            "embedded",
            "generator",
            "http",
            "kafka",
            "logging",
            "metrics",
            "pipeline",
            "registry",
            "settings",
            "store",
            "topic",
        ],
    ),
    (
        "src/settings",
        &[
            "embedded",
            "features",
            "generator",
            "http",
            "kafka",
            "logging",
            "metrics",
            "models",
            "pipeline",
            "registry",
            "store",
            "topic",
        ],
    ),
    ("src/http", &[]),
    ("src/logging", &[]),
    ("src/generator", &[]),
    ("src/embedded", &["store", "topic"]),
    ("src/kafka", &["store", "topic"]),
    ("src/columnar", &["pipeline"]),
    ("src/registry", &["pipeline"]),
    ("src/pipeline", &["features", "metrics", "models", "state", "store", "topic"]),
    ("src/topic", &["store"]),
    ("src/store", &[]),
    ("src/state", &["metrics", "models"]),
    ("src/features", &["metrics", "models"]),
    ("src/models", &["metrics"]),
    ("src/metrics", &[]),
];

/// What no tree of the engine's dependencies may hold.
const FOREIGN_TO_THE_ENGINE: [&str; 5] = ["tokio", "rusqlite", "rskafka", "rustls", "chrono"];

fn cargo(arguments: &[&str]) -> String {
    let root = env!("CARGO_MANIFEST_DIR");
    let ran = Command::new(env!("CARGO")).args(arguments).args(["--locked", "--offline"]).current_dir(root).output();
    let output = ran.expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// Each folder with what its package depends on of the others.
fn packages() -> BTreeMap<String, BTreeSet<String>> {
    let metadata: Value = serde_json::from_str(&cargo(&["metadata", "--no-deps", "--format-version=1"])).expect("JSON");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let ours = |dependency: &Value| {
        let name = dependency["name"].as_str()?.strip_prefix("thalweg-")?;
        dependency["kind"].is_null().then(|| name.to_owned())
    };
    let packages = metadata["packages"].as_array().expect("packages");
    let folder = |package: &Value| {
        let manifest = PathBuf::from(package["manifest_path"].as_str().expect("a path"));
        let inside = manifest.parent().and_then(|folder| folder.strip_prefix(root).ok()).expect("inside").to_owned();
        if inside.as_os_str().is_empty() { ".".to_owned() } else { inside.to_string_lossy().into_owned() }
    };
    let dependencies =
        |package: &Value| package["dependencies"].as_array().expect("a list").iter().filter_map(ours).collect();
    packages.iter().map(|package| (folder(package), dependencies(package))).collect()
}

#[test]
fn packages_depend_on_those_below_them_alone() {
    let allowed: BTreeMap<String, BTreeSet<String>> = MAY_USE
        .iter()
        .map(|(folder, names)| ((*folder).to_owned(), names.iter().map(|name| (*name).to_owned()).collect()))
        .collect();
    assert_eq!(packages(), allowed);
}

#[test]
fn the_engine_is_there_alone() {
    let tree = cargo(&["tree", "--package=thalweg-models", "--edges=normal", "--prefix=none"]);
    assert!(tree.contains("thalweg-metrics"), "{tree}");
    let foreign =
        tree.lines().filter(|line| FOREIGN_TO_THE_ENGINE.iter().any(|name| line.starts_with(&format!("{name} "))));
    assert_eq!(foreign.collect::<Vec<_>>(), Vec::<&str>::new());
}

#[test]
fn the_binary_stays_small() {
    let main = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/main.rs")).expect("a file");
    assert!(main.lines().count() < 60);
}

/// Cargo finds none by itself here, since two of the programs are of other packages.
#[test]
fn every_file_of_tests_is_in_a_program() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |path: PathBuf| fs::read_to_string(path).expect("read");
    let manifest = read(root.join("Cargo.toml"));
    let mut unknown = Vec::new();
    for group in ["", "daemon", "engine", "features", "stream"] {
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
