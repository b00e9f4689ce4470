//! Each tier, and each oddity of result sets that is known.

use super::*;
use crate::reconciler::Problem;
use crate::reconciler::records::Records;

pub(super) struct Sets(pub(super) [String; 3]);

impl ResultSets for Sets {
    fn open(&self, set: ResultSet) -> io::Result<Box<dyn Read + Send>> {
        let at = ResultSet::ALL.iter().position(|&known| known == set).unwrap();
        Ok(Box::new(io::Cursor::new(self.0[at].clone().into_bytes())))
    }
}

const TEXT: ValueKind = ValueKind::Text { case_sensitive: false };
const CASED: ValueKind = ValueKind::Text { case_sensitive: true };

fn columns(columns: &[(&str, ValueKind)]) -> SentColumns {
    SentColumns {
        columns: columns
            .iter()
            .map(|&(header, kind)| SentColumn { header: header.to_owned(), kind })
            .collect(),
        delimiter: b',',
    }
}

fn rule(operation: Operation, key: Option<usize>) -> MatchRule {
    MatchRule { key, user_keys: Vec::new(), unique_text: None, operation }
}

pub(super) fn run(
    sent: &SentColumns,
    rule: &MatchRule,
    body: &str,
    sets: [&str; 3],
) -> Result<(Vec<RowOutcome>, ChunkProof), ReconcileError> {
    let sets = Sets(sets.map(str::to_owned));
    let mut records = Records::new(body.as_bytes());
    let mut count = 0;
    while records.next().unwrap().is_some() {
        count += 1;
    }
    let rows: RowRanges = (1..=count).map(RowNumber).collect();
    let open = || -> io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(io::Cursor::new(body.to_owned().into_bytes())))
    };
    let mut outcomes = Vec::new();
    let proof =
        reconcile(sent, rule, SentRows { rows: &rows, open: &open }, &sets, 1, &mut |outcome| {
            outcomes.push(outcome);
            Ok(())
        })?;
    // I1, whatever the case.
    assert_eq!(
        outcomes.iter().map(|outcome| outcome.row).collect::<Vec<_>>(),
        rows.iter().collect::<Vec<_>>()
    );
    assert_eq!(proof.tally.settled(), count);
    assert_eq!(proof.matched.total() + proof.tally.disputed, count);
    Ok((outcomes, proof))
}

/// Fate, tier and last character of the 15-character id, row by row.
fn told(outcomes: &[RowOutcome]) -> Vec<String> {
    outcomes
        .iter()
        .map(|outcome| {
            let tier = outcome.tier.map_or("-", MatchTier::as_str);
            let id = outcome.id.map_or(String::new(), |id| format!(" {}", &id.as_str()[14..15]));
            format!("{:?} {tier}{id}", outcome.fate)
        })
        .collect()
}

const NO_ROWS: &str = "";

#[test]
fn an_upsert_is_matched_by_its_external_id_whatever_the_order() {
    let sent = columns(&[("Name", TEXT), ("Ext__c", TEXT)]);
    let (outcomes, proof) = run(
        &sent,
        &rule(Operation::Upsert, Some(1)),
        "One,A-1\nTwo,A-2\nThree,A-3\nFour,A-4\n",
        [
            "\"sf__Id\",\"sf__Created\",Name,Ext__c\n\"001000000000003AAA\",\"false\",\"Three\",\"A-3\"\n\"001000000000001AAA\",\"true\",\"One\",\"A-1\"\n",
            "\"sf__Id\",\"sf__Error\",Name,Ext__c\n\"\",\"CODE:why:Name --\",\"Four\",\"A-4\"\n",
            "Name,Ext__c\nTwo,A-2\n",
        ],
    )
    .unwrap();
    assert_eq!(
        told(&outcomes),
        ["Created key 1", "Unprocessed key", "Updated key 3", "Failed key"]
    );
    assert_eq!(outcomes[3].error.as_deref(), Some("CODE:why:Name --"));
    assert_eq!((proof.results, proof.extra_results, proof.shortfall), ([2, 1, 1], 0, 0));
    assert!(proof.is_whole() && proof.problems.is_empty());
}

#[test]
fn a_numeric_external_id_is_found_in_e_notation() {
    let sent = columns(&[("No__c", ValueKind::Number)]);
    let (outcomes, _) = run(
        &sent,
        &rule(Operation::Upsert, Some(0)),
        "10000000\n10000001\n7\n",
        [
            "sf__Id,sf__Created,No__c\n001000000000003AAA,true,7.0\n001000000000002AAA,true,1.0000001E7\n001000000000001AAA,true,1.0E7\n",
            NO_ROWS,
            NO_ROWS,
        ],
    )
    .unwrap();
    assert_eq!(told(&outcomes), ["Created key 1", "Created key 2", "Created key 3"]);
}

#[test]
fn ids_are_matched_by_fifteen_characters_and_deletes_are_deletes() {
    let sent = columns(&[("Id", ValueKind::Id)]);
    let results = "sf__Id,sf__Created,Id\n0017Q00000AbCdeQAF,false,0017Q00000AbCdeQAF\n";
    for body in ["0017Q00000AbCde\n", "0017q00000abcdeqaf", "\"0017Q00000AbCdeQAF\"\r\n"] {
        let (outcomes, _) =
            run(&sent, &rule(Operation::Delete, Some(0)), body, [results, NO_ROWS, NO_ROWS])
                .unwrap();
        assert_eq!(told(&outcomes), ["Deleted key e"], "{body}");
    }
    let (outcomes, _) =
        run(&sent, &rule(Operation::Update, Some(0)), "0017Q00000AbCde\n", [results, "", ""])
            .unwrap();
    assert_eq!(told(&outcomes), ["Updated key e"]);
}

#[test]
fn keys_that_differ_only_in_case_are_told_apart() {
    for (kind, body, results) in [
        (TEXT, "abc\nABC\n Abc\n", ["ABC", "abc", "Abc"]),
        (CASED, "abc\nABC\n Abc\n", ["ABC", "abc", "Abc"]),
    ] {
        let sent = columns(&[("Ext__c", kind)]);
        let [two, one, three] = results;
        let success = format!(
            "sf__Id,sf__Created,Ext__c\n001000000000002AAA,true,{two}\n001000000000001AAA,true,{one}\n001000000000003AAA,true,{three}\n"
        );
        let (outcomes, _) =
            run(&sent, &rule(Operation::Upsert, Some(0)), body, [&success, "", ""]).unwrap();
        assert_eq!(told(&outcomes), ["Created key 1", "Created key 2", "Created key 3"]);
    }
    let sent = columns(&[("Ext__c", TEXT)]);
    let (outcomes, _) = run(
        &sent,
        &rule(Operation::Upsert, Some(0)),
        "ABC\n",
        ["sf__Id,sf__Created,Ext__c\n001000000000001AAA,false,aBc\n", "", ""],
    )
    .unwrap();
    assert_eq!(told(&outcomes), ["Updated key 1"], "folded where there is no doubt");
}

#[test]
fn a_key_that_occurs_twice_is_resolved_by_the_other_columns() {
    let sent = columns(&[("Ext__c", TEXT), ("Name", TEXT)]);
    let (outcomes, proof) = run(
        &sent,
        &rule(Operation::Upsert, Some(0)),
        "A,one\nA,two\nB,same\nB,same\nC,x\n",
        [
            "sf__Id,sf__Created,Ext__c,Name\n001000000000005AAA,true,C,x\n001000000000002AAA,false,A,two\n001000000000003AAA,true,B,same\n001000000000001AAA,true,A,one\n",
            "sf__Id,sf__Error,Ext__c,Name\n,X:y:--,B,same\n",
            "",
        ],
    )
    .unwrap();
    assert_eq!(
        told(&outcomes),
        [
            "Created digest 1",
            "Updated digest 2",
            "Created interchangeable 3",
            "Failed interchangeable",
            "Created key 5"
        ]
    );
    assert_eq!(proof.interchangeable, 2);
}

#[test]
fn rows_without_a_key_go_to_the_later_tiers() {
    let sent =
        columns(&[("Ext__c", TEXT), ("Code", TEXT), ("Name", TEXT), ("N", ValueKind::Number)]);
    let rule = MatchRule {
        key: Some(0),
        user_keys: vec![1],
        unique_text: Some(2),
        operation: Operation::Upsert,
    };
    let (outcomes, _) = run(
        &sent,
        &rule,
        "A,c1,n1,1\n,c2,n2,2\n#N/A,,n3,3\n,,,4\n,,,5\n",
        [
            "sf__Id,sf__Created,Ext__c,Code,Name,N\n001000000000005AAA,true,,,,5.0\n001000000000004AAA,true,,,,4.0\n001000000000003AAA,true,,,n3,3.0\n001000000000002AAA,true,,C2,n2,2.0\n001000000000001AAA,true,a,c1,n1,1.0\n",
            "",
            "",
        ],
    )
    .unwrap();
    assert_eq!(
        told(&outcomes),
        [
            "Created key 1",
            "Created user-key 2",
            "Created unique-column 3",
            "Created digest 4",
            "Created digest 5"
        ]
    );
}

#[test]
fn an_insert_of_numbers_only_is_matched_by_their_values() {
    let sent = columns(&[("A", ValueKind::Number), ("B", ValueKind::Number)]);
    let (outcomes, _) = run(
        &sent,
        &rule(Operation::Insert, None),
        "45800000,1\n45800000,2\n0.10,2\n",
        [
            "sf__Id,sf__Created,A,B\n001000000000002AAA,true,4.58E7,2.0\n001000000000003AAA,true,0.1,2\n001000000000001AAA,true,4.58E7,1.0\n",
            "",
            "",
        ],
    )
    .unwrap();
    assert_eq!(told(&outcomes), ["Created digest 1", "Created digest 2", "Created digest 3"]);
}

#[test]
fn numbers_the_org_rounded_do_not_matter_where_other_columns_suffice() {
    let sent = columns(&[("Name", TEXT), ("N", ValueKind::Number)]);
    let (outcomes, _) = run(
        &sent,
        &rule(Operation::Insert, None),
        "a,1.239\nb,5\nb,6.239\n",
        [
            "sf__Id,sf__Created,Name,N\n001000000000003AAA,true,b,6.24\n001000000000002AAA,true,b,5.0\n001000000000001AAA,true,a,1.24\n",
            "",
            "",
        ],
    )
    .unwrap();
    assert_eq!(told(&outcomes), ["Created digest 1", "Created digest 2", "Created digest 3"]);
}

#[test]
fn what_is_left_with_one_outcome_is_settled_by_elimination() {
    let sent = columns(&[("Ext__c", TEXT), ("Name", TEXT)]);
    let (outcomes, proof) = run(
        &sent,
        &rule(Operation::Upsert, Some(0)),
        "A,a\nB,b\nC,c\n",
        [
            "sf__Id,sf__Created,Ext__c,Name\n001000000000001AAA,true,A,a\n",
            "sf__Id,sf__Error\n,X:one:--\n,Y:two:--\n",
            "",
        ],
    )
    .unwrap();
    assert_eq!(told(&outcomes), ["Created key 1", "Failed elimination", "Failed elimination"]);
    let error = outcomes[1].error.as_deref().unwrap();
    assert_eq!(error, "UNDETERMINED:one of several rows that failed by X, Y:--");
    assert!(proof.is_whole());

    let (outcomes, proof) = run(
        &sent,
        &rule(Operation::Upsert, Some(0)),
        "A,a\nB,b\n",
        ["sf__Id,sf__Created\n001000000000001AAA,true\n", "sf__Id,sf__Error\n,X:one:--\n", ""],
    )
    .unwrap();
    assert_eq!(told(&outcomes), ["Disputed -", "Disputed -"], "two outcomes: never guessed");
    assert_eq!(proof.extra_results, 2);
}

#[test]
fn values_missing_from_failed_results_are_no_evidence() {
    // `name` was sent in the wrong case, so failedResults shows it empty; row
    // 1 is really empty there, and is the one that succeeded.
    let sent = columns(&[("Code", TEXT), ("name", TEXT)]);
    let (outcomes, _) = run(
        &sent,
        &rule(Operation::Insert, None),
        "c,\nc,filled\n",
        [
            "sf__Id,sf__Created,Code,name\n001000000000001AAA,true,c,\n",
            "sf__Id,sf__Error,Code,name\n,X:y:--,c,\n",
            "",
        ],
    )
    .unwrap();
    assert_eq!(told(&outcomes), ["Created digest 1", "Failed digest"]);
    // Without the result of row 1 nothing tells which of the two failed.
    let (outcomes, proof) = run(
        &sent,
        &rule(Operation::Insert, None),
        "c,\nc,filled\n",
        ["", "sf__Id,sf__Error,Code,name\n,X:y:--,c,\n", ""],
    )
    .unwrap();
    assert_eq!(told(&outcomes), ["Disputed -", "Disputed -"]);
    assert_eq!(proof.shortfall, 1);
}

#[test]
fn a_row_in_two_sets_is_disputed_and_reported() {
    let sent = columns(&[("Ext__c", TEXT)]);
    let (outcomes, proof) = run(
        &sent,
        &rule(Operation::Upsert, Some(0)),
        "A\nB\n",
        [
            "sf__Id,sf__Created,Ext__c\n001000000000001AAA,true,A\n001000000000002AAA,true,B\n",
            "sf__Id,sf__Error,Ext__c\n,X:y:--,B\n",
            "",
        ],
    )
    .unwrap();
    assert_eq!(told(&outcomes), ["Created key 1", "Disputed -"]);
    assert_eq!(outcomes[1].error.as_deref(), Some("more than one result fits this row"));
    assert!(proof.problems.contains(&Problem::SeveralResults { rows: 1, example: RowNumber(2) }));
    assert!(proof.problems.contains(&Problem::Extra { count: 1 }));
    assert!(!proof.is_whole());
}

#[test]
fn a_shortfall_and_a_foreign_result_are_reported() {
    let sent = columns(&[("Ext__c", TEXT)]);
    let (outcomes, proof) = run(
        &sent,
        &rule(Operation::Upsert, Some(0)),
        "A\nB\nC\n",
        ["sf__Id,sf__Created,Ext__c\n001000000000001AAA,true,A\n", "", ""],
    )
    .unwrap();
    assert_eq!(told(&outcomes), ["Created key 1", "Disputed -", "Disputed -"]);
    assert_eq!(proof.shortfall, 2);
    assert_eq!(proof.problems, [Problem::Shortfall { missing: 2, sent: 3 }]);
    let (outcomes, proof) = run(
        &sent,
        &rule(Operation::Upsert, Some(0)),
        "A\n",
        [
            "sf__Id,sf__Created,Ext__c\n001000000000001AAA,true,A\n001000000000009AAA,true,Z\n",
            "",
            "",
        ],
    )
    .unwrap();
    assert_eq!(told(&outcomes), ["Created key 1"]);
    assert_eq!((proof.extra_results, proof.shortfall), (1, 0));
    assert_eq!(proof.problems, [Problem::Extra { count: 1 }]);
}

#[test]
fn a_contradicting_key_is_not_outvoted_by_a_later_tier() {
    let sent = columns(&[("Ext__c", TEXT), ("Name", TEXT)]);
    let rule = MatchRule { unique_text: Some(1), ..rule(Operation::Upsert, Some(0)) };
    let (outcomes, _) = run(
        &sent,
        &rule,
        "A,same\nB,b\n",
        ["sf__Id,sf__Created,Ext__c,Name\n001000000000001AAA,true,Z,same\n", "", ""],
    )
    .unwrap();
    assert_eq!(told(&outcomes), ["Disputed -", "Disputed -"]);
}

#[test]
fn headers_may_come_in_any_shape() {
    let mut sent = columns(&[("Name", TEXT), ("Ext__c", TEXT)]);
    sent.delimiter = b';';
    for success in [
        "\"sf__Id\";\"sf__Created\";Name;Ext__c\n\"001000000000001AAA\";\"true\";\"x;y\";\"A\"\n",
        "sf__Id,sf__Created,Name,Ext__c\n001000000000001AAA,true,x;y,A",
        "\u{feff}SF__ID,SF__CREATED,EXT__C,NAME\r\n001000000000001AAA,true,A,x;y\r\n",
        "Extra,ext__c,sf__Created,sf__Id\n\"q \"\"x\"\"\",A,TRUE,001000000000001\n",
        "sf__Id;sf__Created;Ext__c\n\n001000000000001AAA;true;A\n\n",
    ] {
        for empty in ["", "\"sf__Id\",\"sf__Error\",Name,Ext__c\n", "\n"] {
            let (outcomes, proof) = run(
                &sent,
                &rule(Operation::Upsert, Some(1)),
                "\"x;y\";A\n",
                [success, empty, empty],
            )
            .unwrap();
            assert_eq!(told(&outcomes), ["Created key 1"], "{success}");
            assert!(proof.problems.is_empty(), "{:?}", proof.problems);
        }
    }
}

#[test]
fn missing_columns_of_the_service_are_reported() {
    let sent = columns(&[("Ext__c", TEXT)]);
    let (outcomes, proof) = run(
        &sent,
        &rule(Operation::Upsert, Some(0)),
        "A\nB\n",
        ["sf__Id,Ext__c\n???,A\n", "Ext__c\nB\n", ""],
    )
    .unwrap();
    assert_eq!(told(&outcomes), ["Updated key", "Failed key"]);
    assert_eq!(
        proof.problems,
        [
            Problem::MissingColumn { set: ResultSet::Successful, column: "sf__Created" },
            Problem::BadIds { set: ResultSet::Successful, count: 1 },
            Problem::MissingColumn { set: ResultSet::Failed, column: "sf__Error" },
        ]
    );
}

#[test]
fn a_download_that_broke_off_is_an_error() {
    let sent = columns(&[("Ext__c", TEXT), ("Name", TEXT)]);
    let whole = "sf__Id,sf__Created,Ext__c,Name\n001000000000001AAA,true,A,\"x\"\n001000000000002AAA,true,B,\"y\"";
    let rule = rule(Operation::Upsert, Some(0));
    assert!(run(&sent, &rule, "A,x\nB,y\n", [whole, "", ""]).unwrap().1.is_whole());
    for cut in ["\"y\"", "y\"", "\"", ",B,\"y\"", ",true,B,\"y\""] {
        let part = whole.strip_suffix(cut).unwrap();
        let part = if cut == "\"y\"" { &part[..part.len() - 1] } else { part };
        assert!(
            matches!(
                run(&sent, &rule, "A,x\nB,y\n", [part, "", ""]),
                Err(ReconcileError::CutShort { set: ResultSet::Successful, records: 1 })
            ),
            "{part}"
        );
    }
}

#[test]
fn results_of_another_job_are_refused() {
    let sent = columns(&[("Ext__c", TEXT)]);
    let many = format!("sf__Id,sf__Created,Ext__c\n{}", ",true,A\n".repeat(3000));
    assert!(matches!(
        run(&sent, &rule(Operation::Upsert, Some(0)), "A\n", [&many, "", ""]),
        Err(ReconcileError::TooManyResults { .. })
    ));
}

#[test]
fn a_body_of_other_length_is_refused() {
    let sent = columns(&[("Ext__c", TEXT)]);
    let rows: RowRanges = (5..=6).map(RowNumber).collect();
    for body in ["A\n", "A\nB\nC\n"] {
        let open = || -> io::Result<Box<dyn Read + Send>> { Ok(Box::new(body.as_bytes())) };
        let sent_rows = SentRows { rows: &rows, open: &open };
        let sets = Sets([String::new(), String::new(), String::new()]);
        let done =
            reconcile(&sent, &rule(Operation::Upsert, Some(0)), sent_rows, &sets, 1, &mut |_| {
                Ok(())
            });
        assert!(matches!(done, Err(ReconcileError::BodyRows { expected: 2, .. })));
    }
}

#[test]
fn all_rows_can_be_disputed_for_one_reason() {
    let rows: RowRanges = [3, 4, 9].into_iter().map(RowNumber).collect();
    let mut outcomes = Vec::new();
    let proof = dispute(&rows, 2, "the org no longer has the job", &mut |outcome| {
        outcomes.push(outcome);
        Ok(())
    })
    .unwrap();
    assert_eq!((proof.tally.disputed, proof.shortfall, outcomes.len()), (3, 3, 3));
    assert_eq!(outcomes[2].row, RowNumber(9));
    assert_eq!(outcomes[2].attempts, 2);
}
