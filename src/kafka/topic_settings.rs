//! The settings of topics: those with which the outputs are made, and those that will hurt.
//!
//! Invariant: what this user may not ask for is left as the broker has it. A topic that is there is never changed.

use std::time::Duration;

use thalweg_topic::{Error, Output, Timestamps};

use super::{
    client::{Retention, retry, topic_settings},
    protocol::{
        NewTopic, TopicSettings, Values,
        configs::{
            CLEANUP_POLICY, CREATE_TIME, DELETE, MAX_MESSAGE_BYTES, MIN_INSYNC_REPLICAS, RETENTION, TIMESTAMP_TYPE,
        },
    },
    rights,
    shared::Shared,
};

/// A restart reads back what was published since the last checkpoint, so topics have to keep that for longer than the time
/// between two of them.
pub const CHECKPOINTS_KEPT: u32 = 10;

/// No prediction and no event takes more, apart from a key.
const MAX_OWN_BYTES: usize = 4 << 10;

/// What a dead letter has beside the sample that it was.
const MAX_LETTER_HEADERS: usize = 4 << 10;

/// Needs of the outputs that their settings can fail to meet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Needs {
    pub(super) retention: Retention,
    /// Time between two checkpoints.
    pub(super) checkpoint_every: Duration,
    pub(super) timestamps: Timestamps,
    pub(super) replicas: i16,
    /// True where samples are written, too.
    pub(super) generates: bool,
}

impl Needs {
    /// Returns the milliseconds for which a topic must keep records.
    fn min_retention(&self) -> i64 {
        i64::try_from(self.checkpoint_every.saturating_mul(CHECKPOINTS_KEPT).as_millis()).unwrap_or(i64::MAX)
    }

    /// Returns the settings in which an output that is made has to differ from the broker's other new topics. `samples` are
    /// those of the samples topic, which tell of new ones, too.
    fn of_new(&self, output: Output, samples: &TopicSettings) -> Vec<(&'static str, String)> {
        let (defaults, mut settings) = (&samples.of_new_topics, Vec::new());
        let retention = match self.retention {
            Retention::Broker => {
                defaults.retention().filter(|kept| *kept < self.min_retention()).map(|_| self.min_retention())
            }
            Retention::Forever => Some(-1),
            Retention::For(time) => Some(i64::try_from(time.as_millis()).unwrap_or(i64::MAX)),
        };
        settings.extend(retention.map(|kept| (RETENTION, kept.to_string())));
        if defaults.is_compacted() {
            settings.push((CLEANUP_POLICY, DELETE.to_owned()));
        }
        if self.timestamps == Timestamps::Sample && defaults.has_broker_times() {
            settings.push((TIMESTAMP_TYPE, CREATE_TIME.to_owned()));
        }
        if defaults.min_insync_replicas().is_some_and(|copies| copies > self.replicas.into()) {
            settings.push((MIN_INSYNC_REPLICAS, self.replicas.to_string()));
        }
        let (limit, of_samples) = (defaults.max_message_bytes(), samples.own.max_message_bytes());
        let bytes = match output {
            // What adds to a sample of the usual size is no reason for an unusual limit: such a letter is cut.
            Output::DeadLetters => of_samples
                .filter(|bytes| Some(*bytes) > limit)
                .map(|bytes| (bytes + MAX_LETTER_HEADERS).min(i32::MAX as usize)),
            Output::Predictions | Output::Events => Some(MAX_OWN_BYTES).filter(|bytes| Some(*bytes) > limit),
        };
        settings.extend(bytes.filter(|_| limit.is_some()).map(|bytes| (MAX_MESSAGE_BYTES, bytes.to_string())));
        settings
    }

    /// Returns what will hurt of an output's settings: each with its value and what it does.
    fn hurt(
        &self,
        output: Output,
        settings: &Values,
        replicas: Option<usize>,
        samples: Option<&Values>,
    ) -> Vec<(&'static str, String, &'static str)> {
        let mut hurt = Vec::new();
        if settings.is_compacted() {
            hurt.push((
                CLEANUP_POLICY,
                "compact".to_owned(),
                "the topic is compacted: it takes no record without a key, which ends the daemon, and of those with the same \
                 key it keeps only the latest. Set it to delete",
            ));
        }
        if let Some(retention) = settings.retention().filter(|kept| *kept < self.min_retention()) {
            hurt.push((
                RETENTION,
                retention.to_string(),
                "the topic keeps records for less than ten times state.every: what a restart has to read back is gone by then, \
                 and may be published again. Raise it",
            ));
        }
        if self.timestamps == Timestamps::Sample && settings.has_broker_times() {
            hurt.push((
                TIMESTAMP_TYPE,
                "LogAppendTime".to_owned(),
                "the broker puts its own time in the place of the sample's, which output.timestamp = \"sample\" asks for. Set \
                 it to CreateTime",
            ));
        }
        if let (Some(wanted), Some(replicas)) = (settings.min_insync_replicas(), replicas)
            && i64::try_from(replicas).is_ok_and(|replicas| wanted > replicas)
        {
            hurt.push((
                MIN_INSYNC_REPLICAS,
                wanted.to_string(),
                "more copies than the topic has are to have a record before it counts as written, so that nothing can be \
                 published. Lower it, or give the topic more replicas",
            ));
        }
        let limit = settings.max_message_bytes();
        match output {
            Output::DeadLetters => {
                let of_samples = samples.and_then(Values::max_message_bytes);
                if let (Some(limit), Some(of_samples)) = (limit, of_samples)
                    && limit < of_samples
                {
                    hurt.push((
                        MAX_MESSAGE_BYTES,
                        limit.to_string(),
                        "the topic takes less than the samples topic: the dead letter of a large sample is cut. Raise it",
                    ));
                }
            }
            Output::Predictions | Output::Events => {
                if let Some(limit) = limit.filter(|limit| *limit < MAX_OWN_BYTES) {
                    hurt.push((
                        MAX_MESSAGE_BYTES,
                        limit.to_string(),
                        "the topic may not take a record of ours, which ends the daemon. Raise it to 4096 and the size of keys \
                         at least",
                    ));
                }
            }
        }
        hurt
    }
}

/// Returns how the outputs are to be made where they are missing.
pub(super) async fn of_new_outputs(shared: &Shared) -> Result<[NewTopic; 3], Error> {
    let samples = shared.topics.samples.as_str();
    let described = described(shared, &[samples]).await?;
    // Of which settings a broker gives a new topic is known where it tells those of another.
    let samples = described.into_iter().next().and_then(Result::ok).unwrap_or_default();
    Ok(Output::ALL.map(|output| NewTopic {
        partitions: shared.output_partitions[output as usize],
        settings: shared.needs.of_new(output, &samples),
    }))
}

/// Looks at the settings of the topics and says what of them will hurt. Returns how long each output keeps what is given the
/// time of samples, in milliseconds.
pub(super) async fn look(shared: &Shared) -> Result<[Option<i64>; 3], Error> {
    let samples = shared.topics.samples.as_str();
    let topics = [Output::ALL.map(|output| shared.output_topic(output)).as_slice(), &[samples]].concat();
    let described = described(shared, &topics).await?;
    // Of topics that were missing at the start, a broker told no rights.
    let given = rights::require(&shared.cluster, &shared.topics, shared.needs.generates).await?;
    let mut retention = [None; 3];
    let replicas = |topic: &str| given.topics.iter().find(|found| found.topic == topic)?.replicas;
    let [predictions, dead_letters, events] = Output::ALL.map(|output| shared.output_topic(output));
    for Hurt { topic, setting, value, problem } in
        hurting(&shared.needs, [predictions, dead_letters, events, samples], &described, replicas)
    {
        tracing::warn!(event = "topic_settings", topic, setting, value, "{setting}={value}: {problem}");
    }
    for (output, found) in Output::ALL.into_iter().zip(&described) {
        let topic = shared.output_topic(output);
        match found {
            Ok(settings) => {
                // Dead letters carry the clock's time.
                let by_sample = shared.needs.timestamps == Timestamps::Sample && output != Output::DeadLetters;
                let by_ours = by_sample && !settings.own.has_broker_times();
                retention[output as usize] = settings.own.retention().filter(|_| by_ours);
            }
            Err(refused) => tracing::info!(
                event = "settings_unknown",
                topic,
                refused,
                "the settings of the topic may not be asked for (right DescribeConfigs), so nothing is said where they will \
                 hurt: deleting records too soon, compaction, a size too small for predictions"
            ),
        }
    }
    Ok(retention)
}

/// A setting of a topic that will hurt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hurt<'t> {
    pub(super) topic: &'t str,
    pub(super) setting: &'static str,
    pub(super) value: String,
    /// What it does, and what to do about it.
    pub(super) problem: &'static str,
}

/// Finds what will hurt among the settings of the outputs, in their order, and of the samples topic, which comes last.
pub(super) fn hurting<'t>(
    needs: &Needs,
    topics: [&'t str; 4],
    described: &[Result<TopicSettings, String>],
    replicas: impl Fn(&str) -> Option<usize>,
) -> Vec<Hurt<'t>> {
    let [.., samples] = topics;
    let of_samples = described.last().and_then(|found| found.as_ref().ok()).map(|settings| &settings.own);
    let mut found = Vec::new();
    if let Some(kept) = of_samples.and_then(Values::retention).filter(|kept| *kept < needs.min_retention()) {
        found.push(Hurt {
            topic: samples,
            setting: RETENTION,
            value: kept.to_string(),
            problem: "the topic keeps samples for less than ten times state.every: those that a restart has to process again \
                      are gone by then, which is a gap. Raise it",
        });
    }
    for ((output, topic), settings) in Output::ALL.into_iter().zip(topics).zip(described) {
        let Ok(settings) = settings else { continue };
        let own = needs.hurt(output, &settings.own, replicas(topic), of_samples);
        found.extend(own.into_iter().map(|(setting, value, problem)| Hurt { topic, setting, value, problem }));
    }
    found
}

async fn described(shared: &Shared, topics: &[&str]) -> Result<Vec<Result<TopicSettings, String>>, Error> {
    let action = "asking for the settings of topics";
    Ok(retry(&shared.cluster, None, action, || topic_settings(&shared.cluster, topics)).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEEDS: Needs = Needs {
        retention: Retention::Broker,
        checkpoint_every: Duration::from_secs(5),
        timestamps: Timestamps::Clock,
        replicas: 1,
        generates: false,
    };

    fn new_among(values: &[(&'static str, &str)]) -> TopicSettings {
        TopicSettings { own: Values::default(), of_new_topics: Values::of(values) }
    }

    #[test]
    fn an_output_differs_from_other_new_topics_only_where_their_settings_would_hurt() {
        let usual = [
            (RETENTION, "604800000"),
            (CLEANUP_POLICY, "delete"),
            (MIN_INSYNC_REPLICAS, "1"),
            (MAX_MESSAGE_BYTES, "1048588"),
            (TIMESTAMP_TYPE, "LogAppendTime"),
        ];
        assert_eq!(NEEDS.of_new(Output::Predictions, &new_among(&usual)), []);
        assert_eq!(NEEDS.of_new(Output::Predictions, &TopicSettings::default()), []);
        let sample = Needs { timestamps: Timestamps::Sample, ..NEEDS };
        let made = sample.of_new(Output::Predictions, &new_among(&usual));
        assert_eq!(made, [(TIMESTAMP_TYPE, "CreateTime".to_owned())]);
        for (name, value, made) in [
            (RETENTION, "49999", Some("50000")),
            (RETENTION, "50000", None),
            (RETENTION, "-1", None),
            (CLEANUP_POLICY, "compact,delete", Some("delete")),
            (MIN_INSYNC_REPLICAS, "2", Some("1")),
            (MAX_MESSAGE_BYTES, "100", Some("4096")),
        ] {
            let settings = [(CLEANUP_POLICY, "delete"), (name, value)];
            let made_of = NEEDS.of_new(Output::Predictions, &new_among(&settings));
            assert_eq!(
                made_of,
                made.map(|made| (name, made.to_owned())).into_iter().collect::<Vec<_>>(),
                "{name}={value}"
            );
        }
    }

    #[test]
    fn the_retention_that_people_ask_for_is_what_an_output_is_made_with() {
        let of_broker = new_among(&[(RETENTION, "1"), (CLEANUP_POLICY, "delete")]);
        for (retention, made) in [
            (Retention::Forever, "-1"),
            (Retention::For(Duration::from_secs(90)), "90000"),
            (Retention::Broker, "50000"),
        ] {
            let needs = Needs { retention, ..NEEDS };
            assert_eq!(needs.of_new(Output::Events, &of_broker), [(RETENTION, made.to_owned())], "{retention:?}");
        }
    }

    #[test]
    fn dead_letters_are_made_to_hold_any_sample() {
        let mut samples = new_among(&[(MAX_MESSAGE_BYTES, "1048588")]);
        samples.own = Values::of(&[(MAX_MESSAGE_BYTES, "5000000")]);
        assert_eq!(NEEDS.of_new(Output::DeadLetters, &samples), [(MAX_MESSAGE_BYTES, "5004096".to_owned())]);
        assert_eq!(NEEDS.of_new(Output::Predictions, &samples), []);
        samples.own = samples.of_new_topics.clone();
        assert_eq!(NEEDS.of_new(Output::DeadLetters, &samples), []);
    }
}
