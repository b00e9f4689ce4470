//! Files of any bytes: they are read or refused, and never end the process.

use std::fs;

use proptest::prelude::*;

use super::made_columns::Draw;
use super::*;

/// Opens and reads what there is, in a small pool as in a large one.
fn read_or_refuse(bytes: &[u8]) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("any.parquet");
    fs::write(&path, bytes).unwrap();
    let file = match ParquetFile::open(&path, &ParquetOptions::default()) {
        Ok(file) => file,
        Err(
            SourceError::Damaged { .. } | SourceError::Header { .. } | SourceError::Empty { .. },
        ) => return,
        Err(other) => panic!("{other}"),
    };
    // A file of nulls alone may tell of any number of rows; enough is enough.
    let mut rows = file.read(0, &all(&file), 1 << 16).unwrap();
    let mut found = 0;
    loop {
        match rows.next_block() {
            Ok(Some(block)) => found += block.records.len() as u64,
            Ok(None) => break assert_eq!(found, file.rows()),
            Err(SourceError::Damaged { .. }) => break,
            Err(other) => panic!("{other}"),
        }
        if found > 1_000_000 {
            break;
        }
    }
}

const WHOLE: [&str; 8] = [
    "kinds.parquet",
    "lists.parquet",
    "duckdb.parquet",
    "pandas.parquet",
    "fastparquet.parquet",
    "timestamps-1.0.parquet",
    "decimals-integer.parquet",
    "int96-years.parquet",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_between_the_ends_are_read_or_refused(
        data in proptest::collection::vec(any::<u8>(), 0..300),
        footer in 0u32..320,
    ) {
        read_or_refuse(&[b"PAR1", data.as_slice(), &footer.to_le_bytes(), b"PAR1"].concat());
    }

    #[test]
    fn altered_files_are_read_or_refused(seed: u64) {
        let mut draw = Draw(seed);
        let name: &str = draw.one::<&str>(&WHOLE);
        let mut bytes = fs::read(fixture(name)).unwrap();
        // Half of them in the footer, where structure is densest.
        let from = if draw.below(2) == 0 { 0 } else { bytes.len() / 2 };
        for _ in 0..=draw.below(4) {
            let at = from + draw.below((bytes.len() - from) as u64) as usize;
            bytes[at] = match draw.below(3) {
                0 => draw.next() as u8,
                1 => bytes[at] ^ (1 << draw.below(8)),
                _ => *draw.one(&[0, 1, 0x7F, 0x80, 0xFF]),
            };
        }
        read_or_refuse(&bytes);
    }
}
