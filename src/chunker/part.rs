//! Some rows of a chunk as a body of their own: what is sent again when the
//! others of the chunk have their final fate.
//!
//! The rows are taken from the body as it was sent, byte for byte, so nothing
//! is encoded a second time. Memory is that of the splitter: a block and the
//! longest record (I6).

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::Xxh3Default;

use super::open::copy;
use super::spool::Spool;
use crate::domain::{LineEnding, RowNumber, RowRanges};
use crate::rows::{Dialect, RecordSplitter, RowStream as _, SourceError};

/// Bytes a record may have: one of the source (8 MiB) may have grown by the
/// quotes and line ends that were written into it.
const MAX_RECORD: usize = 32 << 20;

/// Which rows of a chunk are wanted, and where they go.
#[derive(Debug, Clone, Copy)]
pub struct PartSpec<'a> {
    /// The rows the body holds, in its order.
    pub rows: &'a RowRanges,
    /// The rows that are wanted; each is one of those.
    pub wanted: &'a RowRanges,
    /// The byte between two cells.
    pub delimiter: u8,
    /// Rows a part holds at most (at least 1); with [`u64::MAX`] there is one.
    pub max_rows: u64,
    /// The run's folder of spools.
    pub spool_dir: &'a Path,
}

/// A body that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Its name in the folder of spools.
    pub file: String,
    /// The rows it holds, in order.
    pub rows: RowRanges,
    /// Its bytes; no line end has to be added.
    pub bytes: u64,
    /// xxh3-128 of them, 32 hex digits.
    pub digest: String,
}

/// Why no parts were written. What had been written is gone again.
#[derive(Debug, thiserror::Error)]
pub enum PartError {
    /// The chunk's body can't be read through.
    #[error("the body of the chunk can't be read")]
    Body(#[source] SourceError),
    /// The body holds other rows than the ledger says: sending any of them
    /// would put results to the wrong rows (I1).
    #[error("the body of the chunk holds {found} rows where the ledger says {said}")]
    RowCount {
        /// Rows the chunk has.
        said: u64,
        /// Rows found.
        found: u64,
    },
    /// A row is wanted that the chunk doesn't have.
    #[error("row {row} is not of this chunk")]
    NotOfChunk {
        /// The row.
        row: RowNumber,
    },
    /// A part can't be written.
    #[error("the spool file {} can't be written", path.display())]
    Spool {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Writes the wanted rows of a chunk's body into spool files, private and on
/// their medium when this returns. `body` is what
/// [`open_rows`](super::open_rows) gives; `name` gives the name of the n-th
/// part, from 0.
///
/// No part is written for no wanted row; the body is read through all the same.
///
/// # Errors
/// [`PartError`]. No part remains then.
pub fn write_parts(
    body: impl Read + Send,
    spec: &PartSpec<'_>,
    name: &mut dyn FnMut(usize) -> String,
) -> Result<Vec<Part>, PartError> {
    if let Some(row) = stranger(spec.rows, spec.wanted) {
        return Err(PartError::NotOfChunk { row });
    }
    let mut writer = Writer { spec, name, open: None, done: Vec::new() };
    let written = writer.write_all(body);
    match written {
        Ok(()) => Ok(writer.done),
        Err(error) => {
            writer.discard();
            Err(error)
        }
    }
}

/// The xxh3-128 of a body, 32 hex digits: to see before it is sent again that
/// it is what the ledger says. The digest of a span is that of its bytes,
/// without an added line end.
///
/// # Errors
/// What the reader says.
pub fn digest_of(body: &mut dyn Read) -> io::Result<String> {
    let mut digest = Xxh3Default::new();
    copy(body, &mut |bytes| {
        digest.update(bytes);
        Ok(())
    })?;
    Ok(hex(&digest))
}

fn hex(digest: &Xxh3Default) -> String {
    format!("{:032x}", digest.digest128())
}

/// The first row that is wanted and isn't there.
fn stranger(rows: &RowRanges, wanted: &RowRanges) -> Option<RowNumber> {
    let mut rows = rows.iter();
    wanted.iter().find(|row| rows.by_ref().find(|known| known >= row) != Some(*row))
}

/// A part being written.
struct OpenPart {
    file: String,
    spool: Spool,
    rows: RowRanges,
    bytes: u64,
    digest: Xxh3Default,
}

struct Writer<'a> {
    spec: &'a PartSpec<'a>,
    name: &'a mut dyn FnMut(usize) -> String,
    open: Option<OpenPart>,
    done: Vec<Part>,
}

impl Writer<'_> {
    fn write_all(&mut self, body: impl Read + Send) -> Result<(), PartError> {
        // Line ends of both kinds end a record, so this one says nothing.
        let dialect =
            Dialect { delimiter: self.spec.delimiter, quote: b'"', line_ending: LineEnding::Lf };
        let place = Path::new("the body");
        let mut records = RecordSplitter::new(body, dialect, None, RowNumber(1), 0, place)
            .without_limits()
            .max_record_bytes(MAX_RECORD);
        let mut rows = self.spec.rows.iter();
        let mut wanted = self.spec.wanted.iter().peekable();
        let mut found = 0;
        while let Some(batch) = records.next_batch().map_err(PartError::Body)? {
            for record in &batch.records {
                found += 1;
                let Some(row) = rows.next() else { continue };
                if wanted.next_if_eq(&row).is_some() {
                    let text = record.start as usize..record.next as usize;
                    self.take(row, batch.bytes.get(text).unwrap_or_default())?;
                }
            }
        }
        let said = self.spec.rows.len();
        if found != said {
            return Err(PartError::RowCount { said, found });
        }
        self.close()
    }

    fn take(&mut self, row: RowNumber, text: &[u8]) -> Result<(), PartError> {
        if self.open.as_ref().is_some_and(|open| open.rows.len() >= self.spec.max_rows.max(1)) {
            self.close()?;
        }
        let open = match &mut self.open {
            Some(open) => open,
            None => {
                let file = (self.name)(self.done.len());
                let spool = Spool::create(self.spec.spool_dir, file.clone())
                    .map_err(|source| failed(self.spec, &file, source))?;
                self.open.insert(OpenPart {
                    file,
                    spool,
                    rows: RowRanges::new(),
                    bytes: 0,
                    digest: Xxh3Default::new(),
                })
            }
        };
        open.spool.write(text).map_err(|source| failed(self.spec, &open.file, source))?;
        open.digest.update(text);
        open.bytes += text.len() as u64;
        open.rows.push(row);
        Ok(())
    }

    fn close(&mut self) -> Result<(), PartError> {
        let Some(OpenPart { file, spool, rows, bytes, digest }) = self.open.take() else {
            return Ok(());
        };
        let digest = hex(&digest);
        // Listed first, so that it goes too when this fails.
        self.done.push(Part { file: file.clone(), rows, bytes, digest });
        spool.finish().map_err(|source| failed(self.spec, &file, source))?;
        Ok(())
    }

    /// Removes what was written. A file that stays is private, and a later part
    /// of the same name replaces it.
    fn discard(self) {
        if let Some(open) = self.open {
            let _ = open.spool.discard();
        }
        for part in self.done {
            let _ = std::fs::remove_file(self.spec.spool_dir.join(part.file));
        }
    }
}

fn failed(spec: &PartSpec<'_>, file: &str, source: io::Error) -> PartError {
    PartError::Spool { path: spec.spool_dir.join(file), source }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use proptest::prelude::*;
    use xxhash_rust::xxh3::xxh3_128;

    use super::*;

    fn ranges(rows: &[u64]) -> RowRanges {
        rows.iter().copied().map(RowNumber).collect()
    }

    /// Parts of a body; each as its file's text and its rows.
    fn parts(
        body: &str,
        rows: &[u64],
        wanted: &[u64],
        max_rows: u64,
    ) -> Result<Vec<(String, Vec<u64>)>, PartError> {
        let dir = tempfile::tempdir().unwrap();
        let (rows, wanted) = (ranges(rows), ranges(wanted));
        let spec = PartSpec {
            rows: &rows,
            wanted: &wanted,
            delimiter: b',',
            max_rows,
            spool_dir: dir.path(),
        };
        let written = write_parts(Cursor::new(body), &spec, &mut |at| format!("part-{at}.csv"));
        let left = std::fs::read_dir(dir.path()).unwrap().count();
        assert_eq!(left, written.as_ref().map_or(0, Vec::len), "no other file stays");
        Ok(written?
            .into_iter()
            .enumerate()
            .map(|(at, part)| {
                assert_eq!(part.file, format!("part-{at}.csv"));
                let path = dir.path().join(&part.file);
                let text = std::fs::read_to_string(&path).unwrap();
                assert_eq!(part.bytes, text.len() as u64);
                assert_eq!(part.digest, format!("{:032x}", xxh3_128(text.as_bytes())));
                #[cfg(unix)]
                {
                    use std::os::unix::fs::PermissionsExt as _;
                    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
                    assert_eq!(mode & 0o777, 0o600);
                }
                (text, part.rows.iter().map(|row| row.0).collect())
            })
            .collect())
    }

    #[test]
    fn wanted_rows_go_as_they_stand() {
        let body = "a,1\r\n\"b\n,\"\"x\",2\n\n\"c\",3\r\nd,4\n";
        let rows = [3, 5, 6, 9];
        assert_eq!(
            parts(body, &rows, &[5, 6], u64::MAX).unwrap(),
            [("\"b\n,\"\"x\",2\n\"c\",3\r\n".to_owned(), vec![5, 6])]
        );
        assert_eq!(
            parts(body, &rows, &[3, 6, 9], 2).unwrap(),
            [("a,1\r\n\"c\",3\r\n".to_owned(), vec![3, 6]), ("d,4\n".to_owned(), vec![9])]
        );
        assert_eq!(parts(body, &rows, &[], 2).unwrap(), []);
    }

    #[test]
    fn a_body_of_other_rows_is_refused_and_leaves_nothing() {
        let body = "a\nb\nc\n";
        for rows in [&[1, 2][..], &[1, 2, 3, 4]] {
            let refused = parts(body, rows, &[1, 2], 1).unwrap_err();
            let said = rows.len() as u64;
            assert!(
                matches!(refused, PartError::RowCount { said: s, found: 3 } if s == said),
                "{refused}"
            );
        }
        let refused = parts(body, &[1, 2, 4], &[2, 3], 1).unwrap_err();
        assert!(matches!(refused, PartError::NotOfChunk { row: RowNumber(3) }), "{refused}");
        let refused = parts("a\nb\n\"c\n", &[1, 2, 3], &[1, 2], 1).unwrap_err();
        assert!(matches!(refused, PartError::Body(_)), "{refused}");
    }

    #[test]
    fn a_folder_that_is_gone_is_named() {
        let rows = ranges(&[1]);
        let spool_dir = Path::new("/nonexistent/spools");
        let spec = PartSpec { rows: &rows, wanted: &rows, delimiter: b',', max_rows: 9, spool_dir };
        let refused = write_parts(Cursor::new("a\n"), &spec, &mut |_| "x.csv".to_owned());
        let refused = refused.unwrap_err().to_string();
        assert!(refused.contains("/nonexistent/spools/x.csv"), "{refused}");
    }

    #[test]
    fn a_digest_tells_bodies_apart() {
        let digest = |text: &str| digest_of(&mut Cursor::new(text)).unwrap();
        assert_eq!(digest("a,b\n"), format!("{:032x}", xxh3_128(b"a,b\n")));
        assert_ne!(digest("a,b\n"), digest("a,c\n"));
        assert_ne!(digest("a,b\n"), digest("a,b"));
    }

    proptest! {
        #[test]
        fn parts_are_what_picking_line_by_line_gives(
            records in prop::collection::vec(
                (
                    prop_oneof![
                        "[a-z]{1,6}(,[a-z ]{0,6}){0,2}",
                        "\"([a-z,\r\n]|\"\"){0,8}\"(,[a-z]{0,3}){0,2}",
                    ],
                    any::<bool>(),
                    1u64..4,
                    any::<bool>(),
                ),
                0..40,
            ),
            max_rows in 1u64..12,
        ) {
            let mut body = String::new();
            let (mut rows, mut number) = (Vec::new(), 0);
            let mut picked: Vec<(u64, String)> = Vec::new();
            for (text, crlf, gap, wanted) in records {
                let line = format!("{text}{}", if crlf { "\r\n" } else { "\n" });
                body.push_str(&line);
                number += gap;
                rows.push(number);
                if wanted {
                    picked.push((number, line));
                }
            }
            let wanted: Vec<u64> = picked.iter().map(|(row, _)| *row).collect();
            let expected: Vec<(String, Vec<u64>)> = picked
                .chunks(max_rows as usize)
                .map(|part| {
                    let text = part.iter().map(|(_, line)| line.as_str()).collect();
                    (text, part.iter().map(|(row, _)| *row).collect())
                })
                .collect();
            prop_assert_eq!(parts(&body, &rows, &wanted, max_rows).unwrap(), expected);
        }
    }
}
