//! What a value is, where the settings or the record's own schema say so.

use std::str::FromStr;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use thalweg_metrics::checked;

use super::{Unit, decimal};

/// Meaning of a field's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cast {
    /// A number, in text too.
    Number,
    /// A time in any form that the field of the time may have; as a feature its milliseconds since 1970.
    Time,
    /// A number since 1970 in this unit, where the field is the time.
    In(Unit),
    /// A decimal with so many digits after the point: an integer in two's complement, its highest byte first, in base64.
    Decimal(u8),
}

checked!(
    enum Cast {
        Number,
        Time,
        In(unit),
        Decimal(digits),
    }
);

/// A field whose values are given a meaning.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Named {
    /// The field.
    pub field: String,
    /// Its meaning.
    pub cast: Cast,
}

checked!(Named { field, cast });

impl FromStr for Cast {
    type Err = ();

    /// Reads `number`, `time` or `decimal(N)`, N from 0 to 255.
    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "number" => Ok(Cast::Number),
            "time" => Ok(Cast::Time),
            _ => {
                let digits = text.strip_prefix("decimal(").and_then(|rest| rest.strip_suffix(')')).ok_or(())?;
                digits.trim().parse().map(Cast::Decimal).map_err(|_| ())
            }
        }
    }
}

/// Returns the number nearest to a decimal in base64, which has so many digits after the point; `None` where it is none.
pub(super) fn decimal(text: &str, digits: u8) -> Option<f64> {
    let bytes = STANDARD.decode(text).ok().filter(|bytes| !bytes.is_empty())?;
    decimal::read(&bytes, u32::from(digits))
}

/// Returns the number of Debezium's `{"scale":…,"value":…}`; `None` where it is none.
pub(super) fn scaled(scale: f64, value: &str) -> Option<f64> {
    let digits = scale as u8;
    if f64::from(digits) == scale { decimal(value, digits) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decimal_in_base64_is_the_nearest_number() {
        let cases = [
            ("MDQ=", 3, Some(12.34)),
            ("AA==", 2, Some(0.0)),
            ("/w==", 2, Some(-0.01)),
            ("gA==", 0, Some(-128.0)),
            ("AIA=", 0, Some(128.0)),
            ("f////////////////////w==", 0, Some(i128::MAX as f64)),
            ("AQAAAAAAAAAAAAAAAAAAAAA=", 0, Some(340_282_366_920_938_463_463_374_607_431_768_211_456.0)),
            ("", 2, None),
            ("12.34", 2, None),
        ];
        for (text, digits, number) in cases {
            assert_eq!(decimal(text, digits), number, "{text}");
        }
    }

    #[test]
    fn casts_are_spelled_as_the_settings_do() {
        assert_eq!("decimal(2)".parse(), Ok(Cast::Decimal(2)));
        assert_eq!(("number".parse(), "time".parse()), (Ok(Cast::Number), Ok(Cast::Time)));
        for wrong in ["decimal", "decimal()", "decimal(-1)", "decimal(256)", "Number", ""] {
            assert_eq!(wrong.parse::<Cast>(), Err(()), "{wrong}");
        }
    }
}
