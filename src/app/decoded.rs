//! What is in dead letters whose bytes are nothing for people: records of Avro and Protocol Buffers, by their schemas.
//!
//! Invariant: a view is for people alone, and nothing is decided by it. A schema is looked for in the settings, in the state file, and
//! then in the registry, which is asked once for each id and given up once it is away.

use std::{path::PathBuf, sync::Arc};

use thalweg_pipeline::{
    decode::{Format, Leaf, Learned, Meaning, SchemaHeader, SchemaId, Writer, Writers},
    registry::{Answer, Away, Registry},
};
use thalweg_registry::{Client, Config};
use thalweg_settings::Settings;
use thalweg_store::StateReader;
use thalweg_topic::dead_letters::DeadLetter;

/// Most values of a letter.
const MAX_VALUES: usize = 1000;

/// Reads what is in dead letters.
pub struct Decoding {
    format: Format,
    writers: Writers,
    state: Option<StateReader>,
    registry: Option<Config>,
    /// The reason why the registry is not asked any more.
    away: Option<String>,
}

/// What a letter holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Decoded {
    /// Values by their flattened names, in the order in which they come.
    pub values: Vec<(String, Value)>,
    /// The reason why there are no more.
    pub problem: Option<String>,
}

/// A value of a letter.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// None.
    Null,
    /// A truth value.
    Truth(bool),
    /// A number.
    Number(f64),
    /// A moment in milliseconds since 1970.
    Time(f64),
    /// A text.
    Text(String),
}

impl From<Leaf<'_>> for Value {
    fn from(leaf: Leaf<'_>) -> Self {
        match leaf {
            Leaf::Null => Value::Null,
            Leaf::Truth(truth) => Value::Truth(truth),
            Leaf::Number(number) => Value::Number(number),
            Leaf::Time(milliseconds) => Value::Time(milliseconds),
            Leaf::Text(text) => Value::Text(text.to_owned()),
        }
    }
}

impl Decoding {
    /// Begins with what the settings say.
    pub fn new(settings: &Settings) -> Self {
        let path: PathBuf = settings.state.path.clone();
        Self {
            format: settings.schema.format.clone(),
            writers: Writers::new(&settings.schema),
            // On Kafka it may be on another machine.
            state: StateReader::open(path).ok(),
            registry: settings.registry.clone(),
            away: None,
        }
    }

    /// Returns what a letter holds; `None` where its bytes are text for people, or nothing.
    pub fn of(&mut self, letter: &DeadLetter) -> Option<Decoded> {
        let value = letter.value.as_deref().filter(|value| !value.is_empty() && !self.format.is_json())?;
        let header = SchemaHeader::of(&letter.headers);
        if let Some((id, None)) = self.writers.of(Some(value), header)
            && let Err(problem) = self.learn(id, letter)
        {
            return Some(Decoded { values: Vec::new(), problem: Some(problem) });
        }
        let mut values = Vec::new();
        let mut is_full = false;
        let read = self.writers.look(value, header, &mut |name, leaf| match values.len() {
            MAX_VALUES => is_full = true,
            _ => values.push((name.to_owned(), leaf.into())),
        });
        let problem = match read {
            Err(_) if letter.truncated.is_some() => Some("the rest of its bytes is lost".to_owned()),
            Err(rejection) => Some(rejection.to_string()),
            Ok(()) => is_full.then(|| format!("it has more than {MAX_VALUES} values")),
        };
        Some(Decoded { values, problem })
    }

    /// Finds out what an id means.
    fn learn(&mut self, id: SchemaId, letter: &DeadLetter) -> Result<(), String> {
        let noted = self.state.as_ref().and_then(|state| {
            let source = &letter.source;
            state.meaning(&source.topic, source.partition, id.to_string().as_bytes()).ok().flatten()
        });
        let noted: Option<Answer> = noted.and_then(|bytes| Answer::noted(&bytes));
        let answer = match (noted, &self.away) {
            (Some(answer @ (Answer::Found(_) | Answer::Unusable(_))), _) => answer,
            (_, Some(away)) => return Err(away.clone()),
            (_, None) => match self.ask(id) {
                Ok(answer) => answer,
                Err(Away(problem)) => {
                    let away = format!(
                        "the state file does not have the schema {id}, and the registry does not give it: {problem}"
                    );
                    return Err(self.away.insert(away).clone());
                }
            },
        };
        let meaning = match answer {
            Answer::Found(definition) => match Writer::new(&self.format, &definition) {
                Ok(writer) => Meaning::Known(Arc::new(writer)),
                Err(problem) => Meaning::Unreadable(problem.into()),
            },
            Answer::Unknown => Meaning::Unknown,
            Answer::Unusable(problem) => Meaning::Unreadable(problem.into()),
        };
        self.writers.learn(&Learned { offset: letter.source.offset, id, meaning });
        Ok(())
    }

    /// Asks the registry, on a thread of its own: whoever lists letters does not wait in between.
    fn ask(&self, id: SchemaId) -> Result<Answer, Away> {
        let Some(config) = self.registry.clone() else { return Ok(Answer::Unknown) };
        let format = self.format.clone();
        let asked = std::thread::spawn(move || {
            let client = Client::new(config, &format).map_err(Away)?;
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.map_err(|error| Away(error.to_string()))?.block_on(client.schema(id))
        });
        asked.join().unwrap_or_else(|_| Err(Away("whoever asked it panicked".to_owned())))
    }
}
