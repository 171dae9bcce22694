//! The output topics as others may have left them.
//!
//! Invariant: before anything is published, what an output holds was made from topics that this state file knows, unless the
//! settings say that it is shared.

use futures_util::future::try_join_all;

use super::{
    client::{Partition, retry_on},
    ledger::Note,
    origin, rivals,
    shared::Shared,
};
use thalweg_topic::{Error, Output, Topics, record::Record, source};

/// Makes sure that what the outputs hold, at both ends, is what was made from our samples.
///
/// # Errors
/// When something else is in one of them.
pub(super) async fn refuse_foreign(shared: &Shared, partitions: &[i32], there: [bool; 3]) -> Result<(), Error> {
    let learned_from = shared.store.topics()?;
    for output in Output::ALL.into_iter().filter(|output| there[*output as usize]) {
        let topic = shared.output_topic(output);
        if !shared.readable[output as usize] {
            tracing::info!(
                event = "output_unread",
                topic,
                "this user has no right to read the output (Read), so nobody looks who else writes there; after a crash it is needed"
            );
            continue;
        }
        let mut looked: Vec<i32> = partitions.iter().map(|it| shared.output_partition(output, *it)).collect();
        looked.sort_unstable();
        looked.dedup();
        let look = async |partition: i32| {
            let handle = Partition::new(&shared.cluster, topic, partition);
            let action = format!("looking at what `{topic}`/{partition} holds");
            let held = retry_on(&handle, &action, || origin::held(&handle)).await?;
            let records = held.edges.iter().flat_map(|committed| &committed.records);
            for record in records {
                shared.stamps[output as usize][partition as usize].saw(record.timestamp);
                if let Some(by) = stranger(shared, output, record, &learned_from) {
                    let samples = &shared.topics.samples;
                    let (offset, key) = (record.offset, output.name());
                    let problem = format!(
                        "it holds records {by} (partition {partition}, offset {offset}), not from `{samples}`, and whoever \
                         reads it could not tell them apart. Name another topic for this output, such as topics.{key} = \
                         \"{{samples}}.{key}\", or set output.shared = true if that is meant"
                    );
                    return Err(Error::Topic { topic: topic.to_owned(), problem });
                }
            }
            Ok(())
        };
        try_join_all(looked.into_iter().map(look)).await?;
    }
    Ok(())
}

/// Who else made a record, as the end of a sentence; `None` where it was us.
fn stranger(shared: &Shared, output: Output, record: &Record, learned_from: &[String]) -> Option<String> {
    let Topics { samples, labels, .. } = &shared.topics;
    match source::place(output, record.value.as_deref(), &record.headers) {
        Some((topic, ..)) if topic == *samples || Some(&topic) == labels.as_ref() || learned_from.contains(&topic) => {
            None
        }
        Some((topic, ..)) => Some(format!("that were made from `{topic}`")),
        None if output == Output::Events && is_note(record, &shared.topics.dead_letters) => None,
        None if output == Output::Events => match rivals::samples_of(record) {
            Some(topic) if topic == *samples || learned_from.contains(&topic) => None,
            Some(topic) => Some(format!("about what is made from `{topic}`")),
            None => Some("that another program wrote".to_owned()),
        },
        None => Some("that another program wrote".to_owned()),
    }
}

/// Says whether an event is about dead letters of ours that were sent back.
fn is_note(record: &Record, dead_letters: &str) -> bool {
    let note = record.value.as_deref().and_then(|value| serde_json::from_slice::<Note>(value).ok());
    note.is_some_and(|note| note.dead_letters.topic == dead_letters)
}
