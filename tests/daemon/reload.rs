//! Settings that change while the daemon runs: what holds at once, what waits, and what is refused.

use std::{
    fs::{self, File, OpenOptions, Permissions},
    os::unix::{ffi::OsStrExt, fs::PermissionsExt, net::UnixDatagram},
    process::{Command, Stdio},
    time::Duration,
};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use serde_json::Value;

use crate::support::{
    PATIENCE,
    daemon::{Daemon, Workspace},
    http::{address, get_with, post, ready},
};

/// A settings file with more in some sections.
fn file(metrics: &str, generator: &str, rest: &str) -> String {
    format!("[metrics]\nreport_every = \"20ms\"\n{metrics}\n[generator]\n{generator}\n{rest}\n")
}

const MODELS: &str = "[[models]]\nkind = \"mean\"\n[[models]]\nkind = \"linear\"\n";

/// Has a running daemon read a new file, and returns the line that ends this.
fn reload(site: &Workspace, daemon: &mut Daemon, text: &str) -> Value {
    site.write("settings.toml", text);
    daemon.signal("HUP");
    daemon.line("the end of a reload", |line| line["event"] == "reloaded" || line["event"] == "reload_refused")
}

/// Awaits so many records in all.
fn records(daemon: &mut Daemon, count: u64) {
    daemon.line("records", |line| line["event"] == "report" && line["records"].as_u64() >= Some(count));
}

#[test]
fn what_can_change_holds_at_once_and_models_keep_what_they_have_learned() {
    let site = Workspace::new(&[]);
    site.write("settings.toml", file("window = 100", "rate = 1000", MODELS));
    let mut daemon = site.start(&["run"]);
    records(&mut daemon, 200);
    let text =
        file("window = 50", "rate = 5000", &format!("{MODELS}[[models]]\nname = \"new\"\nkind = \"hoeffding_tree\"\n"));
    let told = reload(&site, &mut daemon, &text);
    let changed = "generator.rate, metrics.window, models.new, models.new.kind, models.new.name";
    assert_eq!((&told["changed"], &told["waiting"]), (&changed.into(), &"".into()), "{}", daemon.story());
    let restored = |line: &Value| line["event"] == "worker_started" && line["restored"] == true;
    let before = daemon.lines_of("worker_started").into_iter().find(|line| restored(line)).cloned();
    let started = before.unwrap_or_else(|| daemon.line("the worker to begin anew", restored));
    assert!(started["version"].as_u64() >= Some(200), "{started}");
    daemon.line("the new model", |line| line["event"] == "model" && line["model"] == "new");
    let joined: Vec<&Value> = daemon.lines_of("model_joined").iter().map(|line| &line["model"]).collect();
    assert_eq!(joined, ["new"]);
    daemon.line("the new rate", |line| line["event"] == "report" && line["rate"].as_f64() > Some(2500.0));
    // The log tells that it is to tell less.
    let told = reload(&site, &mut daemon, &format!("{text}[logging]\nlevel = \"warn\"\n"));
    assert_eq!(told["changed"], "logging.level");
    site.write("settings.toml", &text);
    daemon.signal("HUP");
    let next = daemon.line("a line", |_| true);
    assert!(next["event"] != "report", "a report at level warn: {next}");
    assert!(daemon.stop().success());
    let offsets: Vec<u64> = site.predictions().iter().filter_map(|it| it["source"]["offset"].as_u64()).collect();
    assert!(offsets.iter().copied().eq(0..offsets.len() as u64), "a record is missing or there twice");
}

#[test]
fn what_needs_a_restart_is_named_key_by_key_and_what_does_not_holds() {
    let site = Workspace::new(&["generator.seed=7"]);
    let text = file("window = 100", "rate = 1000", MODELS);
    site.write("settings.toml", &text);
    let mut daemon = site.start(&["run"]);
    records(&mut daemon, 100);
    let other =
        file("window = 200", "rate = 900\nseed = 3", MODELS) + "[state]\nkeep = 9\n[topics]\nsamples = \"others\"\n";
    let told = reload(&site, &mut daemon, &other);
    // What models learn and from which topic belong together; the seed is that of the command line.
    assert_eq!(told["waiting"], "metrics.window, state.keep, topics.samples", "{}", daemon.story());
    assert_eq!(told["changed"], "generator.rate");
    let keys: Vec<&Value> = daemon.lines_of("restart_needed").iter().map(|line| &line["key"]).collect();
    assert_eq!(keys, ["metrics.window", "state.keep", "topics.samples"]);
    assert_eq!(daemon.lines_of("worker_started").len(), 1, "no worker began anew");
    // They are named again for as long as they wait, and are no more once they are back.
    assert_eq!(reload(&site, &mut daemon, &other)["waiting"], told["waiting"]);
    let back = reload(&site, &mut daemon, &text);
    assert_eq!((&back["waiting"], &back["workers_anew"]), (&"".into(), &false.into()));
    assert!(daemon.stop().success());
}

#[test]
fn settings_that_are_not_good_change_nothing_and_each_problem_is_a_line() {
    let site = Workspace::new(&[]);
    site.write("settings.toml", file("", "rate = 1000", MODELS));
    let mut daemon = site.start(&["run"]);
    records(&mut daemon, 100);
    let told = reload(&site, &mut daemon, &file("window = 0\nwindwo = 3", "rate = -1", "[logging]\nlevel = \"debug\""));
    assert_eq!((&told["event"], &told["problems"]), (&"reload_refused".into(), &3.into()), "{}", daemon.story());
    let mut keys: Vec<String> = daemon.lines_of("setting_refused").iter().map(|line| line["key"].to_string()).collect();
    keys.sort();
    assert_eq!(keys, [r#""generator.rate""#, r#""metrics.window""#, r#""metrics.windwo""#]);
    let told = reload(&site, &mut daemon, "[metrics\n");
    assert_eq!((&told["event"], &told["problems"]), (&"reload_refused".into(), &1.into()));
    let before = daemon.line("a report", |line| line["event"] == "report")["records"].as_u64().expect("records");
    records(&mut daemon, before + 100);
    assert_eq!(daemon.lines_of("worker_started").len(), 1);
    assert!(daemon.stop().success());
}

#[test]
fn systemd_is_told_when_a_reload_begins_and_when_it_is_over() {
    let site = Workspace::new(&["generator.enabled=false"]);
    let path = site.path("notify");
    let socket = UnixDatagram::bind(&path).expect("a socket");
    socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let heard = || {
        let mut bytes = [0; 4096];
        let length = socket.recv(&mut bytes).expect("a notification");
        String::from_utf8_lossy(&bytes[..length]).into_owned()
    };
    let next = || std::iter::repeat_with(heard).find(|told| !told.starts_with("STATUS=")).expect("a notification");
    let mut daemon = site.start_with(&[("NOTIFY_SOCKET", path.display().to_string())]);
    assert_eq!(next().trim(), "READY=1");
    for text in ["", "nonsense = 1", "[metrics]\nwindow = 77"] {
        site.write("settings.toml", text);
        daemon.signal("HUP");
        let began = next();
        let time = began.trim().strip_prefix("RELOADING=1\nMONOTONIC_USEC=").expect("what systemd wants to hear");
        assert!(time.parse::<u64>().is_ok_and(|time| time > 0), "{began}");
        assert_eq!(next().trim(), "READY=1");
    }
    assert!(daemon.stop().success());
}

#[test]
fn another_token_in_the_file_is_asked_for_from_then_on() {
    let (old, new) = ("an-old-token-of-20-chars", "a-new-token-of-20-chars!");
    let site = Workspace::new(&["http.listen=127.0.0.1:0", "generator.enabled=false"]);
    let token = site.write("token", old);
    fs::set_permissions(&token, Permissions::from_mode(0o600)).expect("its mode");
    let text = format!("[http]\ntoken_file = \"{}\"\n", token.display());
    site.write("settings.toml", &text);
    let mut daemon = site.start(&["run"]);
    let address = address(&mut daemon);
    let ask = |token: &str| {
        get_with(address, "/healthz", &format!("Host: {address}\r\nAuthorization: Bearer {token}\r\n")).code
    };
    assert_eq!((ask(old), ask(new)), (200, 401));
    daemon.event("worker_started");
    site.write("token", new);
    assert_eq!(reload(&site, &mut daemon, &text)["event"], "reloaded");
    assert_eq!((ask(old), ask(new)), (401, 200));
    // One that is no token leaves the one before.
    site.write("token", "short");
    assert_eq!(reload(&site, &mut daemon, &text)["event"], "reload_refused");
    assert_eq!(daemon.lines_of("setting_refused")[0]["key"], "http.token_file");
    assert_eq!((ask(old), ask(new)), (401, 200));
    assert_eq!(reload(&site, &mut daemon, "")["changed"], "http.token_file");
    assert_eq!(ask(""), 200);
    assert!(daemon.stop().success() && !daemon.story().contains(new));
}

#[test]
fn a_token_waits_with_the_rest_of_its_section() {
    let (old, new) = ("an-old-token-of-20-chars", "a-new-token-of-20-chars!");
    let site = Workspace::new(&["http.listen=127.0.0.1:0", "generator.enabled=false"]);
    let token = site.write("token", old);
    fs::set_permissions(&token, Permissions::from_mode(0o600)).expect("its mode");
    let file = |more: &str| format!("[http]\n{more}\ntoken_file = \"{}\"\n", token.display());
    site.write("settings.toml", file(""));
    let mut daemon = site.start(&["run"]);
    let address = address(&mut daemon);
    daemon.event("worker_started");
    site.write("token", new);
    assert_eq!(reload(&site, &mut daemon, &file("hosts = [\"thalweg.example\"]"))["waiting"], "http.hosts");
    let ask = |token: &str| {
        get_with(address, "/healthz", &format!("Host: {address}\r\nAuthorization: Bearer {token}\r\n")).code
    };
    assert_eq!((ask(old), ask(new)), (200, 401));
    assert!(daemon.stop().success());
}

#[test]
fn samples_are_taken_by_the_schema_of_now() {
    let site = Workspace::new(&["http.listen=127.0.0.1:0", "generator.enabled=false"]);
    site.write("settings.toml", "");
    let mut daemon = site.start(&["run"]);
    let address = ready(&mut daemon);
    daemon.event("worker_started");
    let send = || post(address, "/api/v1/samples", "application/json", br#"{"x0":0.5,"x1":0.25,"y":1}"#).code;
    assert_eq!(send(), 202);
    reload(&site, &mut daemon, "[schema]\nmax_record_bytes = 20\n");
    assert_eq!(send(), 413);
    reload(&site, &mut daemon, "");
    assert_eq!(send(), 202);
    assert!(daemon.stop().success());
}

#[test]
fn a_kill_during_a_reload_loses_nothing_doubles_nothing_and_changes_no_bit() {
    const COUNT: &str = "generator.count=4000";
    // Neither window makes a difference to what a model predicts.
    let windows = ["window = 100", "window = 150"].map(|window| file(window, "rate = 2000", MODELS));
    let predicted = |site: &Workspace| -> Vec<(u64, Value)> {
        let told = |it: &Value| (it["source"]["offset"].as_u64().expect("an offset"), it["predictions"].clone());
        site.predictions().iter().map(told).collect()
    };
    let calm = Workspace::new(&[COUNT, "generator.rate=0"]);
    calm.write("settings.toml", &windows[0]);
    let mut daemon = calm.start(&["run"]);
    records(&mut daemon, 4000);
    assert!(daemon.stop().success());

    let site = Workspace::new(&[COUNT]);
    let mut random = ChaCha8Rng::seed_from_u64(24);
    for round in 0..20 {
        site.write("settings.toml", &windows[0]);
        let mut daemon = site.start(&["run"]);
        daemon.event("worker_started");
        records(&mut daemon, 1);
        site.write("settings.toml", &windows[1]);
        daemon.signal("HUP");
        if round % 2 == 0 {
            daemon.event("reloading");
        }
        daemon.watch(Duration::from_micros(random.random_range(0..15_000)));
        daemon.kill();
    }
    let mut daemon = site.start(&["run"]);
    records(&mut daemon, 4000);
    assert!(daemon.stop().success());
    let (with, without) = (predicted(&site), predicted(&calm));
    assert_eq!(with.len(), 4000);
    assert!(with == without, "{:?}", with.iter().zip(&without).find(|(one, other)| one != other));
}

/// A daemon in the foreground of a terminal, which closes when the file is dropped.
fn on_a_terminal(site: &Workspace) -> (File, Daemon) {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("a terminal");
    grantpt(&master).and_then(|()| unlockpt(&master)).expect("a terminal");
    let name = ptsname(&master, Vec::new()).expect("its name");
    let path = std::ffi::OsStr::from_bytes(name.as_bytes());
    let side = OpenOptions::new().read(true).write(true).open(path).expect("its other side");
    let daemon = site.command(&["run"]);
    let mut command = Command::new("setsid");
    command.arg("--ctty").arg(daemon.get_program()).args(daemon.get_args()).args(["--set", "logging.format=json"]);
    command.current_dir(site.path("")).stdin(Stdio::from(side));
    (File::from(master), Daemon::of(command))
}

#[test]
fn a_terminal_that_closes_stops_it_in_order_and_a_signal_by_hand_does_not() {
    let site = Workspace::new(&[]);
    site.write("settings.toml", file("", "", MODELS));
    let (terminal, mut daemon) = on_a_terminal(&site);
    records(&mut daemon, 10);
    daemon.signal("HUP");
    assert_eq!(daemon.event("reloaded")["changed"], "");
    drop(terminal);
    daemon.event("stopping");
    assert!(daemon.wait().success(), "{}", daemon.story());
    assert_eq!(daemon.lines_of("stopped").len(), 1);
}

#[test]
fn who_is_told_to_ignore_the_signal_as_by_nohup_ignores_it() {
    let site = Workspace::new(&[]);
    site.write("settings.toml", file("", "", MODELS));
    let run = site.command(&["run", "--set", "logging.format=json"]);
    let mut command = Command::new("sh");
    // Where the test itself ignores the signal, the command would undo that first.
    let arguments = run.get_args().skip_while(|argument| *argument != "run");
    command.args(["-c", r#"trap "" HUP; exec "$0" "$@""#, env!("CARGO_BIN_EXE_thalweg")]).args(arguments);
    command.current_dir(site.path(""));
    let mut daemon = Daemon::of(command);
    records(&mut daemon, 10);
    daemon.signal("HUP");
    records(&mut daemon, 100);
    assert!(daemon.stop().success());
    assert!(daemon.lines_of("reloading").is_empty() && daemon.lines_of("stopping").len() == 1, "{}", daemon.story());
}
