//! The report: tables in Markdown, and plots beside it.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
    process::Command,
};

use plotters::prelude::*;

use crate::{Options, latency::Latencies};

const QUANTILES: [(&str, f64); 6] =
    [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999), ("p99.99", 0.9999), ("max", 1.0)];
const LINE: RGBColor = RGBColor(0x1f, 0x77, 0xb4);

/// One line of a section's table.
pub(crate) struct Row {
    measure: String,
    ours: String,
    beside: String,
    ratio: String,
    target: String,
}

impl Row {
    /// Ours beside theirs; the ratio is to be `target` at least.
    pub(crate) fn ratio(measure: String, sides: (String, &str, String), ratio: f64, target: f64) -> Self {
        let target = format!("≥ {target} × {}", kept(ratio >= target));
        Self { target, ..Self::beside(measure, sides, ratio) }
    }

    /// Ours, which is to take so many times of theirs at most.
    pub(crate) fn at_most(measure: String, sides: (String, &str, String), ratio: f64, target: f64) -> Self {
        let target = format!("≤ {target} × {}", kept(ratio <= target));
        Self { target, ..Self::beside(measure, sides, ratio) }
    }

    /// Ours beside theirs, for information.
    pub(crate) fn beside(measure: String, (ours, whose, theirs): (String, &str, String), ratio: f64) -> Self {
        let ratio = if ratio < 10.0 { format!("{ratio:.2} ×") } else { format!("{ratio:.0} ×") };
        Self { measure, ours, beside: format!("{whose}: {theirs}"), ratio, target: "–".into() }
    }

    /// Ours beside what cannot be measured.
    pub(crate) fn alone(measure: String, ours: String, beside: &str) -> Self {
        Self { beside: beside.to_owned(), ..Self::plain(measure, ours) }
    }

    /// Ours, with a limit of its own.
    pub(crate) fn limit(measure: String, ours: String, is_kept: bool, target: &str) -> Self {
        let target = format!("{target} {}", kept(is_kept));
        Self { measure, ours, beside: "–".into(), ratio: "–".into(), target }
    }

    /// For information.
    pub(crate) fn plain(measure: String, ours: String) -> Self {
        Self { measure, ours, beside: "–".into(), ratio: "–".into(), target: "–".into() }
    }
}

fn kept(is_kept: bool) -> &'static str {
    if is_kept { "(kept)" } else { "(missed)" }
}

/// What has been measured so far.
pub(crate) struct Report {
    out: Option<PathBuf>,
    text: String,
    in_table: bool,
    notes: Vec<String>,
}

impl Report {
    pub(crate) fn new(options: &Options) -> Self {
        let mut report = Self { out: options.out.clone(), text: String::new(), in_table: false, notes: Vec::new() };
        report.line("# The whole, measured\n");
        report.line(
            "Written by `just bench-pipeline`, and by nothing else; everything that is compared took turns in one run on this \
             machine, broker included. Ratios hold from machine to machine, absolute figures do not.\n",
        );
        report.line(&format!("- {}", machine()));
        report.line(&format!("- {}", first_line("rustc", &["-V"])));
        report.line(&format!("- {}, load {} at the beginning", first_line("date", &["-u", "+%Y-%m-%d"]), load()));
        report
    }

    fn line(&mut self, line: &str) {
        println!("{line}");
        self.text.push_str(line);
        self.text.push('\n');
    }

    fn end_table(&mut self) {
        self.in_table = false;
        if !self.notes.is_empty() {
            self.line("");
        }
        for note in std::mem::take(&mut self.notes) {
            self.line(&format!("- {note}"));
        }
    }

    pub(crate) fn section(&mut self, title: &str, about: &str) {
        self.end_table();
        self.line(&format!("\n## {title}\n\n{about}"));
    }

    pub(crate) fn row(&mut self, row: Row) {
        if !std::mem::replace(&mut self.in_table, true) {
            self.line("\n| measure | Thalweg | beside | ratio | target |\n| --- | ---: | --- | ---: | --- |");
        }
        let Row { measure, ours, beside, ratio, target } = row;
        self.line(&format!("| {measure} | {ours} | {beside} | {ratio} | {target} |"));
    }

    /// Said below the section's table.
    pub(crate) fn note(&mut self, note: &str) {
        self.notes.push(note.trim_end_matches('.').to_owned());
    }

    pub(crate) fn latencies(&mut self, label: &str, whose: &str, found: &Latencies) {
        let mut text = format!("{label}, {whose}, {} samples of {}:", found.came(), found.sent);
        for (name, q) in QUANTILES {
            let _ = write!(text, " {name} {:.2} ms", found.quantile(q));
        }
        self.note(&text);
    }

    /// A plot of cost against work, and its figures.
    pub(crate) fn plot(&mut self, name: &str, work: &str, cost: &str, points: &[(f64, f64)]) {
        self.end_table();
        let figures: Vec<String> = points.iter().map(|(x, y)| format!("{}: {y:.3}", thousands(*x))).collect();
        self.line(&format!("\n{cost}, by {work}: {}", figures.join(", ")));
        if let Some(out) = self.out.clone() {
            let stem = out.file_stem().and_then(|stem| stem.to_str()).unwrap_or("report").to_owned();
            let file = format!("{stem}-{name}.svg");
            draw(&out.with_file_name(&file), work, cost, points).expect("a plot");
            self.line(&format!("\n![{cost}, by {work}]({file})"));
        }
    }

    pub(crate) fn finish(mut self) {
        self.end_table();
        if let Some(out) = &self.out {
            std::fs::write(out, &self.text).expect("the report is written");
        }
    }
}

/// Work on a logarithmic axis, cost from 0 on.
fn draw(file: &Path, work: &str, cost: &str, points: &[(f64, f64)]) -> Result<(), Box<dyn std::error::Error>> {
    let most = points.iter().fold(0.0_f64, |most, (_, y)| most.max(*y));
    let (first, last) = (points[0].0, points[points.len() - 1].0);
    let area = SVGBackend::new(file, (720, 360)).into_drawing_area();
    // White, so that it can be read on a dark page, too.
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .margin(16)
        .x_label_area_size(44)
        .y_label_area_size(64)
        .build_cartesian_2d((first..last).log_scale(), 0.0..most * 1.2)?;
    chart.configure_mesh().x_desc(work).y_desc(cost).x_label_formatter(&|x| thousands(*x)).draw()?;
    chart.draw_series(LineSeries::new(points.iter().copied(), LINE.stroke_width(2)))?;
    chart.draw_series(points.iter().map(|point| Circle::new(*point, 4, LINE.filled())))?;
    area.present()?;
    Ok(())
}

/// Records a second, for people.
pub(crate) fn rate(per_second: f64) -> String {
    if per_second < 10_000.0 {
        format!("{per_second:.0}/s")
    } else if per_second < 1e6 {
        format!("{:.0}k/s", per_second / 1e3)
    } else {
        format!("{:.2}M/s", per_second / 1e6)
    }
}

/// A whole number with its thousands apart.
pub(crate) fn thousands(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let value = |text: &str, name: &str| -> Option<String> {
        let line = text.lines().find(|line| line.starts_with(name))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    let processor = value(&read("/proc/cpuinfo"), "model name").unwrap_or_else(|| "unknown processor".into());
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let memory = value(&read("/proc/meminfo"), "MemTotal").unwrap_or_default();
    let kib: f64 = memory.split(' ').next().and_then(|kib| kib.parse().ok()).unwrap_or(0.0);
    let kernel = read("/proc/sys/kernel/osrelease");
    format!("{processor}, {cores} cores, {:.1} GiB of memory, Linux {}", kib / 1_048_576.0, kernel.trim())
}

fn load() -> String {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split(' ').next().unwrap_or("unknown").to_owned()
}

fn first_line(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    text.lines().next().unwrap_or("unknown").to_owned()
}
