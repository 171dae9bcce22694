//! Looks at what workers leave of their outputs, for those who listen.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use super::{observer::Observer, timeline::Told};
use thalweg_http::{self as http, Event, Live, Prediction};
use thalweg_pipeline::{
    snapshot::Snapshot,
    tap::{Left, Seen, Tapped},
};

/// How far it has been looked.
pub(super) struct Tail {
    observer: Arc<Observer>,
    seen: BTreeMap<i32, Seen>,
}

impl Tail {
    pub(super) fn new(observer: Arc<Observer>) -> Self {
        Self { observer, seen: BTreeMap::new() }
    }
}

impl http::Tail for Tail {
    fn read(&mut self, asked: u32) -> Live {
        let Some(views) = self.observer.views() else { return Live::default() };
        let workers = views.borrow().clone();
        let time = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64);
        let mut live = Live::default();
        for (&partition, view) in &workers {
            let Left { predictions, events } = view.tap().read(self.seen.entry(partition).or_default());
            view.tap().ask(asked);
            if let Some(snapshot) = view.snapshot().filter(|_| !predictions.is_empty()) {
                live.predictions.extend(predictions.into_iter().map(|made| prediction(partition, &snapshot, made)));
            }
            let events = events.iter().filter_map(|event| {
                let published = serde_json::from_slice(event).ok()?;
                let Told { kind, model, words } = Told::of(&published)?;
                Some(Event { partition, kind, model, time, told: words, published })
            });
            live.events.extend(events);
        }
        self.seen.retain(|partition, _| workers.contains_key(partition));
        live
    }
}

fn prediction(partition: i32, snapshot: &Snapshot, made: Tapped) -> Prediction {
    let Tapped { offset, row, timestamp, target, interval, champion, version, predictions } = made;
    let names = snapshot.models.iter().map(|model| Arc::clone(&model.name));
    Prediction {
        partition,
        offset,
        row,
        timestamp,
        target,
        prediction: predictions.get(champion).copied().unwrap_or(f64::NAN),
        lower: interval.map(|interval| interval.lower),
        upper: interval.map(|interval| interval.upper),
        model: snapshot.models.get(champion).map(|model| Arc::clone(&model.name)).unwrap_or_default(),
        version,
        predictions: names.zip(predictions).collect(),
    }
}
