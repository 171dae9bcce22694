//! A state file on a disk that fills up, or that may not be written.
//!
//! Needs root, for mounts in a namespace of their own: `cargo test --test disk`. Nothing is mounted where others see
//! it, and all of it goes with the daemon.

mod support;

use std::process::{Command, Stdio};

use serde_json::Value;
use support::daemon::{Daemon, Workspace};

/// As `/bin/sh` gets it: a disk of `size` on the data folder, then the daemon in place of the shell.
fn on_a_disk(site: &Workspace, options: &str, arguments: &[&str]) -> Command {
    let program = site.command(arguments);
    let mount = format!("mount -t tmpfs -o {options} tmpfs data && exec \"$@\"");
    let mut command = Command::new("unshare");
    command.current_dir(site.path("")).stdin(Stdio::null());
    command.args(["--mount", "--propagation", "private", "sh", "-ec", &mount, "sh"]);
    command.arg(program.get_program()).args(program.get_args());
    command
}

/// Runs a command where the daemon sees its disk.
fn beside(daemon: &Daemon, site: &Workspace, command: &[&str]) -> String {
    let output = Command::new("nsenter")
        .args(["--mount", "--target", &daemon.id().to_string(), &format!("--wd={}", site.path("").display())])
        .args(command)
        .output()
        .expect("nsenter runs");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Resident memory in KiB.
fn resident(daemon: &Daemon) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.id())).expect("a process");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("VmRSS");
    line.split_whitespace().nth(1).expect("a number").parse().expect("a number")
}

/// Asserts that each sample has one prediction, in order; how many there are.
fn each_once(daemon: &Daemon, site: &Workspace) -> i64 {
    let query = |query: &str| -> i64 {
        beside(daemon, site, &["sqlite3", "data/thalweg.db", query]).parse().expect("a number")
    };
    let broken = "SELECT count(*) FROM predictions WHERE json_extract(value, '$.source.offset') <> offset";
    assert_eq!(query(broken), 0);
    query("SELECT count(*) FROM predictions")
}

const SETTINGS: [&str; 4] = [
    "generator.rate=0",
    "state.every=200ms",
    "metrics.report_every=100ms",
    r#"models=[{kind="mean"},{kind="linear"}]"#,
];

fn records(line: &Value) -> u64 {
    line["records"].as_u64().unwrap_or(0)
}

#[test]
fn a_full_disk_is_waited_for_and_nothing_is_lost() {
    let site = Workspace::new(&SETTINGS);
    let mut daemon = Daemon::of(on_a_disk(&site, "size=5m", &["run", "--set", "logging.format=json"]));
    let line = daemon.event("state_unwritable");
    let said = line["error"].as_str().expect("an error");
    assert!(said.contains("thalweg.db") && said.contains("free space") && line["next_try"].is_string(), "{line}");
    let stuck = daemon.event("report");
    for _ in 0..20 {
        let line = daemon.event("report");
        assert!(records(&line) <= records(&stuck) + 20_000, "it stands still: {line}");
    }
    assert!(resident(&daemon) < 100 << 10, "{} KiB", resident(&daemon));
    beside(&daemon, &site, &["mount", "-o", "remount,size=400m", "data"]);
    daemon.event("state_recovered");
    let more = records(&stuck) + 50_000;
    daemon.line("more records", |line| line["event"] == "report" && records(line) > more);
    daemon.signal("STOP");
    assert!(each_once(&daemon, &site) as u64 > records(&stuck));
    daemon.signal("CONT");
    assert!(daemon.stop().success());
}

#[test]
fn a_daemon_on_a_full_disk_stops_in_order_and_goes_on_later() {
    let site = Workspace::new(&SETTINGS);
    // The shell stays, and with it the disk.
    let again = "mount -t tmpfs -o size=5m tmpfs data; \"$@\"; mount -o remount,size=400m data; exec \"$@\"";
    let program = site.command(&["run", "--set", "logging.format=json"]);
    let mut command = Command::new("unshare");
    command.current_dir(site.path("")).stdin(Stdio::null());
    command.args(["--mount", "--propagation", "private", "sh", "-ec", again, "sh"]);
    command.arg(program.get_program()).args(program.get_args());
    let mut daemon = Daemon::of(command);
    daemon.event("state_unwritable");
    let child = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", daemon.id())).expect("children");
    let stopped = Command::new("kill").args(["-TERM", child.trim()]).status().expect("kill runs");
    assert!(stopped.success());
    daemon.event("unpublished");
    daemon.event("stopped");
    // `set -e` in the shell would have ended it here, had the daemon not ended with 0.
    let started = daemon.event("worker_started");
    let position = started["position"].as_u64().expect("a position");
    daemon.line("more records", |line| line["event"] == "report" && records(line) > position + 50_000);
    daemon.signal("STOP");
    assert!(each_once(&daemon, &site) > 0);
    daemon.signal("CONT");
    assert!(daemon.stop().success());
}

#[test]
fn a_start_without_room_or_rights_says_what_to_do() {
    let site = Workspace::new(&SETTINGS);
    for (options, advice) in [("size=4k", "free space"), ("ro", "may write to it")] {
        let output = on_a_disk(&site, options, &["run"]).output().expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("thalweg.db") && said.contains(advice), "{options}: {said}");
    }
}
