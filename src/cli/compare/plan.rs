//! Plans which models run over which streams, and finds every problem before anything runs.

use std::{
    fs::File,
    path::{Path, PathBuf},
};

use super::{
    super::{
        generate,
        samples::{Reading, Samples, Spool, named},
    },
    Options, Problems, topics,
};
use crate::{
    generator::{self, Transition},
    models::ModelConfig,
    pipeline::decode::Schema,
    settings::{self, Entry, Settings, Sources},
};

/// Plan of a comparison.
pub(super) struct Plan {
    pub(super) streams: Vec<Stream>,
    pub(super) models: Vec<Entry>,
    /// Jobs by stream and run, in the order of the models; the whole race comes last, where there is more than one
    /// model.
    pub(super) jobs: Vec<Job>,
}

/// A stream that can be read any number of times.
pub(super) struct Stream {
    pub(super) name: String,
    source: Source,
    /// Seeds, with a run for each; `None` where there is nothing to seed.
    pub(super) seeds: Vec<Option<u64>>,
    /// Changes of its concept, as far as they are known.
    pub(super) transitions: Vec<Transition>,
}

enum Source {
    Files {
        paths: Vec<PathBuf>,
        reading: Reading,
    },
    /// Copy of a source that can be read only once.
    Spool {
        spool: Spool,
        path: PathBuf,
        reading: Reading,
    },
    Topic(Spool),
    Function {
        config: Box<generator::Config>,
        count: u64,
    },
}

/// Run of a model over a stream, or of all models as the daemon races them.
pub(super) struct Job {
    pub(super) stream: usize,
    /// Index of the seed.
    pub(super) run: usize,
    /// The model and those it depends on, or all.
    pub(super) race: Vec<ModelConfig>,
    /// Index of the model itself in the race; `None` where the race's published predictions count.
    pub(super) own: Option<usize>,
}

impl Stream {
    /// Returns the kind of its source, in a word.
    pub(super) fn kind(&self) -> &'static str {
        match self.source {
            Source::Files { .. } | Source::Spool { .. } => "file",
            Source::Topic(_) => "topic",
            Source::Function { .. } => "function",
        }
    }

    /// The samples of a run, from the beginning.
    pub(super) fn open(&self, run: usize, schema: &Schema) -> anyhow::Result<Samples> {
        match &self.source {
            Source::Files { paths, reading } => Samples::of_files(paths, *reading, schema),
            Source::Spool { spool, path, reading } => Samples::of_spool(spool, path, *reading, schema),
            Source::Topic(spool) => Ok(Samples::of_records(spool, schema)),
            Source::Function { config, count } => {
                let mut config = config.as_ref().clone();
                config.seed = self.seeds.get(run).copied().flatten().unwrap_or(config.seed);
                Ok(Samples::generated(&config, *count, schema)?)
            }
        }
    }
}

impl Plan {
    /// # Errors
    /// Everything that is wrong, at once.
    pub(super) fn new(sources: &Sources, settings: &Settings, options: &Options) -> anyhow::Result<Self> {
        let mut problems = Vec::new();
        let mut streams = Vec::new();
        let mut take = |found: anyhow::Result<Vec<Stream>>| match found {
            Ok(found) => streams.extend(found),
            Err(error) => problems.push(format!("{error:#}")),
        };
        for path in &options.files {
            let stream = named(path).and_then(|files| match &files[..] {
                [file] => self::file(file, options.reading, &settings.schema),
                _ => joined(path, files, options.reading, &settings.schema),
            });
            take(stream.map(|stream| vec![stream]));
        }
        for name in &options.function {
            take(function(name, settings, options).map(|stream| vec![stream]));
        }
        match topics::wanted(&options.topic, &options.offsets) {
            Ok(wanted) => wanted.iter().for_each(|wanted| {
                let stream = |(name, spool)| Stream {
                    name,
                    source: Source::Topic(spool),
                    seeds: vec![None],
                    transitions: Vec::new(),
                };
                take(topics::copied(settings, wanted).map(|parts| parts.into_iter().map(stream).collect()));
            }),
            Err(wrong) => problems.extend(wrong),
        }
        for (i, stream) in streams.iter().enumerate() {
            if streams[..i].iter().any(|other| other.name == stream.name) {
                problems.push(format!("stream `{}` is named twice", stream.name));
            }
        }
        let models = if options.grid.is_empty() { settings::entries(sources) } else { settings::grid(&options.grid) };
        let models = models.unwrap_or_else(|errors| {
            problems.extend(errors.problems().iter().map(|it| format!("{}: {}", it.path, it.message)));
            Vec::new()
        });
        let target = &settings.schema.target;
        for Entry { config, .. } in models.iter().filter(|entry| entry.config.kind.key() == Some(target)) {
            problems.push(format!(
                "`{}`: by must not be the target `{target}`: it is not known when predicting",
                config.name
            ));
        }
        let mut jobs = Vec::new();
        for (stream, of) in streams.iter().enumerate() {
            for run in 0..of.seeds.len() {
                for model in 0..models.len() {
                    let (race, own) = race(&models, model);
                    jobs.push(Job { stream, run, race, own: Some(own) });
                }
                if models.len() > 1 {
                    let race = models.iter().map(|entry| entry.config.clone()).collect();
                    jobs.push(Job { stream, run, race, own: None });
                }
            }
        }
        Problems(problems).none(Self { streams, models, jobs })
    }
}

fn file(path: &Path, reading: Reading, schema: &Schema) -> anyhow::Result<Stream> {
    let name = if path.as_os_str() == "-" { "standard input".to_owned() } else { path.display().to_string() };
    let cannot = |error: std::io::Error| anyhow::anyhow!("{name} cannot be read: {error}");
    let source = if path.as_os_str() == "-" {
        let spool = Spool::of(&mut std::io::stdin().lock()).map_err(cannot)?;
        Source::Spool { spool, path: path.to_owned(), reading }
    } else {
        let mut file = File::open(path).map_err(|error| match generator::Function::from_name(&name) {
            Ok(_) => {
                anyhow::anyhow!("{name} cannot be read: {error}; for the generator's function write --function {name}")
            }
            Err(_) => cannot(error),
        })?;
        let about = file.metadata().map_err(cannot)?;
        if about.is_file() || about.is_dir() {
            Source::Files { paths: vec![path.to_owned()], reading }
        } else {
            // It is a pipe, and each model needs it from the beginning.
            Source::Spool { spool: Spool::of(&mut file).map_err(cannot)?, path: path.to_owned(), reading }
        }
    };
    opened(Stream { name, source, seeds: vec![None], transitions: Vec::new() }, schema)
}

/// All files that are named like a pattern, as one stream.
fn joined(pattern: &Path, paths: Vec<PathBuf>, reading: Reading, schema: &Schema) -> anyhow::Result<Stream> {
    if let Some(other) = paths.iter().find(|path| !path.is_file()) {
        anyhow::bail!(
            "{} is no file: each model reads a stream of several files from their beginnings",
            other.display()
        );
    }
    let (name, source) = (pattern.display().to_string(), Source::Files { paths, reading });
    opened(Stream { name, source, seeds: vec![None], transitions: Vec::new() }, schema)
}

fn opened(stream: Stream, schema: &Schema) -> anyhow::Result<Stream> {
    // This finds a header that cannot be read.
    for note in stream.open(0, schema)?.notes() {
        eprintln!("{}: {note}", stream.name);
    }
    Ok(stream)
}

fn function(name: &str, settings: &Settings, options: &Options) -> anyhow::Result<Stream> {
    let config = generate::configured(settings, name).map_err(|error| {
        let hint = if Path::new(name).exists() { "; files come before --function" } else { "" };
        anyhow::anyhow!("--function: {}{hint}", error.problem)
    })?;
    if options.count == 0 {
        anyhow::bail!("-n 0 is no sample of {name}; give it 1 or more");
    }
    let first = options.seed.unwrap_or(config.seed);
    let stream = Stream {
        name: name.to_owned(),
        seeds: (0..options.seeds).map(|i| Some(first.wrapping_add(i))).collect(),
        transitions: config.transitions(options.count),
        source: Source::Function { config: Box::new(config), count: options.count },
    };
    stream.open(0, &settings.schema)?;
    Ok(stream)
}

/// Returns the models that have to run for one of them, in their order, and its place among them.
fn race(models: &[Entry], model: usize) -> (Vec<ModelConfig>, usize) {
    let needed = needed(models, model);
    let own = needed.iter().position(|i| *i == model).unwrap_or(0);
    (needed.into_iter().map(|i| models[i].config.clone()).collect(), own)
}

/// Returns the indices of a model and of those it depends on, directly or not, ascending.
pub(super) fn needed(models: &[Entry], model: usize) -> Vec<usize> {
    let mut needed = vec![model];
    let mut next = 0;
    while let Some(&i) = needed.get(next) {
        next += 1;
        for name in models[i].config.kind.members() {
            if let Some(member) = models.iter().position(|other| other.config.name == *name)
                && !needed.contains(&member)
            {
                needed.push(member);
            }
        }
    }
    needed.sort_unstable();
    needed
}
