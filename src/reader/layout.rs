//! Files of one source whose columns stand in another order, or between other
//! delimiters, than those of its first file.

use bytes::Bytes;
use memchr::{memchr, memchr2};

use super::blocks::Block;
use super::parquet::Place;
use crate::rows::{Cells, Dialect, RawRecord, RowFault, write_cell};

/// Writes records of one file as the source has them.
#[derive(Debug, Clone)]
pub(super) struct Rewrite {
    /// How the file is written.
    pub(super) from: Dialect,
    /// How the source is written; its quote is the double one.
    pub(super) to: Dialect,
    /// Where the columns of the source come from.
    pub(super) places: Vec<Place>,
}

impl Rewrite {
    /// Writes a block of records anew. Faults stay with their rows.
    pub(super) fn apply(&self, block: &Block) -> Block {
        let mut bytes = Vec::with_capacity(block.bytes.len() + block.bytes.len() / 8);
        let mut values: Vec<Vec<u8>> = Vec::new();
        let mut records = Vec::with_capacity(block.records.len());
        for record in &block.records {
            let text = block.bytes.get(record.start as usize..record.end as usize);
            let cells = Cells::new(text.unwrap_or_default(), self.from.delimiter, self.from.quote);
            let mut count = 0;
            for cell in cells {
                let value = cell.value();
                match values.get_mut(count) {
                    Some(place) => {
                        place.clear();
                        place.extend_from_slice(&value);
                    }
                    None => values.push(value.into_owned()),
                }
                count += 1;
            }
            let cells = values.get(..count).unwrap_or_default();
            let start = bytes.len();
            if matches!(record.fault, Some(RowFault::Ragged { .. })) {
                // Nobody knows which cell belongs to which column.
                self.write(&mut bytes, cells.iter().map(Vec::as_slice));
            } else {
                self.write(&mut bytes, self.places.iter().map(|place| place_of(place, cells)));
            }
            let end = bytes.len();
            bytes.extend_from_slice(self.to.line_ending.bytes());
            let written = bytes.get(start..end).unwrap_or_default();
            records.push(RawRecord {
                start: start as u32,
                end: end as u32,
                next: bytes.len() as u32,
                has_quotes: memchr(self.to.quote, written).is_some(),
                has_line_break: memchr2(b'\n', b'\r', written).is_some(),
                has_stray_quote: false,
                fault: record.fault.map(|fault| self.moved(fault)),
            });
        }
        Block { bytes: Bytes::from(bytes), records }
    }

    fn write<'v>(&self, out: &mut Vec<u8>, values: impl Iterator<Item = &'v [u8]>) {
        let begin = out.len();
        for (at, value) in values.enumerate() {
            if at > 0 {
                out.push(self.to.delimiter);
            }
            write_cell(out, value, self.to.delimiter);
        }
        if out.len() == begin {
            // Its line must not be blank.
            out.extend_from_slice(b"\"\"");
        }
    }

    /// A fault by the column of the source.
    fn moved(&self, fault: RowFault) -> RowFault {
        let column_of = |own: u32| {
            let at = self.places.iter().position(
                |place| matches!(place, Place::Column(column) if *column as u32 + 1 == own),
            );
            at.map_or(own, |at| at as u32 + 1)
        };
        match fault {
            RowFault::Utf8 { column, at } => RowFault::Utf8 { column: column_of(column), at },
            RowFault::Encoding { column } => RowFault::Encoding { column: column_of(column) },
            RowFault::AfterQuote { column } => RowFault::AfterQuote { column: column_of(column) },
            RowFault::FieldTooLong { column, chars } => {
                RowFault::FieldTooLong { column: column_of(column), chars }
            }
            other => other,
        }
    }
}

fn place_of<'v>(place: &'v Place, cells: &'v [Vec<u8>]) -> &'v [u8] {
    match place {
        Place::Column(column) => cells.get(*column).map_or(b"", Vec::as_slice),
        Place::Constant(value) => value.as_deref().unwrap_or_default().as_bytes(),
    }
}

/// Where the columns of a source come from in one of its files, or how the two
/// differ. Names are equal as they stand, byte for byte.
pub(super) fn places(
    header: &[String],
    own: &[String],
    partitions: &[(String, Option<String>)],
) -> Result<Vec<Place>, String> {
    let mut places = Vec::with_capacity(header.len());
    let mut used = vec![false; own.len()];
    let mut missing = Vec::new();
    for (at, name) in header.iter().enumerate() {
        if let Some((_, value)) = partitions.iter().find(|(column, _)| column == name) {
            places.push(Place::Constant(value.clone()));
            continue;
        }
        // The same place first: names may occur twice, which others complain of.
        let same = own.get(at).filter(|own| *own == name && !used[at]).map(|_| at);
        let found = same.or_else(|| (0..own.len()).find(|&at| own[at] == *name && !used[at]));
        match found {
            Some(column) => {
                used[column] = true;
                places.push(Place::Column(column));
            }
            None => missing.push(format!("`{name}`")),
        }
    }
    let beyond: Vec<String> = own
        .iter()
        .zip(&used)
        .filter(|(name, used)| !**used && !partitions.iter().any(|(column, _)| column == *name))
        .map(|(name, _)| format!("`{name}`"))
        .collect();
    match (missing.is_empty(), beyond.is_empty()) {
        (true, true) => Ok(places),
        (false, true) => Err(format!("it lacks the columns {}", missing.join(", "))),
        (true, false) => Err(format!("it has columns more: {}", beyond.join(", "))),
        (false, false) => Err(format!(
            "it lacks the columns {}, and has columns more: {}",
            missing.join(", "),
            beyond.join(", ")
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{LineEnding, RowNumber};
    use crate::rows::RecordSplitter;

    fn names(text: &str) -> Vec<String> {
        text.split(' ').filter(|name| !name.is_empty()).map(str::to_owned).collect()
    }

    #[test]
    fn columns_are_found_by_name_and_differences_told() {
        let found = |header, own| places(&names(header), &names(own), &[]);
        assert_eq!(found("A B", "B A"), Ok(vec![Place::Column(1), Place::Column(0)]));
        assert_eq!(found("A A", "A A"), Ok(vec![Place::Column(0), Place::Column(1)]));
        assert_eq!(found("A B", "A").unwrap_err(), "it lacks the columns `B`");
        assert_eq!(
            found("A B", "A c").unwrap_err(),
            "it lacks the columns `B`, and has columns more: `c`"
        );
        let year = [("Year".to_owned(), Some("2024".to_owned()))];
        assert_eq!(
            places(&names("A Year"), &names("A"), &year),
            Ok(vec![Place::Column(0), Place::Constant(Some("2024".to_owned()))])
        );
    }

    #[test]
    fn records_are_written_as_the_source_has_them() {
        let from = Dialect { delimiter: b';', quote: b'\'', line_ending: LineEnding::Crlf };
        let to = Dialect { delimiter: b',', quote: b'"', line_ending: LineEnding::Lf };
        let places = vec![Place::Column(1), Place::Column(0), Place::Constant(None)];
        let text = "'a;b';c,d\r\n1;2;3\r\n'x'y;2\r\n;\r\n".as_bytes();
        let mut splitter =
            RecordSplitter::new(text, from, Some(2), RowNumber(1), 0, std::path::Path::new("x"));
        let batch = crate::rows::RowStream::next_batch(&mut splitter).unwrap().unwrap();
        let block = Block { bytes: batch.bytes, records: batch.records };
        let written = Rewrite { from, to, places }.apply(&block);
        assert_eq!(&*written.bytes, b"\"c,d\",a;b,\n1,2,3\n2,'x'y,\n,,\n");
        let faults: Vec<_> = written.records.iter().map(|record| record.fault).collect();
        assert_eq!(
            faults,
            [
                None,
                Some(RowFault::Ragged { expected: 2, found: 3 }),
                Some(RowFault::AfterQuote { column: 2 }),
                None
            ]
        );
    }
}
