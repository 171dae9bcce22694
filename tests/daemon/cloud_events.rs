//! A daemon on a topic of CloudEvents, some of which have their attributes in headers.

use serde_json::{Value, json};

use crate::support::daemon::{Workspace, stdout};

const SCHEMA: [&str; 4] =
    ["generator.enabled=false", "schema.timestamp=$.time", "schema.key=$.subject", "schema.nominal=[\"$.type\"]"];

/// Event `i`, its attributes in headers or around its data. Some have a time that is none, or data that is no JSON.
fn event(i: usize, is_binary: bool) -> (String, Option<String>) {
    let x = (i * 37 % 100) as f64 / 10.0;
    let kind = ["hot", "cold"][i % 2];
    let time = if i % 50 == 9 { "soon".to_owned() } else { format!("2026-03-29T01:{:02}:{:02}Z", i / 60, i % 60) };
    let data = json!({"x": x, "y": 2.0 * x + (i % 2) as f64});
    let attributes = [
        ("specversion", "1.0".to_owned()),
        ("id", i.to_string()),
        ("source", "/sensors".to_owned()),
        ("type", kind.to_owned()),
        ("subject", format!("d{}", i % 3)),
        ("time", time),
    ];
    if is_binary {
        let mut headers: Vec<(String, Value)> =
            attributes.into_iter().map(|(name, value)| (format!("ce_{name}"), value.into())).collect();
        headers.push(("content-type".into(), "application/json".into()));
        return (data.to_string(), Some(Value::Object(headers.into_iter().collect()).to_string()));
    }
    // As most write it, the data come last, and so do their columns.
    let attributes: Vec<String> =
        attributes.into_iter().map(|(name, value)| format!("{}:{}", json!(name), json!(value))).collect();
    (format!("{{{},\"data\":{data}}}", attributes.join(",")), None)
}

/// A state file with these events in its samples topic, read to their end.
fn site(is_binary: impl Fn(usize) -> bool) -> Workspace {
    let site = Workspace::new(&SCHEMA);
    // The daemon makes the tables.
    assert!(site.run(&["run", "--until-caught-up"]).status.success());
    for i in 0..300 {
        let (value, headers) = event(i, is_binary(i));
        let row = rusqlite::params![i as i64, 1_700_000_000_000_i64, value.into_bytes(), headers];
        site.state().execute("INSERT INTO samples VALUES (0, ?1, ?2, NULL, ?3, ?4)", row).expect("insert");
    }
    assert!(site.run(&["run", "--until-caught-up"]).status.success());
    site
}

#[test]
fn both_modes_are_predicted_compared_and_guessed_from_alike() {
    let [structured, binary, mixed] = [site(|_| false), site(|_| true), site(|i| i % 3 != 1)];
    let predictions = structured.predictions();
    assert_eq!(predictions.len(), 294);
    assert_eq!(predictions[1]["timestamp"], json!(1_774_746_001_000_i64));
    let compared = |site: &Workspace| {
        stdout(&site.run(&["compare", "--topic", "samples"]));
        let report: Value =
            serde_json::from_str(&std::fs::read_to_string(site.path("compare/compare.json")).expect("a file"))
                .expect("JSON");
        let stream = &report["streams"][0];
        assert_eq!((&stream["records"], &stream["scored"]), (&json!(300), &json!(294)), "{stream}");
        let errors = |model: &Value| [model["model"].clone(), model["rmse"].clone(), model["r2"].clone()];
        stream["models"].as_array().expect("models").iter().map(errors).collect::<Vec<_>>()
    };
    let guessed = |site: &Workspace| {
        let looking = Workspace::new(&[]);
        let state = format!("state.path={}", site.path("data/thalweg.db").display());
        let from = ["init", "--topic", "samples", "--set", "transport.kind=embedded", "--set", &state];
        let said = stdout(&looking.run(&[&from[..], &["--output", "-", "--target", "y"]].concat()));
        assert!(said.contains("\nenvelope = \"cloudevents\"\n"), "{said}");
        said.lines().filter(|line| !line.starts_with("path =")).map(str::to_owned).collect::<Vec<_>>()
    };
    let (report, settings) = (compared(&structured), guessed(&structured));
    for site in [&binary, &mixed] {
        assert_eq!(site.predictions(), predictions);
        assert_eq!(compared(site), report);
        assert_eq!(guessed(site), settings);
    }

    // What is sent back has its attributes again, and is refused again.
    let letters = binary.topic("dead-letters");
    assert_eq!(letters.len(), 6);
    for (_, value, headers) in &letters {
        assert_eq!(
            (&headers["thalweg.reason"], &headers["thalweg.field"]),
            (&json!("bad_timestamp"), &json!("$.time"))
        );
        assert!(headers["ce_time"] == "soon" && value.as_ref().is_some_and(|value| value.starts_with(b"{\"x\"")));
    }
    assert!(binary.run(&["dead-letters", "retry", "--all"]).status.success());
    assert!(binary.run(&["run", "--until-caught-up"]).status.success());
    assert_eq!(binary.topic("dead-letters").len(), 12);
    assert_eq!(binary.topic("dead-letters")[11].2["ce_id"], letters[5].2["ce_id"]);
}
