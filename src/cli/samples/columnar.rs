//! Files of Parquet and Arrow, which are read from their ends: what comes compressed or through a pipe is copied to a file first.

use std::{
    fs::File,
    io::{self, BufRead, Seek},
};

use thalweg_columnar::ColumnarFile;

pub(super) use thalweg_columnar::{ColumnarFile as Columnar, Kind};

/// Opens a file; `read` gives the same from its beginning.
pub(super) fn open(kind: Kind, file: Option<File>, mut read: Box<dyn BufRead>) -> anyhow::Result<ColumnarFile> {
    if !kind.needs_its_end() {
        return Ok(ColumnarFile::open_stream(Box::new(read))?);
    }
    let mut file = match file {
        Some(file) => file,
        None => {
            let mut copy = tempfile::tempfile()?;
            io::copy(&mut read, &mut copy)?;
            copy
        }
    };
    file.rewind()?;
    Ok(ColumnarFile::open(kind, file)?)
}
