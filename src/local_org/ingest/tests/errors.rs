//! What refused rows are told.

use proptest::prelude::*;

use super::*;
use crate::local_org::settings::{EmptyKey, MissingKeyColumn, OtherBooleanWords, RowErrors};

#[test]
fn every_bad_value_is_told_in_the_documented_grammar() {
    let org = Org::new();
    let cases = [
        (
            "Name,Short__c",
            "n,abcdef",
            "STRING_TOO_LONG:Short: data value too large: abcdef (max length=5):Short__c --",
        ),
        (
            "Name,Kind__c",
            "n,C",
            "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST:Kind: bad value for restricted picklist field: C:Kind__c --",
        ),
        ("Name,Mail__c", "n,x", "INVALID_EMAIL_ADDRESS:Mail: invalid email address: x:Mail__c --"),
        (
            "Name,Amount__c",
            "n,\"1,5\"",
            "INVALID_TYPE_ON_FIELD_IN_RECORD:Amount: value not of required type: 1,5:Amount__c --",
        ),
        (
            "Name,Amount__c",
            "n,1e17",
            "NUMBER_OUTSIDE_VALID_RANGE:Amount: value outside of valid range on numeric field: 1e17:Amount__c --",
        ),
        (
            "Name,Day__c",
            "n,01/02/2020",
            "INVALID_TYPE_ON_FIELD_IN_RECORD:Day: value not of required type: 01/02/2020:Day__c --",
        ),
        ("Name,Account__c", "n,123", "MALFORMED_ID:Account: bad id 123:Account__c --"),
        (
            "Name,Account__c",
            "n,003Lo0000000001",
            "MALFORMED_ID:Account: id value of incorrect type: 003Lo0000000001:Account__c --",
        ),
        (
            "Name,Account__c",
            "n,001Lo0000000001",
            "INVALID_CROSS_REFERENCE_KEY:invalid cross reference id:--",
        ),
        ("Short__c", "a", "REQUIRED_FIELD_MISSING:Required fields are missing: [Name]:Name --"),
        (
            "Name,Short__c",
            ",a",
            "REQUIRED_FIELD_MISSING:Required fields are missing: [Name]:Name --",
        ),
        (
            "Name,Short__c",
            "#N/A,a",
            "REQUIRED_FIELD_MISSING:Required fields are missing: [Name]:Name --",
        ),
        (
            "Name,Id",
            "n,a99Lo0000000001",
            "INVALID_FIELD_FOR_INSERT_UPDATE:cannot specify Id in an insert call:Id --",
        ),
        (
            "Name,Formula__c,CreatedDate",
            "n,x,2020-01-01T00:00:00Z",
            "INVALID_FIELD_FOR_INSERT_UPDATE:Unable to create/update fields: Formula__c, CreatedDate. Please check the security settings of this field and verify that it is read/write for your profile or permission set.:Formula__c,CreatedDate --",
        ),
    ];
    for (header, row, error) in cases {
        let done = org.insert("Thing__c", &format!("{header}\n{row}\n"));
        assert_eq!(done.state(), State::JobComplete, "{row}: {}", done.error());
        assert_eq!(done.only_error(), error);
        assert_eq!(done.failed.rows[0]["sf__Id"], "");
    }
    assert_eq!(org.count("Thing__c"), 0);
    let progress = org.insert("Thing__c", "Name,Short__c\na,b\nb,toolong\n").job.json(Shape::Info);
    assert_eq!(progress["numberRecordsProcessed"], 2, "failures are counted in");
    assert_eq!(progress["numberRecordsFailed"], 1);
}

#[test]
fn failed_rows_show_their_cells_as_values_or_as_they_came() {
    let org = Org::new();
    let done = org.insert("Thing__c", "Name,Amount__c,Count__c\nn,45800000,x\n");
    let row = &done.failed.rows[0];
    assert_eq!((row["Amount__c"].as_str(), row["Count__c"].as_str()), ("4.58E7", "x"));
    assert_eq!(done.failed.header, ["sf__Id", "sf__Error", "Name", "Amount__c", "Count__c"]);
}

#[test]
fn ids_of_updates_and_deletes_are_checked() {
    let org = Org::new();
    let gone = org.one("Thing__c", "Name\nn\n");
    org.run(json!({"object":"Thing__c","operation":"delete"}), &format!("Id\n{gone}\n"));
    let account = org.one("Account", "Name\nn\n");
    let never = RecordKey::new("a99", 999).to_string();
    for operation in ["update", "delete"] {
        let run = |id: &str| {
            let csv = if operation == "update" {
                format!("Id,Name\n{id},x\n")
            } else {
                format!("Id\n\"{id}\"\n")
            };
            org.run(json!({"object":"Thing__c","operation":operation}), &csv)
        };
        assert_eq!(
            run("").only_error(),
            format!(
                "MISSING_ARGUMENT:Id not specified in a{} call:--",
                if operation == "update" { "n update" } else { " delete" }
            )
        );
        assert_eq!(run("123").only_error(), "MALFORMED_ID:bad id 123:Id --");
        assert!(run(&account).only_error().starts_with("MALFORMED_ID:"), "another object's");
        assert_eq!(
            run(&never).only_error(),
            "INVALID_CROSS_REFERENCE_KEY:invalid cross reference id:--"
        );
        assert_eq!(
            run("a997Q00000AbCde").only_error(),
            "INVALID_CROSS_REFERENCE_KEY:invalid cross reference id:--"
        );
        let done = run(&gone);
        assert_eq!(done.only_error(), "ENTITY_IS_DELETED:entity is deleted:--");
        assert_eq!(done.failed.rows[0]["sf__Id"], gone);
    }
    let quiet = Org::with(Settings { failed_ids: false, ..Settings::default() });
    let id = quiet.one("Thing__c", "Name\nn\n");
    let done = quiet.update("Thing__c", &format!("Id,Short__c\n{id},toolong\n"));
    assert_eq!(done.failed.rows[0]["sf__Id"], "");
}

#[test]
fn unique_values_are_kept_unique() {
    let org = Org::new();
    let first = org.one("Thing__c", "Name,Ext__c\na,K\n");
    let second = org.one("Thing__c", "Name,Ext__c\nb,L\n");
    let told = format!(
        "DUPLICATE_VALUE:duplicate value found: Ext__c duplicates value on record with id: {first}:--"
    );
    assert_eq!(org.insert("Thing__c", "Name,Ext__c\nc,k\n").only_error(), told);
    assert_eq!(org.update("Thing__c", &format!("Id,Ext__c\n{second},K\n")).only_error(), told);
    // Its own value is no duplicate, and a freed one can be had.
    assert_eq!(org.update("Thing__c", &format!("Id,Ext__c\n{first},k\n")).successful.rows.len(), 1);
    assert_eq!(
        org.update("Thing__c", &format!("Id,Ext__c\n{first},#N/A\n")).successful.rows.len(),
        1
    );
    assert_eq!(
        org.update("Thing__c", &format!("Id,Ext__c\n{second},K\n")).successful.rows.len(),
        1
    );
    // Within one file, the second of two.
    let done = org.insert("Thing__c", "Name,Ext__c\nd,M\ne,m\n");
    assert_eq!((done.successful.rows.len(), done.failed.rows.len()), (1, 1));
}

#[test]
fn doubles_within_a_chunk_all_fail_and_across_chunks_do_not() {
    let org = Org::new();
    let mut csv = many(450);
    csv += "again,e449\nother,E0\n";
    let done = org.upsert("Thing__c", "Ext__c", &csv);
    // Row 449 and its double are of the third chunk; row 0 is of the first.
    assert_eq!(done.failed.rows.len(), 2);
    assert!(done.failed.column("sf__Error").iter().all(|error| {
        error
            .eq_ignore_ascii_case("DUPLICATE_VALUE:Duplicate external id specified: e449:Ext__c --")
    }));
    assert_eq!(done.successful.rows.len(), 450);
    assert_eq!(org.count("Thing__c"), 449);
    let id = done.successful.rows[0]["sf__Id"].clone();
    let done = org.update("Thing__c", &format!("Id,Name\n{id},x\n{},y\n", &id[..15]));
    assert_eq!(done.failed.rows.len(), 2);
    assert!(
        done.failed.rows[0]["sf__Error"]
            .starts_with("DUPLICATE_VALUE:Duplicate id specified: a99Lo0")
    );
    let done = org.upsert("Thing__c", "Num__c", "Num__c,Name\n10000000,a\n1e7,b\n");
    assert_eq!(done.failed.rows.len(), 2, "one number in two forms");
}

#[test]
fn several_records_of_one_key_and_empty_keys_fail() {
    let org = Org::new();
    org.insert("Thing__c", "Name,Loose__c\na,K\nb,k\n");
    let error = org.upsert("Thing__c", "Loose__c", "Loose__c,Name\nK,x\n").only_error();
    assert!(error.starts_with("DUPLICATE_EXTERNAL_ID:Loose__c: more than one record found for external id field: [a99Lo0"), "{error}");
    assert!(error.ends_with("]:Loose__c --"), "{error}");
    let error = org.upsert("Thing__c", "Ext__c", "Ext__c,Name\n,x\n").only_error();
    assert_eq!(error, "MISSING_ARGUMENT:Ext__c not specified:--");
    let open = Org::with(Settings { empty_key: EmptyKey::Insert, ..Settings::default() });
    assert_eq!(open.upsert("Thing__c", "Ext__c", "Ext__c,Name\n,x\n,y\n").successful.rows.len(), 2);
}

#[test]
fn a_missing_key_column_fails_rows_or_the_job() {
    let org = Org::new();
    assert_eq!(
        org.update("Thing__c", "Name\nx\n").only_error(),
        "MISSING_ARGUMENT:Id not specified in an update call:--"
    );
    assert!(
        org.upsert("Thing__c", "Ext__c", "Name\nx\n").only_error().starts_with("MISSING_ARGUMENT:")
    );
    let org = Org::with(Settings {
        missing_key_column: MissingKeyColumn::FailJob,
        ..Settings::default()
    });
    let done = org.upsert("Thing__c", "Ext__c", "Name\nx\n");
    assert_eq!(done.error(), "InvalidBatch : Field name not found : Ext__c");
}

#[test]
fn fields_that_are_set_once_refuse_the_update_only() {
    let org = Org::new();
    let csv = "Ext__c,Name,Once__c\nK,n,a\n";
    assert_eq!(org.upsert("Thing__c", "Ext__c", csv).successful.rows.len(), 1);
    let error = org.upsert("Thing__c", "Ext__c", csv).only_error();
    assert!(
        error.starts_with(
            "INVALID_FIELD_FOR_INSERT_UPDATE:Unable to create/update fields: Once__c."
        ),
        "{error}"
    );
    assert_eq!(org.upsert("Thing__c", "Ext__c", "Ext__c,Once__c\nK,\n").successful.rows.len(), 1);
}

#[test]
fn switches_change_what_is_an_error() {
    let org = Org::with(Settings {
        other_boolean_words: OtherBooleanWords::FailRow,
        dates_with_offset: false,
        row_errors: RowErrors::All,
        ..Settings::default()
    });
    let error = org.insert("Thing__c", "Name,Flag__c,Day__c\nn,yes,1940-06-07Z\n").only_error();
    assert_eq!(
        error,
        "INVALID_TYPE_ON_FIELD_IN_RECORD:Flag: value not of required type: yes:Flag__c --;\
         INVALID_TYPE_ON_FIELD_IN_RECORD:Day: value not of required type: 1940-06-07Z:Day__c --"
    );
    let lenient = Org::new();
    let id = lenient.one("Thing__c", "Name,Flag__c,Day__c\nn,yes,1940-06-07Z\n");
    assert_eq!(lenient.field("Thing__c", &id, "Flag__c"), "false");
}

#[test]
fn failed_rows_show_nothing_under_miscased_headers() {
    let org = Org::new();
    let done = org.insert("Thing__c", "name,Short__c\ngood,ok\nbad,toolong\n");
    assert_eq!(done.successful.rows[0]["name"], "good", "the upload itself works");
    assert_eq!(
        (done.failed.rows[0]["name"].as_str(), done.failed.rows[0]["Short__c"].as_str()),
        ("", "toolong")
    );
    let org = Org::with(Settings { miscased_columns_blank: false, ..Settings::default() });
    assert_eq!(
        org.insert("Thing__c", "name,Short__c\nbad,toolong\n").failed.rows[0]["name"],
        "bad"
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Whatever the cells, every row is in exactly one result set, and the
    /// journal has the saved ones once.
    #[test]
    fn rows_are_conserved(
        cells in prop::collection::vec(("[a-c]{0,2}", "[0-9eE.x]{0,5}", "[ab\"\n,#/NA]{0,7}"), 1..60),
        seed in any::<u64>(),
    ) {
        let org = Org::with(Settings { seed, workers: 1, ..Settings::default() });
        let mut csv = Vec::from(&b"Loose__c,Ext__c,Amount__c,Short__c,Name\n"[..]);
        for (row, (key, amount, text)) in cells.iter().enumerate() {
            for cell in [&format!("row{row}"), key, amount, text] {
                csv::write_quoted(&mut csv, cell.as_bytes());
                csv.push(b',');
            }
            csv.extend_from_slice(b"n\n");
        }
        let done = org.upsert("Thing__c", "Ext__c", std::str::from_utf8(&csv).unwrap());
        prop_assert_eq!(done.state(), State::JobComplete);
        let mut told = done.successful.column("Loose__c");
        told.extend(done.failed.column("Loose__c"));
        told.extend(done.unprocessed.column("Loose__c"));
        told.sort();
        let mut sent: Vec<String> = (0..cells.len()).map(|row| format!("row{row}")).collect();
        sent.sort();
        prop_assert_eq!(told, sent);
        let mut saved: Vec<String> = org
            .ingest.journal("Thing__c").unwrap().iter().map(|entry| format!("row{}", entry.row)).collect();
        saved.sort();
        prop_assert_eq!(saved, done.successful.column("Loose__c"));
        let progress = done.job.progress().clone();
        prop_assert_eq!(progress.processed as usize, cells.len());
        prop_assert_eq!(progress.failed as usize, done.failed.rows.len());
    }
}
