//! Records with a schema through the daemon: from a registry that may be away, and from a file.

use std::time::{Duration, Instant};

use crate::{
    formats::{self, Written},
    support::{
        PATIENCE,
        daemon::{Workspace, stdout},
        http::{get, ready},
        registry::Registry,
    },
};
use serde_json::json;

fn insert(site: &Workspace, values: &[&[u8]]) {
    let state = site.state();
    for value in values {
        state
            .execute(
                "INSERT INTO samples SELECT 0, coalesce(max(offset) + 1, 0), 0, NULL, ?1, NULL FROM samples",
                [value],
            )
            .expect("insert");
    }
}

/// A site with a topic, under settings.
fn site(settings: &[&str]) -> Workspace {
    let site = Workspace::new(&["generator.enabled=false"]);
    assert!(site.run(&["run", "--until-caught-up"]).status.success());
    let mut site = site;
    site.settings.extend(settings.iter().map(|setting| (*setting).to_owned()));
    site
}

/// Rows of the first serializer whose name holds these words.
fn rows(words: &[&str]) -> Written {
    let found = formats::all().into_iter().find(|it| words.iter().all(|word| it.name.contains(word)));
    found.unwrap_or_else(|| panic!("nothing of {words:?}"))
}

fn values(written: &Written) -> Vec<&[u8]> {
    written.rows.iter().map(|(record, _)| record.value.as_deref().expect("a value")).collect()
}

/// A registry that knows the schema of some rows.
fn registry(written: &Written, kind: &str) -> Registry {
    let registry = Registry::start();
    tell(&registry, written, kind);
    registry
}

fn tell(registry: &Registry, written: &Written, kind: &str) {
    let body = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
    let mut references = Vec::new();
    for reference in &written.definition.references {
        references.push(json!({ "name": reference.name, "subject": reference.name, "version": 1 }));
        registry.add(&format!("subjects/{}/versions/1", reference.name), &body(&reference.body), kind, &json!([]));
    }
    let id = written.learned[0].id;
    registry.add(&format!("schemas/ids/{id}"), &body(&written.definition.body), kind, &references.into());
}

fn reasons(site: &Workspace) -> Vec<String> {
    let reason =
        |(_, _, headers): (_, _, serde_json::Value)| headers["thalweg.reason"].as_str().expect("text").to_owned();
    site.topic("dead-letters").into_iter().map(reason).collect()
}

#[test]
fn records_of_a_registry_are_learned_in_every_format() {
    for (words, kind) in [(["avro", "registry", "flat"], "AVRO"), (["protobuf", "registry", "lists"], "PROTOBUF")] {
        let written = rows(&words);
        let registry = registry(&written, kind);
        registry.want("Basic dTpwOnc=");
        let format = format!("schema.format={}", words[0]);
        let login = ["schema.registry.username=u", "schema.registry.password=p:w"];
        let site = site(&[&format, &registry.setting(), login[0], login[1]]);
        insert(&site, &values(&written));
        let output = site.run(&["run", "--until-caught-up"]);
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{told}");
        assert_eq!(site.predictions().len(), written.rows.len(), "{told}");
        // Once for the schema, and once for what it refers to.
        assert_eq!(registry.asked().len(), 1 + written.definition.references.len(), "{:?}", registry.asked());
        assert!(!told.contains("p:w"), "{told}");
    }
}

#[test]
fn a_registry_that_is_away_holds_the_stream_and_loses_nothing() {
    let written = rows(&["avro", "registry", "flat"]);
    let registry = registry(&written, "AVRO");
    registry.fail_with(Some((503, "down")));
    let site = site(&["schema.format=avro", &registry.setting(), "http.listen=127.0.0.1:0"]);
    insert(&site, &values(&written));
    let mut daemon = site.start(&["run"]);
    let address = ready(&mut daemon);
    let away = daemon.event("registry_away");
    assert!(away["problem"].as_str().is_some_and(|problem| problem.contains("503")), "{away}");
    assert_eq!(get(address, "/readyz").code, 503);
    assert!(site.predictions().is_empty() && site.topic("dead-letters").is_empty());
    // What answers there may be no registry at all.
    for (code, body) in
        [(200, "<html>"), (404, "not here"), (401, "{\"error_code\":401,\"message\":\"who?\"}"), (302, "")]
    {
        registry.fail_with(Some((code, body)));
        let before = registry.asked().len();
        // Another line may never come, so that this looks by itself.
        let deadline = Instant::now() + PATIENCE;
        while registry.asked().len() == before {
            assert!(Instant::now() < deadline, "it was not asked again");
            daemon.watch(Duration::from_millis(20));
        }
    }
    assert!(site.topic("dead-letters").is_empty());
    registry.fail_with(None);
    daemon.event("registry_answers");
    let all = written.rows.len() as u64;
    daemon.line("all of them", |line| line["records"] == all);
    let deadline = Instant::now() + PATIENCE;
    while get(address, "/readyz").code != 200 {
        assert!(Instant::now() < deadline, "it is not ready again");
        daemon.watch(Duration::from_millis(50));
    }
    assert!(daemon.stop().success());
    assert_eq!(daemon.lines_of("registry_away").len(), 1);
    assert_eq!((site.predictions().len(), site.topic("dead-letters").len()), (written.rows.len(), 0));
}

#[test]
fn what_cannot_be_read_by_its_schema_is_a_dead_letter_with_its_own_reason() {
    let written = rows(&["avro", "registry", "flat"]);
    let registry = registry(&written, "AVRO");
    registry.add("schemas/ids/7", "{\"type\":", "AVRO", &json!([]));
    registry.add("schemas/ids/8", "syntax = \"proto3\";", "PROTOBUF", &json!([]));
    registry.add("schemas/ids/9", "\"string\"", "AVRO", &json!([{ "name": "a", "subject": "gone", "version": 1 }]));
    let loops = json!([{ "name": "rows.A", "subject": "loop", "version": 1 }]);
    registry.add("schemas/ids/10", "\"rows.A\"", "AVRO", &loops);
    registry.add("subjects/loop/versions/1", "\"rows.A\"", "AVRO", &loops);
    registry.add("schemas/ids/11", &" ".repeat(3 << 20), "AVRO", &json!([]));
    registry.add("schemas/ids/12", &format!("{}\"int\"{}", "[".repeat(200), "]".repeat(200)), "AVRO", &json!([]));
    registry.add("schemas/ids/13", "\"string\"", "AVRO", &json!([]));
    let site = site(&["schema.format=avro", &registry.setting()]);
    let good = values(&written);
    let (cut, framed) = (&good[0][..20], |id: u8| vec![0, 0, 0, 0, id, 2, b'x']);
    let sent = [framed(6), framed(7), framed(8), framed(9), framed(10), framed(11), framed(12), framed(13)];
    insert(&site, &sent.each_ref().map(|value| value.as_slice()));
    insert(&site, &[cut, b"{\"x\":1}", good[0]]);
    let output = site.run(&["run", "--until-caught-up"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let bad = ["bad_schema"; 6];
    let expected = [&["unknown_schema"][..], &bad, &["not_an_object", "does_not_fit", "not_framed"]].concat();
    assert_eq!(reasons(&site), expected);
    assert_eq!(site.predictions().len(), 1);
    // What was unknown may be known to a later record, and the earlier one stays what it was.
    registry.add(
        "schemas/ids/6",
        "{\"type\":\"record\",\"name\":\"R\",\"fields\":[{\"name\":\"y\",\"type\":\"int\"}]}",
        "AVRO",
        &json!([]),
    );
    insert(&site, &[&[0, 0, 0, 0, 6, 1]]);
    assert!(site.run(&["run", "--until-caught-up"]).status.success());
    assert_eq!((reasons(&site).len(), site.predictions().len()), (expected.len(), 2));
}

#[test]
fn dead_letters_are_shown_decoded_by_the_schemas_that_are_known() {
    let written = rows(&["avro", "registry", "flat"]);
    let registry = registry(&written, "AVRO");
    // Nothing of the place can be a time.
    let site = site(&["schema.format=avro", "schema.timestamp=place", &registry.setting()]);
    let good = values(&written);
    insert(&site, &[good[3], &good[3][..20], &[0, 0, 0, 0, 6, 3], b"\xff{"]);
    assert!(site.run(&["run", "--until-caught-up"]).status.success());
    let shown = |options: &[&str]| {
        let output = site.run(&[&["dead-letters", "show"], options].concat());
        String::from_utf8(stdout(&output).into_bytes()).expect("text")
    };
    // The state file knows what the registry does not say any more.
    registry.fail_with(Some((503, "down")));
    let text = shown(&[]);
    let whole =
        "  decoded: x=-0.125, f=0.75, i=-300, l=-14348907, b=false, n=1, o=null, s=\"one\", c=\"RED\", d=-2.298, ";
    assert!(text.contains(whole) && text.contains(", at=2026-03-29T01:30:04.500Z, "), "{text}");
    assert!(text.contains("  decoded: x=-0.125, f=0.75, i=-300; not decoded further: as said above\n"), "{text}");
    assert!(
        text.contains("  not decoded: the state file does not have the schema 6, and the registry does not give it: "),
        "{text}"
    );
    assert!(text.contains("503"), "{text}");
    let lines: Vec<serde_json::Value> =
        shown(&["--json"]).lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let row: serde_json::Value = serde_json::from_str(&written.rows[3].1).expect("JSON");
    assert_eq!(lines[0]["decoded"]["x"], row["x"]);
    assert_eq!(lines[0]["decoded"]["place.deeper.z"].as_f64(), row["place"]["deeper"]["z"].as_f64());
    assert_eq!(lines[0]["decoded"]["at"], row["at"]);
    assert!(lines[0].get("not_decoded").is_none() && lines[2].get("decoded").is_none(), "{lines:?}");
    assert!(lines[2]["not_decoded"].as_str().is_some_and(|why| why.contains("503")), "{lines:?}");
    // What was unknown then may be known now.
    registry.fail_with(None);
    let known = r#"{"type":"record","name":"R","fields":[{"name":"y","type":"int"}]}"#;
    registry.add("schemas/ids/6", known, "AVRO", &json!([]));
    assert!(shown(&[]).contains("  decoded: y=-2\n"), "{}", shown(&[]));
}

#[test]
fn a_schema_in_a_file_reads_records_without_a_registry() {
    for words in [["avro 1", "none", "lists"], ["avro 1", "single", "flat"], ["protobuf 7", "none", "flat"]] {
        let written = rows(&words);
        let mut site = site(&[&format!("schema.format={}", words[0].split(' ').next().expect("a word"))]);
        let file = site.write("rows.schema", &written.definition.body);
        for reference in &written.definition.references {
            site.write(&reference.name, &reference.body);
        }
        site.settings.push(format!("schema.file={}", file.display()));
        if let Some(message) = &written.definition.message {
            site.settings.push(format!("schema.message={message}"));
        }
        insert(&site, &values(&written));
        let output = site.run(&["run", "--until-caught-up"]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(site.predictions().len(), written.rows.len(), "{words:?}");
    }
}

#[test]
fn settings_that_cannot_be_meant_are_refused_with_the_way_out() {
    let site = Workspace::new(&[]);
    site.write("bad.avsc", "{\"type\":\"record\"}");
    site.write("good.avsc", "{\"type\":\"record\",\"name\":\"R\",\"fields\":[]}");
    site.write("two.proto", "syntax = \"proto3\"; message A { double x = 1; } message B {}");
    site.write("import.proto", "syntax = \"proto3\"; import \"nowhere.proto\"; message A {}");
    let url = "schema.registry.url=http://127.0.0.1:1";
    for (settings, wanted) in [
        (&["schema.format=avro"][..], "schema.format: needs a schema"),
        (&["schema.format=avro", "schema.file=none.avsc"], "schema.file: none.avsc: cannot be read"),
        (&["schema.format=avro", "schema.file=bad.avsc"], "schema.file: bad.avsc holds no schema that can be used"),
        (&["schema.format=avro", "schema.file=good.avsc", url], "schema.file: contradicts schema.registry"),
        (&["schema.format=avro", "schema.registry.cache=5m"], "schema.registry.url: is missing"),
        (&["schema.format=avro", "schema.registry.url=http://u:p@x"], "schema.registry.url: must be an address"),
        (&["schema.format=avro", url, "schema.registry.username=u"], "schema.registry.password: is missing"),
        (&["schema.format=avro", url, "schema.registry.token=t", "schema.registry.token_file=t"], "contradicts token"),
        (&["schema.format=avro", url, "schema.registry.ca_file=none.pem", "schema.registry.url=https://x"], "none.pem"),
        (&["schema.format=protobuf", "schema.file=two.proto"], "set schema.message"),
        (&["schema.format=protobuf", "schema.file=two.proto", "schema.message=C"], "it has no message C"),
        (&["schema.format=protobuf", "schema.file=import.proto"], "nowhere.proto"),
        (&["schema.format=protobuf", url, "schema.message=A"], "schema.message: goes with"),
        (&["schema.format=json", url], "schema.registry: says nothing with format = \"json\""),
        (
            &["schema.format=avro", "schema.file=good.avsc", "generator.enabled=true"],
            "generator.enabled: makes up samples",
        ),
    ] {
        let sets: Vec<&str> = settings.iter().flat_map(|setting| ["--set", setting]).collect();
        let output = site.run(&[&["check"], sets.as_slice()].concat());
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(78), "{settings:?}: {told}");
        assert!(told.contains(wanted), "{settings:?}: {told}");
    }
}

#[test]
fn init_looks_at_a_topic_by_its_schemas_and_writes_settings_that_run() {
    for (words, kind) in [(["avro", "registry", "flat"], "AVRO"), (["protobuf", "registry", "flat"], "PROTOBUF")] {
        let written = rows(&words);
        let registry = registry(&written, kind);
        let source = site(&[]);
        insert(&source, &values(&written));
        let looking = Workspace::new(&[]);
        std::fs::copy(source.path("data/thalweg.db"), looking.path("data/thalweg.db")).expect("copied");
        let url = format!("http://{}/base/", registry.address);
        let from = ["init", "--topic", "samples", "--set", "transport.kind=embedded"];
        let run = |more: &[&str]| looking.run(&[&from[..], more].concat());
        let said = |output: &std::process::Output| String::from_utf8_lossy(&output.stderr).into_owned();
        // Whoever says nothing is told what to say.
        let blind = run(&[]);
        let told = said(&blind);
        assert!(
            !blind.status.success() && told.contains("--registry http://") && told.contains("--schema FILE"),
            "{told}"
        );
        let by_registry = if kind == "AVRO" {
            run(&["--registry", &url])
        } else {
            let other = said(&run(&["--registry", &url]));
            assert!(
                other.contains("of the type PROTOBUF") && other.contains("--set schema.format=protobuf"),
                "{other}"
            );
            run(&["--registry", &url, "--set", "schema.format=protobuf"])
        };
        let out = stdout(&by_registry);
        assert!(out.contains("tried on them"), "{out}");
        let settings = std::fs::read_to_string(looking.path("settings.toml")).expect("settings");
        let format = format!("format = \"{}\"\n", words[0]);
        assert!(settings.contains(&format) && settings.contains(&url) && settings.contains("target = "), "{settings}");
        let ran = looking.run(&["run", "--until-caught-up"]);
        assert!(ran.status.success(), "{}", said(&ran));
        assert_eq!(
            (looking.predictions().len(), looking.topic("dead-letters").len()),
            (written.rows.len(), 0),
            "{settings}"
        );
    }
    // Records that name no schema have it from a file.
    let written = rows(&["avro", "none", "flat"]);
    let source = site(&[]);
    insert(&source, &values(&written));
    source.write("row.avsc", &written.definition.body);
    let out = stdout(&source.run(&[
        "init",
        "--topic",
        "samples",
        "--set",
        "transport.kind=embedded",
        "--schema",
        "row.avsc",
    ]));
    assert!(out.contains("tried on them"), "{out}");
    let settings = std::fs::read_to_string(source.path("settings.toml")).expect("settings");
    assert!(settings.contains("file = \"row.avsc\"") && settings.contains("format = \"avro\""), "{settings}");
}

/// A batch of rows in Avro.
const BATCH: &str = r#"{"type":"record","name":"Batch","fields":[{"name":"device","type":"string"},{"name":"rows","type":
    {"type":"array","items":{"type":"record","name":"Row","fields":[{"name":"x","type":"double"},{"name":"y","type":"double"}]}}}]}"#;

#[test]
fn rows_in_an_array_of_avro_are_predicted_one_by_one_and_sent_back_alone() {
    let registry = Registry::start();
    registry.add("schemas/ids/7", BATCH, "AVRO", &json!([]));
    let explode = ["schema.explode=rows", "schema.key=$.device", "schema.format=avro"];
    let site = site(&[&explode[..], &[&registry.setting()]].concat());
    let row = |x: f64, y: f64| [x.to_le_bytes(), y.to_le_bytes()].concat();
    let batch =
        |rows: &[Vec<u8>]| [&[0, 0, 0, 0, 7, 4, b'd', b'1', 2 * rows.len() as u8][..], &rows.concat(), &[0]].concat();
    insert(&site, &[&batch(&[row(1.0, 2.0), row(2.0, f64::INFINITY), row(3.0, 6.0)]), &batch(&[row(4.0, 8.0)])]);
    assert!(site.run(&["run", "--until-caught-up"]).status.success());
    let sources: Vec<_> =
        site.predictions().iter().map(|it| (it["source"]["offset"].clone(), it["source"]["row"].clone())).collect();
    assert_eq!(sources, [(json!(0), json!(0)), (json!(0), json!(2)), (json!(1), json!(0))]);
    let letters = site.topic("dead-letters");
    assert_eq!(letters.len(), 1);
    assert_eq!((&letters[0].1, &letters[0].2["thalweg.row"]), (&Some(batch(&[row(2.0, f64::INFINITY)])), &json!("1")));
    let compared = stdout(&site.run(&["compare", "--topic", "samples"]));
    let report = std::fs::read_to_string(site.path("compare/compare.json")).expect("a report");
    let report: serde_json::Value = serde_json::from_str(&report).expect("JSON");
    assert_eq!(
        (&report["streams"][0]["records"], &report["streams"][0]["scored"]),
        (&json!(4), &json!(3)),
        "{compared}"
    );
    // Mended by the settings, it is one row.
    assert!(site.run(&["dead-letters", "retry", "--all"]).status.success());
    let ran = site.run(&["run", "--until-caught-up", "--set", "schema.on_bad_field=missing"]);
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    assert_eq!(site.predictions().len(), 4);
}
