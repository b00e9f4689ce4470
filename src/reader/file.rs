//! One file of a source: what it is, and its rows from any place on.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use encoding_rs::UTF_8;
use serde::{Deserialize, Serialize};

use super::blocks::{Block, Blocks, Cursor};
use super::csv::CsvSource;
use super::identity::SourceIdentity;
use super::layout::Rewrite;
use super::options::SourceOptions;
use super::packing::Packing;
use super::parquet::{ParquetFile, ParquetRows, Place};
use super::text::{self, CsvFile, TextFile, open_regular};
use super::{NamedFile, recognise};
use crate::domain::{LineEnding, RowNumber};
use crate::rows::{Dialect, RowStream, SourceError, SourceRows as _, Stretch};

/// What a file was found to be. A run keeps it, so that a resume reads the
/// file by what was found and not by what it would find.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "format")]
pub enum FileFormat {
    /// CSV text.
    Csv {
        /// How its bytes are packed.
        packing: Packing,
        /// Its encoding, by the name of the WHATWG Encoding Standard.
        encoding: String,
        /// Whether it begins with a byte order mark.
        byte_order_mark: bool,
        /// The byte between two cells.
        delimiter: u8,
        /// The byte around a quoted cell; 0 for none.
        quote: u8,
        /// How its header's line ends.
        line_end: LineEnd,
    },
    /// Parquet.
    Parquet,
}

/// How lines of a text end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LineEnd {
    /// Line feed.
    Lf,
    /// Carriage return and line feed.
    Crlf,
    /// Carriage return alone.
    Cr,
}

/// A file of a source.
#[derive(Debug, Clone)]
pub(super) struct SourceFile {
    pub(super) named: NamedFile,
    pub(super) identity: SourceIdentity,
    pub(super) format: FileFormat,
    pub(super) body: Body,
}

/// How the rows of a file are had.
#[derive(Debug, Clone)]
pub(super) enum Body {
    /// As its bytes stand.
    Plain(CsvSource),
    /// Unpacked, decoded, or written anew while it is read.
    Made { file: TextFile, rewrite: Option<Arc<Rewrite>> },
    /// From its columns, in these places.
    Parquet { file: ParquetFile, places: Vec<Place> },
}

/// Looks at a file; what a person should know of it comes along.
pub(super) fn open(
    named: &NamedFile,
    options: &SourceOptions,
) -> Result<(SourceFile, Option<String>), SourceError> {
    let path = &named.path;
    let failed = |source| SourceError::Io { path: path.clone(), source };
    let mut file = open_regular(path)?;
    let mut head = Vec::new();
    (&file).take(4).read_to_end(&mut head).map_err(failed)?;
    if head.is_empty() {
        return Err(SourceError::Empty { path: path.clone() });
    }
    if recognise::PARQUET.contains(&head.as_slice()) {
        let identity = SourceIdentity::read(&mut file).map_err(failed)?;
        let file = ParquetFile::open(path, &options.parquet)?;
        let format = FileFormat::Parquet;
        let local: Vec<String> = file.local_timestamps().map(|name| format!("`{name}`")).collect();
        let note = (!local.is_empty() && options.parquet.time_zone.is_none()).then(|| {
            format!(
                "{} holds times of no zone, which are taken for UTC ({}); --timezone names theirs",
                path.display(),
                local.join(", ")
            )
        });
        let body = Body::Parquet { file, places: Vec::new() };
        return Ok((SourceFile { named: named.clone(), identity, format, body }, note));
    }
    let (file, note) = text::open(path, options)?;
    let (identity, format, body) = match file {
        CsvFile::Plain(csv) => {
            let mark = csv.has_bom();
            let format = csv_format(Packing::None, UTF_8.name(), mark, csv.dialect(), false);
            (csv.identity().clone(), format, Body::Plain(csv))
        }
        CsvFile::Made(file) => {
            let (packing, name) = (file.packing, file.encoding.name());
            let format = csv_format(packing, name, file.has_mark, file.dialect, file.returns);
            (file.identity.clone(), format, Body::Made { file, rewrite: None })
        }
    };
    Ok((SourceFile { named: named.clone(), identity, format, body }, note))
}

fn csv_format(
    packing: Packing,
    encoding: &str,
    byte_order_mark: bool,
    dialect: Dialect,
    returns: bool,
) -> FileFormat {
    FileFormat::Csv {
        packing,
        encoding: encoding.to_owned(),
        byte_order_mark,
        delimiter: dialect.delimiter,
        quote: dialect.quote,
        line_end: match dialect.line_ending {
            _ if returns => LineEnd::Cr,
            LineEnding::Lf => LineEnd::Lf,
            LineEnding::Crlf => LineEnd::Crlf,
        },
    }
}

impl FileFormat {
    /// The options by which a file of this format is read again.
    pub(super) fn options(&self, asked: &SourceOptions) -> SourceOptions {
        match self {
            FileFormat::Csv { encoding, delimiter, quote, .. } => SourceOptions {
                delimiter: Some(*delimiter),
                quote: Some(*quote),
                encoding: Some(encoding.clone()),
                parquet: asked.parquet.clone(),
            },
            FileFormat::Parquet => asked.clone(),
        }
    }
}

impl SourceFile {
    pub(super) fn path(&self) -> &Path {
        &self.named.path
    }

    /// Its own column names.
    pub(super) fn header(&self) -> &[String] {
        match &self.body {
            Body::Plain(csv) => csv.header(),
            Body::Made { file, .. } => &file.header,
            Body::Parquet { file, .. } => file.header(),
        }
    }

    /// How its own text is written; that of a rendered one is as we write it.
    pub(super) fn dialect(&self) -> Dialect {
        match &self.body {
            Body::Plain(csv) => csv.dialect(),
            Body::Made { file, .. } => file.dialect,
            Body::Parquet { .. } => super::source::RENDERED,
        }
    }

    /// Its rows, where they are known without reading it.
    pub(super) fn known_rows(&self) -> Option<u64> {
        match &self.body {
            Body::Parquet { file, .. } => Some(file.rows()),
            _ => None,
        }
    }

    /// Has its rows written as the source has them.
    pub(super) fn laid_out(&mut self, to: Dialect, places: Vec<Place>) {
        let own = self.dialect();
        let straight = places.len() == self.header().len()
            && places.iter().enumerate().all(|(at, place)| *place == Place::Column(at))
            && (own.delimiter, own.quote) == (to.delimiter, to.quote);
        match &mut self.body {
            Body::Parquet { places: layout, .. } => *layout = places,
            _ if straight => {}
            Body::Plain(csv) => {
                let file = TextFile::of_plain(csv);
                let rewrite = Some(Arc::new(Rewrite { from: own, to, places }));
                self.body = Body::Made { file, rewrite };
            }
            Body::Made { rewrite, .. } => {
                *rewrite = Some(Arc::new(Rewrite { from: own, to, places }));
            }
        }
    }

    /// Opens the file at a row (from 0); not for [`Body::Plain`].
    pub(super) fn cursor(&self, row: u64, block_bytes: usize) -> Result<Cursor, SourceError> {
        match &self.body {
            Body::Plain(_) => Err(SourceError::Changed { path: self.path().to_owned() }),
            Body::Made { file, rewrite } => {
                let mut cursor = Cursor::new(file.blocks(rewrite.clone(), block_bytes)?, 0);
                if cursor.go_to(row)? {
                    Ok(cursor)
                } else {
                    Err(SourceError::Changed { path: self.path().to_owned() })
                }
            }
            Body::Parquet { file, places } => {
                // The footer is that of the opening; the pages are read anew.
                self.identity.reopen(self.path())?;
                let rows = file.read(row, places, block_bytes)?;
                let blocks =
                    ColumnBlocks { rows, at: row, of: file.rows(), bytes: self.identity.bytes };
                Ok(Cursor::new(Box::new(blocks), row))
            }
        }
    }

    /// Opens a part of a file whose bytes go as they stand.
    pub(super) fn plain_rows(
        csv: &CsvSource,
        start: u64,
        end: Option<u64>,
        first_row: RowNumber,
    ) -> Result<Box<dyn RowStream>, SourceError> {
        let end = end.unwrap_or(csv.identity().bytes).min(csv.identity().bytes);
        let start = start.max(csv.data_start());
        csv.rows(Some(Stretch { start: start.min(end), end, first_row }))
    }
}

/// Rows rendered from columns.
struct ColumnBlocks {
    rows: ParquetRows,
    at: u64,
    of: u64,
    bytes: u64,
}

impl Blocks for ColumnBlocks {
    fn next_block(&mut self) -> Result<Option<Block>, SourceError> {
        let Some(rendered) = self.rows.next_block()? else { return Ok(None) };
        self.at += rendered.records.len() as u64;
        Ok(Some(Block { bytes: rendered.bytes.into(), records: rendered.records }))
    }

    fn read_bytes(&self) -> u64 {
        // By the share of its rows; pages are read by columns.
        let share = u128::from(self.bytes) * u128::from(self.at) / u128::from(self.of.max(1));
        u64::try_from(share).unwrap_or(self.bytes)
    }
}
