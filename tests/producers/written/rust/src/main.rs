//! Writes the rows of row.py and the times of times.py with the libraries of Rust: one file each in the folder named by the argument.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use arrow_array::{ArrayRef, Decimal128Array, Float64Array, Int64Array, RecordBatch, TimestampMicrosecondArray};
use arrow_json::LineDelimitedWriter;
use arrow_schema::{DataType, Field, Schema, TimeUnit};
use serde::Serialize;

const COUNT: i64 = 60;
const TIMES: i64 = 40;

#[derive(Serialize)]
struct Row<X> {
    i: f64,
    m: Option<f64>,
    n: f64,
    x: X,
    y: f64,
}

fn row<X>(k: i64, x: X) -> Row<X> {
    let infinity = if k % 2 == 1 { f64::INFINITY } else { f64::NEG_INFINITY };
    Row {
        i: if k % 5 == 2 { infinity } else { (k % 11) as f64 },
        m: (k % 4 != 3).then_some((k % 13) as f64),
        n: if k % 3 == 1 { f64::NAN } else { (k % 7) as f64 },
        x,
        y: (k % 5) as f64 + (k % 50) as f64 / 8.0,
    }
}

#[derive(Serialize)]
struct Timed<T> {
    t: T,
    id: u128,
    x: i64,
    y: i64,
}

/// Microseconds since 1970.
fn micros(k: i64) -> i64 {
    (1_774_747_800_000 + 7_500 * k) * 1_000 + 456
}

fn lines<T: Serialize>(folder: &Path, name: &str, count: i64, of: impl Fn(i64) -> T) {
    let mut file = File::create(folder.join(format!("{name}.jsonl"))).unwrap();
    for k in 0..count {
        writeln!(file, "{}", serde_json::to_string(&of(k)).unwrap()).unwrap();
    }
}

fn rows<X: Serialize>(folder: &Path, name: &str, x: impl Fn(i64) -> X) {
    lines(&folder.join("rows"), name, COUNT, |k| row(k, x(k)));
}

fn times<T: Serialize>(folder: &Path, name: &str, time: impl Fn(i64) -> T) {
    lines(&folder.join("times"), name, TIMES, |k| Timed {
        t: time(k),
        id: 18_446_744_073_709_551_617 + k as u128,
        x: k % 7,
        y: k % 7 + 1,
    });
}

fn arrow(path: &Path, columns: Vec<(&str, ArrayRef)>) {
    let fields = columns.iter().map(|(name, column)| Field::new(*name, column.data_type().clone(), true));
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let batch = RecordBatch::try_new(schema, columns.into_iter().map(|(_, column)| column).collect()).unwrap();
    let mut writer = LineDelimitedWriter::new(File::create(path).unwrap());
    writer.write(&batch).unwrap();
    writer.finish().unwrap();
}

fn main() {
    let folder = std::env::args().nth(1).unwrap();
    let folder = Path::new(&folder);
    // Only the crate `time` writes otherwise with the feature.
    let utc = |k| time::OffsetDateTime::from_unix_timestamp_nanos(i128::from(micros(k)) * 1_000).unwrap();
    let offset = time::UtcOffset::from_hms(5, 30, 0).unwrap();
    if cfg!(feature = "time-text") {
        times(folder, "rust_time_text", |k| utc(k).to_offset(offset));
        times(folder, "rust_time_text_naive", |k| time::PrimitiveDateTime::new(utc(k).date(), utc(k).time()));
        return;
    }
    times(folder, "rust_time_array", utc);

    rows(folder, "serde_json", |k| (k % 50) as f64 / 8.0);
    rows(folder, "rust_decimal", |k| rust_decimal::Decimal::new(k % 50 * 125, 3));
    rows(folder, "bigdecimal", |k| bigdecimal::BigDecimal::new((k % 50 * 125).into(), 3));
    let column = |of: fn(&Row<f64>) -> Option<f64>| -> ArrayRef {
        Arc::new(Float64Array::from_iter((0..COUNT).map(|k| of(&row(k, 0.0)))))
    };
    let x = Decimal128Array::from_iter_values((0..COUNT).map(|k| i128::from(k % 50 * 125)));
    arrow(
        &folder.join("rows/arrow_json.jsonl"),
        vec![
            ("i", column(|row| Some(row.i))),
            ("m", column(|row| row.m)),
            ("n", column(|row| Some(row.n))),
            ("x", Arc::new(x.with_precision_and_scale(9, 3).unwrap())),
            ("y", column(|row| Some(row.y))),
        ],
    );

    let chrono = |k| chrono::DateTime::from_timestamp_micros(micros(k)).unwrap();
    times(folder, "chrono_utc", chrono);
    times(folder, "chrono_naive", |k| chrono(k).naive_utc());
    times(folder, "chrono_offset", |k| chrono(k).with_timezone(&chrono::FixedOffset::east_opt(19_800).unwrap()));
    let jiff = |k| jiff::Timestamp::from_microsecond(micros(k)).unwrap();
    let zone = jiff::tz::TimeZone::get("Asia/Kolkata").unwrap();
    times(folder, "jiff_timestamp", jiff);
    times(folder, "jiff_zoned", |k| jiff(k).to_zoned_datetime(zone.clone()));
    times(folder, "jiff_civil", |k| jiff(k).to_zoned_datetime(jiff::tz::TimeZone::UTC).datetime());
    times(folder, "rust_system_time", |k| {
        std::time::UNIX_EPOCH + std::time::Duration::from_micros(micros(k) as u64)
    });
    for (name, zone) in [("naive", None), ("zoned", Some("+05:30"))] {
        let t = TimestampMicrosecondArray::from_iter_values((0..TIMES).map(micros));
        let t: ArrayRef = Arc::new(t.with_timezone_opt(zone));
        assert_eq!(t.data_type(), &DataType::Timestamp(TimeUnit::Microsecond, zone.map(Into::into)));
        let number = |of: fn(i64) -> i64| -> ArrayRef { Arc::new(Int64Array::from_iter_values((0..TIMES).map(of))) };
        let columns = vec![("t", t), ("id", number(|k| k)), ("x", number(|k| k % 7)), ("y", number(|k| k % 7 + 1))];
        arrow(&folder.join(format!("times/arrow_json_{name}.jsonl")), columns);
    }
}
