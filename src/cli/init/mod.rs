//! `thalweg init`: looks at a sample of somebody's data and writes the settings that learn from it.
//!
//! Reading order: `survey` (what each field holds), `kind` (what it is), `leak` (what gives the target away), `guess` (its
//! part), `say` (all of it, for a person), `write` (the settings), `trial` (they are tried on the sample).
//!
//! Invariant: settings that are written load, and were tried on the sample by the daemon's own loop. No file is
//! overwritten unasked, and a broker is only read from.

mod guess;
mod kind;
mod leak;
mod say;
mod survey;
mod trial;
mod write;

use std::{
    fs,
    io::{IsTerminal, Write, stderr, stdin, stdout},
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use clap::{ArgGroup, Args};

use super::samples::{Reading, Samples, Spool, SpoolWriter, put_in_front};
use crate::{
    app::history,
    logging::{self, Surroundings},
    pipeline::decode::{Format, Schema},
    settings::{Settings, Sources, quoted, suggestion},
};
use guess::{Candidates, Guess};
use kind::Kind;
use survey::Survey;
use write::Origin;

/// Keys of `[schema]` that are guessed.
const GUESSED: [&str; 6] = ["target", "features", "nominal", "key", "timestamp", "ignore"];
/// Name of the data that come from there.
const STDIN: &str = "standard input";
/// Names in an error.
const MAX_NAMES: usize = 12;

/// Options: the data to look at, and the file to write.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("data").required(true).args(["file", "topic"])))]
pub(super) struct Options {
    /// CSV, JSON or Avro to look at, also compressed; `-` is standard input
    file: Option<PathBuf>,
    /// Topic to look at, of Kafka; of the state file with --set transport.kind=embedded
    #[arg(long, value_name = "TOPIC")]
    topic: Option<String>,
    /// Brokers of the topic [default: those of the settings, else localhost:9092]
    #[arg(long, value_name = "HOST:PORT", requires = "topic", value_delimiter = ',')]
    brokers: Vec<String>,
    /// Schema registry of a topic in Avro, or in Protobuf with --set schema.format=protobuf
    #[arg(long, value_name = "URL", requires = "topic", conflicts_with = "schema")]
    registry: Option<String>,
    /// Schema of a topic whose records name none: .avsc, .proto, or a descriptor set
    #[arg(long, value_name = "FILE", requires = "topic")]
    schema: Option<PathBuf>,
    /// Field to predict [default: asked for on a terminal, else guessed]
    #[arg(long, value_name = "NAME")]
    target: Option<String>,
    #[command(flatten)]
    reading: Reading,
    /// Records to look at; of a topic, the newest
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    records: u64,
    /// File to write; `-` is standard output
    #[arg(long, value_name = "FILE", default_value = "settings.toml")]
    output: PathBuf,
    /// Overwrites that file
    #[arg(long)]
    force: bool,
}

/// The sample, which can be read again.
enum Data {
    File(PathBuf),
    Stdin(Spool),
    Topic(Spool),
}

impl Data {
    fn open(&self, reading: Reading, schema: &Schema) -> anyhow::Result<Samples> {
        match self {
            Data::File(path) => Samples::of_file(path, reading, schema),
            Data::Stdin(spool) => Samples::of_spool(spool, Path::new("-"), reading, schema),
            Data::Topic(spool) => Ok(Samples::of_records(spool, schema)),
        }
    }
}

impl Options {
    /// Returns the sources that count: a settings file only where it is named, and what the options say.
    pub(super) fn sources(&self, sources: Sources) -> Sources {
        let sources = sources.only_named();
        let Some(topic) = &self.topic else { return sources };
        let mut under = vec![("topics.samples", quoted(topic))];
        // A topic is Kafka's unless another transport is asked for.
        let asked = sources.given().is_ok_and(|given| given.value("transport", "kind").is_some());
        if !asked || !self.brokers.is_empty() {
            under.push(("transport.kind", quoted("kafka")));
        }
        if !self.brokers.is_empty() {
            let brokers: Vec<String> = self.brokers.iter().map(|broker| quoted(broker.trim())).collect();
            under.push(("transport.kafka.brokers", format!("[{}]", brokers.join(", "))));
        }
        if let Some(url) = &self.registry {
            under.push(("schema.registry.url", quoted(url)));
        }
        if let Some(file) = &self.schema {
            under.push(("schema.file", quoted(&file.display().to_string())));
        }
        if self.registry.is_some() || self.schema.is_some() {
            let ending = self.schema.as_ref().and_then(|file| file.extension()).and_then(|ending| ending.to_str());
            let is_avro = matches!(ending, None | Some("avsc" | "json"));
            under.push(("schema.format", quoted(if is_avro { "avro" } else { "protobuf" })));
        }
        sources.under(under)
    }
}

pub(super) fn run(sources: &Sources, settings: &Settings, options: &Options) -> anyhow::Result<()> {
    let to_stdout = options.output.as_os_str() == "-";
    if !to_stdout && !options.force && options.output.exists() {
        bail!("{} is there already; --force overwrites it, --output names another file", options.output.display());
    }
    let given = sources.given()?;
    if let Some(key) = GUESSED[1..].iter().find(|key| given.value("schema", key).is_some()) {
        bail!("schema.{key} is set, and init is there to guess it: take it away, and edit the file that is written");
    }
    let schema = &settings.schema;
    if schema.format != Format::Json && options.topic.is_none() {
        bail!("schema.format is for topics: a file says itself what it is, so take it away");
    }
    let (mut samples, data) = opened(settings, options)?;
    let mut survey = Survey::default();
    survey.look(&mut samples, options.records as usize, schema)?;
    let notes = samples.notes();
    drop(samples);
    let name = options.name();
    if survey.records == 0 {
        match survey.problems.first() {
            Some(problem) => {
                bail!("no record of {name} can be read; {problem}{}", with_schema(options, schema, problem))
            }
            None => bail!("{name} holds no records; there has to be something to look at"),
        }
    }
    header_is_no_record(&survey)?;

    let mut out: Box<dyn Write> = if to_stdout { Box::new(stderr()) } else { Box::new(stdout()) };
    writeln!(out, "{name}: {}", say::looked_at(&survey))?;
    for note in notes {
        writeln!(out, "  {note}")?;
    }
    let candidates = Candidates::of(&survey);
    let wanted = options.target.clone().or_else(|| given.value("schema", "target").map(|_| schema.target.clone()));
    let target = match wanted {
        Some(name) => (named(&survey, &candidates, &name)?, None),
        None => match candidates.likeliest(&survey.columns) {
            Some(likeliest) => asked(&survey, &candidates, likeliest, options)?,
            None => bail!(
                "no field holds numbers that differ, and Thalweg predicts numbers; {}",
                described(&survey, &candidates)
            ),
        },
    };
    let guess = Guess::new(&survey, candidates, target);
    say::fields(&mut out, &survey, &guess)?;

    let origin = match &options.topic {
        Some(topic) => Origin::Topic(topic),
        None => Origin::File(&name),
    };
    let text = write::settings(&survey, &guess, &given, &origin, &schema.missing);
    let mut file = written(options, &text)?;
    let tried =
        trial::run(file.path(), &given, |schema| data.open(options.reading, schema), survey.records + survey.unusable)?;
    for doubt in guess.doubts.iter().chain(&tried.doubts) {
        writeln!(out, "  note: {doubt}")?;
    }
    writeln!(out, "{}", tried.verdict)?;
    if to_stdout {
        stdout().write_all(text.as_bytes())?;
    } else {
        // People read it, and perhaps a service does.
        file.as_file_mut().flush()?;
        persist(file, options)?;
        writeln!(out, "written: {}", options.output.display())?;
    }
    next(&mut out, options)?;
    Ok(())
}

impl Options {
    /// Returns the name of the data.
    fn name(&self) -> String {
        match (&self.topic, &self.file) {
            (Some(topic), _) => topic.clone(),
            (None, Some(file)) if file.as_os_str() == "-" => STDIN.to_owned(),
            (None, Some(file)) => file.display().to_string(),
            (None, None) => String::new(),
        }
    }
}

fn opened(settings: &Settings, options: &Options) -> anyhow::Result<(Samples, Data)> {
    let schema = &settings.schema;
    if let Some(topic) = &options.topic {
        // We wait for a broker that does not answer, and log it.
        logging::start(&settings.logging, &Surroundings::default());
        let spool = copied(settings, topic, options.records)?;
        return Ok((Samples::of_records(&spool, schema), Data::Topic(spool)));
    }
    let path = options.file.clone().unwrap_or_default();
    if path.as_os_str() == "-" {
        let (samples, spool) = Samples::of_stdin(options.reading, schema)?;
        return Ok((samples, Data::Stdin(spool)));
    }
    Ok((Samples::of_file(&path, options.reading, schema)?, Data::File(path)))
}

#[tokio::main(flavor = "current_thread")]
async fn copied(settings: &Settings, topic: &str, records: u64) -> anyhow::Result<Spool> {
    let mut writer = SpoolWriter::new()?;
    let learned = history::newest(settings, topic, records, &mut |value, record| writer.push(value, record)).await?;
    Ok(writer.finish()?.written_by(&learned.into()))
}

/// Returns what has to be said where records need a schema, or another one.
fn with_schema(options: &Options, schema: &Schema, problem: &str) -> String {
    let Some(topic) = &options.topic else { return String::new() };
    let is_framed = problem.contains("schema registry's five bytes") || problem.contains("single-object encoding");
    match schema.format {
        Format::Json if is_framed => format!(
            ". Say where its schemas are: thalweg init --topic {topic} --registry http://localhost:8081, or --schema FILE with an \
             .avsc or a .proto"
        ),
        Format::Avro(_) if problem.contains("of the type PROTOBUF") => {
            ". Look again with --set schema.format=protobuf".to_owned()
        }
        Format::Protobuf(_) if problem.contains("of the type AVRO") => {
            ". Look again with --set schema.format=avro".to_owned()
        }
        _ => String::new(),
    }
}

/// Fails where a CSV has a record where its names should be.
fn header_is_no_record(survey: &Survey) -> anyhow::Result<()> {
    let alike = |column: &&survey::Column| {
        let name = column.name.as_str();
        let is_number = name.parse::<f64>().is_ok_and(|number| number.fract() != 0.0) && column.texts.is_empty();
        column.is_cell && is_number
            || column.texts.iter().any(|text| text == name)
            || crate::pipeline::decode::date(name).is_some() && matches!(kind::of(column), Kind::Time { .. })
    };
    let count = survey.columns.iter().filter(alike).count();
    if survey.columns.iter().any(|column| column.is_cell) && 2 * count >= survey.columns.len() && count > 1 {
        let names: Vec<String> = survey.columns.iter().map(|column| column.name.clone()).collect();
        bail!(
            "its first line ({}) looks like a record and not like the names of the columns; put names in front: {}",
            write::some(&names),
            put_in_front(names.len())
        );
    }
    Ok(())
}

/// Finds the target that was asked for.
fn named(survey: &Survey, candidates: &Candidates, name: &str) -> anyhow::Result<usize> {
    let columns = &survey.columns;
    let Some(i) = columns.iter().position(|column| column.name == name) else {
        let names = columns.iter().map(|column| column.name.as_str());
        bail!("--target: there is no field `{name}`{}; {}", suggestion(name, names), described(survey, candidates));
    };
    if columns[i].numbers().next().is_none() && !matches!(candidates.kinds[i], Kind::Empty) {
        let text = columns[i].texts.first().map_or("", String::as_str);
        let why = match &candidates.kinds[i] {
            Kind::Unreadable(why) => format!("it holds {why}"),
            _ => "Thalweg predicts numbers".to_owned(),
        };
        bail!("--target: `{name}` holds text such as {text:?}, and {why}; {}", described(survey, candidates));
    }
    Ok(i)
}

/// Names what could be the target.
fn described(survey: &Survey, candidates: &Candidates) -> String {
    let names: Vec<String> =
        candidates.targets.iter().take(MAX_NAMES).map(|i| survey.columns[*i].name.clone()).collect();
    let more = candidates.targets.len().saturating_sub(MAX_NAMES);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    if names.is_empty() {
        let all: Vec<String> = survey.columns.iter().map(|column| column.name.clone()).collect();
        return format!("there are: {}", write::some(&all));
    }
    format!("numbers are in: {}{more}", names.join(", "))
}

/// Asks a person which field to predict; elsewhere the likeliest one is it.
fn asked(
    survey: &Survey,
    candidates: &Candidates,
    (likeliest, why): (usize, String),
    options: &Options,
) -> anyhow::Result<(usize, Option<String>)> {
    let is_data = options.file.as_deref() == Some(Path::new("-"));
    if is_data || !stdin().is_terminal() || !stderr().is_terminal() {
        return Ok((likeliest, Some(why)));
    }
    let mut terminal = stderr();
    writeln!(terminal, "Which field is to be predicted? ({})", described(survey, candidates))?;
    loop {
        write!(terminal, "target [{}]: ", survey.columns[likeliest].name)?;
        terminal.flush()?;
        let mut answer = String::new();
        if stdin().read_line(&mut answer)? == 0 {
            bail!("no target was chosen; --target NAME does it without asking");
        }
        match answer.trim() {
            "" => return Ok((likeliest, None)),
            name => match named(survey, candidates, name) {
                Ok(i) => return Ok((i, None)),
                Err(problem) => writeln!(terminal, "{}", problem.to_string().trim_start_matches("--target: "))?,
            },
        }
    }
}

/// Writes the settings beside the file that they become.
fn written(options: &Options, text: &str) -> anyhow::Result<tempfile::NamedTempFile> {
    let is_stdout = options.output.as_os_str() == "-";
    let folder = options.output.parent().filter(|folder| !is_stdout && !folder.as_os_str().is_empty());
    let mut builder = tempfile::Builder::new();
    builder.prefix(".settings").suffix(".toml");
    let file = match (folder, is_stdout) {
        (_, true) => builder.tempfile(),
        (Some(folder), _) => builder.tempfile_in(folder),
        (None, _) => builder.tempfile_in("."),
    };
    let mut file = file.with_context(|| format!("{} cannot be written", options.output.display()))?;
    file.write_all(text.as_bytes())?;
    Ok(file)
}

fn persist(file: tempfile::NamedTempFile, options: &Options) -> anyhow::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let cannot = || format!("{} cannot be written", options.output.display());
    // Secrets are not in it; temporary files are for their owner alone.
    fs::set_permissions(file.path(), fs::Permissions::from_mode(0o644)).with_context(cannot)?;
    match options.force {
        true => file.persist(&options.output).map_err(|error| error.error).with_context(cannot)?,
        false => file.persist_noclobber(&options.output).map_err(|error| error.error).with_context(cannot)?,
    };
    Ok(())
}

/// Says which commands come next.
fn next(out: &mut dyn Write, options: &Options) -> anyhow::Result<()> {
    let settings = match options.output.to_str() {
        Some("settings.toml") => String::new(),
        Some("-") => " --settings FILE".to_owned(),
        _ => format!(" --settings {}", shell(&options.output.display().to_string())),
    };
    let commands = match (&options.topic, &options.file) {
        (None, Some(file)) => {
            let data = format!("{}{}", shell(&file.display().to_string()), options.reading.arguments());
            [
                (format!("thalweg replay {data}{settings}"), "predict and learn, record by record"),
                (format!("thalweg compare {data}{settings}"), "which model is best, as a page"),
            ]
        }
        _ => [
            (format!("thalweg check --connect{settings}"), "may it do what it has to?"),
            (format!("thalweg run{settings}"), "the daemon: learns while the topic flows"),
        ],
    };
    let width = commands.iter().map(|(command, _)| command.chars().count()).max().unwrap_or(0);
    writeln!(out, "next:")?;
    for (command, does) in &commands {
        writeln!(out, "  {command:width$}  # {does}")?;
    }
    Ok(())
}

/// Quotes a word for a shell where it needs quotes.
fn shell(word: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "-_./,:=+@%".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}
