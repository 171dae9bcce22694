//! Settings as a user meets them: layers, checks, and errors that say what to do.

use std::path::{Path, PathBuf};

use tempfile::TempDir;
use thalweg::{
    features::{Calendar, Feature, Form, Kind as FeatureKind, Part, Span, Statistic},
    generator::{Distribution, Function, Noise},
    metrics::drift::{DetectorKind, Mode, PageHinkleyParams},
    models::{
        ModelKind, linear,
        loss::Loss,
        optimizer::{Optimizer, Schedule},
        per_key::{self, Learns},
        rules::{self, PredType},
        tree::{LeafPrediction, Splitter},
    },
    pipeline::decode::{NumericText, OnBad, OnBadField, Schema},
    settings::{Errors, Settings, Sources, Transport},
    topic::Start,
};

/// A folder with a settings file in it.
struct Written(TempDir);

impl Written {
    fn new(toml: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("settings.toml"), toml).expect("write");
        Self(folder)
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("settings.toml")
    }
}

fn load(toml: &str, environment: &[(&str, &str)], overrides: &[&str]) -> Result<Settings, Errors> {
    let written = Written::new(toml);
    let environment = environment.iter().map(|(name, value)| (name.to_string(), value.to_string()));
    Settings::load(&Sources::new(Some(written.path()), environment, overrides.iter().map(ToString::to_string)))
}

/// Every problem as `path: message`.
fn problems(toml: &str) -> Vec<String> {
    let errors = load(toml, &[], &[]).expect_err("these settings are wrong");
    errors.problems().iter().map(|problem| format!("{}: {}", problem.path, problem.message)).collect()
}

fn assert_problem(toml: &str, path: &str, parts: &[&str]) {
    let problems = problems(toml);
    assert_eq!(problems.len(), 1, "{toml}: {problems:#?}");
    assert!(problems[0].starts_with(&format!("{path}: ")), "{toml}: {}", problems[0]);
    for part in parts {
        assert!(problems[0].contains(part), "`{part}` in {}", problems[0]);
    }
}

#[test]
fn the_shipped_file_says_the_built_in_defaults() {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("settings.toml");
    let settings = Settings::load(&Sources::new(Some(shipped), [], [])).expect("the shipped file is good");
    assert_eq!(settings, Settings::default());
    assert_eq!(load("", &[], &[]).expect("nothing is set"), Settings::default());
}

#[test]
fn the_shipped_file_shows_every_kind_with_its_defaults() {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("settings.toml");
    let shipped = std::fs::read_to_string(shipped).expect("the shipped file");
    let blocks = shipped.split("# Further kinds").skip(1).filter_map(|rest| rest.split_once("\n\n"));
    let shown = blocks.map(|(block, _)| block).collect::<Vec<_>>().join("\n");
    // What is indented is explanation.
    let setting =
        |line: &str| line.starts_with('[') || line.split_once(" = ").is_some_and(|(key, _)| !key.contains(' '));
    let lines = shown.lines().filter_map(|line| line.strip_prefix("# ")).filter(|line| setting(line));
    let settings = load(&lines.collect::<Vec<_>>().join("\n"), &[], &[]).expect("good");
    for kind in ModelKind::all() {
        let name = kind.name();
        let Some(shown) = settings.race.models.iter().find(|model| model.kind.name() == name) else {
            // A champion cannot be without members, nor models per key without one.
            let races = Settings::default().race.models.iter().any(|model| model.kind.name() == name);
            assert!(races || ["champion", "per_key"].contains(&name), "settings.toml does not show {name}");
            continue;
        };
        let default = load(&format!("[[models]]\nkind = \"{name}\""), &[], &[]).expect("good").race.models.remove(0);
        assert_eq!(*shown, default);
    }
}

#[test]
fn the_shipped_file_names_every_function() {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("settings.toml");
    let shipped = std::fs::read_to_string(shipped).expect("the shipped file");
    for function in Function::all() {
        let name = function.name();
        assert!(shipped.contains(&format!("\n#   \"{name}\" ")), "settings.toml does not say what {name} is");
    }
}

#[test]
fn features_of_the_past_are_read_and_each_mistake_is_named_by_its_key() {
    let file = r#"
        schema = { target = "load", timezone = "Europe/Paris" }
        keys.budget = "1 MiB"
        [[features]]
        kind = "calendar"
        parts = ["hour", "holiday"]
        as = "category"
        holidays = ["2026-12-25"]
        [[features]]
        kind = "rolling"
        of = "load"
        over = [3, "90m"]
        statistics = ["mean", "ewm"]
        by = "device"
    "#;
    let schema = load(file, &[], &[]).expect("good").schema;
    let calendar = Calendar {
        parts: vec![Part::Hour, Part::Holiday],
        zone: "Europe/Paris".into(),
        form: Form::Category,
        holidays: vec![20_812],
    };
    let rolling = FeatureKind::Rolling {
        of: vec!["load".into()],
        over: vec![Span::Samples(3), Span::Time(5_400_000)],
        statistics: vec![Statistic::Mean, Statistic::Ewm],
    };
    let expected = [
        Feature { kind: FeatureKind::Calendar(calendar), by: None, name: None },
        Feature { kind: rolling, by: Some("device".into()), name: None },
    ];
    assert_eq!((&schema.derived[..], schema.keys_budget), (&expected[..], 1 << 20));
    for (line, expected) in [
        ("kind = \"lags\"", "features[0].kind: `lags` is not one of calendar, elapsed, lag"),
        ("kind = \"lag\"\nof = \"y\"", "features[0].at: must name at least one"),
        ("kind = \"lag\"\nof = \"y\"\nat = [\"soon\"]", "features[0].at: `soon` is no time"),
        ("kind = \"lag\"\nof = \"y\"\nat = -1", "features[0].at: holds 0"),
        ("kind = \"lag\"\nof = \"y\"\nat = 1\nover = 3", "features[0].over: is not a setting"),
        ("kind = \"calendar\"\nparts = [\"hours\"]", "features[0].parts: `hours` is not one of minute, hour"),
        ("kind = \"calendar\"\nparts = \"hour\"\nzone = \"Mars\"", "features[0].zone: `Mars` is no time zone"),
        (
            "kind = \"calendar\"\nparts = \"holiday\"\nholidays = [\"25.12.\"]",
            "features[0].holidays: `25.12.` is no day",
        ),
        ("kind = \"ratio\"\nof = [\"a\"]", "features[0].of: must be a list of two names"),
        ("kind = \"expression\"\nformula = \"a *\"", "features[0].formula: `a *`"),
        (
            "kind = \"rolling\"\nof = \"a\"\nover = 3\nstatistics = \"median\"",
            "features[0].statistics: `median` is not one of mean",
        ),
    ] {
        let found = problems(&format!("[[features]]\n{line}"));
        assert!(found.iter().any(|problem| problem.contains(expected)), "{expected}: {found:?}");
    }
    assert!(problems("keys.budget = \"much\"")[0].contains("`much` is no number of bytes"));
}

#[test]
fn models_per_key_are_read_and_each_mistake_is_named_by_its_key() {
    let file = r#"
        [[models]]
        name = "rough"
        kind = "linear"
        optimizer = "sgd"
        [[models]]
        kind = "mean"
        [[models]]
        name = "by device"
        kind = "per_key"
        by = "device"
        models = ["rough", "rls"]
        learns = "residual"
        budget = "1 MiB"
    "#;
    let settings = load(file, &[], &[]).expect("good");
    let ModelKind::PerKey(params) = &settings.race.models[2].kind else { panic!("not per key") };
    let names: Vec<&str> = params.models.iter().map(|model| model.name.as_str()).collect();
    assert_eq!((params.by.as_str(), params.base.as_deref(), params.budget), ("device", Some("rough"), 1 << 20));
    assert_eq!((&names[..], &params.learns[..]), (&["rough", "rls"][..], &[Learns::Residual][..]));
    assert_eq!(params.models[0], settings.race.models[0]);
    assert_eq!((&settings.schema.model_keys, &settings.race.keys), (&vec!["device".into()], &vec!["device".into()]));
    let default = load(
        "[[models]]\nkind=\"linear\"\n[[models]]\nkind=\"mixture\"\n[[models]]\nkind=\"per_key\"\nby=\"a\"",
        &[],
        &[],
    );
    let ModelKind::PerKey(params) = &default.expect("good").race.models[2].kind else { panic!("not per key") };
    assert_eq!(*params, per_key::Params { by: "a".into(), base: Some("mixture".into()), ..per_key::Params::default() });
    for (lines, expected) in [
        ("", "models[1].by: must name the field by which models are kept apart, such as \"device\""),
        ("by = \"y\"", "models[1].by: must not be the target `y`"),
        ("by = \"a\"\nbase = \"liner\"", "models[1].base: names `liner`, which is no model; did you mean `linear`?"),
        (
            "by = \"a\"\nmodels = [\"linea\"]",
            "models[1].models: names `linea`, which is neither a model nor a kind of model; did you mean `linear`?",
        ),
        ("by = \"a\"\nmodels = [\"per_key\"]", "models[1].models: names `per_key`, which goes by what others predict"),
        ("by = \"a\"\nmodels = []", "models[1].models: must name at least one model"),
        ("by = \"a\"\nmodels = [\"rls\", \"rls\"]", "models[1].models: names `rls` twice"),
        ("by = \"a\"\nlearns = [\"target\", \"target\"]", "models[1].learns: names the same twice"),
        ("by = \"a\"\nlearns = \"weights\"", "models[1].learns: `weights` is not one of residual, target"),
        ("by = \"a\"\nbase = \"per_key\"", "models[1].base: leads back to the model itself"),
        ("by = \"a\"\nbudget = 10", "models[1].budget: must be from 65536"),
    ] {
        let found = problems(&format!("[[models]]\nkind=\"linear\"\n[[models]]\nkind=\"per_key\"\n{lines}"));
        assert!(found.iter().any(|problem| problem.contains(expected)), "{expected}: {found:?}");
    }
    let alone = problems("[[models]]\nkind=\"per_key\"\nby=\"a\"");
    assert!(alone[0].contains("models[0].base: would be none; there is no other model"), "{alone:?}");
}

#[test]
fn a_file_that_is_named_must_be_there() {
    let errors = Settings::load(&Sources::new(Some("no/such/file.toml".into()), [], [])).expect_err("no such file");
    assert!(errors.to_string().contains("no/such/file.toml"), "{errors}");
}

#[test]
fn a_file_that_is_not_toml_says_where() {
    assert!(problems("[metrics\nwindow = 3")[0].contains("line 1"), "{:?}", problems("[metrics\nwindow = 3"));
}

#[test]
fn later_layers_win() {
    let file = "[metrics]\nwindow = 10\n[generator]\nseed = 1\nrate = 5";
    let environment = [("THALWEG__METRICS__WINDOW", "20"), ("THALWEG__GENERATOR__SEED", "2"), ("HOME", "/root")];
    let settings = load(file, &environment, &["metrics.window=30"]).expect("good");
    assert_eq!((settings.race.window, settings.generator.seed, settings.generator.rate), (30, 2, 5.0));
}

#[test]
fn set_takes_toml_values_and_plain_text() {
    let settings = load(
        "",
        &[("THALWEG__TRANSPORT__KIND", "kafka")],
        &[
            r#"transport.kafka.brokers=["127.0.0.1:9092", "b:1"]"#,
            "topics.samples=sensor.readings-1",
            r#"models=[{kind="linear",name="a",l2=0.01},{kind="mean"}]"#,
            "models[0].l2=0.5",
            "transport.kafka.start=17",
        ],
    )
    .expect("good");
    let Transport::Kafka(kafka) = &settings.transport else { panic!("not kafka") };
    assert_eq!(kafka.brokers, ["127.0.0.1:9092", "b:1"]);
    assert_eq!((settings.start, settings.topics.samples.as_str()), (Start::Offset(17), "sensor.readings-1"));
    let ModelKind::Linear(linear) = &settings.race.models[0].kind else { panic!("not linear") };
    assert_eq!((settings.race.models.len(), linear.l2), (2, 0.5));
}

#[test]
fn a_choice_set_anew_does_not_keep_the_parameters_of_the_one_before() {
    let file = r#"generator.function = { kind = "friedman_drift", drift_type = "lea" }"#;
    let settings = load(file, &[], &[r#"generator.function={kind="sine",period=50}"#]).expect("good");
    assert!(matches!(settings.generator.function, Function::Sine(sine) if sine.period == 50));
}

#[test]
fn every_error_is_reported_at_once_with_its_path() {
    let mut found = problems(
        r#"
        bogus = 1
        [metrics]
        window = 0
        report_every = "soon"
        [generator]
        rate = nan
        [topics]
        sampels = "x"
        predictions = "samples"
        [[models]]
        kind = "linear"
        l2 = -1
        optimizer = { kind = "adm" }
        [[models]]
        kind = "linear"
        splitter = "ebst"
        "#,
    );
    found.sort();
    let paths: Vec<&str> = found.iter().filter_map(|problem| problem.split_once(": ")).map(|(path, _)| path).collect();
    let expected = [
        "bogus",
        "generator.rate",
        "metrics.report_every",
        "metrics.window",
        "models[0].l2",
        "models[0].optimizer.kind",
        "models[1].name",
        "models[1].splitter",
        "topics.predictions",
        "topics.sampels",
    ];
    assert_eq!(paths, expected, "{found:#?}");
}

#[test]
fn unknown_keys_and_choices_come_with_a_suggestion() {
    assert_problem("[topics]\nsampels = \"x\"", "topics.sampels", &["not a setting", "`samples`"]);
    assert_problem("[transport.kafka]\nbroker = []", "transport.kafka.broker", &["`brokers`"]);
    assert_problem("[[models]]\nkind = \"liner\"", "models[0].kind", &["`linear`", "hoeffding_tree"]);
    assert_problem("generator.function = \"friedmann\"", "generator.function", &["`friedman`"]);
    let huber = "[[models]]\nkind = \"linear\"\nloss = { kind = \"huber\", epsilom = 1 }";
    assert_problem(huber, "models[0].loss.epsilom", &["`epsilon`"]);
    assert_problem("[web]\nenabled = true", "web", &["not a setting"]);
}

#[test]
fn numbers_that_are_not_finite_or_out_of_range_are_refused() {
    for value in ["nan", "inf", "-inf", "-0.5"] {
        let toml = format!("[[models]]\nkind = \"linear\"\noptimizer = {{ kind = \"sgd\", lr = {value} }}");
        assert_problem(&toml, "models[0].optimizer.lr", &["0 or more"]);
    }
    assert_problem("[metrics]\nwindow = 1.5", "metrics.window", &["whole number"]);
    assert_problem("[metrics]\nwindow = -1", "metrics.window", &["from 1 to"]);
    assert_problem("[state]\nevery = \"1ms\"", "state.every", &["10ms or more"]);
    let retention = |value: &str| format!("[state]\nevery = \"1m\"\n[transport.kafka]\nretention = \"{value}\"");
    assert_problem(&retention("599s"), "transport.kafka.retention", &["10m or more", "state.every", "\"forever\""]);
    for good in ["10m", "broker", "forever"] {
        assert!(load(&retention(good), &[], &[]).is_ok(), "{good}");
    }
    assert_problem("[transport.kafka]\nlinger = \"2s\"", "transport.kafka.linger", &["1s or less"]);
    assert_problem("[generator]\nnoise = nan", "generator.noise", &["0 or more"]);
    assert_problem("[generator]\nenabled = \"yes\"", "generator.enabled", &["true or false"]);
}

#[test]
fn what_does_not_fit_together_is_refused() {
    let kswin = "metrics.drift = { kind = \"kswin\", window_size = 100, stat_size = 51 }";
    assert_problem(kswin, "metrics.drift.stat_size", &["at most half of window_size"]);
    assert_problem("models = []", "models", &["at least one"]);
    assert_problem("[schema]\nignore = [\"y\"]", "schema.ignore", &["target"]);
    assert_problem("[schema]\nfeatures = [\"a\"]\nnominal = [\"b\"]", "schema.nominal", &["`b`"]);
    assert_problem("[schema]\nnominal = [\"a\"]\nignore = [\"a\"]", "schema.ignore", &["`a`", "schema.nominal"]);
    assert_problem("[schema]\ntimestamp_unit = \"sec\"", "schema.timestamp_unit", &["`sec`", "ms"]);
    assert_problem("[schema]\ntimezone = \"Europe/Nowhere\"", "schema.timezone", &["Europe/Nowhere", "UTC"]);
    assert_problem("[schema]\ntimestamp_min = \"01/02/1990\"", "schema.timestamp_min", &["1990-01-01"]);
    assert_problem("[schema]\ntimestamp_ahead = \"1\"", "schema.timestamp_ahead", &["5s"]);
    assert_problem("[schema]\nabsent = \"0\"", "schema.absent", &["unknown", "zero"]);
    assert_problem("[schema]\nmax_categories = 0", "schema.max_categories", &["from 1 to 65536"]);
    for list in ["features", "nominal", "ignore"] {
        assert_problem(&format!("[schema]\n{list} = [\"y\"]"), &format!("schema.{list}"), &["target", "`y`"]);
        assert_problem(&format!("[schema]\n{list} = [\"a\", \"a\"]"), &format!("schema.{list}"), &["`a`", "once"]);
        assert_problem(&format!("[schema]\n{list} = [\"\"]"), &format!("schema.{list}"), &["empty"]);
    }
    for role in ["key", "timestamp"] {
        assert_problem(&format!("[schema]\n{role} = \"y\""), &format!("schema.{role}"), &["target", "`y`"]);
        assert_problem(&format!("[schema]\n{role} = \"\""), &format!("schema.{role}"), &["empty"]);
        let flag = format!("schema.{role}_is_feature");
        assert_problem(&format!("[schema]\n{role}_is_feature = true"), &flag, &[&format!("schema.{role}")]);
        let both = format!("[schema]\n{role} = \"a\"\n{role}_is_feature = true");
        assert_problem(&format!("{both}\nfeatures = [\"b\"]"), &flag, &["schema.features", "`a`"]);
        assert_problem(&format!("{both}\nignore = [\"a\"]"), &flag, &["schema.ignore", "`a`"]);
        assert!(load(&format!("{both}\nnominal = [\"a\"]"), &[], &[]).is_ok(), "key, category and feature at once");
        assert!(
            load(&format!("[schema]\n{role} = \"a.b\"\nignore = [\"a\", \"a.b\"]"), &[], &[]).is_ok(),
            "never a feature"
        );
    }
    assert_problem("[[models]]\nkind = \"linear\"\nl1 = 0.1\nl2 = 0.1", "models[0].l1", &["l2"]);
    let short = "generator.function = { kind = \"friedman_drift\", drift_type = \"lea\", position = [1, 2] }";
    assert_problem(short, "generator.function.position", &["3 strictly increasing"]);
    assert_problem("[topics]\nevents = \"thalweg_x\"", "topics.events", &["state file"]);
    assert_problem("[topics]\nevents = \"a b\"", "topics.events", &["letters"]);
    assert_problem("transport.kafka.brokers = [\"nohost\"]", "transport.kafka.brokers[0]", &["host:port"]);
    assert_problem("transport.kafka.brokers = []", "transport.kafka.brokers", &["at least one"]);
    assert_problem("transport.kafka.partitions = [1, 1]", "transport.kafka.partitions", &["different"]);
    assert_problem("transport.kafka.start = \"yesterday\"", "transport.kafka.start", &["earliest"]);
}

#[test]
fn expressions_are_checked_before_anything_runs() {
    let function = |formula: &str, features: &str| {
        format!("generator.function = {{ kind = \"expression\", formula = \"{formula}\", features = {features} }}")
    };
    let good = load(&function("3*a + t", r#"{ a = "uniform", b = { kind = "normal", sd = 2 } }"#), &[], &[]);
    let Function::Expression(expression) = good.expect("good").generator.function else { panic!("no expression") };
    assert_eq!(expression.features[0], ("a".to_owned(), Distribution::Uniform { low: 0.0, high: 1.0 }));
    assert_eq!(expression.features[1], ("b".to_owned(), Distribution::Normal { mean: 0.0, sd: 2.0 }));
    assert_problem(&function("3*a + c", r#"{ a = "uniform" }"#), "generator.function.formula", &["`c`"]);
    assert_problem(&function("3*(a", r#"{ a = "uniform" }"#), "generator.function.formula", &["3*(a"]);
    let backwards = function("a", r#"{ a = { kind = "uniform", low = 2, high = 1 } }"#);
    assert_problem(&backwards, "generator.function.features.a", &["low < high"]);
}

#[test]
fn model_parameters_go_by_rivers_names() {
    let settings = load(
        r#"
        generator.noise = { kind = "student_t", freedom = 2 }
        [[models]]
        kind = "linear"
        name = "a"
        scale = false
        optimizer = { kind = "adam", lr = { kind = "inverse_scaling", lr = 0.05, power = 0.25 }, beta_1 = 0.8 }
        loss = { kind = "quantile", alpha = 0.9 }
        [[models]]
        kind = "hoeffding_tree"
        leaf_prediction = "mean"
        splitter = { kind = "qo", radius = 0.1 }
        max_depth = 5
        leaf_model = { l2 = 0.1 }
        [[models]]
        kind = "amrules"
        pred_type = "model"
        pred_model = { l2 = 0.2 }
        splitter = "ebst"
        drift_detector = { kind = "page_hinkley", mode = "up" }
        ordered_rule_set = false
        max_rules = 7
        [[models]]
        name = "kept"
        kind = "amrules"
        drift_detector = "none"
        "#,
        &[],
        &[],
    )
    .expect("good");
    let ModelKind::Linear(linear) = &settings.race.models[0].kind else { panic!("not linear") };
    let lr = Schedule::InverseScaling { lr: 0.05, power: 0.25 };
    assert_eq!(linear.optimizer, Optimizer::Adam { lr, beta_1: 0.8, beta_2: 0.999, eps: 1e-8 });
    assert_eq!((linear.loss, !settings.race.models[0].steps.is_empty()), (Loss::Quantile { alpha: 0.9 }, false));
    let ModelKind::HoeffdingTree(tree) = &settings.race.models[1].kind else { panic!("no tree") };
    assert_eq!((tree.leaf_prediction, tree.splitter), (LeafPrediction::Mean, Splitter::Qo { radius: 0.1 }));
    assert_eq!((tree.max_depth, tree.leaf_model.l2, !settings.race.models[1].steps.is_empty()), (Some(5), 0.1, false));
    let up = PageHinkleyParams { mode: Mode::Up, ..PageHinkleyParams::default() };
    let expected = rules::Params {
        pred_type: PredType::Model,
        pred_model: linear::Params { l2: 0.2, ..linear::Params::river() },
        splitter: Splitter::Ebst,
        drift_detector: Some(DetectorKind::PageHinkley(up)),
        ordered_rule_set: false,
        max_rules: 7,
        ..rules::Params::default()
    };
    assert_eq!(settings.race.models[2].kind, ModelKind::AmRules(expected));
    let kept = rules::Params { drift_detector: None, ..rules::Params::default() };
    assert_eq!(settings.race.models[3].kind, ModelKind::AmRules(kept));
    assert_eq!(settings.generator.noise, Noise::StudentT { freedom: 2.0, scale: 1.0 });
}

#[test]
fn wrong_parameters_of_rules_are_named() {
    let problem =
        |line: &str, path: &str| assert_problem(&format!("[[models]]\nkind = \"amrules\"\n{line}"), path, &[]);
    problem("max_rules = 0", "models[0].max_rules");
    problem("n_min = 0", "models[0].n_min");
    problem("delta = 0.0", "models[0].delta");
    problem("anomaly_threshold = nan", "models[0].anomaly_threshold");
    problem("drift_detector = \"adwinn\"", "models[0].drift_detector");
    problem("drift_detector = { kind = \"adwin\", delta = 2.0 }", "models[0].drift_detector.delta");
    problem("drift_detector = { kind = \"kswin\", stat_size = 60 }", "models[0].drift_detector.stat_size");
    problem("pred_model = { l2 = -1.0 }", "models[0].pred_model.l2");
}

#[test]
fn wrong_parameters_of_experts_are_named() {
    let problem = |kind: &str, line: &str, path: &str, part: &str| {
        assert_problem(&format!("[[models]]\nkind = \"{kind}\"\n{line}"), &format!("models[0].{path}"), &[part]);
    };
    problem("rls_poly", "basis = \"pair\"", "basis", "`pair3`");
    problem("rls_poly", "forgetting = 1.5", "forgetting", "over 0 and at most 1");
    problem("rls_poly", "regularization = 0.0", "regularization", "over 0");
    problem("rls_poly", "recall = 4", "recall", "from 0 to 3");
    problem("ekf_mlp", "hidden = 0", "hidden", "from 1 to 32");
    problem("ekf_mlp", "forgetting = nan", "forgetting", "over 0 and at most 1");
    problem("ekf_mlp", "sead = 1", "sead", "`seed`");
    problem("innovation", "lags = 49", "lags", "from 0 to 48");
    problem("mixture", "rule = \"boar\"", "rule", "`boa`");
    problem("mixture", "members = \"linear\"", "members", "list");
    problem("innovation", "forgetting = 0.0", "forgetting", "over 0 and at most 1");
    problem("innovation", "regularization = -1.0", "regularization", "over 0");
    problem("model_tree", "n_models = 33", "n_models", "from 1 to 32");
    problem("model_tree", "max_depth = 25", "max_depth", "from 0 to 24");
    problem("model_tree", "max_nodes = 0", "max_nodes", "from 1 to 1023");
    problem("model_tree", "forgetting = 0.0", "forgetting", "over 0 and at most 1");
    problem("model_tree", "regularization = 0.0", "regularization", "over 0");
    problem("model_tree", "max_features = 1.5", "max_features", "at most 1");
    problem("model_tree", "grace_period = 0", "grace_period", "from 1");
}

#[test]
fn a_password_is_never_shown() {
    let sasl = "transport.kafka.sasl = { username = \"u\", password = \"hunter2\", mechanism = \"plane\" }";
    let errors = load(sasl, &[], &[]).expect_err("wrong mechanism");
    assert!(!format!("{errors} {errors:?}").contains("hunter2"));
    let good = load(
        "transport.kind = \"kafka\"\ntransport.kafka.sasl = { username = \"u\" }",
        &[("THALWEG__TRANSPORT__KAFKA__SASL__PASSWORD", "hunter2")],
        &[],
    );
    let shown = format!("{:?}", good.expect("good"));
    assert!(shown.contains("(secret)") && !shown.contains("hunter2"), "{shown}");
    let number = load("", &[("THALWEG__TRANSPORT__KAFKA__SASL__PASSWORD", "12345")], &[]).expect_err("no user name");
    assert!(!number.to_string().contains("12345"), "{number}");
}

#[test]
fn a_login_has_the_keys_of_its_mechanism_and_no_others() {
    let oauth = |keys: &str| format!("transport.kafka.sasl = {{ mechanism = \"oauthbearer\", {keys} }}");
    let good = r#"token_url = "https://login.example/token", client_id = "me", client_secret = "hunter2""#;
    let shown = format!("{:?}", load(&format!("transport.kind = \"kafka\"\n{}", oauth(good)), &[], &[]).expect("good"));
    assert!(shown.contains("login.example") && !shown.contains("hunter2"), "{shown}");
    let problem = |keys: &str, key: &str, words: &[&str]| {
        assert_problem(&oauth(&format!("{good}, {keys}")), &format!("transport.kafka.sasl.{key}"), words);
    };
    problem("username = \"u\"", "username", &["the other mechanisms"]);
    problem("extensions = [\"auth=x\"]", "extensions[0]", &["NAME=VALUE"]);
    let less = oauth("client_id = \"me\", client_secret = \"s\"");
    assert_problem(&less, "transport.kafka.sasl.token_url", &["is missing"]);
    let plain = "transport.kafka.sasl = { username = \"u\", password = \"p\", scope = \"s\" }";
    assert_problem(plain, "transport.kafka.sasl.scope", &["oauthbearer"]);
    let password_in_url =
        oauth("token_url = \"https://u:hunter2@login.example/token\", client_id = \"m\", client_secret = \"s\"");
    let errors = load(&password_in_url, &[], &[]).expect_err("a password").to_string();
    assert!(errors.contains("token_url") && !errors.contains("hunter2"), "{errors}");
}

#[test]
fn keys_in_the_wrong_place_are_told_where_they_belong() {
    assert_problem("target = \"price\"", "target", &["did you mean `schema.target`?"]);
    assert_problem("[schema]\nwindow = 5", "schema.window", &["`metrics.window`"]);
    assert_problem("[[models]]\nkind = \"linear\"\nlr = 0.1", "models[0].lr", &["did you mean `optimizer.lr`?"]);
    assert_problem("[[models]]\nkind = \"linear\"\nepsilon = 0.1", "models[0].epsilon", &["`loss.epsilon`"]);
    // What is like a key beside it was more likely meant.
    assert_problem("[schema]\ntargets = \"y\"", "schema.targets", &["did you mean `target`?"]);
}

#[test]
fn times_without_a_unit_are_told_how_to_be_written() {
    assert_problem("[metrics]\nreport_every = 5", "metrics.report_every", &["no unit", "\"5s\""]);
    assert_problem("[state]\nevery = 0.5", "state.every", &["no unit", "\"0.5s\""]);
    assert_problem("[state]\nevery = true", "state.every", &["must be a time such as"]);
}

#[test]
fn a_file_that_is_no_toml_is_told_with_its_line_and_its_name_once() {
    for (toml, parts) in [
        ("[schema\ntarget = 1\n", ["line 1, column 8", "[schema"]),
        ("x = 1\nx = 2\n", ["line 2, column 1", "duplicate key"]),
    ] {
        let problems = problems(toml);
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert_eq!(problems[0].matches("settings.toml").count(), 1, "{}", problems[0]);
        assert!(problems[0].lines().next().is_some_and(|line| line.contains(parts[0])), "{}", problems[0]);
        assert!(problems[0].contains(parts[1]), "{}", problems[0]);
    }
}

#[test]
fn a_file_that_cannot_be_read_is_an_error_and_not_no_file() {
    let written = Written::new("");
    let folder = written.0.path().to_owned();
    std::fs::write(folder.join("latin.toml"), b"[schema]\ntarget = \"pr\xe9s\"\n").expect("write");
    std::fs::write(folder.join("marked.toml"), "\u{feff}[schema]\ntarget = \"price\"\n").expect("write");
    let load = |path: PathBuf| Settings::load(&Sources::new(Some(path), [], []));
    for (name, part) in [("", "is a folder"), ("latin.toml", "UTF-8"), ("none.toml", "none of this name")] {
        let errors = load(folder.join(name)).expect_err("it cannot be read").to_string();
        assert!(errors.contains(part), "{part} in {errors}");
    }
    assert_eq!(load(folder.join("marked.toml")).expect("a mark is no harm").schema.target, "price");
}

#[test]
fn nothing_is_generated_on_kafka_unless_somebody_asks_for_it() {
    let kafka = "transport.kind=kafka";
    let enabled = |toml: &str, overrides: &[&str]| load(toml, &[], overrides).expect("good").generator.enabled;
    assert!(enabled("", &[]));
    assert!(!enabled("", &[kafka]));
    assert!(!enabled("[generator]\nrate = 5", &[kafka]));
    assert!(enabled("[generator]\nenabled = true", &[kafka]));
    assert!(!enabled("[generator]\nenabled = false", &[]));
    let shipped = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("settings.toml")).expect("read");
    assert!(!enabled(&shipped, &[kafka]));
    assert!(!load(&shipped, &[], &[kafka]).expect("good").generator.into_foreign_topic);
}

#[test]
fn outputs_can_be_named_after_the_samples() {
    let toml = "[topics]\nsamples = \"prices\"\npredictions = \"{samples}.predictions\"\nevents = \"of-{samples}\"";
    let topics = load(toml, &[], &[]).expect("good").topics;
    assert_eq!((&*topics.predictions, &*topics.events), ("prices.predictions", "of-prices"));
    assert_problem("[topics]\npredictions = \"{samples}\"", "topics.predictions", &["must differ from topics.samples"]);
    assert_problem("[topics]\nevents = \"{sample}s\"", "topics.events", &["1 to 249 letters"]);
}

#[test]
fn what_the_generator_will_do_is_told_in_words() {
    let told = |overrides: &[&str]| load("", &[], overrides).expect("good").summary();
    assert!(told(&["transport.kind=kafka"]).contains("generator off (on Kafka"));
    let asked = told(&["transport.kind=kafka", "generator.enabled=true", "topics.samples=mine"]);
    assert!(asked.contains("into `mine`; it refuses to start where"), "{asked}");
}

#[test]
fn what_values_are_taken_for_can_be_set_as_a_word_or_in_part() {
    let schema = |toml: &str, overrides: &[&str]| load(toml, &[], overrides).expect(toml).schema;
    let all = |cost| OnBadField { features: cost, target: cost, timestamp: cost };
    let table = "[schema]\non_bad_field = { features = \"missing\", target = \"dead_letter\" }";
    assert_eq!(schema(table, &[]).on_bad_field, OnBadField::DEFAULT);
    assert_eq!(schema(table, &["schema.on_bad_field=dead_letter"]).on_bad_field, all(OnBad::DeadLetter));
    assert_eq!(schema("", &["schema.on_bad_field=missing"]).on_bad_field, all(OnBad::Missing));
    let learned = OnBadField { target: OnBad::Missing, ..OnBadField::DEFAULT };
    assert_eq!(schema("", &["schema.on_bad_field.target=missing"]).on_bad_field, learned);
    let timed = OnBadField { timestamp: OnBad::Missing, ..OnBadField::DEFAULT };
    assert_eq!(schema("", &["schema.on_bad_field.timestamp=missing"]).on_bad_field, timed);
    for (word, expected) in [("auto", NumericText::Auto), ("true", NumericText::Always), ("false", NumericText::Never)]
    {
        assert_eq!(schema("", &[&format!("schema.numeric_text={word}")]).numeric_text, expected);
        let from_environment = load("", &[("THALWEG__SCHEMA__NUMERIC_TEXT", word)], &[]).expect(word);
        assert_eq!(from_environment.schema.numeric_text, expected);
    }
    assert_eq!(schema("", &["schema.missing=[]"]).missing, Vec::<String>::new());
    assert_eq!(schema("", &[r#"schema.missing=["-999", " off "]"#]).missing, ["-999", "off"]);
    assert_eq!(schema("", &[]).missing, Schema::usual_missing());
    assert_problem("[schema]\non_bad_field = \"mising\"", "schema.on_bad_field", &["did you mean `missing`?"]);
    assert_problem("[schema]\non_bad_field = { feature = \"missing\" }", "schema.on_bad_field.feature", &["features"]);
    assert_problem("[schema]\nnumeric_text = \"yes\"", "schema.numeric_text", &["\"auto\", true or false"]);
    assert_problem("[schema]\nmissing = \"NaN\"", "schema.missing", &["a list of texts"]);
}
