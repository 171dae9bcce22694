//! A copy of what a worker has learned, for predicting beside it.
//!
//! Invariant: a replica never changes, and every sample is read and predicted as if it were the next one of the stream at the
//! replica's position: what one sample brings (a new feature, a new category) is forgotten before the next. The numbers are
//! those that the stream would publish, to the bit.
//! What this does not do: learn, or count anything.

use std::sync::Arc;

use bytes::Bytes;

use crate::{
    contributions::{self, Usual},
    decode::{Decoder, Explode, Format, Headed, Index, ReadAhead, Rejection, Row, Rows, Schema},
    form::{integer, number, quote},
    labels::{Labels, Pending},
    prequential::{Buffers, Prequential},
};
use thalweg_features::Past;
use thalweg_metrics::Interval;
use thalweg_topic::record::Headers;

/// What a worker had learned after the records before a position.
#[derive(Debug)]
pub struct Replica {
    /// The partition of the samples.
    pub partition: i32,
    /// Input offset of the next record.
    pub position: i64,
    /// Schema of the samples.
    pub schema: Schema,
    /// Features and categories by name.
    pub index: Index,
    /// What features are made of.
    pub past: Arc<Past>,
    /// Time of the last record, in milliseconds since 1970, which stands in for that of a sample without one.
    pub time: Option<i64>,
    /// The models.
    pub race: Prequential,
}

/// Predicts with a replica; one per request, since reading samples takes buffers.
#[derive(Debug)]
pub struct Predictor {
    replica: Arc<Replica>,
    decoder: Decoder,
    /// Index and decoder of rows without the stream's envelope; `None` where it has none.
    bare: Option<(Index, Decoder)>,
    ahead: ReadAhead,
    explode: Explode,
    buffers: Buffers,
    /// What replaces the features, where predictions are to be explained.
    usual: Option<Usual>,
    /// `{"partition":…,"version":…,"model":…,"prediction":`
    head: Vec<u8>,
    /// `"<name>":` per model, with a comma before all but the first.
    members: Vec<Vec<u8>>,
    has_intervals: bool,
}

impl Predictor {
    /// Makes one; `explain` adds contributions to the predictions.
    pub fn new(replica: Arc<Replica>, explain: bool) -> Self {
        let Replica { partition, schema, index, past, time, race, .. } = &*replica;
        // Whatever the stream's own format, who asks has no serializer.
        let as_json = Schema { format: Format::Json, labels: Labels::default(), ..schema.clone() };
        let decoder = |index: Index| {
            let mut decoder = Decoder::with_past(&as_json, index, Arc::clone(past), Pending::default());
            decoder.set_record(*time, None, &Headers::new());
            decoder
        };
        let names: Vec<String> = race.names().map(|name| quote(name)).collect();
        let champion = names.get(race.champion()).map_or("\"\"", String::as_str);
        let version = race.version();
        let head = format!(r#"{{"partition":{partition},"version":{version},"model":{champion},"prediction":"#);
        let member = |(i, name): (usize, &String)| format!("{}{name}:", if i > 0 { "," } else { "" }).into_bytes();
        Self {
            decoder: decoder(index.clone()),
            bare: index.without_envelope().map(|index| (index.clone(), decoder(index))),
            ahead: ReadAhead::new(&as_json),
            explode: Explode::new(&as_json),
            buffers: race.buffers(),
            usual: explain.then(|| Usual::of(race.recent())),
            head: head.into_bytes(),
            members: names.iter().enumerate().map(member).collect(),
            has_intervals: race.config().intervals.is_some(),
            replica,
        }
    }

    /// Returns the number of predictions that one sample takes.
    pub fn cost(&self) -> usize {
        if self.usual.is_some() { 1 + self.replica.index.columns() } else { 1 }
    }

    /// Reads names and numbers of some samples ahead.
    pub fn read_ahead<'v>(&mut self, values: impl Iterator<Item = &'v [u8]>) -> Rows {
        self.ahead.read(values.map(Some))
    }

    /// Predicts one sample and appends the prediction to `out`, as a JSON object. `row` is what was read ahead of it.
    ///
    /// # Errors
    /// The reason why the stream would make a dead letter of it; `out` is as it was.
    pub fn predict(&mut self, value: &[u8], row: Option<Row<'_>>, out: &mut Vec<u8>) -> Result<(), Rejection> {
        if !self.explode.is_needed() {
            return self.predict_row(value, row, out);
        }
        match self.explode.rows(&Bytes::copy_from_slice(value), Headed::default()) {
            Some(rows) if rows.len() > 1 => Err(Rejection::SeveralRows { rows: rows.len() }),
            Some(rows) => rows.first().map_or(Err(Rejection::NoRows), |row| self.predict_row(row, None, out)),
            None => self.predict_row(value, row, out),
        }
    }

    fn predict_row(&mut self, value: &[u8], row: Option<Row<'_>>, out: &mut Vec<u8>) -> Result<(), Rejection> {
        let Self { replica, decoder, bare, buffers, usual, head, members, has_intervals, .. } = self;
        let decoder = match bare {
            Some((index, rows)) if !decoder.is_wrapped(value) => {
                rows.forget(index);
                rows
            }
            _ => {
                decoder.forget(&replica.index);
                decoder
            }
        };
        let sample = decoder.decode_ahead(Some(value), row)?;
        let race = &replica.race;
        let predicted = race.predict_only(sample.features, sample.keys, sample.target.is_some(), buffers);
        let published = predicted.predictions.get(race.champion()).copied().unwrap_or(f64::NAN);
        out.extend_from_slice(head);
        number(out, published);
        if *has_intervals {
            // There is no interval before the first error.
            let unknown = Interval { lower: f64::NAN, upper: f64::NAN };
            let Interval { lower, upper } = predicted.interval.unwrap_or(unknown);
            out.extend_from_slice(b",\"lower\":");
            number(out, lower);
            out.extend_from_slice(b",\"upper\":");
            number(out, upper);
        }
        out.extend_from_slice(b",\"predictions\":{");
        for (member, prediction) in members.iter().zip(predicted.predictions) {
            out.extend_from_slice(member);
            number(out, *prediction);
        }
        out.push(b'}');
        if let Some(usual) = usual {
            let contributions = contributions::of(race, &sample, published, usual, buffers);
            out.extend_from_slice(b",\"explanation\":{\"method\":\"occlusion\",\"samples\":");
            integer(out, usual.samples());
            out.extend_from_slice(b",\"contributions\":{");
            let names = decoder.index().column_names();
            for (i, (name, contribution)) in
                contributions.into_iter().filter_map(|(i, it)| Some((names.get(i)?, it))).enumerate()
            {
                if i > 0 {
                    out.push(b',');
                }
                out.extend_from_slice(quote(name).as_bytes());
                out.push(b':');
                number(out, contribution);
            }
            out.extend_from_slice(b"}}");
        }
        out.push(b'}');
        Ok(())
    }
}
