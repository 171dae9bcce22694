//! What models have learned, for a person and for a program.
//!
//! The document is public interface: `thalweg model export` writes it, and the API gives it. Every number is exact to the bit.

use serde::Serialize;
use serde_json::Value;

use crate::{decode::Index, prequential::Prequential, snapshot::ModelSnapshot};
use thalweg_metrics::Scores;
use thalweg_models::{
    Description, ModelConfig, ModelKind, NamedColumn, describe::PerKey, explain::Explanation, per_key::OwnDescription,
    steps::StepDescription,
};

/// Format of the document; raised when a reader of an older document would misunderstand a newer one.
const FORMAT: u32 = 1;

/// A model, with the names of its features.
#[derive(Clone, Debug)]
pub struct LearnedModel {
    /// Its settings.
    pub config: ModelConfig,
    /// Its scores.
    pub standing: ModelSnapshot,
    /// True for the model whose prediction is published.
    pub is_champion: bool,
    /// What its steps have learned.
    pub steps: Vec<StepDescription>,
    /// What it has learned.
    pub description: Description,
    /// What the models of the key that was asked for have learned; empty where none was.
    pub own: Vec<OwnDescription>,
    /// Which features matter to it; `None` where there is nothing to explain.
    pub explanation: Option<Explanation>,
}

/// Which keys are described of a model per key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Keys {
    /// All of them.
    #[default]
    All,
    /// Those with the largest recent errors and those with the least, so many of each.
    Ends(usize),
    /// One alone, with what its own models have learned.
    One(String),
}

impl Keys {
    /// Returns what is asked for by a key or a number of keys; `None` where neither is given.
    pub fn of(one: Option<String>, ends: Option<usize>) -> Option<Self> {
        one.map(Self::One).or(ends.map(Self::Ends))
    }
}

/// Describes the models of which `is_wanted` is true by name, in configured order.
pub fn models(race: &Prequential, index: &Index, keys: &Keys, is_wanted: impl Fn(&str) -> bool) -> Vec<LearnedModel> {
    let columns = index.named_columns();
    let models = race.config().models.iter().zip(race.standings()).enumerate();
    let wanted = models.filter(|(_, (config, _))| is_wanted(&config.name));
    let described = wanted.filter_map(|(i, (config, standing))| {
        let (steps, mut description) = race.describe(i, &columns)?;
        let own = match &mut description {
            Description::PerKey(described) => select(race, i, &columns, described, keys),
            _ => Vec::new(),
        };
        let is_champion = i == race.champion();
        let explanation = race.explain(i, columns.clone());
        Some(LearnedModel { config: config.clone(), standing, is_champion, steps, description, own, explanation })
    });
    described.collect()
}

/// Returns true where the model of a name has models of a key's own.
pub fn knows(race: &Prequential, name: &str, key: &str) -> bool {
    let model = race.names().position(|known| **known == *name);
    model.and_then(|i| race.pipeline(i)?.per_key()).is_some_and(|per_key| per_key.knows(key))
}

/// Keeps the keys that are asked for, and returns what the models of the only one have learned.
fn select(
    race: &Prequential,
    model: usize,
    columns: &[NamedColumn],
    described: &mut PerKey,
    keys: &Keys,
) -> Vec<OwnDescription> {
    match keys {
        Keys::All => Vec::new(),
        Keys::Ends(count) => {
            described.keep_ends(*count);
            Vec::new()
        }
        Keys::One(key) => {
            let found = race.pipeline(model).and_then(|it| it.per_key()?.of_key(key, columns));
            let (standing, own) = found.map_or((None, Vec::new()), |(standing, own)| (Some(standing), own));
            described.keys = standing.into_iter().collect();
            own
        }
    }
}

/// The document.
#[derive(Debug, Serialize)]
pub struct Document<'a> {
    format: u32,
    topic: &'a str,
    partitions: Vec<Partition<'a>>,
}

impl<'a> Document<'a> {
    /// Makes the document of a samples topic.
    pub fn new(topic: &'a str, partitions: Vec<Partition<'a>>) -> Self {
        Self { format: FORMAT, topic, partitions }
    }
}

/// A partition in it.
#[derive(Debug, Serialize)]
pub struct Partition<'a> {
    partition: i32,
    position: i64,
    version: u64,
    written_at: &'a str,
    /// Scores of the published predictions, whichever model made them.
    published: Published,
    models: Vec<Model<'a>>,
}

impl<'a> Partition<'a> {
    /// Makes the part of a partition before whose offset `position` all was learned; `written_at` is a time in text.
    ///
    /// # Errors
    /// None: parameters of models are plain data.
    pub fn new(
        partition: i32,
        position: i64,
        written_at: &'a str,
        race: &Prequential,
        models: &'a [LearnedModel],
    ) -> serde_json::Result<Self> {
        let published = race.published();
        Ok(Self {
            partition,
            position,
            version: race.version(),
            written_at,
            published: Published {
                rolling: (&published.rolling).into(),
                total: (&published.total).into(),
                rolling_skill: published.skill,
                total_skill: published.total_skill,
            },
            models: models.iter().map(Model::new).collect::<serde_json::Result<_>>()?,
        })
    }
}

#[derive(Debug, Serialize)]
struct Published {
    rolling: Errors,
    total: Errors,
    /// Skill against the mean; `null` where there is none yet.
    rolling_skill: Option<f64>,
    total_skill: Option<f64>,
}

#[derive(Debug, Serialize)]
struct Model<'a> {
    name: &'a str,
    kind: &'static str,
    champion: bool,
    parameters: Value,
    rolling: Errors,
    total: Errors,
    steps: &'a [StepDescription],
    learned: &'a Description,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    own: &'a [OwnDescription],
    importance: Option<&'a Explanation>,
}

impl<'a> Model<'a> {
    fn new(model: &'a LearnedModel) -> serde_json::Result<Self> {
        Ok(Self {
            name: &model.config.name,
            kind: model.config.kind.name(),
            champion: model.is_champion,
            parameters: parameters(&model.config.kind)?,
            rolling: (&model.standing.rolling).into(),
            total: (&model.standing.total).into(),
            steps: &model.steps,
            learned: &model.description,
            own: &model.own,
            importance: model.explanation.as_ref(),
        })
    }
}

#[derive(Debug, Serialize)]
struct Errors {
    n: u64,
    /// `null` where there is no figure yet.
    mae: Option<f64>,
    rmse: Option<f64>,
    r2: Option<f64>,
}

impl From<&Scores> for Errors {
    fn from(scores: &Scores) -> Self {
        let [mae, rmse] = [Scores::mae, Scores::rmse].map(|figure| scores.known(figure));
        Self { n: scores.n(), mae, rmse, r2: scores.known_r2() }
    }
}

/// Returns the kind's own parameters, without its name around them.
fn parameters(kind: &ModelKind) -> serde_json::Result<Value> {
    Ok(match serde_json::to_value(kind)? {
        Value::Object(variant) => variant.into_iter().next().map_or(Value::Null, |(_, parameters)| parameters),
        _ => Value::Object(serde_json::Map::new()),
    })
}
