//! The network between daemon and broker: cut, refused, slow, gone, and answers that never come or come too late.

use std::time::Duration;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use thalweg::topic::Output;

use crate::{
    Scene, explains,
    proxy::{LinkCondition, Proxy, Trap},
    support::{kill_loop::Ground, proof::source},
};

/// Over the daemon's `request_timeout`.
const TOO_LATE: Duration = Duration::from_millis(2500);

fn scene(name: &str) -> (Scene, Proxy) {
    scene_with(name, &[])
}

fn scene_with(name: &str, settings: &[&str]) -> (Scene, Proxy) {
    let scene = Scene::behind_proxy(name, settings);
    let proxy = Proxy::start(scene.broker.proxy_port(), scene.broker.proxied_port());
    (scene, proxy)
}

#[test]
fn connections_that_are_cut_again_and_again_cost_nothing() {
    let (scene, proxy) = scene("cut");
    let mut daemon = scene.under_load(5000, 2000);
    let mut rng = ChaCha8Rng::seed_from_u64(6);
    for _ in 0..15 {
        let goal = scene.published() + 300;
        daemon.watch(Duration::from_millis(rng.random_range(0..300)));
        proxy.cut_all();
        scene.until_published(&mut daemon, goal);
    }
    scene.settle(daemon);
}

#[test]
fn connections_that_are_refused_for_a_while_cost_nothing() {
    let (scene, proxy) = scene("refused");
    let mut daemon = scene.under_load(5000, 2000);
    proxy.refuse();
    explains(&daemon.event("broker_unreachable"));
    daemon.watch(Duration::from_secs(2));
    proxy.accept();
    daemon.event("broker_recovered");
    scene.settle(daemon);
}

#[test]
fn a_slow_network_only_slows() {
    let (scene, proxy) = scene("slow");
    let mut daemon = scene.under_load(5000, 2000);
    proxy.weather(LinkCondition::Slow(Duration::from_millis(200)));
    let goal = scene.published() + 5000;
    scene.until_published(&mut daemon, goal);
    let daemon = scene.settle(daemon);
    for event in ["broker_unreachable", "worker_interrupted"] {
        assert_eq!(daemon.lines_of(event), Vec::<&serde_json::Value>::new());
    }
}

/// Requests that are under way together take their turns on the way: the last takes longer than any may alone.
#[test]
fn a_backlog_goes_through_a_slow_network_and_no_request_is_given_up() {
    let (scene, proxy) = scene_with("slow-backlog", &["generator.enabled=false"]);
    scene.produce(0..20_000);
    proxy.weather(LinkCondition::Slow(Duration::from_millis(250)));
    let mut daemon = scene.site.start(&["run", "--until-caught-up"]);
    assert!(daemon.wait().success(), "{}", daemon.story());
    for event in ["broker_unreachable", "worker_interrupted"] {
        assert_eq!(daemon.lines_of(event), Vec::<&serde_json::Value>::new());
    }
    scene.prove();
}

#[test]
fn a_network_that_swallows_everything_for_a_while_costs_nothing() {
    let (scene, proxy) = scene("hole");
    let mut daemon = scene.under_load(5000, 2000);
    proxy.weather(LinkCondition::BlackHole);
    explains(&daemon.event("broker_unreachable"));
    daemon.watch(Duration::from_secs(4));
    proxy.weather(LinkCondition::Clear);
    daemon.event("broker_recovered");
    scene.settle(daemon);
}

/// Springs a trap for each topic that the daemon writes to, several times over.
fn trapped(name: &str, trap: Trap, times: usize) {
    let (scene, proxy) = scene(name);
    let mut daemon = scene.under_load(5000, 2000);
    let topics = [&scene.names.outputs[0], &scene.names.samples, &scene.names.outputs[1]];
    for topic in topics.into_iter().cycle().take(3 * times) {
        let sprung = proxy.sprung();
        proxy.lay(topic, trap);
        scene.bus.until("a request in the trap", || {
            scene.mix_in(&[Some(b"for the dead letters".to_vec())]);
            daemon.watch(Duration::from_millis(20));
            proxy.sprung() > sprung
        });
        let goal = scene.published() + 1000;
        scene.until_published(&mut daemon, goal);
    }
    scene.settle(daemon);
}

#[test]
fn requests_that_were_acknowledged_without_our_knowing_are_not_repeated() {
    trapped("unknown", Trap::CutBeforeResponse, 3);
}

#[test]
fn requests_whose_answer_comes_after_the_deadline_are_not_repeated() {
    trapped("late", Trap::DelayResponse(TOO_LATE), 1);
}

#[test]
fn requests_that_reach_the_broker_after_the_deadline_are_not_doubled() {
    trapped("overdue", Trap::DelayRequest(TOO_LATE), 1);
}

/// A request is lost; those behind it land once it was sent again, and before they are.
#[test]
fn what_lands_behind_a_request_that_was_sent_again_does_not_put_times_back() {
    const LOST: i64 = 1;
    let settings =
        ["generator.enabled=false", "transport.kafka.request_timeout=3s", "transport.kafka.max_batch_bytes=1024"];
    let (scene, proxy) = scene_with("behind", &settings);
    let predictions = &scene.names.outputs[0];
    // A record, which has the key of its sample, fills a request.
    let produce = |range: std::ops::Range<i64>| {
        let samples = range.map(|i| Some(format!(r#"{{"x":{i},"y":{}}}"#, i % 7).into_bytes()));
        scene.bus.produce(&scene.names.samples, 0, &[b'k'; 1200], samples);
    };
    let mut daemon = scene.site.start(&["run"]);
    produce(0..LOST);
    scene.until_published(&mut daemon, LOST);
    proxy.lay(predictions, Trap::LoseRequest);
    produce(LOST..LOST + 3);
    scene.bus.until("a request that is lost", || proxy.sprung() == 1);
    proxy.lay(predictions, Trap::HoldRequest);
    scene.bus.until("that it is sent again", || proxy.sprung() == 2);
    proxy.lay(predictions, Trap::HoldRequest);
    proxy.release();
    scene.bus.until("that the next one is sent again", || proxy.sprung() == 3);
    proxy.let_through();
    scene.bus.until("those of before", || scene.bus.end(predictions, 0) == LOST + 3);
    proxy.release();
    produce(LOST + 3..LOST + 6);
    scene.until_published(&mut daemon, LOST + 6);
    assert!(daemon.stop().success(), "{}", daemon.story());
    let records = scene.bus.read(predictions, 0);
    let sources: Vec<i64> = records.iter().map(|record| source(Output::Predictions, record)).collect();
    assert_eq!(sources, (0..LOST + 6).collect::<Vec<_>>());
    let times: Vec<i64> = records.iter().map(|record| record.timestamp).collect();
    assert!(times.is_sorted(), "times go back: {times:?}");
}
