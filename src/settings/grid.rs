//! Reads models with the settings that make them: those that race, and grids of parameters.
//!
//! A grid is `[[models]]` in which a parameter may be a list, of which each model takes one: `lr = [0.01, 0.1]`. Lists
//! multiply. A parameter that is a list by itself (`steps`) takes a list of lists.
//! Invariant: an entry's text, read as settings, gives its configuration.

use std::path::Path;

use config::{Config, File, FileFormat, Map, Value, ValueKind};

use super::{
    Errors, Problem, Section, Sources, model,
    to_toml::{default_entry, entry, toml},
};
use thalweg_models::ModelConfig;

/// Parameters that are lists by themselves.
const LIST_PARAMETERS: [&str; 2] = ["steps", "members"];

/// Maximum number of models in a grid.
const MAX_MODELS: usize = 1000;

/// A model and the settings that make it.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Checked configuration.
    pub config: ModelConfig,
    /// Its `[[models]]` entry in TOML.
    pub toml: String,
}

/// Reads the models that race by the settings.
///
/// # Errors
/// Returns every problem with them.
pub fn entries(sources: &Sources) -> Result<Vec<Entry>, Errors> {
    let mut table = sources.merged()?;
    match table.remove("models").map(|models| models.kind) {
        Some(ValueKind::Array(models)) => checked(models),
        Some(_) => Err(Errors::one("models", "must be a list of tables")),
        None => {
            let entry = |config: ModelConfig| Entry { toml: default_entry(&config), config };
            Ok(model::default_race().into_iter().map(entry).collect())
        }
    }
}

/// Reads the models of all grids. Each grid is the name of a file, or a model's keys as they stand between the braces
/// of an inline table: `kind = "linear", optimizer.lr = [0.01, 0.1]`.
///
/// # Errors
/// Returns every problem with any of them.
pub fn grid(grids: &[String]) -> Result<Vec<Entry>, Errors> {
    let mut problems = Vec::new();
    let mut models = Vec::new();
    // Place of declaration of each model.
    let mut places = Vec::new();
    for text in grids {
        let (source, declared) = declared(text);
        match declared {
            Err(found) => problems.extend(found.into_iter().map(|it| within(&source, it))),
            Ok(declared) => {
                for (i, value) in declared.into_iter().enumerate() {
                    match multiplied(value) {
                        Err(problem) => problems.push(within(&source, under(&format!("models[{i}]"), problem))),
                        Ok(values) => {
                            places.extend(values.iter().map(|_| format!("{source}: models[{i}]")));
                            models.extend(values);
                        }
                    }
                }
            }
        }
    }
    if models.len() > MAX_MODELS {
        let problem = format!("makes {} models, more than {MAX_MODELS}; leave some out", models.len());
        problems.push(Problem::new("--grid", &problem));
    }
    let entries = if models.is_empty() || models.len() > MAX_MODELS { Ok(Vec::new()) } else { checked(models) };
    let entries = entries.unwrap_or_else(|errors| {
        problems.extend(errors.problems().iter().map(|it| placed(it, &places)));
        Vec::new()
    });
    // A wrong key is wrong in every model that it was multiplied to.
    let mut seen = std::collections::HashSet::new();
    problems.retain(|problem| seen.insert((problem.path.clone(), problem.message.clone())));
    if problems.is_empty() { Ok(entries) } else { Err(problems.into()) }
}

/// Reads models and keeps their text.
fn checked(models: Vec<Value>) -> Result<Vec<Entry>, Errors> {
    let texts: Vec<String> =
        models.iter().map(|value| value.clone().into_table().map_or_else(|_| String::new(), |it| entry(&it))).collect();
    let table = [("models".to_owned(), Value::from(models))].into_iter().collect();
    let (mut root, problems) = Section::root(table);
    let configs = model::read_all(&mut root);
    drop(root);
    let configs = problems.into_result(configs)?;
    Ok(configs.into_iter().zip(texts).map(|(config, toml)| Entry { config, toml }).collect())
}

/// Returns the name of a grid in messages, and the models it declares, lists and all.
fn declared(text: &str) -> (String, Result<Vec<Value>, Vec<Problem>>) {
    let path = Path::new(text);
    if !path.exists() && text.contains('=') {
        let toml = format!("models = [{{ {text} }}]");
        return ("--grid".to_owned(), tables(File::from_str(&toml, FileFormat::Toml)));
    }
    let read = std::fs::read_to_string(path).map_err(|error| {
        let hint = "name a file, or write a model's keys, e.g. --grid 'kind=\"linear\", optimizer.lr=[0.01, 0.1]'";
        vec![Problem::new("", &format!("cannot be read ({error}); {hint}"))]
    });
    (text.to_owned(), read.and_then(|toml| tables(File::from_str(&toml, FileFormat::Toml))))
}

fn tables(file: impl config::Source + Send + Sync + 'static) -> Result<Vec<Value>, Vec<Problem>> {
    let problem = |path: &str, message: &str| vec![Problem::new(path, message)];
    let built = Config::builder().add_source(vec![Box::new(file) as Box<dyn config::Source + Send + Sync>]).build();
    let table = built.and_then(|config| config.cache.into_table()).map_err(|error| problem("", &error.to_string()))?;
    let (mut root, found) = Section::root(table);
    let models = root.take("models");
    drop(root);
    found.into_result(()).map_err(|errors| errors.problems().to_vec())?;
    match models.map(|models| models.kind) {
        Some(ValueKind::Array(models)) if !models.is_empty() => Ok(models),
        _ => Err(problem("models", "is missing; a grid is [[models]] with lists, e.g. optimizer.lr = [0.01, 0.1]")),
    }
}

/// A value in which every list is decided, with the decisions.
struct Variant {
    decisions: Vec<(Vec<String>, String)>,
    value: Value,
}

/// Expands a declared model into every model it stands for, each named by its decisions.
fn multiplied(value: Value) -> Result<Vec<Value>, Problem> {
    let variants = variants(value, &mut Vec::new())?;
    Ok(variants.into_iter().map(named).collect())
}

fn named(variant: Variant) -> Value {
    let Variant { decisions, mut value } = variant;
    let ValueKind::Table(table) = &mut value.kind else { return value };
    if decisions.is_empty() {
        return value;
    }
    let of = |key: &str| table.get(key).and_then(|value| value.clone().into_string().ok());
    let mut name = of("name").or_else(|| of("kind")).unwrap_or_default();
    for (path, decision) in &decisions {
        let last = path.last();
        let alone = decisions.iter().filter(|(other, _)| other.last() == last).count() == 1;
        let key = last.filter(|_| alone).cloned().unwrap_or_else(|| path.join("."));
        name.push_str(&format!(" {key}={decision}"));
    }
    table.insert("name".to_owned(), Value::from(name));
    value
}

fn variants(value: Value, path: &mut Vec<String>) -> Result<Vec<Variant>, Problem> {
    let origin = value.origin().map(str::to_owned);
    match value.kind {
        ValueKind::Table(table) => {
            let mut keys: Vec<(String, Value)> = table.into_iter().collect();
            keys.sort_by(|a, b| a.0.cmp(&b.0));
            let mut found = vec![(Vec::new(), Map::new())];
            for (key, value) in keys {
                path.push(key.clone());
                let choices = variants(value, path)?;
                if found.len() * choices.len() > MAX_MODELS {
                    let problem = format!("makes more than {MAX_MODELS} models; leave some out");
                    return Err(Problem::new(&path.join("."), &problem));
                }
                path.pop();
                let with = |(decisions, table): &(Vec<_>, Map<_, _>), choice: &Variant| {
                    let mut table = table.clone();
                    table.insert(key.clone(), choice.value.clone());
                    ([&decisions[..], &choice.decisions].concat(), table)
                };
                found = found.iter().flat_map(|so_far| choices.iter().map(move |it| with(so_far, it))).collect();
            }
            let variant =
                |(decisions, table)| Variant { decisions, value: Value::new(origin.as_ref(), ValueKind::Table(table)) };
            Ok(found.into_iter().map(variant).collect())
        }
        ValueKind::Array(items) if is_choice(path, &items) => {
            if items.is_empty() {
                return Err(Problem::new(&path.join("."), "is an empty list: nothing to choose from"));
            }
            let mut found = Vec::new();
            for item in items {
                let decision = (path.clone(), decision_name(&item));
                for mut variant in variants(item, path)? {
                    variant.decisions.insert(0, decision.clone());
                    found.push(variant);
                }
            }
            Ok(found)
        }
        kind => Ok(vec![Variant { decisions: Vec::new(), value: Value::new(origin.as_ref(), kind) }]),
    }
}

fn is_choice(path: &[String], items: &[Value]) -> bool {
    let is_list = path.last().is_some_and(|key| LIST_PARAMETERS.contains(&key.as_str()));
    !is_list || !items.is_empty() && items.iter().all(|item| matches!(item.kind, ValueKind::Array(_)))
}

/// Formats a decision for a name: text as it is, a choice with parameters by its kind.
fn decision_name(value: &Value) -> String {
    match &value.kind {
        ValueKind::String(text) => text.clone(),
        ValueKind::Table(table) => match table.get("kind").map(|kind| &kind.kind) {
            // With the choice's parameters, too; lists are decisions of their own.
            Some(ValueKind::String(kind)) => {
                let mut with: Vec<String> = table
                    .iter()
                    .filter(|(key, value)| *key != "kind" && !matches!(value.kind, ValueKind::Array(_)))
                    .map(|(key, value)| format!(" {key}={}", decision_name(value)))
                    .collect();
                with.sort();
                format!("{kind}{}", with.concat())
            }
            _ => toml(value).to_string(),
        },
        // Shorter than in TOML for numbers far from 1: 1e-7.
        ValueKind::Float(number) => format!("{number:?}"),
        _ => toml(value).to_string(),
    }
}

fn within(source: &str, problem: Problem) -> Problem {
    let path = if problem.path.is_empty() { source.to_owned() } else { format!("{source}: {}", problem.path) };
    Problem { path, message: problem.message }
}

fn under(parent: &str, problem: Problem) -> Problem {
    Problem { path: format!("{parent}.{}", problem.path), message: problem.message }
}

/// Converts the path of a problem from the list of all models to the place of declaration.
fn placed(problem: &Problem, places: &[String]) -> Problem {
    let indexed = problem.path.strip_prefix("models[").and_then(|rest| rest.split_once(']'));
    let place = indexed.and_then(|(i, rest)| Some((places.get(i.parse::<usize>().ok()?)?, rest)));
    match place {
        Some((place, rest)) => Problem { path: format!("{place}{rest}"), message: problem.message.clone() },
        None => problem.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use thalweg_models::ModelKind;

    fn names(text: &str) -> Vec<String> {
        let entries = grid(&[text.to_owned()]).expect("a good grid");
        entries.into_iter().map(|entry| entry.config.name).collect()
    }

    fn problems(text: &str) -> Vec<String> {
        let errors = grid(&[text.to_owned()]).expect_err("a bad grid");
        errors.problems().iter().map(|problem| format!("{}: {}", problem.path, problem.message)).collect()
    }

    #[test]
    fn lists_multiply_and_names_say_which_is_which() {
        assert_eq!(names(r#"kind = "mean""#), ["mean"]);
        assert_eq!(
            names(r#"kind = "linear", l2 = [0.0, 0.5], optimizer.lr = [0.01, 0.1]"#),
            ["linear l2=0.0 lr=0.01", "linear l2=0.0 lr=0.1", "linear l2=0.5 lr=0.01", "linear l2=0.5 lr=0.1"]
        );
        assert_eq!(
            names(r#"name = "sgd", kind = "linear", optimizer = ["sgd", { kind = "adam", lr = [0.1, 0.2] }]"#),
            ["sgd optimizer=sgd", "sgd optimizer=adam lr=0.1", "sgd optimizer=adam lr=0.2"]
        );
        assert_eq!(
            names(r#"kind = "linear", optimizer = ["sgd", { kind = "sgd", lr = 0.001 }]"#),
            ["linear optimizer=sgd", "linear optimizer=sgd lr=0.001"]
        );
        assert_eq!(names(r#"kind = ["mean", "last"]"#), ["mean kind=mean", "last kind=last"]);
    }

    #[test]
    fn a_parameter_that_is_a_list_takes_a_list_of_lists() {
        assert_eq!(names(r#"kind = "rls", steps = ["standard_scaler", "polynomial"]"#), ["rls"]);
        let two = names(r#"kind = "rls", steps = [[], ["standard_scaler", "polynomial"]]"#);
        assert_eq!(two, ["rls steps=[]", r#"rls steps=["standard_scaler", "polynomial"]"#]);
    }

    #[test]
    fn the_text_of_an_entry_makes_the_same_model() {
        let text = r#"kind = "linear", optimizer = "sgd", intercept_lr = 0.02,
            loss = ["absolute", { kind = "huber", epsilon = [0.1, 1] }]"#;
        let entries = grid(&[text.to_owned()]).expect("a good grid");
        assert_eq!(entries.len(), 3);
        for entry in entries {
            let value = tables(File::from_str(&entry.toml, FileFormat::Toml)).expect("its text is good");
            assert_eq!(checked(value).expect("its text is good"), std::slice::from_ref(&entry));
            assert!(matches!(entry.config.kind, ModelKind::Linear(_)));
        }
    }

    #[test]
    fn what_is_wrong_is_said_once_where_it_was_declared() {
        assert_eq!(
            problems(r#"kind = "linear", l2 = [0.1, 0.2, -1], wrong = 3"#),
            ["--grid: models[0].l2: must be 0 or more, not -1", "--grid: models[0].wrong: is not a setting"]
        );
        assert_eq!(
            problems(r#"kind = "linear", l2 = []"#),
            ["--grid: models[0].l2: is an empty list: nothing to choose from"]
        );
        assert!(problems("missing.toml")[0].starts_with("missing.toml: cannot be read"));
        assert!(problems("kind = [")[0].starts_with("--grid: "));
        let many = (0..1001).map(|i| i.to_string()).collect::<Vec<_>>().join(",");
        assert!(problems(&format!("kind = \"linear\", l2 = [{many}]"))[0].contains("more than 1000 models"));
    }
}
