//! `thalweg check --connect`: tries what the daemon will need, and says of each thing whether it is there.
//!
//! Invariant: nothing is created or changed, on the broker or here, and all that is wrong is told at once.

use std::{
    fs,
    io::{ErrorKind, Write, stdout},
    net::TcpListener,
    path::Path,
    process::ExitCode,
    time::{SystemTime, UNIX_EPOCH},
};

use indicatif::HumanBytes;
use serde_json::json;

use super::{BAD_SETTINGS, emphasis::Emphasis};
use crate::{
    app::{
        self,
        registering::{self, Prospect},
    },
    kafka,
    settings::{Settings, Transport},
    store,
    topic::{Finding, Verdict},
};

/// Bytes under which a disk is full, and under which it will be soon.
const NO_ROOM: u64 = 16 << 20;
const LITTLE_ROOM: u64 = 1 << 30;

/// Looks at everything, prints it, and returns the exit code: 0, 1 where something may pass by itself, 78 where somebody has
/// to change something.
pub(super) fn run(settings: &Settings, as_json: bool) -> anyhow::Result<ExitCode> {
    let mut found = here(settings);
    match &settings.transport {
        Transport::Embedded(_) => {
            found.push(Finding::new("broker", "", Verdict::Ok, "none is needed: topics are tables of the state file"));
        }
        Transport::Kafka(config) => found.extend(there(settings, config)?),
    }
    found.extend(registry(settings));
    found.extend(subject(settings));
    let worst = found.iter().map(|it| it.verdict).max().unwrap_or(Verdict::Ok);
    let mut out = stdout().lock();
    if as_json {
        serde_json::to_writer_pretty(&mut out, &json!({ "verdict": worst, "findings": found }))?;
        writeln!(out)?;
    } else {
        text(&mut out, &found, worst)?;
    }
    Ok(match worst {
        Verdict::Ok | Verdict::Warning => ExitCode::SUCCESS,
        Verdict::Away => ExitCode::FAILURE,
        Verdict::Wrong => ExitCode::from(BAD_SETTINGS),
    })
}

#[tokio::main(flavor = "current_thread")]
async fn there(settings: &Settings, config: &kafka::Config) -> anyhow::Result<Vec<Finding>> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis();
    let purpose = kafka::Purpose {
        generates: settings.generator.enabled,
        checkpoint_every: settings.state.every,
        timestamps: settings.timestamps,
        now: i64::try_from(now)?,
    };
    Ok(kafka::check(config.clone(), &settings.topics, purpose).await)
}

/// Asks the schema registry, where there is one.
#[tokio::main(flavor = "current_thread")]
async fn registry(settings: &Settings) -> Option<Finding> {
    let url = settings.registry.as_ref().map_or("", |registry| registry.url.as_str());
    Some(match app::ask_registry(settings).await? {
        Ok(()) => Finding::new("registry", url, Verdict::Ok, "answers as a schema registry does"),
        Err(problem) => Finding::new("registry", url, Verdict::Away, problem),
    })
}

/// Asks what the schema registry would do with the schema of predictions, where it is registered.
#[tokio::main(flavor = "current_thread")]
async fn subject(settings: &Settings) -> Option<Finding> {
    let (subject, prospect) = registering::prospect(settings).await?;
    let (verdict, told) = match prospect {
        Prospect::Good(told) => (Verdict::Ok, told),
        Prospect::Away(told) => (Verdict::Away, told),
        Prospect::Refused(told) => (Verdict::Wrong, told),
    };
    Some(Finding::new("subject", subject, verdict, told))
}

/// Looks at what this machine has: the state file, room on its disk, the port.
fn here(settings: &Settings) -> Vec<Finding> {
    let path = &settings.state.path;
    let name = path.display().to_string();
    let mut found = vec![match settings.check_state() {
        Ok(true) => Finding::new("state", &name, Verdict::Ok, "is there and can be written"),
        Ok(false) => Finding::new("state", &name, Verdict::Ok, "can be written; the first start makes it"),
        Err(errors) => {
            let told = errors.problems().iter().map(|it| it.message.clone()).collect::<Vec<_>>().join("; ");
            Finding::new("state", &name, Verdict::Wrong, told)
        }
    }];
    found.push(room(path));
    let holder = store::holder(path);
    found.push(match &holder {
        None => Finding::new("lock", &name, Verdict::Ok, "nobody else uses the state file"),
        Some(pid) => {
            let told = format!(
                "is in use by process {pid}{}: one more on it does not start; stop that one first, or give this one its own \
                 state.path",
                program(pid)
            );
            Finding::new("lock", &name, Verdict::Warning, told)
        }
    });
    if let Some(http) = &settings.http {
        found.push(port(&http.listen.to_string(), holder.is_some(), settings.may_go_without_http()));
        if let Some(file) = &http.token_file {
            found.push(Finding::new(
                "token",
                &file.display().to_string(),
                Verdict::Ok,
                "can be read, by its owner alone",
            ));
        }
    }
    found
}

fn room(path: &Path) -> Finding {
    let folders = path.ancestors().skip(1).map(|it| if it.as_os_str().is_empty() { Path::new(".") } else { it });
    let folder = folders.into_iter().find(|it| it.exists()).unwrap_or(Path::new("."));
    let name = folder.display().to_string();
    let Ok(disk) = rustix::fs::statvfs(folder) else {
        return Finding::new("disk", &name, Verdict::Warning, "its room cannot be asked for");
    };
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    let told = format!("{} are free", HumanBytes(free));
    let (verdict, told) = match () {
        () if free < NO_ROOM => (Verdict::Wrong, format!("{told}, too little to start: make room there")),
        () if free < LITTLE_ROOM => (Verdict::Warning, format!("{told}, which may not last: make room there")),
        () => (Verdict::Ok, told),
    };
    Finding::new("disk", &name, verdict, told)
}

/// Tries to listen. `is_running` is true where a daemon with the same state file does so, most likely, `may_go_without` where
/// the daemon starts all the same.
fn port(address: &str, is_running: bool, may_go_without: bool) -> Finding {
    let Err(error) = TcpListener::bind(address) else {
        return Finding::new("port", address, Verdict::Ok, "is free for http.listen");
    };
    let (verdict, told) = match error.kind() {
        ErrorKind::AddrInUse if is_running => {
            (Verdict::Warning, "is taken, most likely by the process that uses the state file".to_owned())
        }
        ErrorKind::AddrInUse if may_go_without => (
            Verdict::Warning,
            "is taken by another program (ss -ltnp says by which), so there will be no dashboard; set http.listen to another port"
                .to_owned(),
        ),
        ErrorKind::AddrInUse => (
            Verdict::Wrong,
            "is taken by another program (ss -ltnp says by which); stop that one, or set http.listen to another port"
                .to_owned(),
        ),
        ErrorKind::AddrNotAvailable => {
            (Verdict::Wrong, "is no address of this machine; set http.listen to one of its own (ip address)".to_owned())
        }
        ErrorKind::PermissionDenied => {
            (Verdict::Wrong, "may not be used by this user; set http.listen to a port from 1024 on".to_owned())
        }
        _ => (Verdict::Wrong, format!("cannot be listened on: {error}")),
    };
    Finding::new("port", address, verdict, told)
}

/// Returns the command of a process, where it can be told.
fn program(pid: &str) -> String {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let words: Vec<String> =
        line.split(|byte| *byte == 0).take(2).map(|word| String::from_utf8_lossy(word).into_owned()).collect();
    let words = words.join(" ");
    if words.trim().is_empty() { String::new() } else { format!(" ({})", words.trim()) }
}

fn text(out: &mut impl Write, found: &[Finding], worst: Verdict) -> std::io::Result<()> {
    let emphasis = Emphasis::of_stdout();
    for Finding { check, subject, verdict, told } in found {
        let word = match verdict {
            Verdict::Ok => "ok     ",
            Verdict::Warning => "warning",
            Verdict::Away => "away   ",
            Verdict::Wrong => "WRONG  ",
        };
        let word = if *verdict == Verdict::Ok { word.to_owned() } else { emphasis.alarm(word.to_owned()) };
        let subject = if subject.is_empty() { String::new() } else { format!(" {subject}") };
        writeln!(out, "{word}  {check}{subject}: {told}")?;
    }
    let of = |wanted: Verdict| found.iter().filter(|it| it.verdict == wanted).count();
    let s = |count: usize| if count == 1 { "" } else { "s" };
    match worst {
        Verdict::Ok => writeln!(out, "all {} are ok: thalweg run", found.len()),
        Verdict::Warning => {
            let count = of(Verdict::Warning);
            writeln!(
                out,
                "it will start; {count} warning{} above deserve{} a look",
                s(count),
                if count == 1 { "s" } else { "" }
            )
        }
        Verdict::Away => {
            writeln!(out, "{} of {} may pass by itself: the daemon would wait for it", of(Verdict::Away), found.len())
        }
        Verdict::Wrong => writeln!(out, "{} of {} have to be mended before it starts", of(Verdict::Wrong), found.len()),
    }
}
