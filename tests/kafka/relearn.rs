//! `thalweg model relearn` on a real broker: what is in the outputs stays as it is, whatever the topic has lost meanwhile.

use crate::support::{
    broker::{all, partition, produce, site, source_offsets, topics},
    daemon::stdout,
};

fn samples(range: std::ops::Range<i64>) -> Vec<Option<Vec<u8>>> {
    let sample = |i: i64| match i % 10 {
        9 => r#"{"x":"hot","z":1,"y":3}"#.to_owned(),
        _ => format!(r#"{{"x":{},"z":{},"y":{}}}"#, i % 13, i % 5, 2 * (i % 13) + i % 5),
    };
    range.map(|i| Some(sample(i).into_bytes())).collect()
}

/// Source offsets of dead letters.
async fn letters(topic: &str) -> Vec<i64> {
    let offset = |headers: &std::collections::BTreeMap<String, Vec<u8>>| {
        String::from_utf8_lossy(&headers["thalweg.offset"]).parse().expect("an offset")
    };
    all(topic).await.iter().map(|it| offset(&it.record.headers)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn learning_anew_publishes_nothing_twice_and_a_new_model_learns_it_all() {
    let topics = topics("relearn");
    let models = [r#"models=[{kind="mean"}]"#, r#"models=[{kind="mean"},{kind="rls"}]"#];
    let settings = ["generator.enabled=false", "metrics.report_every=100ms"];
    let strict = "schema.on_bad_field=dead_letter";
    let mut site = site(&topics, &[&settings[..], &[models[0], strict]].concat());
    produce(&topics.samples, samples(0..500)).await;
    let mut daemon = site.start(&["run"]);
    daemon.line("all of them", |line| line["records"] == 500 && line["lag"] == 0);
    let busy = site.run(&["model", "relearn", "--yes"]);
    assert!(!busy.status.success() && String::from_utf8_lossy(&busy.stderr).contains("in use by process"));
    assert!(daemon.stop().success());
    let published = source_offsets(&all(&topics.predictions).await);
    let refused = letters(&topics.dead_letters).await;
    assert_eq!((published.len(), refused.len(), refused.last()), (450, 50, Some(&499)));

    // A new model, other rules for bad values, and a topic that has lost its first hundred records.
    partition(&topics.samples).await.delete_records(100, 5000).await.expect("deleted");
    site.settings.retain(|setting| setting != strict && setting != models[0]);
    site.settings.push(models[1].to_owned());
    stdout(&site.run(&["model", "relearn", "--yes"]));
    produce(&topics.samples, samples(500..600)).await;
    let mut daemon = site.start(&["run", "--until-caught-up"]);
    assert!(daemon.wait().success(), "{}", daemon.story());
    let begun = daemon.lines_of("worker_started")[0].clone();
    assert_eq!((&begun["position"], &begun["replay"]), (&100.into(), &400.into()), "{begun}");
    let rls = daemon.lines_of("model").into_iter().rfind(|line| line["model"] == "rls").cloned().expect("a line");
    assert!(rls["total_r2"].as_f64() > Some(0.5), "it has learned: {rls}");

    let mut expected = published;
    expected.extend(500..600);
    assert_eq!(source_offsets(&all(&topics.predictions).await), expected);
    assert_eq!(letters(&topics.dead_letters).await, refused);
}
