//! The broker itself is away: killed, frozen, not there yet.

use std::time::{Duration, Instant};

use crate::{Scene, explains, support::daemon::Daemon};

/// What the daemon may take while nothing can be sent, in kB.
const MEMORY: u64 = 150_000;

#[test]
fn a_broker_that_is_killed_under_load_and_started_again_costs_nothing() {
    let scene = Scene::new("killed", &[]);
    let mut daemon = scene.under_load(5000, 3000);
    scene.broker.kill();
    explains(&daemon.event("broker_unreachable"));
    scene.broker.start();
    daemon.event("broker_recovered");
    scene.settle(daemon);
}

#[test]
fn a_broker_that_freezes_for_half_a_minute_under_full_load_costs_nothing_and_memory_stays_bounded() {
    let scene = Scene::new("frozen", &["generator.count=120000"]);
    let mut daemon = scene.under_load(0, 5000);
    scene.broker.freeze();
    let thaw = Instant::now() + Duration::from_secs(30);
    let mut most = 0;
    while Instant::now() < thaw {
        daemon.watch(Duration::from_millis(100));
        most = most.max(resident(&daemon));
    }
    scene.broker.thaw();
    println!("frozen: {} MB resident at most", most / 1000);
    assert!(most < MEMORY, "{most} kB resident");
    let said = daemon.lines_of("broker_unreachable");
    explains(said.first().expect("a line about the broker"));
    // At most one line per ten seconds about each thing that is tried.
    assert!(said.len() <= 4 * 8, "{} lines in half a minute", said.len());
    daemon.event("broker_recovered");
    scene.until_published(&mut daemon, 120_000);
    assert!(daemon.stop().success(), "it did not end in order: {}", daemon.story());
    scene.caught_up();
    scene.prove();
}

#[test]
fn a_broker_that_comes_after_the_daemon_is_waited_for() {
    let scene = Scene::new("later", &[]);
    scene.broker.kill();
    let mut daemon = scene.site.start(&["run", "--set", "generator.rate=5000"]);
    explains(&daemon.event("broker_unreachable"));
    scene.broker.start();
    scene.bus.forget();
    daemon.event("ready");
    scene.settle(daemon);
}

/// Memory of the process in kB.
pub fn resident(daemon: &Daemon) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.id())).expect("its status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its memory");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}
