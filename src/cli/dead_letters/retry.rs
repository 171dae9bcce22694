//! `thalweg dead-letters retry`: sends them back, and reports the outcome.

use std::io::{Write, stdout};

use anyhow::bail;
use clap::Args;

use super::Which;
use crate::{app::dead_letters, settings::Settings, topic::Topics};

#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("which").required(true).multiple(true)
    .args(["partition", "reason", "offset", "all"])))]
pub(in crate::cli) struct Options {
    #[command(flatten)]
    which: Which,
    /// The one at this offset of the dead-letters topic; may be repeated
    #[arg(long, value_name = "N")]
    offset: Vec<i64>,
    /// Every one that was not sent back yet
    #[arg(long, conflicts_with_all = ["partition", "reason", "offset"])]
    all: bool,
}

pub(super) async fn run(settings: &Settings, options: &Options) -> anyhow::Result<()> {
    let done = dead_letters::retry(settings, &options.which.selection(&options.offset)).await?;
    let mut out = stdout().lock();
    let Topics { samples, labels, .. } = &settings.topics;
    let or_labels = labels.as_ref().map(|labels| format!(" or `{labels}`")).unwrap_or_default();
    writeln!(out, "{} of {} dead letters sent back to `{samples}`{or_labels}", done.sent, done.selected)?;
    let left = [
        (done.already, "sent back before"),
        (done.cut, "cut when they were written (thalweg.truncated): send the samples again from where they came from"),
        (done.too_large, "too large for the samples topic: raise its max.message.bytes"),
        (done.busy, "being sent by another run, which may have been cut short: try again in two minutes"),
        (done.homeless, "from another topic, or a partition that is not there: check topics.samples"),
    ];
    for (count, why) in left.iter().filter(|(count, _)| *count > 0) {
        writeln!(out, "  {count} not: {why}")?;
    }
    let missing = options.offset.len() as u64;
    if done.selected == 0 && missing > 0 {
        bail!("there is no such dead letter; `thalweg dead-letters show` lists what there is");
    }
    Ok(())
}
