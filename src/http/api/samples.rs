//! Samples in the body of a request: an object, an array of objects, or an object a line.
//!
//! Invariant: a body is read within bounds of bytes and time, and all bodies together within a bound of bytes. It is cut into
//! samples here and understood elsewhere: each is read as a record of the stream is.

use std::{sync::Arc, time::Duration};

use axum::{
    body::Bytes,
    extract::Request,
    http::{HeaderMap, header},
};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tokio::{sync::Semaphore, time::timeout};

use super::Problem;

/// Bytes of a body, at most.
pub(super) const MAX_BODY_BYTES: usize = 8 << 20;
/// Samples in it, at most.
pub(super) const MAX_SAMPLES: usize = 10_000;
/// Bytes of all bodies that are being read or answered.
const MAX_BODIES_BYTES: usize = 64 << 20;
/// Time for a body.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// How samples come, and how what is made of them goes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Object,
    Array,
    Lines,
}

/// The samples of one request.
#[derive(Debug)]
pub(super) struct Samples {
    pub(super) form: Form,
    pub(super) values: Vec<Bytes>,
    body: Bytes,
    /// Room for the body.
    _room: tokio::sync::OwnedSemaphorePermit,
}

/// Room for bodies.
#[derive(Clone, Debug)]
pub(super) struct Room(Arc<Semaphore>);

impl Default for Room {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(MAX_BODIES_BYTES >> 10)))
    }
}

impl Samples {
    /// Reads the samples of a request.
    ///
    /// # Errors
    /// The problem with the body.
    pub(super) async fn read(request: Request, room: &Room) -> Result<Self, Problem> {
        let by_line = is_by_line(request.headers())?;
        let (body, room) = read_body(request, room).await?;
        let mut cut = Cut::default();
        let form = if by_line {
            cut.lines(&body)?;
            Form::Lines
        } else {
            cut.json(&body)?
        };
        if cut.ranges.is_empty() {
            return Err(Problem::bad_request("no_sample", "the body holds no sample"));
        }
        let values = cut.ranges.into_iter().map(|range| body.slice(range)).collect();
        Ok(Self { form, values, body, _room: room })
    }

    /// Says of a problem at which sample it is, counted from 0.
    pub(super) fn at(&self, sample: usize, problem: Problem) -> Problem {
        let Some(value) = self.values.get(sample) else { return problem };
        let before = (value.as_ptr() as usize).saturating_sub(self.body.as_ptr() as usize);
        let breaks = self.body.iter().take(before).filter(|byte| **byte == b'\n').count();
        problem.at(sample + 1, breaks + 1)
    }
}

/// Says whether there is a sample a line, by the type of the body. A page of somebody else's can have a browser post forms and
/// plain text here, but not these types.
fn is_by_line(headers: &HeaderMap) -> Result<bool, Problem> {
    if headers.contains_key(header::CONTENT_ENCODING) {
        let message = "the body is compressed: send it as it is, without Content-Encoding";
        return Err(Problem::unsupported("encoded", message));
    }
    let given = headers.get(header::CONTENT_TYPE).and_then(|it| it.to_str().ok()).unwrap_or_default();
    let kind = given.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match kind.as_str() {
        "application/json" => Ok(false),
        "application/x-ndjson" | "application/ndjson" | "application/jsonl" => Ok(true),
        _ => {
            let message = "Content-Type must be application/json (an object or an array of objects) or application/x-ndjson \
                           (an object a line)";
            Err(Problem::unsupported("content_type", message))
        }
    }
}

async fn read_body(request: Request, room: &Room) -> Result<(Bytes, tokio::sync::OwnedSemaphorePermit), Problem> {
    let length = request.headers().get(header::CONTENT_LENGTH).and_then(|it| it.to_str().ok()?.parse::<usize>().ok());
    let too_large = || {
        let message = format!("the body is larger than {MAX_BODY_BYTES} bytes: send it in several requests");
        Problem::too_large("body_too_large", message)
    };
    if length.is_some_and(|length| length > MAX_BODY_BYTES) {
        return Err(too_large());
    }
    let kibibytes = length.unwrap_or(MAX_BODY_BYTES).div_ceil(1 << 10) as u32;
    let full = |_| Problem::unavailable("busy", "too many bodies are being read: try again in a moment", 1);
    let permit = Arc::clone(&room.0).try_acquire_many_owned(kibibytes.max(1)).map_err(full)?;
    let body = Limited::new(request.into_body(), MAX_BODY_BYTES).collect();
    let late = |_| Problem::timeout(format!("the body did not come within {} s", BODY_TIMEOUT.as_secs()));
    let read = timeout(BODY_TIMEOUT, body).await.map_err(late)?;
    let read = read.map_err(|error| match error.downcast::<LengthLimitError>() {
        Ok(_) => too_large(),
        Err(error) => Problem::bad_request("body_broken", format!("the body cannot be read: {error}")),
    });
    Ok((read?.to_bytes(), permit))
}

/// Where in a body the samples are.
#[derive(Default)]
struct Cut {
    ranges: Vec<std::ops::Range<usize>>,
}

impl Cut {
    fn push(&mut self, range: std::ops::Range<usize>) -> Result<(), Problem> {
        if self.ranges.len() == MAX_SAMPLES {
            let message = format!("there are more than {MAX_SAMPLES} samples: send them in several requests");
            return Err(Problem::too_large("too_many_samples", message));
        }
        self.ranges.push(range);
        Ok(())
    }

    fn lines(&mut self, body: &[u8]) -> Result<(), Problem> {
        let mut start = 0;
        for line in body.split_inclusive(|byte| *byte == b'\n') {
            let leading = line.len() - line.trim_ascii_start().len();
            let trimmed = line.trim_ascii();
            if !trimmed.is_empty() {
                self.push(start + leading..start + leading + trimmed.len())?;
            }
            start += line.len();
        }
        Ok(())
    }

    fn json(&mut self, body: &[u8]) -> Result<Form, Problem> {
        let leading = body.len() - body.trim_ascii_start().len();
        let end = leading + body.trim_ascii().len();
        if body.get(leading) == Some(&b'[') {
            self.array(body, leading + 1, end)?;
            return Ok(Form::Array);
        }
        if leading < end {
            self.push(leading..end)?;
        }
        Ok(Form::Object)
    }

    /// Cuts at the commas between the elements; whether an element is JSON says whoever reads it.
    fn array(&mut self, body: &[u8], start: usize, end: usize) -> Result<(), Problem> {
        let not_json = |message: &str| Err(Problem::bad_request("not_json", message));
        let (mut from, mut depth, mut in_text, mut escaped) = (start, 0_usize, false, false);
        for (at, byte) in body.iter().enumerate().take(end).skip(start) {
            if in_text {
                match byte {
                    _ if escaped => escaped = false,
                    b'\\' => escaped = true,
                    b'"' => in_text = false,
                    _ => {}
                }
                continue;
            }
            match byte {
                b'"' => in_text = true,
                b'[' | b'{' => depth += 1,
                b']' if depth == 0 => {
                    let is_empty = body[from..at].trim_ascii().is_empty();
                    if !(is_empty && self.ranges.is_empty()) {
                        self.element(body, from..at)?;
                    }
                    return if at + 1 == end { Ok(()) } else { not_json("there is something behind the array's end") };
                }
                b']' | b'}' => depth = depth.saturating_sub(1),
                b',' if depth == 0 => {
                    self.element(body, from..at)?;
                    from = at + 1;
                }
                _ => {}
            }
        }
        not_json("the array does not end")
    }

    fn element(&mut self, body: &[u8], range: std::ops::Range<usize>) -> Result<(), Problem> {
        let whole = &body[range.clone()];
        let start = range.start + whole.len() - whole.trim_ascii_start().len();
        let trimmed = whole.trim_ascii();
        if trimmed.is_empty() {
            let message = format!("element {} of the array is missing", self.ranges.len() + 1);
            return Err(Problem::bad_request("not_json", message));
        }
        self.push(start..start + trimmed.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(text: &str, by_line: bool) -> Result<Vec<&str>, Problem> {
        let mut cut = Cut::default();
        if by_line {
            cut.lines(text.as_bytes())?
        } else {
            cut.json(text.as_bytes()).map(drop)?
        }
        Ok(cut.ranges.into_iter().map(|range| &text[range]).collect())
    }

    #[test]
    fn an_array_is_cut_between_its_elements_and_nowhere_else() {
        let nested = r#" [ {"a":[1,{"b":"],\"}"}]} ,{"c":NaN}, "x,y" ] "#;
        assert_eq!(cut(nested, false), Ok(vec![r#"{"a":[1,{"b":"],\"}"}]}"#, r#"{"c":NaN}"#, r#""x,y""#]));
        assert_eq!(cut("[]", false), Ok(vec![]));
        assert_eq!(cut(" {\n} ", false), Ok(vec!["{\n}"]));
        for broken in ["[", "[{}", "[{},]", "[,{}]", "[{}] {}", "[{}]]", "[\"]", "[{\"a\":\"]"] {
            assert!(cut(broken, false).is_err(), "{broken}");
        }
    }

    #[test]
    fn lines_are_cut_whatever_they_end_with_and_empty_ones_are_none() {
        assert_eq!(cut("{\"a\":1}\r\n\n  {}  \n{", true), Ok(vec!["{\"a\":1}", "{}", "{"]));
        assert_eq!(cut(" \n\r\n", true), Ok(vec![]));
    }
}
