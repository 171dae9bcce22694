//! Record batches of an Arrow file, by its footer: not every writer puts the messages before it as in a stream (polars 2.1 does
//! not).
//!
//! Invariant: a block is read only where it lies within the file, and checked as a stream's message is.

use std::{fs::File, sync::Arc};

use arrow_array::RecordBatch;
use arrow_buffer::Buffer;
use arrow_ipc::{
    Block,
    convert::try_fb_to_schema,
    reader::{FileDecoder, read_footer_length},
    root_as_footer, root_as_message,
};
use arrow_schema::SchemaRef;
use parquet::file::reader::{ChunkReader, Length};

use super::{
    source::Source,
    stream::{CONTINUATION, Failure, check},
};

/// Bytes behind the footer: its size, and the mark that is also at the beginning.
const TRAILER_BYTES: usize = 10;

/// The blocks of a file.
pub(super) struct Blocks {
    source: Source,
    decoder: FileDecoder,
    batches: Vec<Block>,
    next: usize,
}

impl Blocks {
    /// Reads footer and dictionaries.
    pub(super) fn open(file: File) -> Result<(Self, SchemaRef), Failure> {
        let source = Source::new(file)?;
        let end = source.len().checked_sub(TRAILER_BYTES as u64).ok_or("it is too short for a footer")?;
        let trailer = source.get_bytes(end, TRAILER_BYTES)?;
        let size = read_footer_length(trailer[..].try_into()?)?;
        let start = end.checked_sub(size as u64).ok_or("its footer is larger than the file")?;
        let bytes = source.get_bytes(start, size)?;
        let footer = root_as_footer(&bytes).map_err(|error| error.to_string())?;
        let schema = footer.schema().ok_or("its footer has no schema")?;
        if !schema.endianness().equals_to_target_endianness() {
            return Err("its numbers are in the order of bytes of another processor".into());
        }
        let schema = Arc::new(try_fb_to_schema(schema)?);
        let decoder = FileDecoder::new(Arc::clone(&schema), footer.version());
        let batches = footer.recordBatches().into_iter().flatten().copied().collect();
        let mut blocks = Self { source, decoder, batches, next: 0 };
        for block in footer.dictionaries().into_iter().flatten() {
            let bytes = blocks.read(block)?;
            blocks.decoder.read_dictionary(block, &bytes)?;
        }
        Ok((blocks, schema))
    }

    /// Returns the number of batches.
    pub(super) fn count(&self) -> usize {
        self.batches.len()
    }

    /// Returns the next batch; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<RecordBatch>, Failure> {
        while let Some(block) = self.batches.get(self.next) {
            let bytes = self.read(block)?;
            let batch = self.decoder.read_record_batch(block, &bytes)?;
            self.next += 1;
            if batch.is_some() {
                return Ok(batch);
            }
        }
        Ok(None)
    }

    fn read(&self, block: &Block) -> Result<Buffer, Failure> {
        let outside = "a block lies outside of the file";
        let start = u64::try_from(block.offset()).map_err(|_| outside)?;
        let head = usize::try_from(block.metaDataLength()).map_err(|_| outside)?;
        let body = usize::try_from(block.bodyLength()).map_err(|_| outside)?;
        let size = head.checked_add(body).ok_or(outside)?;
        let bytes = self.source.get_bytes(start, size)?;
        let (head, body) = bytes.split_at(head);
        let message = head.strip_prefix(&CONTINUATION).unwrap_or(head).get(4..).ok_or("a block has no message")?;
        check(&root_as_message(message).map_err(|error| error.to_string())?, body)?;
        Ok(Buffer::from(Vec::from(bytes)))
    }
}
