//! Features that a sample does not hold itself: of its time, of what came before it, and of other fields.
//!
//! Invariant: a feature sees only what was known when the sample came, and follows from the samples alone, in the order in which they
//! came; what is unknown is NaN. Each costs O(1) or O(log n) per sample, and what is remembered is bounded.
//! What this does not do: read records, or decide what a target is. It knows no clock but that of the samples.
//!
//! Reading order: `config` (what can be asked), `plan` (the columns, and how they are filled), `builder` (how it is made), `past` (what is remembered), `series`
//! (of one value), `window` and `aggregate` (of a span), `calendar`.

mod aggregate;
mod builder;
mod calendar;
mod config;
mod past;
mod plan;
mod series;
mod window;

pub use config::{Calendar, Feature, Form, Kind, MAX_SAMPLES, MAX_TIME, Part, Since, Span, Statistic};
pub use past::Past;
pub use plan::{Column, Input, Plan, Problem};
pub use series::RESTART_AFTER;
pub use window::PARTS;
