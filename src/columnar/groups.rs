//! Groups of rows of a Parquet file, one after the other.
//!
//! Invariant: a batch is of one group, so that what is damaged costs no rows of the groups before it.

use std::fs::File;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};

use super::{source::Source, stream::Failure};

/// Rows of a batch.
const BATCH_ROWS: usize = 1024;

/// The groups of a file.
pub(super) struct Groups {
    source: Source,
    metadata: ArrowReaderMetadata,
    /// Rows of each.
    rows: Vec<u64>,
    next: usize,
    reader: Option<ParquetRecordBatchReader>,
}

impl Groups {
    /// Reads the footer.
    pub(super) fn open(file: File) -> Result<(Self, SchemaRef), Failure> {
        let source = Source::new(file)?;
        let metadata = ArrowReaderMetadata::load(&source, Default::default())?;
        let groups = metadata.metadata().row_groups().iter();
        let rows = groups.map(|group| group.num_rows().try_into().unwrap_or(0)).collect();
        let schema = metadata.schema().clone();
        Ok((Self { source, metadata, rows, next: 0, reader: None }, schema))
    }

    /// Returns the number of rows of each group.
    pub(super) fn rows(&self) -> &[u64] {
        &self.rows
    }

    /// Returns the next batch; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<RecordBatch>, Failure> {
        loop {
            if let Some(batch) = self.reader.as_mut().and_then(Iterator::next) {
                return Ok(Some(batch?));
            }
            if self.next == self.rows.len() {
                return Ok(None);
            }
            let (source, metadata) = (self.source.clone(), self.metadata.clone());
            let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(source, metadata);
            let builder = builder.with_row_groups(vec![self.next]).with_batch_size(BATCH_ROWS);
            self.next += 1;
            self.reader = Some(builder.build()?);
        }
    }
}
