//! Opening a file: what is it, and can all of it be loaded?

use std::fs::File;
use std::io::{ErrorKind, Read as _, Seek as _, SeekFrom};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use arrow_schema::DataType;
use jiff::tz::TimeZone;
use parquet::arrow::arrow_reader::ArrowReaderMetadata;
use parquet::arrow::parquet_to_arrow_schema;
use parquet::errors::ParquetError;
use parquet::file::metadata::{
    ParquetMetaData, ParquetMetaDataOptions, ParquetMetaDataReader, ParquetStatisticsPolicy,
    RowGroupMetaData,
};
use parquet::file::reader::{ChunkReader as _, Length as _};

use super::super::identity::SourceIdentity;
use super::chunks::Chunks;
use super::rows::UNFORESEEN;
use super::{Inner, ParquetOptions, damage_of, form, physical, plausible};
use crate::rows::SourceError;

/// What a Parquet file begins and ends with, and what one with an encrypted
/// footer does.
const MAGIC: [u8; 4] = *b"PAR1";
const ENCRYPTED_MAGIC: [u8; 4] = *b"PARE";

/// Magic, length of the footer and magic again: no file is shorter.
const FEWEST_BYTES: u64 = 12;

pub(super) fn open(path: &Path, options: &ParquetOptions) -> Result<Inner, SourceError> {
    let refused = |reason: String| SourceError::Header { path: path.to_owned(), reason };
    let damaged = |reason: String| SourceError::Damaged { path: path.to_owned(), reason };
    let failed = |source| SourceError::Io { path: path.to_owned(), source };
    let zone = match &options.time_zone {
        None => None,
        Some(name) => Some(
            TimeZone::get(name)
                .map_err(|_| refused(format!("there is no time zone called `{name}`")))?,
        ),
    };
    let mut file = File::open(path).map_err(failed)?;
    let about = file.metadata().map_err(failed)?;
    if about.is_dir() {
        return Err(failed(ErrorKind::IsADirectory.into()));
    }
    if !about.is_file() {
        let reason = "this is no regular file; rows must be readable more than once";
        return Err(refused(reason.to_owned()));
    }
    let identity = SourceIdentity::read(&mut file).map_err(failed)?;
    if identity.bytes == 0 {
        return Err(SourceError::Empty { path: path.to_owned() });
    }
    check_ends(&mut file, identity.bytes).map_err(failed)?.map_err(|wrong| match wrong {
        Wrong::Refused(reason) => refused(reason.to_owned()),
        Wrong::Damaged(reason) => damaged(reason.to_owned()),
    })?;

    let chunks = Chunks::of_footer(file, identity.bytes);
    let footer = guarded(|| footer(&chunks)).map_err(damaged)?;
    let (header, columns) = guarded(|| Ok(columns(&footer))).map_err(damaged)?.map_err(refused)?;
    let metadata = guarded(|| {
        let options = physical::options(footer.file_metadata().schema())?;
        ArrowReaderMetadata::load(&chunks, options)
    })
    .map_err(damaged)?;
    let rows = rows(metadata.metadata()).ok_or_else(|| {
        damaged("its row groups have not the rows that its footer tells".to_owned())
    })?;
    Ok(Inner {
        path: path.to_owned(),
        identity,
        metadata,
        header,
        columns,
        rows,
        nulls: options.nulls,
        zone,
        bytes_as_text: options.bytes_as_text,
    })
}

/// Runs what decodes; it may panic at data that is damaged in an unforeseen
/// way.
fn guarded<T>(decode: impl FnOnce() -> Result<T, ParquetError>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(decode)) {
        Ok(Ok(decoded)) => Ok(decoded),
        Ok(Err(error)) => Err(format!("its footer can't be read: {}", damage_of(&error))),
        Err(_) => Err(UNFORESEEN.to_owned()),
    }
}

enum Wrong {
    Refused(&'static str),
    Damaged(&'static str),
}

/// Looks at the first and last bytes.
fn check_ends(file: &mut File, bytes: u64) -> std::io::Result<Result<(), Wrong>> {
    let mut first = [0; 4];
    file.seek(SeekFrom::Start(0))?;
    let got = file.take(4).read(&mut first)?;
    if first[..got] != MAGIC && first != ENCRYPTED_MAGIC {
        return Ok(Err(Wrong::Refused("this is no Parquet file")));
    }
    if bytes < FEWEST_BYTES {
        return Ok(Err(Wrong::Damaged("it is shorter than any Parquet file")));
    }
    let mut last = [0; 4];
    file.seek(SeekFrom::End(-4))?;
    file.read_exact(&mut last)?;
    Ok(match (first, last) {
        (_, ENCRYPTED_MAGIC) => Err(Wrong::Refused(
            "the file is encrypted, which is not read; write it without encryption",
        )),
        (MAGIC, MAGIC) => Ok(()),
        _ => Err(Wrong::Damaged("its end is missing; most likely it was cut short")),
    })
}

fn footer(chunks: &Chunks) -> Result<ParquetMetaData, ParquetError> {
    // Its length, then the magic.
    let tail = chunks.get_bytes(chunks.len() - 8, 4)?;
    let length = tail.iter().rev().fold(0u64, |length, &byte| length << 8 | u64::from(byte));
    let start = (chunks.len() - 8).checked_sub(length);
    let implausible = || ParquetError::EOF("it tells of more than it holds".to_owned());
    let bytes = chunks.get_bytes(start.ok_or_else(implausible)?, length as usize)?;
    if !plausible::footer(&bytes) {
        return Err(implausible());
    }
    let skip = ParquetStatisticsPolicy::SkipAll;
    let options = ParquetMetaDataOptions::new()
        .with_column_stats_policy(skip.clone())
        .with_size_stats_policy(skip.clone())
        .with_encoding_stats_policy(skip);
    ParquetMetaDataReader::new().with_metadata_options(Some(options)).parse_and_finish(chunks)
}

/// The columns by name, or why they can't be loaded.
fn columns(footer: &ParquetMetaData) -> Result<(Vec<String>, Vec<form::Column>), String> {
    let schema = footer.file_metadata().schema();
    let fields = schema.get_fields();
    if fields.is_empty() {
        return Err("the file has no columns".to_owned());
    }
    let encrypted: Vec<String> = fields
        .iter()
        .filter(|field| is_encrypted(footer, field.name()))
        .map(|field| format!("`{}`", field.name()))
        .collect();
    if !encrypted.is_empty() {
        return Err(format!(
            "columns are encrypted, which is not read: {}; write the file without encryption",
            encrypted.join(", ")
        ));
    }
    // What the writer noted may be of no use; then Parquet's own types count.
    let notes = footer.file_metadata().key_value_metadata();
    let hints: Vec<DataType> =
        match parquet_to_arrow_schema(footer.file_metadata().schema_descr(), notes) {
            Ok(schema) => schema.fields().iter().map(|field| field.data_type().clone()).collect(),
            Err(_) => Vec::new(),
        };
    let mut columns = Vec::with_capacity(fields.len());
    let mut wrong = Vec::new();
    for (at, field) in fields.iter().enumerate() {
        match form::column(field, hints.get(at)) {
            Ok(column) => columns.push(column),
            Err(what) => wrong.push(format!("`{}` ({what})", field.name())),
        }
    }
    if !wrong.is_empty() {
        return Err(format!(
            "columns whose values no field takes: {}; leave them out of the file or turn them \
             into text",
            wrong.join(", ")
        ));
    }
    Ok((fields.iter().map(|field| field.name().to_owned()).collect(), columns))
}

/// Whether a column of the first level holds anything encrypted.
fn is_encrypted(footer: &ParquetMetaData, name: &str) -> bool {
    let mut chunks = footer.row_groups().iter().flat_map(RowGroupMetaData::columns);
    chunks.any(|chunk| {
        let path = chunk.column_descr().path().parts();
        path.first().is_some_and(|first| first == name) && chunk.crypto_metadata().is_some()
    })
}

/// The rows of a file, if footer and row groups agree on them.
fn rows(metadata: &ParquetMetaData) -> Option<u64> {
    let mut rows = 0u64;
    for group in metadata.row_groups() {
        rows = rows.checked_add(u64::try_from(group.num_rows()).ok()?)?;
    }
    (u64::try_from(metadata.file_metadata().num_rows()).ok()? == rows).then_some(rows)
}
