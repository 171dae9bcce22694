//! Messages of Arrow's stream.
//!
//! Invariant: a message is read whole before anything is made of it, no more than there is; and what it claims to hold
//! unpacked is bounded before it is unpacked, since a claim of any size would be believed.

use std::{
    io::{self, Read},
    sync::Arc,
};

use arrow_array::RecordBatch;
use arrow_buffer::Buffer;
use arrow_ipc::{
    Message, MessageHeader, RecordBatch as Layout, convert::try_fb_to_schema, reader::StreamDecoder, root_as_message,
};
use arrow_schema::SchemaRef;

/// Four bytes in front of a message's size.
pub(super) const CONTINUATION: [u8; 4] = [0xff; 4];
/// Most bytes of an unpacked column.
const MAX_COLUMN_BYTES: i64 = 1 << 30;

pub(super) type Failure = Box<dyn std::error::Error>;

/// Ends a stream, as some writers do not.
const END: [u8; 8] = [0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0];

/// Reader of a stream's record batches.
pub(super) struct Messages {
    read: Box<dyn Read>,
    decoder: StreamDecoder,
    /// What the decoder has not read yet. It takes a message without a body only once there is something behind it.
    rest: Buffer,
    is_ended: bool,
}

impl Messages {
    /// Reads up to the schema.
    pub(super) fn open(read: Box<dyn Read>) -> Result<(Self, SchemaRef), Failure> {
        let mut messages = Self { read, decoder: StreamDecoder::new(), rest: Buffer::default(), is_ended: false };
        let first = messages.message()?.ok_or("it is empty")?;
        let about = first.strip_prefix(&CONTINUATION).unwrap_or(&first).get(4..).unwrap_or_default();
        let about = root_as_message(about).map_err(|error| error.to_string())?;
        let schema = about.header_as_schema().ok_or("it does not begin with a schema")?;
        if !schema.endianness().equals_to_target_endianness() {
            return Err("its numbers are in the order of bytes of another processor".into());
        }
        let schema = Arc::new(try_fb_to_schema(schema)?);
        messages.rest = first.into();
        Ok((messages, schema))
    }

    /// Returns the next batch; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<RecordBatch>, Failure> {
        loop {
            while !self.rest.is_empty() {
                if let Some(batch) = self.decoder.decode(&mut self.rest)? {
                    return Ok(Some(batch));
                }
            }
            if self.is_ended {
                return Ok(None);
            }
            self.rest = match self.message()? {
                Some(message) => message.into(),
                None => {
                    self.is_ended = true;
                    END.to_vec().into()
                }
            };
        }
    }

    /// Reads the next message with what is in front of it; `None` at the end.
    fn message(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        let mut message = Vec::new();
        if (&mut self.read).take(4).read_to_end(&mut message)? == 0 {
            // A stream may simply stop.
            return Ok(None);
        }
        let missing = 4_u64.saturating_sub(message.len() as u64);
        self.fill(&mut message, missing)?;
        if message == CONTINUATION {
            self.fill(&mut message, 4)?;
        }
        let start = message.len();
        let size = message.last_chunk().map_or(0, |size| u32::from_le_bytes(*size));
        if size == 0 {
            return Ok(None);
        }
        self.fill(&mut message, size.into())?;
        let about = root_as_message(&message[start..]).map_err(|error| error.to_string())?;
        let body = u64::try_from(about.bodyLength()).map_err(|_| "a message has fewer bytes than none")?;
        let end = message.len();
        self.fill(&mut message, body)?;
        let about = root_as_message(&message[start..end]).map_err(|error| error.to_string())?;
        check(&about, &message[end..])?;
        Ok(Some(message))
    }

    /// Reads so many more bytes.
    fn fill(&mut self, into: &mut Vec<u8>, count: u64) -> io::Result<()> {
        let read = (&mut self.read).take(count).read_to_end(into)?;
        if (read as u64) < count { Err(io::Error::other("it ends too early")) } else { Ok(()) }
    }
}

/// Checks what a message claims of the columns in its body.
pub(super) fn check(message: &Message<'_>, body: &[u8]) -> Result<(), Failure> {
    let layout: Option<Layout<'_>> = match message.header_type() {
        MessageHeader::RecordBatch => message.header_as_record_batch(),
        MessageHeader::DictionaryBatch => message.header_as_dictionary_batch().and_then(|it| it.data()),
        _ => None,
    };
    let Some(layout) = layout else { return Ok(()) };
    let is_packed = layout.compression().is_some();
    for column in layout.buffers().into_iter().flatten() {
        let part = usize::try_from(column.offset()).ok().zip(usize::try_from(column.length()).ok());
        let part = part.and_then(|(start, length)| body.get(start..start.checked_add(length)?));
        let part = part.ok_or("a column lies outside of its batch")?;
        let claimed = part.first_chunk().map_or(0, |size| i64::from_le_bytes(*size));
        if is_packed && claimed > MAX_COLUMN_BYTES {
            return Err(format!("a column claims to hold {claimed} bytes").into());
        }
    }
    Ok(())
}
