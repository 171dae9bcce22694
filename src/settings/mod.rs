//! Settings: layers of text in, checked configurations out.
//!
//! Order: built-in defaults < file < environment < `--set`. Each part of the crate owns its checked `Config`; this only
//! reads them. Invariant: only what passed every check becomes a [`Settings`], all errors are reported at once with
//! the path of their key, and an unknown key is an error. Only the command line and the composition root read settings.
//!
//! Reading order: [`Sources`] (where values come from), `section` (how keys are read and errors collected), `range` (the
//! numbers that a key takes), `choices` (closed sets by name), then a file per section of settings.toml,
//! `grid` (many models out of one entry) with `to_toml` (values back to text).

mod changes;
mod choices;
mod detector;
mod features;
mod files;
mod format;
mod generator;
mod given;
mod grid;
mod http;
mod labels;
mod model;
mod output;
mod race;
mod range;
mod schema;
mod section;
mod sources;
mod to_toml;
mod transport;
mod values;
mod variables;

use std::{fmt, time::Duration};

use tracing::level_filters::LevelFilter;

use choices::choices;
use section::Section;
use thalweg_embedded as embedded;
use thalweg_kafka as kafka;
use thalweg_logging as logging;
use thalweg_models::ModelConfig;
use thalweg_pipeline::{
    decode::{Format, Schema},
    gap::Policy,
    prequential,
};
use thalweg_store as store;
use thalweg_topic::{Start, Timestamps, Topics};

pub use changes::Keys;
pub use given::{Given, variable};
pub use grid::{Entry, entries, grid};
pub use output::{Predictions, Registration};
pub use section::{Errors, Problem, suggestion};
pub use sources::Sources;
pub use to_toml::quoted;

const DEFAULT_REPORT_INTERVAL: Duration = Duration::from_secs(5);

/// Everything the user can set, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// `[transport]`
    pub transport: Transport,
    /// `[topics]`
    pub topics: Topics,
    /// `transport.kafka.start`
    pub start: Start,
    /// `transport.on_gap`
    pub on_gap: Policy,
    /// `output.timestamp`: record time of what is published.
    pub timestamps: Timestamps,
    /// `output.shared`: true if the outputs may hold what others have published.
    pub shared_outputs: bool,
    /// `output.format`: form of the predictions.
    pub predictions: Predictions,
    /// `[schema]`
    pub schema: Schema,
    /// `[schema.registry]`; `None` where samples need none.
    pub registry: Option<thalweg_registry::Config>,
    /// `[generator]`
    pub generator: thalweg_generator::Config,
    /// `[[models]]`, `[guard]`, `[intervals]` and most of `[metrics]`
    pub race: prequential::Config,
    /// `metrics.report_every`: time between two reports.
    pub report_every: Duration,
    /// `[http]`; `None` where nothing is served.
    pub http: Option<thalweg_http::Config>,
    /// `[state]`
    pub state: store::Config,
    /// `[logging]`
    pub logging: logging::Config,
}

/// The transport that runs.
#[derive(Clone, Debug, PartialEq)]
pub enum Transport {
    /// Topics in the state file.
    Embedded(embedded::Config),
    /// Apache Kafka.
    Kafka(Box<kafka::Config>),
}

impl Transport {
    /// Returns its name in `kind = "…"`.
    pub fn name(&self) -> &'static str {
        match self {
            Transport::Embedded(_) => "embedded",
            Transport::Kafka(_) => "kafka",
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            transport: Transport::Embedded(embedded::Config::default()),
            topics: Topics::default(),
            start: Start::default(),
            on_gap: Policy::default(),
            timestamps: Timestamps::default(),
            shared_outputs: false,
            predictions: Predictions::default(),
            schema: Schema::default(),
            registry: None,
            generator: thalweg_generator::Config::default(),
            race: prequential::Config::of(model::default_race()),
            report_every: DEFAULT_REPORT_INTERVAL,
            http: Some(thalweg_http::Config::default()),
            state: store::Config::default(),
            logging: logging::Config::default(),
        }
    }
}

impl Settings {
    /// Reads all layers and checks everything.
    ///
    /// # Errors
    /// Returns every problem at once.
    pub fn load(sources: &Sources) -> Result<Self, Errors> {
        Self::load_with_keys(sources).map(|(settings, _)| settings)
    }

    /// The same with the keys that were found.
    ///
    /// # Errors
    /// As [`Settings::load`].
    pub fn load_with_keys(sources: &Sources) -> Result<(Self, Keys), Errors> {
        let table = sources.merged()?;
        let keys = Keys::of(&table);
        let (mut root, problems) = Section::root(table);
        let state = state(root.section("state"));
        let transport::Read { transport, start, on_gap } = transport::read(root.section("transport"), state.every);
        let generates = matches!(transport, Transport::Embedded(_));
        let models = model::read_all(&mut root);
        let mut metrics = root.section("metrics");
        let output = output::read(root.section("output"));
        let mut schema_section = root.section("schema");
        let bounds = race::bounds(&mut schema_section);
        let schema::Read { mut schema, asked, registry } = schema::read(schema_section, output.is_avro);
        schema.derived = features::read(&mut root, &schema.target, &schema.timezone);
        schema.keys_budget = features::budget(root.section("keys"), schema.keys_budget);
        schema.labels = labels::read(root.section("labels"), &schema);
        let topics = transport::topics(root.section("topics"), schema.labels.have_topic());
        schema.model_keys = model::keys(&mut root, &models, &schema.target);
        let row_keys = if schema.model_keys.is_empty() { Vec::new() } else { schema.row_keys() };
        let generator = generator::read(root.section("generator"), generates && schema.format == Format::Json);
        if generator.enabled && schema.format != Format::Json {
            let message = "makes up samples in JSON, which schema.format does not read; set it to false, or the format to \"json\"";
            root.problem("generator.enabled", message);
        }
        let settings = Self {
            transport,
            start,
            on_gap,
            timestamps: output.timestamps,
            shared_outputs: output.shared,
            predictions: output.predictions(&root, &topics, registry),
            topics,
            schema,
            registry: asked,
            generator,
            report_every: metrics.duration("report_every", DEFAULT_REPORT_INTERVAL, Duration::from_millis(10)),
            race: prequential::Config {
                keys: row_keys,
                ..race::read(models, &mut metrics, root.section("guard"), root.section("intervals"), bounds)
            },
            http: http::read(root.section("http")),
            state,
            logging: logging(root.section("logging")),
        };
        drop((root, metrics));
        let known = problems.known();
        let strays = sources.strays().iter().map(String::as_str);
        let misspelt = variables::problems(strays, sources.variables(), &known);
        match problems.into_result(settings) {
            Ok(settings) if misspelt.is_empty() => Ok((settings, keys)),
            Ok(_) => Err(misspelt.into()),
            Err(errors) => Err(errors.and(misspelt)),
        }
    }

    /// Returns the settings for other models, whose keys are read beside those that are read already.
    #[must_use]
    pub fn with_keys_of<'m>(&self, models: impl Iterator<Item = &'m ModelConfig>) -> Self {
        let mut settings = self.clone();
        for key in models.filter_map(|model| model.kind.key()) {
            if !settings.schema.model_keys.iter().any(|known| known == key) {
                settings.schema.model_keys.push(key.to_owned());
            }
        }
        if !settings.schema.model_keys.is_empty() {
            settings.race.keys = settings.schema.row_keys();
        }
        settings
    }

    /// Summarises the settings in a line.
    pub fn summary(&self) -> String {
        let names: Vec<&str> = self.race.models.iter().map(|model| model.name.as_str()).collect();
        format!("transport {}, generator {}, models {}", self.transport.name(), self.generating(), names.join(", "))
    }

    /// Describes what the generator will do.
    fn generating(&self) -> String {
        let (generator, samples) = (&self.generator, &self.topics.samples);
        if !generator.enabled {
            let told = if generator.asked_for { "" } else { " (on Kafka it runs only where generator.enabled = true)" };
            return format!("off{told}");
        }
        let rate = match generator.rate {
            0.0 => "as fast as it can".to_owned(),
            rate => format!("{rate} samples/s"),
        };
        let among = match (generator.into_foreign_topic, generator.asked_for) {
            (true, _) => ", whatever else that topic holds",
            (false, true) => "; it refuses to start where that topic holds samples of somebody else",
            (false, false) => "; it rests where that topic holds samples of somebody else",
        };
        format!("{} ({rate} into `{samples}`{among})", generator.function.name())
    }
}

impl fmt::Display for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.summary())
    }
}

fn state(mut section: Section) -> store::Config {
    let default = store::Config::default();
    let path = section.text("path", &default.path.display().to_string());
    if path.is_empty() {
        section.problem("path", "must not be empty");
    }
    store::Config {
        path: path.into(),
        every: section.duration("every", default.every, Duration::from_millis(10)),
        keep: section.integer("keep", default.keep, 1..=1000),
    }
}

fn logging(mut section: Section) -> logging::Config {
    use logging::Format;
    let default = logging::Config::default();
    let formats = choices!(Format { "auto": Auto, "text": Text, "json": Json, "journald": Journald });
    let levels = [
        ("error", LevelFilter::ERROR),
        ("warn", LevelFilter::WARN),
        ("info", LevelFilter::INFO),
        ("debug", LevelFilter::DEBUG),
        ("trace", LevelFilter::TRACE),
    ];
    logging::Config {
        format: section.one_of("format", default.format, &formats),
        level: section.one_of("level", default.level, &levels),
    }
}
