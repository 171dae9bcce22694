//! Hostile records on a real broker: compressed batches, headers, times and sizes that a broker minds.

use rskafka::{
    client::partition::{Compression, UnknownTopicHandling},
    record::{Record, RecordAndOffset},
};
use thalweg::topic::Topics;

use crate::hostile::{GOOD, cases};
use crate::support::{
    broker::{all, client, produce_lines, set, site, source_offsets, topics},
    daemon::stdout,
};

fn record(value: Option<Vec<u8>>) -> Record {
    Record { key: None, value, headers: Default::default(), timestamp: crate::support::broker::now() }
}

async fn send(topics: &Topics, records: Vec<Record>) {
    let client = client().await;
    let partition =
        client.partition_client(&topics.samples, 0, UnknownTopicHandling::Retry).await.expect("a partition");
    partition.produce(records, Compression::NoCompression).await.expect("produce");
}

fn header(record: &RecordAndOffset, name: &str) -> String {
    String::from_utf8(record.record.headers[name].clone()).expect("text")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_records_in_compressed_batches_are_counted_to_the_record() {
    let topics = topics("hostile");
    let site = site(&topics, &["generator.enabled=false"]);
    assert!(site.run(&["run", "--until-caught-up"]).status.success());
    let cases: Vec<_> = cases();
    const KINDS: [&str; 5] = ["gzip", "lz4", "snappy", "zstd", "uncompressed"];
    // Large ones in batches of their own; the others a few together, and the broker packs some of each kind.
    let chunks: Vec<_> = cases.chunks(7).collect();
    let of_each = chunks.len().div_ceil(KINDS.len());
    for (i, cases) in chunks.into_iter().enumerate() {
        if i % of_each == 0 {
            set(&topics.samples, &format!("compression.type={}", KINDS[i / of_each]));
        }
        let size: usize = cases.iter().filter_map(|case| case.value.as_ref()).map(Vec::len).sum();
        let mut together = Vec::new();
        for case in cases {
            together.push(record(Some(GOOD.to_vec())));
            together.push(record(case.value.clone()));
            if size > 4 << 20 {
                send(&topics, std::mem::take(&mut together)).await;
            }
        }
        if !together.is_empty() {
            send(&topics, together).await;
        }
    }
    let output = site.run(&["run", "--until-caught-up"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let refused: Vec<_> = (0_i64..).zip(&cases).filter(|(_, case)| case.expected != "prediction").collect();
    let letters = all(&topics.dead_letters).await;
    assert_eq!(letters.len(), refused.len());
    for (letter, (i, case)) in letters.iter().zip(&refused) {
        assert!(letter.record.value == case.value, "{}: the dead letter is not what was sent", case.name);
        assert_eq!(header(letter, "thalweg.reason"), case.expected, "{}", case.name);
        assert_eq!(header(letter, "thalweg.offset"), (2 * i + 1).to_string(), "{}", case.name);
    }
    let mut offsets = source_offsets(&all(&topics.predictions).await);
    offsets.extend(refused.iter().map(|(i, _)| 2 * i + 1));
    offsets.sort_unstable();
    assert_eq!(offsets, (0..2 * cases.len() as i64).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn headers_keys_and_times_that_a_topic_does_not_take_stop_nothing() {
    let topics = topics("limits");
    let more = [
        "generator.enabled=false",
        "schema.timestamp=at",
        "schema.timestamp_unit=ms",
        "transport.kafka.create_topics=true",
    ];
    let site = site(&topics, &more);
    assert!(site.run(&["run", "--until-caught-up"]).status.success());
    // The broker of the tests takes 20 MiB.
    let limit = (20 << 20) - 200;
    let headers = [("own".to_owned(), vec![b'h'; limit]), ("thalweg.truncated".to_owned(), b"1".to_vec())];
    send(&topics, vec![Record { headers: headers.into(), ..record(Some(b"no".to_vec())) }]).await;
    send(&topics, vec![Record { key: Some(vec![b'k'; limit]), ..record(Some(GOOD.to_vec())) }]).await;
    // Year 9999, and before our era: no broker takes a record from tomorrow.
    let times = ["253402300799999", "-62135596800000", "\"2262-01-01T00:00:00Z\""];
    let at = |at: &str| record(Some(format!(r#"{{"x":1,"y":2,"at":{at}}}"#).into_bytes()));
    send(&topics, times.into_iter().map(at).collect()).await;
    let mut daemon = site.start(&["run", "--until-caught-up"]);
    assert!(daemon.wait().success());

    let letters = all(&topics.dead_letters).await;
    let reasons: Vec<String> = letters.iter().map(|letter| header(letter, "thalweg.reason")).collect();
    assert_eq!(reasons, ["not_json", "key_too_long"]);
    assert_eq!(header(&letters[0], "thalweg.truncated"), "2");
    assert!(!letters[0].record.headers.contains_key("own"));
    let predictions = all(&topics.predictions).await;
    assert_eq!(source_offsets(&predictions), [2, 3, 4]);
    let said: Vec<i64> = predictions
        .iter()
        .map(|it| {
            let value: serde_json::Value =
                serde_json::from_slice(it.record.value.as_deref().expect("a value")).expect("JSON");
            value["timestamp"].as_i64().expect("a time")
        })
        .collect();
    assert_eq!(said, [253_402_300_799_999, -62_135_596_800_000, 9_214_646_400_000]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_kafka_s_own_producer_writes_is_read_with_headers_that_have_no_value() {
    const KINDS: [&str; 5] = ["none", "gzip", "snappy", "lz4", "zstd"];
    let topics = topics("null-headers");
    let site = site(&topics, &["generator.enabled=false"]);
    assert!(site.run(&["run", "--until-caught-up"]).status.success());
    for kind in KINDS {
        // The same name twice, a null, an empty one; a batch that is worth compressing.
        let refused = format!("a:1,n:NIL,e:,a:2\t{kind}\tno\n");
        let good = "n:NIL\tNIL\t{\"x\":1.5,\"y\":2}\n";
        produce_lines(&topics.samples, kind, &[refused.as_str(), &good.repeat(200)].concat());
    }
    let run = site.run(&["run", "--until-caught-up"]);
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let offsets = source_offsets(&all(&topics.predictions).await);
    assert_eq!(offsets, (0..5 * 201).filter(|offset| offset % 201 > 0).collect::<Vec<_>>());

    // Twice, since a second daemon reads back what the first one wrote.
    let elsewhere = crate::support::broker::site(&topics, &["generator.enabled=false"]);
    assert!(elsewhere.run(&["run", "--until-caught-up"]).status.success());
    let shown = stdout(&site.run(&["dead-letters", "show", "--json"]));
    let lines: Vec<&str> = shown.lines().collect();
    assert_eq!(lines.len(), KINDS.len(), "{shown}");
    for (line, kind) in lines.iter().zip(KINDS) {
        let headers = r#""headers":{"a":{"text":"1"},"n":null,"e":{"text":""},"a":{"text":"2"}}"#;
        assert!(line.contains(headers) && line.contains(&format!(r#""key":{{"text":"{kind}"}}"#)), "{line}");
    }

    // Sent back they have them still, and are refused as before.
    assert!(stdout(&site.run(&["dead-letters", "retry", "--all"])).starts_with("5 of 5 "));
    assert!(site.run(&["run", "--until-caught-up"]).status.success());
    let shown = stdout(&site.run(&["dead-letters", "show", "--json"]));
    let again: Vec<&str> = shown.lines().skip(KINDS.len()).collect();
    assert_eq!(again.len(), KINDS.len(), "{shown}");
    for line in again {
        assert!(line.contains(r#""a":{"text":"1"},"n":null,"e":{"text":""},"a":{"text":"2"}"#), "{line}");
    }
}
