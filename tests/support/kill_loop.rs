//! kill -9 at random moments, seeded: right at the start, while records are replayed, in the middle of work; with another
//! producer that mixes in records which cannot be used.

use std::{
    cell::Cell,
    time::{Duration, Instant},
};

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{
    PATIENCE,
    daemon::{Daemon, Workspace},
};

/// Models of a race, as a setting.
pub const MODELS: &str = r#"models=[{kind="mean"},{kind="linear"},{kind="hoeffding_tree",grace_period=50},{kind="adaptive_tree",grace_period=50}]"#;

/// Models that are made of others, and the one of many experts.
pub const ENSEMBLES: &str = r#"models=[{kind="mean"},{kind="linear"},{kind="hoeffding_tree",grace_period=50},{name="blend",kind="mixture",members=["mean","linear","hoeffding_tree"]},{kind="mixture"},{kind="champion",members=["linear","blend","mixture"]}]"#;

/// A daemon that is killed, and its topics.
pub trait Ground {
    /// Its folder and settings.
    fn site(&self) -> &Workspace;
    /// Predictions and dead letters that there are now, 0 while there is no topic yet.
    fn published(&self) -> i64;
    /// Appends foreign records, as another producer would. Does nothing while there is no topic yet.
    fn mix_in(&self, values: &[Option<Vec<u8>>]);
    /// A setting that the run with this number has besides.
    fn besides(&self, _run: usize) -> Option<&'static str> {
        None
    }
}

/// How a daemon is battered.
pub struct Plan {
    pub kills: usize,
    pub seed: u64,
    /// The latest that a kill in the middle of work comes after the first new prediction.
    pub work: Duration,
    /// Samples a second that the generator sends in a run that is not at full speed.
    pub rate: u64,
    /// One run in so many is at full speed.
    pub full_speed: u32,
}

/// Counts and times of a kill loop.
pub struct KillReport {
    pub kills: usize,
    /// From a start to the first prediction after it.
    restarts: Vec<Duration>,
    /// Kills while records were being replayed.
    replaying: usize,
}

impl KillReport {
    /// One line for people.
    pub fn summary(&self) -> String {
        let mut restarts = self.restarts.clone();
        restarts.sort_unstable();
        let (median, worst) = (restarts.get(restarts.len() / 2), restarts.last());
        format!(
            "{} kills survived ({} while replaying), restart to first prediction: median {:.0?}, worst {:.0?} of {}",
            self.kills,
            self.replaying,
            median.copied().unwrap_or_default(),
            worst.copied().unwrap_or_default(),
            restarts.len()
        )
    }
}

/// Kills the daemon again and again, then lets it stop in order and catch up.
pub fn kill_loop(ground: &impl Ground, plan: &Plan) -> KillReport {
    let mut rng = ChaCha8Rng::seed_from_u64(plan.seed);
    let mut report = KillReport { kills: 0, restarts: Vec::new(), replaying: 0 };
    for _ in 0..plan.kills {
        if rng.random_ratio(1, 3) {
            ground.mix_in(&unusable(&mut rng));
        }
        let before = ground.published();
        let started = Instant::now();
        let rate = if rng.random_ratio(1, plan.full_speed) { 0 } else { plan.rate };
        let rate = format!("generator.rate={rate}");
        let besides = ground.besides(report.kills).map(|setting| ["--set", setting]);
        let words = [&["run", "--set", &rate][..], besides.as_ref().map_or(&[], |words| &words[..])];
        let mut daemon = ground.site().start(&words.concat());
        match rng.random_range(0..10) {
            // Opening the state file, the transport, restoring.
            0..2 => daemon.watch(below(&mut rng, Duration::from_millis(60))),
            2..5 => {
                let line = daemon.event("worker_started");
                report.replaying += usize::from(line["replay"].as_i64().is_some_and(|replay| replay > 0));
                daemon.watch(below(&mut rng, Duration::from_millis(40)));
            }
            _ => {
                await_published(ground, &mut daemon, before);
                report.restarts.push(started.elapsed());
                let moment = below(&mut rng, plan.work);
                if rng.random_ratio(1, 3) {
                    daemon.watch(moment / 2);
                    ground.mix_in(&unusable(&mut rng));
                }
                daemon.watch(moment / 2);
            }
        }
        daemon.kill();
        report.kills += 1;
    }
    finish(ground, plan.rate);
    report
}

/// Once more with the generator, long enough for it to complete the batch amid which it was killed, to an end in order;
/// and then all that is left.
pub fn finish(ground: &impl Ground, rate: u64) {
    let before = ground.published();
    let mut daemon = ground.site().start(&["run", "--set", &format!("generator.rate={rate}")]);
    await_published(ground, &mut daemon, before + rate.cast_signed() / 2);
    assert!(daemon.stop().success(), "the last run did not end in order");
    let caught_up = ground.site().run(&["run", "--until-caught-up"]);
    assert!(caught_up.status.success(), "{}", String::from_utf8_lossy(&caught_up.stderr));
}

/// Awaits that there are more outputs than `before`, taking in the daemon's log meanwhile.
fn await_published(ground: &impl Ground, daemon: &mut Daemon, before: i64) {
    let deadline = Instant::now() + PATIENCE;
    while ground.published() <= before {
        assert!(Instant::now() < deadline, "no prediction within {PATIENCE:?}; the log: {}", daemon.story());
        daemon.watch(Duration::from_millis(2));
    }
}

/// A duration under `limit`, any of them as likely.
fn below(rng: &mut impl Rng, limit: Duration) -> Duration {
    limit.mul_f64(rng.random::<f64>())
}

/// A few records of another producer: most cannot be used, some can.
fn unusable(rng: &mut impl Rng) -> Vec<Option<Vec<u8>>> {
    thread_local!(static COUNT: Cell<u64> = const { Cell::new(0) });
    let mut one = || {
        let i = COUNT.replace(COUNT.get() + 1);
        Some(match rng.random_range(0..7) {
            0 => format!(r#"{{"x0":NaN,"y":{i}}}"#).into_bytes(),
            1 => format!("not JSON, no. {i}").into_bytes(),
            2 => format!(r#"{{"x0":"text {i}","y":2}}"#).into_bytes(),
            3 => format!("[{i}]").into_bytes(),
            4 => vec![0xff, 0xfe, i as u8],
            5 => return None,
            _ => format!(r#"{{"x0":0.5,"x1":0.25,"y":{}}}"#, i % 20).into_bytes(),
        })
    };
    (0..10).map(|_| one()).collect()
}
