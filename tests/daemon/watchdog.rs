//! systemd's watchdog, as the daemon feeds it through the socket that systemd gives it.

use std::{
    os::unix::net::UnixDatagram,
    time::{Duration, Instant},
};

use crate::support::{
    PATIENCE,
    daemon::{Daemon, Workspace},
};

const WATCHDOG: Duration = Duration::from_millis(600);

/// A daemon that is watched, and the socket that hears from it.
fn watched(site: &Workspace) -> (Daemon, UnixDatagram) {
    let path = site.path("notify");
    let socket = UnixDatagram::bind(&path).expect("a socket");
    socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let daemon = site.start_with(&[
        ("NOTIFY_SOCKET", path.display().to_string()),
        ("WATCHDOG_USEC", WATCHDOG.as_micros().to_string()),
    ]);
    (daemon, socket)
}

/// The next notification.
fn heard(socket: &UnixDatagram) -> String {
    let mut bytes = [0; 4096];
    let length = socket.recv(&mut bytes).expect("a notification");
    String::from_utf8_lossy(&bytes[..length]).into_owned()
}

/// Awaits that the watchdog is fed `times` times.
fn fed(socket: &UnixDatagram, mut times: u32) {
    while times > 0 {
        times -= u32::from(heard(socket).contains("WATCHDOG=1"));
    }
}

#[test]
fn a_daemon_that_has_nothing_to_do_goes_on_feeding_it() {
    let site = Workspace::new(&["generator.enabled=false"]);
    let (mut daemon, socket) = watched(&site);
    daemon.event("ready");
    let since = Instant::now();
    fed(&socket, 6);
    // Half an interval each: it was not fed by what happens at the start.
    assert!(since.elapsed() > WATCHDOG, "{:?}", since.elapsed());
    assert!(daemon.stop().success());
    assert!(daemon.lines_of("stalled").is_empty());
}

#[test]
fn a_worker_that_is_stuck_while_records_wait_stops_feeding_it_and_says_so() {
    let site = Workspace::new(&["generator.enabled=false"]);
    let (mut daemon, socket) = watched(&site);
    daemon.event("worker_started");
    fed(&socket, 2);
    // While the daemon stands still, records come in and somebody else takes the file for himself.
    daemon.signal("STOP");
    let other = site.state();
    for offset in 0..10 {
        let insert = "INSERT INTO samples (partition, offset, timestamp, value) VALUES (0, ?1, 0, '{\"x\":1,\"y\":2}')";
        other.execute(insert, [offset]).expect("insert");
    }
    other.execute_batch("BEGIN IMMEDIATE").expect("the lock");
    daemon.signal("CONT");
    let stalled = daemon.event("stalled");
    assert_eq!((&stalled["partition"], &stalled["confirmed"], &stalled["lag"]), (&0.into(), &0.into(), &10.into()));
    // Whatever was sent before the stall is heard; from now on nothing feeds it.
    socket.set_nonblocking(true).expect("set");
    let mut bytes = [0; 4096];
    while socket.recv(&mut bytes).is_ok() {}
    daemon.event("stalled");
    while let Ok(length) = socket.recv(&mut bytes) {
        let text = String::from_utf8_lossy(&bytes[..length]);
        assert!(!text.contains("WATCHDOG=1"), "{text}");
    }
    other.execute_batch("ROLLBACK").expect("released");
    socket.set_nonblocking(false).expect("set");
    fed(&socket, 2);
    assert!(daemon.stop().success());
    assert_eq!(site.predictions().len(), 10);
}
