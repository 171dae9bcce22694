//! `--label-delay`: targets that are in their samples are held back, so that models are judged by what could have been known.

use std::{fmt, str::FromStr};

use clap::Args;

use crate::{
    features::Span,
    pipeline::{
        decode::Schema,
        labels::{Labels, Mode},
    },
};

/// Options for targets that come late.
#[derive(Args, Clone, Copy, Debug, Default)]
pub(in crate::cli) struct LateLabels {
    /// Holds each target back, for so many samples (500) or so much of their time (1h): a model learns from a sample only then, and is
    /// scored on what it predicted when the sample came
    #[arg(long, value_name = "N|TIME")]
    label_delay: Option<Delay>,
}

#[derive(Clone, Copy, Debug)]
struct Delay(Span);

impl FromStr for Delay {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(samples) = text.parse() {
            return Ok(Self(Span::Samples(samples)));
        }
        let time = humantime::parse_duration(text)
            .map_err(|error| format!("it is no number of samples, such as 500, and no time, such as 1h ({error})"))?;
        let milliseconds = i64::try_from(time.as_millis()).map_err(|_| "it is too long".to_owned())?;
        Ok(Self(Span::Time(milliseconds)))
    }
}

impl fmt::Display for Delay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Span::Samples(samples) => write!(f, "{samples}"),
            Span::Time(time) => {
                write!(f, "{}", humantime::format_duration(std::time::Duration::from_millis(time.unsigned_abs())))
            }
        }
    }
}

impl LateLabels {
    /// Returns true where they are held back for some time, and not for some samples.
    pub(in crate::cli) fn go_by_time(self) -> bool {
        matches!(self.label_delay, Some(Delay(Span::Time(_))))
    }

    /// Returns the schema under which targets are held back as asked. `have_time` says that samples without a field for it have a time.
    ///
    /// # Errors
    /// The reason why they cannot be.
    pub(in crate::cli) fn applied(self, schema: &Schema, have_time: bool) -> anyhow::Result<Schema> {
        let Some(delay) = self.label_delay else { return Ok(schema.clone()) };
        if !schema.labels.is_inline() {
            anyhow::bail!(
                "--label-delay {delay} holds back targets that are in their samples; labels.mode says that these come later"
            );
        }
        if matches!(delay.0, Span::Time(_)) && schema.timestamp.is_none() && !have_time {
            anyhow::bail!(
                "--label-delay {delay} needs the samples' times: name the field that holds them in schema.timestamp, or give a number of samples"
            );
        }
        // All that is held back is of a stream that is read here, and none of it may be lost.
        let labels = Labels { mode: Mode::Delayed(delay.0), max_pending: usize::MAX, ..schema.labels.clone() };
        Ok(Schema { labels, ..schema.clone() })
    }
}
