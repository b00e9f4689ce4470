//! A look at the first rows of a source: what its columns seem to hold.

use crate::domain::{RowNumber, RowPlace};
use crate::rows::{CLEAR, Cells, RowFault, SourceError, SourceRows as _};

use super::Source;

/// Rows that are looked at for the types of columns.
const ROWS: u64 = 10_000;

/// What the first rows of a source show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glance {
    /// Rows looked at.
    pub rows: u64,
    /// Whether these are all.
    pub is_all: bool,
    /// The columns, in order.
    pub columns: Vec<ColumnGlance>,
    /// Rows that can't be sent for a fault of their own.
    pub faulty: u64,
    /// The first of them, and why.
    pub first_fault: Option<(RowPlace, RowFault)>,
    /// The first rows, by their places, with their cells; faulty ones left out.
    pub first_rows: Vec<(RowPlace, Vec<String>)>,
}

/// What the first rows show of one column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnGlance {
    /// Its name.
    pub name: String,
    /// What its values look like: of Parquet the type, else the narrowest word
    /// that fits all of them.
    pub looks_like: String,
    /// Cells that are empty.
    pub empty: u64,
    /// Characters of the longest value.
    pub longest: usize,
}

/// Kinds of text, as far as all values of a column are of them.
#[derive(Debug, Clone, Copy)]
struct Fits {
    integer: bool,
    leading_zero: bool,
    number: bool,
    boolean: bool,
    date: bool,
    datetime: bool,
    id: bool,
}

impl Fits {
    const ALL: Fits = Fits {
        integer: true,
        leading_zero: false,
        number: true,
        boolean: true,
        date: true,
        datetime: true,
        id: true,
    };

    fn take(&mut self, value: &str) {
        let digits = value.strip_prefix(['-', '+']).unwrap_or(value);
        let is_integer = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        self.integer &= is_integer;
        self.leading_zero |= is_integer && digits.len() > 1 && digits.starts_with('0');
        self.number &= value.bytes().any(|byte| byte.is_ascii_digit())
            && value.parse::<f64>().is_ok_and(f64::is_finite);
        self.boolean &= ["true", "false", "yes", "no", "y", "n", "on", "off"]
            .iter()
            .any(|word| value.eq_ignore_ascii_case(word));
        self.date &= value.parse::<jiff::civil::Date>().is_ok() && value.len() == 10;
        self.datetime &= value.len() > 10 && value.parse::<jiff::Timestamp>().is_ok();
        self.id &= matches!(value.len(), 15 | 18)
            && crate::domain::RecordId::parse(value.as_bytes()).is_ok();
    }

    const fn word(self) -> &'static str {
        match self {
            _ if self.integer && self.leading_zero => "digits with leading zeros",
            _ if self.integer => "integer",
            _ if self.number => "number",
            _ if self.boolean => "boolean",
            _ if self.date => "date",
            _ if self.datetime => "datetime",
            _ if self.id => "record id",
            _ => "text",
        }
    }
}

/// Looks at the first rows of a source; `show` of them are kept.
///
/// # Errors
/// [`SourceError`] when they can't be read.
pub fn glance(source: &Source, show: usize) -> Result<Glance, SourceError> {
    let dialect = source.dialect();
    let mut fits = vec![Fits::ALL; source.header().len()];
    let mut columns: Vec<ColumnGlance> = source
        .header()
        .iter()
        .map(|name| ColumnGlance {
            name: name.clone(),
            looks_like: String::new(),
            empty: 0,
            longest: 0,
        })
        .collect();
    let (mut rows, mut faulty) = (0, 0);
    let (mut first_fault, mut first_rows) = (None, Vec::new());
    let mut stream = source.rows(None)?;
    let mut is_all = true;
    'reading: while let Some(batch) = stream.next_batch()? {
        for (index, record) in batch.records.iter().enumerate() {
            if rows == ROWS {
                is_all = false;
                break 'reading;
            }
            rows += 1;
            let place = source.place_of(RowNumber(batch.first_row.0 + index as u64));
            if let Some(fault) = record.fault {
                faulty += 1;
                first_fault.get_or_insert((place, fault));
                continue;
            }
            let cells = Cells::new(batch.record(record), dialect.delimiter, dialect.quote);
            let mut shown = Vec::new();
            for (cell, (column, fits)) in cells.zip(columns.iter_mut().zip(&mut fits)) {
                let value = cell.value();
                let value = String::from_utf8_lossy(&value);
                column.longest = column.longest.max(value.chars().count());
                if value.is_empty() || value.as_bytes() == CLEAR {
                    column.empty += 1;
                } else {
                    fits.take(&value);
                }
                if first_rows.len() < show {
                    shown.push(value.into_owned());
                }
            }
            if first_rows.len() < show {
                first_rows.push((place, shown));
            }
        }
    }
    let types = source.column_types();
    for (at, (column, fits)) in columns.iter_mut().zip(&fits).enumerate() {
        column.looks_like = match types.as_ref().and_then(|types| types.get(at)) {
            Some(known) => known.clone(),
            None if column.empty + faulty == rows => "empty".to_owned(),
            None => fits.word().to_owned(),
        };
    }
    Ok(Glance { rows, is_all, columns, faulty, first_fault, first_rows })
}

#[cfg(test)]
mod tests {
    use super::super::SourceOptions;
    use super::*;

    #[test]
    fn columns_look_like_the_narrowest_kind_that_fits() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv");
        let text = "int,zip,num,bool,date,time,id,text,none\n\
            1,01234,1.5,yes,2024-02-29,2024-02-29T10:00:00Z,0017Q00000AbCdeQAF,a,\n\
            -2,99999,-1e3,FALSE,2024-12-31,2024-02-29T10:00:00+02:00,0017Q00000AbCdeQAF,1,#N/A\n\
            ragged\n";
        std::fs::write(&path, text).unwrap();
        let source = Source::open(&[path], &SourceOptions::default()).unwrap();
        let seen = glance(&source, 1).unwrap();
        let words: Vec<&str> =
            seen.columns.iter().map(|column| column.looks_like.as_str()).collect();
        assert_eq!(
            words,
            [
                "integer",
                "digits with leading zeros",
                "number",
                "boolean",
                "date",
                "datetime",
                "record id",
                "text",
                "empty"
            ]
        );
        assert_eq!((seen.rows, seen.is_all, seen.faulty), (3, true, 1));
        assert_eq!(seen.first_fault.unwrap().0.row.0, 3);
        assert_eq!(seen.first_rows.len(), 1);
        assert_eq!(seen.first_rows[0].1[1], "01234");
    }
}
