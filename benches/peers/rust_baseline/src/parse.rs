//! One telemetry record, by each of the parsers that people reach for.

use chrono::DateTime;
use serde::Deserialize;
use serde_json::Value;

/// Ten readings, and whether the device is well.
pub const FEATURES: usize = 11;

/// What the models and the prediction need of a record.
#[derive(Default)]
pub struct Reading {
    pub key: String,
    pub timestamp: i64,
    pub x: [f64; FEATURES],
    pub y: f64,
}

/// The parsers.
#[derive(Clone, Copy)]
pub enum Parser {
    /// `serde_json::Value`.
    Value,
    /// serde_json into a struct.
    Serde,
    /// simd-json into a struct.
    SimdJson,
    /// sonic-rs into a struct.
    SonicRs,
}

#[derive(Deserialize)]
struct Record<'r> {
    #[serde(borrow)]
    device: Device<'r>,
    time: &'r str,
    readings: Readings,
    y: f64,
}

#[derive(Deserialize)]
struct Device<'r> {
    id: &'r str,
    ok: bool,
}

#[derive(Deserialize)]
struct Readings {
    x0: f64,
    x1: f64,
    x2: f64,
    x3: f64,
    x4: f64,
    x5: f64,
    x6: f64,
    x7: f64,
    x8: f64,
    x9: f64,
}

impl Parser {
    pub fn from_name(name: &str) -> Result<Self, String> {
        match name {
            "value" => Ok(Self::Value),
            "serde" => Ok(Self::Serde),
            "simd-json" => Ok(Self::SimdJson),
            "sonic-rs" => Ok(Self::SonicRs),
            _ => Err(format!("--parser is value, serde, simd-json or sonic-rs, not {name}")),
        }
    }

    /// Reads a record, whose bytes may be spent on it.
    pub fn read(self, json: &mut [u8], reading: &mut Reading) -> Result<(), String> {
        match self {
            Self::Value => from_value(&serde_json::from_slice(json).map_err(|error| error.to_string())?, reading),
            Self::Serde => from_record(&serde_json::from_slice(json).map_err(|error| error.to_string())?, reading),
            Self::SimdJson => from_record(&simd_json::from_slice(json).map_err(|error| error.to_string())?, reading),
            Self::SonicRs => from_record(&sonic_rs::from_slice(json).map_err(|error| error.to_string())?, reading),
        }
    }
}

fn from_record(record: &Record<'_>, reading: &mut Reading) -> Result<(), String> {
    let Readings { x0, x1, x2, x3, x4, x5, x6, x7, x8, x9 } = record.readings;
    reading.x = [f64::from(u8::from(record.device.ok)), x0, x1, x2, x3, x4, x5, x6, x7, x8, x9];
    reading.y = record.y;
    identify(record.device.id, record.time, reading)
}

fn from_value(record: &Value, reading: &mut Reading) -> Result<(), String> {
    let number = |value: &Value| value.as_f64().ok_or_else(|| format!("a number is missing in {record}"));
    let text =
        |value: &'_ Value| value.as_str().map(str::to_owned).ok_or_else(|| format!("a text is missing in {record}"));
    let readings = record["readings"].as_object().ok_or_else(|| format!("no readings in {record}"))?;
    let ok = record["device"]["ok"].as_bool().ok_or_else(|| format!("no state in {record}"))?;
    reading.x[0] = f64::from(u8::from(ok));
    for (x, value) in reading.x[1..].iter_mut().zip(readings.values()) {
        *x = number(value)?;
    }
    reading.y = number(&record["y"])?;
    identify(&text(&record["device"]["id"])?, &text(&record["time"])?, reading)
}

fn identify(id: &str, time: &str, reading: &mut Reading) -> Result<(), String> {
    reading.key.clear();
    reading.key.push_str(id);
    reading.timestamp =
        DateTime::parse_from_rfc3339(time).map_err(|error| format!("{time}: {error}"))?.timestamp_millis();
    Ok(())
}
