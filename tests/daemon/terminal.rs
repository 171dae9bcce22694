//! The daemon on a terminal: a real one of the kernel's, whose screen is read as a person would.

use std::{
    fs::{File, OpenOptions},
    io::{Read, Write},
    os::unix::ffi::OsStrExt,
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::{Receiver, sync_channel},
    time::Instant,
};

use crate::support::{PATIENCE, daemon::Workspace};
use rustix::{
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{Winsize, tcsetwinsize},
};

/// A terminal with a process in its foreground.
struct Terminal {
    master: File,
    child: Child,
    output: Receiver<Vec<u8>>,
    seen: vt100::Parser,
    raw: Vec<u8>,
}

const ROWS: u16 = 40;

impl Terminal {
    /// Starts `thalweg` with the settings of a site on a terminal of so many columns.
    fn start(site: &Workspace, arguments: &[&str], columns: u16) -> Self {
        Self::start_with(site, arguments, "TERM=xterm-256color", columns)
    }

    /// The same with a variable, NAME=value, in its environment.
    fn start_with(site: &Workspace, arguments: &[&str], variable: &str, columns: u16) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
        grantpt(&master).and_then(|()| unlockpt(&master)).expect("a terminal");
        let name = ptsname(&master, Vec::new()).expect("its name");
        resize(&master, columns);
        let master = File::from(master);
        let path = std::ffi::OsStr::from_bytes(name.as_bytes());
        let side = || Stdio::from(OpenOptions::new().read(true).write(true).open(path).expect("its other side"));
        let daemon = site.command(arguments);
        // A session of its own, whose terminal this is: then a key can interrupt it.
        let child = Command::new("setsid")
            .args(["--ctty", "env", "TERM=xterm-256color", variable])
            .arg(daemon.get_program())
            .args(daemon.get_args())
            .current_dir(daemon.get_current_dir().expect("its folder"))
            .env_remove("NO_COLOR")
            .stdin(side())
            .stdout(side())
            .stderr(side())
            .spawn()
            .expect("setsid is there");
        let (sender, output) = sync_channel(10_000);
        let mut reader = master.try_clone().expect("a second handle");
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            // It fails where nobody holds the other side any more.
            while let Ok(count @ 1..) = reader.read(&mut buffer) {
                if sender.send(buffer[..count].to_vec()).is_err() {
                    return;
                }
            }
        });
        Self { master, child, output, seen: vt100::Parser::new(ROWS, columns, 1000), raw: Vec::new() }
    }

    /// Awaits what `wanted` finds on the screen.
    fn until<T>(&mut self, what: &str, wanted: impl Fn(&[String]) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = wanted(&self.lines()) {
                return found;
            }
            match self.output.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(bytes) => self.take(&bytes),
                Err(_) => panic!("waited for {what}; the screen is\n{}", self.lines().join("\n")),
            }
        }
    }

    fn take(&mut self, bytes: &[u8]) {
        self.seen.process(bytes);
        self.raw.extend_from_slice(bytes);
    }

    /// What is on the screen, without empty lines.
    fn lines(&mut self) -> Vec<String> {
        let (_, columns) = self.seen.screen().size();
        let now: Vec<String> = self.seen.screen().rows(0, columns).collect();
        now.into_iter().map(|line| line.trim_end().to_owned()).filter(|line| !line.is_empty()).collect()
    }

    /// Awaits the end; the whole output is taken in.
    fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        while let Ok(bytes) = self.output.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            self.take(&bytes);
        }
        self.child.wait().expect("it ends")
    }

    fn resize(&mut self, columns: u16) {
        self.seen.screen_mut().set_size(ROWS, columns);
        resize(&self.master, columns);
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // Already ended in most tests.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn resize(terminal: impl std::os::fd::AsFd, columns: u16) {
    let size = Winsize { ws_row: ROWS, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(terminal, size).expect("a size");
}

/// With models that a debug build runs fast enough.
fn site() -> Workspace {
    let models = r#"models=[{kind="mean"},{kind="last"},{kind="linear"},{kind="hoeffding_tree"}]"#;
    Workspace::new(&["metrics.report_every=100ms", "generator.rate=500", models])
}

fn is_head(line: &str) -> bool {
    line.trim_start().starts_with("model ") && line.contains("RMSE")
}

/// Number of records in the last row of the table, where there are figures above it.
fn records(lines: &[String]) -> Option<u64> {
    let tree = lines.iter().find(|line| line.trim_start_matches(['*', ' ']).starts_with("hoeffding_tree "))?;
    tree.split_whitespace().filter_map(|word| word.parse::<f64>().ok()).next()?;
    let last = lines.iter().find(|line| line.contains(" records, champion "))?;
    let words: Vec<&str> = last.split_whitespace().collect();
    let at = words.iter().position(|word| *word == "records,")?;
    words[at - 1].replace(',', "").parse().ok()
}

#[test]
fn the_table_says_where_the_page_is() {
    let site = Workspace::new(&["http.listen=127.0.0.1:0"]);
    let mut terminal = Terminal::start(&site, &["run"], 100);
    let row = terminal.until("the page", |lines| lines.iter().find(|line| line.starts_with("  watch it at")).cloned());
    assert!(row.contains(" http://127.0.0.1:") && row.ends_with('/'), "{row}");
    terminal.master.write_all(b"\x03").expect("a key");
    assert!(terminal.wait().success());
}

#[test]
fn the_table_has_figures_stays_in_place_and_is_left_whole_when_a_key_interrupts() {
    for columns in [80, 120] {
        let site = site();
        let mut terminal = Terminal::start(&site, &[], columns);
        let mut before = 0;
        for _ in 0..5 {
            before = terminal.until("more records", |lines| records(lines).filter(|now| *now > before));
        }
        let lines = terminal.lines();
        assert_eq!(lines.iter().filter(|line| is_head(line)).count(), 1, "{}", lines.join("\n"));
        assert!(lines.iter().all(|line| line.chars().count() <= usize::from(columns)), "{}", lines.join("\n"));
        assert!(lines.iter().filter(|line| line.starts_with("* ")).count() == 1, "{}", lines.join("\n"));
        let head = lines.iter().position(|line| is_head(line)).expect("a head");
        assert!(lines[..head].join("").contains("worker started"), "{}", lines.join("\n"));

        terminal.master.write_all(b"\x03").expect("a key");
        assert!(terminal.wait().success());
        let lines = terminal.lines();
        assert_eq!(lines.iter().filter(|line| is_head(line)).count(), 1, "{}", lines.join("\n"));
        let head = lines.iter().position(|line| is_head(line)).expect("a head");
        assert!(records(&lines[head..]) >= Some(before), "{}", lines.join("\n"));
        assert!(lines.last().is_some_and(|line| line.contains("stopped")), "{}", lines.join("\n"));
        let screen = terminal.seen.screen();
        assert!(!screen.hide_cursor() && !screen.alternate_screen() && screen.cursor_position().1 == 0);
        assert_eq!((screen.fgcolor(), screen.bold()), (vt100::Color::Default, false));
        // What would only fill the terminal is not there.
        let text = String::from_utf8_lossy(&terminal.raw).into_owned();
        assert!(!text.contains("standing") && !text.contains("progress"), "{text}");
    }
}

#[test]
fn the_table_fits_a_terminal_that_becomes_narrower_and_wider() {
    let site = site();
    let mut terminal = Terminal::start(&site, &[], 110);
    terminal.until("figures", records);
    for (columns, has_mae) in [(60, false), (110, true)] {
        terminal.resize(columns);
        terminal.until("the other form", |lines| {
            let head = lines.iter().rfind(|line| is_head(line))?;
            let last = lines.iter().rfind(|line| line.contains("lag "))?;
            (head.contains("MAE") == has_mae && last.chars().count() < usize::from(columns)).then_some(())
        });
    }
    let lines = terminal.lines();
    assert_eq!(lines.iter().filter(|line| is_head(line)).count(), 1, "{}", lines.join("\n"));
}

#[test]
fn a_format_that_is_asked_for_and_a_pipe_have_no_table() {
    let site = site();
    for format in ["text", "json"] {
        let mut terminal = Terminal::start(&site, &["--set", &format!("logging.format={format}")], 120);
        terminal.until("a report", |lines| lines.join("").contains("standing").then_some(()));
        assert!(!terminal.lines().iter().any(|line| is_head(line)));
        terminal.master.write_all(b"\x03").expect("a key");
        assert!(terminal.wait().success());
    }
    let output = site.run(&["run", "--until-caught-up"]);
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("standing") && !text.contains('\x1b'), "{text}");
}

#[test]
fn without_colours_and_on_a_dumb_terminal_nothing_is_coloured_or_moved() {
    let site = site();
    for (variable, has_table) in [("NO_COLOR=1", true), ("TERM=dumb", false)] {
        let mut terminal = Terminal::start_with(&site, &[], variable, 100);
        terminal.until("figures", |lines| {
            records(lines).map(drop).or_else(|| lines.join("").contains("standing").then_some(()))
        });
        terminal.master.write_all(b"\x03").expect("a key");
        assert!(terminal.wait().success());
        let text = String::from_utf8_lossy(&terminal.raw).into_owned();
        assert_eq!(terminal.lines().iter().any(|line| is_head(line)), has_table, "{variable}: {text}");
        assert!(
            !text.contains("\x1b[1m") && !text.contains("\x1b[2m") && !text.contains("\x1b[32m"),
            "{variable}: {text}"
        );
        assert_eq!(text.contains('\x1b'), has_table, "{variable}: {text}");
    }
}

#[test]
fn on_a_terminal_init_asks_for_the_target() {
    let site = Workspace::new(&[]);
    let rows: String = (0..60).map(|i| format!("{}.5,{},{}\n", i * 7 % 50, i * 3 % 20, i % 9)).collect();
    site.write("in.csv", format!("price,stock,shelf\n{rows}"));
    let mut terminal = Terminal::start(&site, &["init", "in.csv"], 200);
    let asks = |lines: &[String]| lines.iter().any(|line| line.ends_with("target [shelf]:")).then_some(());
    terminal.until("the question", asks);
    terminal.master.write_all(b"prise\n").expect("typed");
    terminal.until("the hint", |lines| lines.iter().any(|line| line.contains("did you mean `price`?")).then_some(()));
    terminal.master.write_all(b"price\n").expect("typed");
    assert!(terminal.wait().success(), "{:?}", terminal.lines());
    let written = crate::support::daemon::read(&site.path("settings.toml"));
    assert!(written.contains("target = \"price\"") && written.contains("as asked for"), "{written}");
}
