//! Files that are refused as a whole, and what their jobs tell.

use super::*;
use crate::local_org::settings::{EmptyResults, RowsBeyondAllowance};

#[test]
fn bad_headers_fail_the_job_and_leave_every_row_unprocessed() {
    let org = Org::new();
    for (csv, error) in [
        ("Name,Foo__c,Bar__c\na,b,c\n", "InvalidBatch : Field name not found : Foo__c"),
        ("\u{feff}Name,Short__c\na,b\n", "InvalidBatch : Field name not found : \u{feff}Name"),
        ("Name;Short__c\na;b\n", "InvalidBatch : Field name not found : Name;Short__c"),
        ("Name,name\na,b\n", "InvalidBatch : Duplicate field name : name"),
        ("Name,\na,b\n", "InvalidBatch : Field name not found : "),
    ] {
        let done = org.insert("Thing__c", csv);
        assert_eq!(done.state(), State::Failed);
        assert_eq!(done.error(), error);
        assert_eq!((done.successful.rows.len(), done.failed.rows.len()), (0, 0));
        assert_eq!(done.unprocessed.rows.len(), 1, "{csv}");
        let info = done.job.json(Shape::Info);
        assert_eq!(info["numberRecordsProcessed"], 0);
        assert_eq!(info["errorMessage"], error);
    }
    let done = org.insert("Thing__c", &format!("Name,{}\na,b\n", "x".repeat(32_000)));
    assert_eq!(done.error(), "InvalidBatch : The header row has more than 32000 characters");
}

#[test]
fn what_is_no_csv_fails_the_job_and_is_given_back_as_it_came() {
    let org = Org::new();
    for csv in ["\u{feff}\"Name\"\na\n", "Name\na\"b\n", "Name,Short__c\n\"a\", \"b\"\n"] {
        let done = org.insert("Thing__c", csv);
        assert!(
            done.error().starts_with("InvalidBatch : Failed to parse CSV. Found unescaped quote"),
            "{}",
            done.error()
        );
        assert_eq!(org.text(&done.job, ResultSet::Unprocessed), csv);
    }
    let done = org.insert("Thing__c", "Name\n\"a\n");
    assert!(done.error().contains("EOF reached before closing"), "{}", done.error());
    let done = org.insert("Thing__c", "Name,Short__c\na,b\nc\n");
    assert_eq!(
        done.error(),
        "InvalidBatch : Failed to parse CSV. The number of columns in row 2 does not match the header"
    );
    assert_eq!(done.unprocessed.column("Name"), ["a", "c"]);
}

#[test]
fn line_ends_have_to_be_the_jobs() {
    let org = Org::new();
    let done = org.insert("Thing__c", "Name\r\na\r\n");
    assert_eq!(
        done.error(),
        "ClientInputError : LineEnding is invalid on user data. Current LineEnding setting is LF"
    );
}

#[test]
fn delete_files_have_ids_only() {
    let org = Org::new();
    let done = org.run(json!({"object":"Thing__c","operation":"delete"}), "Id,Name\na,b\n");
    assert_eq!(done.error(), "InvalidBatch : The 'delete' batch must contain only ids");
    let done = org.run(json!({"object":"Thing__c","operation":"delete"}), "Name\nb\n");
    assert_eq!(done.error(), "InvalidBatch : The 'delete' batch must contain only ids");
}

#[test]
fn files_without_rows_complete() {
    let org = Org::new();
    for csv in ["", "Name\n", "Name", "Name\n\n"] {
        let done = org.insert("Thing__c", csv);
        assert_eq!(done.state(), State::JobComplete, "{csv:?} {}", done.error());
        assert_eq!(done.successful.rows.len(), 0);
    }
    assert_eq!(org.ingest.batches_used(), 0, "the empty parent batch is free");
}

#[test]
fn empty_sets_are_told_as_the_switch_says() {
    for (setting, text) in [
        (EmptyResults::HeaderOnly, "\"sf__Id\",\"sf__Error\",Name\n"),
        (EmptyResults::EmptyBody, ""),
        (EmptyResults::NoContent, ""),
    ] {
        let org = Org::with(Settings { empty_results: setting, ..Settings::default() });
        let done = org.insert("Thing__c", "Name\nn\n");
        assert_eq!(org.text(&done.job, ResultSet::Failed), text);
        let unprocessed = if setting == EmptyResults::HeaderOnly { "Name\n" } else { "" };
        assert_eq!(org.text(&done.job, ResultSet::Unprocessed), unprocessed);
    }
}

#[test]
fn batches_beyond_the_allowance_fail_the_job_and_are_not_lost() {
    // One worker: with more, a unit in hand may be committed after the job failed.
    let org = Org::with(Settings { daily_batches: 2, workers: 1, ..Settings::default() });
    let done = org.insert("Thing__c", &many(25_000));
    assert_eq!(done.error(), "ExceededQuota : ApiBatchItems Limit exceeded");
    let (saved, left) = (done.successful.rows.len(), done.unprocessed.rows.len());
    assert_eq!(saved + left, 25_000);
    assert!(saved == 20_000 || saved == 15_000, "two batches: {saved}");
    let mut told = done.successful.column("Ext__c");
    told.extend(done.unprocessed.column("Ext__c"));
    told.sort();
    told.dedup();
    assert_eq!(told.len(), 25_000, "each row in one set");
    assert_eq!(org.count("Thing__c"), saved as u64, "what was committed stays");
    // A day later there are batches again.
    org.clock.advance(Duration::from_secs(86_401));
    assert_eq!(org.insert("Thing__c", "Name\nn\n").state(), State::JobComplete);

    let settings = Settings {
        daily_batches: 0,
        rows_beyond_allowance: RowsBeyondAllowance::Nowhere,
        ..Settings::default()
    };
    let org = Org::with(settings);
    let done = org.insert("Thing__c", "Name\nn\n");
    assert_eq!((done.state(), done.unprocessed.rows.len()), (State::Failed, 0));
}
