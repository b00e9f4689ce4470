//! Any text as a mapping file, and any text as rows: a file is read or refused
//! with words, what was read compiles or is refused with words, and every row
//! is then sent or rejected, whatever stands in it.
//!
//! The input is the file and the rows, with a line `===` between them.

#![no_main]

use std::path::Path;
use std::sync::LazyLock;

use bulkhaul::domain::{LineEnding, ObjectDescription, Operation, RowNumber};
use bulkhaul::mapping::{Mapping, Secrets, TableFile, TableFiles};
use bulkhaul::rows::{
    Dialect, EncodedRow, RecordSplitter, RowStream as _, SourceError, SourceRows,
};
use bulkhaul::transformer::{EmptyMeans, LoadSpec, compile};
use libfuzzer_sys::fuzz_target;

/// Files of tables are read by the reader, which has targets of its own.
struct NoFiles;

impl TableFiles for NoFiles {
    fn open(&self, file: &TableFile) -> Result<Box<dyn SourceRows>, SourceError> {
        Err(SourceError::Empty { path: file.path.clone() })
    }

    fn scratch(&self) -> &Path {
        Path::new("/nowhere")
    }
}

static OBJECT: LazyLock<ObjectDescription> = LazyLock::new(|| {
    let types = [
        ("Name", "string"),
        ("Phone", "phone"),
        ("Amount__c", "currency"),
        ("Count__c", "int"),
        ("Day__c", "date"),
        ("Moment__c", "datetime"),
        ("Active__c", "boolean"),
        ("Tier__c", "picklist"),
        ("Tags__c", "multipicklist"),
        ("OwnerId", "reference"),
    ];
    let fields: Vec<serde_json::Value> = types
        .iter()
        .map(|(name, kind)| {
            serde_json::json!({
                "name": name, "type": kind, "length": 20, "precision": 10, "scale": 2,
                "nillable": true, "createable": true, "updateable": true,
                "externalId": *name == "Name",
            })
        })
        .collect();
    serde_json::from_value(serde_json::json!({
        "name": "Thing__c", "createable": true, "updateable": true, "fields": fields,
    }))
    .expect("a description")
});

const COMMA: Dialect = Dialect { delimiter: b',', quote: b'"', line_ending: LineEnding::Lf };

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    let (file, rows) = text.split_once("\n===\n").unwrap_or((&text, "1,2,3\n"));
    let secrets = Secrets::new(|_| Some("a secret of 20 letters".to_owned().into()));
    let mapping = match Mapping::parse(file, Path::new("a.toml"), &secrets, &NoFiles) {
        Ok(mapping) => mapping,
        Err(error) => {
            assert!(!error.problems.is_empty());
            for problem in &error.problems {
                assert!(!problem.told("a.toml").is_empty());
            }
            return;
        }
    };
    let spec = LoadSpec {
        operation: Operation::Insert,
        object: &OBJECT,
        external_id: None,
        user_keys: &[],
        currency: None,
        renames: &[],
        empty: EmptyMeans::Skip,
        mapping: Some(&mapping),
    };
    let header = ["a", "b", "c"].map(str::to_owned);
    let plan = match compile(&spec, &header, COMMA, &mut |_| None) {
        Ok(plan) if plan.is_ready() => plan,
        Ok(_) => return,
        Err(problems) => {
            assert!(!problems.is_empty());
            return;
        }
    };
    let mut splitter =
        RecordSplitter::new(rows.as_bytes(), COMMA, Some(3), RowNumber(1), 0, Path::new("a.csv"));
    while let Ok(Some(batch)) = splitter.next_batch() {
        let encoded = plan.apply(&batch);
        assert_eq!(encoded.rows.len(), batch.records.len());
        let names = plan.column_names();
        for row in &encoded.rows {
            match *row {
                EncodedRow::Same => {}
                EncodedRow::Rewritten { start, end } => {
                    let text = &encoded.side[start as usize..end as usize];
                    // One record, and text as the org takes it.
                    let text = std::str::from_utf8(text).expect("UTF-8");
                    assert!(text.ends_with('\n') && text.len() > 1);
                }
                EncodedRow::Rejected(at) => {
                    let reason = encoded.rejections[at as usize].reason(&names, None);
                    assert!(!reason.is_empty());
                }
            }
        }
    }
});
