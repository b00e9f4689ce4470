//! Any rows and any result sets through the matcher: whatever the org says,
//! every row sent has one outcome, in order, or none is told at all.
#![no_main]

use std::io::{self, Cursor, Read};

use bulkhaul::domain::{Operation, ResultSet, RowNumber, RowRanges, Tally, ValueKind};
use bulkhaul::reconciler::{
    MatchRule, ResultSets, SentColumn, SentColumns, SentRows, reconcile,
};
use libfuzzer_sys::fuzz_target;

struct Sets([Vec<u8>; 3]);

impl ResultSets for Sets {
    fn open(&self, set: ResultSet) -> io::Result<Box<dyn Read + Send>> {
        let at = ResultSet::ALL.iter().position(|&known| known == set).unwrap_or(0);
        Ok(Box::new(Cursor::new(self.0[at].clone())))
    }
}

const KINDS: [ValueKind; 4] = [
    ValueKind::Text { case_sensitive: false },
    ValueKind::Number,
    ValueKind::Boolean,
    ValueKind::Text { case_sensitive: true },
];

/// A cell from two bytes: few values, so that rows share them.
fn cell(byte: u8) -> &'static str {
    [
        "a", "A", "b", "", "1", "1.0", "1.0E7", "10000000", "true", "FALSE", "#N/A", "\"x,y\"",
        "\"l\ni\"", " a", "0012", "ü",
    ][usize::from(byte & 15)]
}

fuzz_target!(|data: &[u8]| {
    let [choice, width, count, rest @ ..] = data else { return };
    let width = usize::from(width & 3) + 1;
    let count = u64::from(count & 15);
    let columns: Vec<SentColumn> = (0..width)
        .map(|at| SentColumn {
            header: format!("C{at}"),
            kind: KINDS[(at + usize::from(choice >> 4)) % KINDS.len()],
        })
        .collect();
    let header: Vec<String> = columns.iter().map(|column| column.header.clone()).collect();
    let header = header.join(",");
    let sent = SentColumns { columns, delimiter: b',' };
    let cells = (count as usize * width).min(rest.len());
    let (values, told) = rest.split_at(cells);
    let mut body = String::new();
    let mut rows = RowRanges::new();
    for (at, row) in values.chunks_exact(width).enumerate() {
        let row: Vec<&str> = row.iter().map(|&byte| cell(byte)).collect();
        let line = row.join(",");
        body.push_str(if line.is_empty() { "\"\"" } else { &line });
        body.push('\n');
        rows.push(RowNumber(at as u64 + 1));
    }
    // Of what is left the sets are made: rows of cells as the rows above have
    // them, or any bytes.
    let mut sets = [
        format!("\"sf__Id\",\"sf__Created\",{header}\n").into_bytes(),
        format!("\"sf__Id\",\"sf__Error\",{header}\n").into_bytes(),
        format!("{header}\n").into_bytes(),
    ];
    let mut told = told;
    while let [kind, rest @ ..] = told {
        let set = &mut sets[usize::from(kind & 3) % 3];
        let taken = rest.len().min(width + 1);
        let (record, left) = rest.split_at(taken);
        told = left;
        if kind & 0x80 != 0 {
            set.extend_from_slice(record);
            continue;
        }
        if kind & 3 != 2 {
            let told = if record.first().is_some_and(|byte| byte & 1 == 0) { "true" } else { "E:x:Y --" };
            set.extend_from_slice(format!("\"001000000000001AAA\",\"{told}\",").as_bytes());
        }
        let row: Vec<&str> = record.iter().take(width).map(|&byte| cell(byte)).collect();
        set.extend_from_slice(row.join(",").as_bytes());
        set.push(b'\n');
    }
    let key = (choice & 1 == 1).then_some(0);
    let rule = MatchRule {
        key,
        user_keys: if choice & 2 == 2 { vec![width - 1] } else { Vec::new() },
        unique_text: (choice & 4 == 4).then_some(0),
        operation: if key.is_some() { Operation::Upsert } else { Operation::Insert },
    };
    let text = body.into_bytes();
    let open = || -> io::Result<Box<dyn Read + Send>> { Ok(Box::new(Cursor::new(text.clone()))) };
    let mut emitted = Vec::new();
    let mut tally = Tally::default();
    let sent_rows = SentRows { rows: &rows, open: &open };
    let proof = reconcile(&sent, &rule, sent_rows, &Sets(sets), 1, &mut |outcome| {
        tally.count(outcome.fate);
        emitted.push(outcome.row);
        Ok(())
    });
    if let Ok(proof) = proof {
        let all: Vec<RowNumber> = rows.iter().collect();
        assert_eq!(emitted, all, "each row once, in order");
        assert_eq!(tally.settled(), rows.len());
        assert_eq!(proof.tally.settled(), rows.len());
    } else {
        assert!(emitted.is_empty(), "nothing is told of sets that can't be read");
    }
});
