//! What becomes of good rows.

use super::*;

#[test]
fn inserted_rows_come_back_rerendered_with_ids_in_another_order() {
    let org = Org::new();
    let mut csv = String::from("Name,Amount__c,Count__c,At__c,Tags__c,Ext__c,Flag__c\n");
    for row in 0..500 {
        csv += &format!(
            "\"n, \"\"{row}\"\"\",45800000,10000000,2026-01-02T03:04:05.678+01:00,z;x,E{row},1\n"
        );
    }
    let done = org.insert("Thing__c", &csv);
    assert_eq!(done.state(), State::JobComplete, "{}", done.error());
    assert_eq!(done.successful.rows.len(), 500, "{:?}", done.failed.rows.first());
    assert!(org.text(&done.job, ResultSet::Successful).starts_with(
        "\"sf__Id\",\"sf__Created\",Name,Amount__c,Count__c,At__c,Tags__c,Ext__c,Flag__c\n\"a99Lo0"
    ));
    let row = &done.successful.rows[0];
    assert_eq!(row["sf__Created"], "true");
    assert_eq!(row["Amount__c"], "4.58E7", "as Java prints doubles");
    assert_eq!(row["Count__c"], "10000000", "whole numbers stay plain");
    assert_eq!(row["At__c"], "2026-01-02T02:04:05.000Z");
    assert_eq!(row["Tags__c"], "x;z");
    assert_eq!(row["Flag__c"], "true");
    let order: Vec<&str> = done.successful.rows.iter().map(|row| row["Ext__c"].as_str()).collect();
    let sent: Vec<String> = (0..500).map(|row| format!("E{row}")).collect();
    assert_ne!(order, sent);
    let mut sorted: Vec<String> = sent.clone();
    sorted.sort();
    assert_eq!(done.successful.column("Ext__c"), sorted);
    // Each row has the id of the record it made.
    for row in &done.successful.rows {
        assert_eq!(org.field("Thing__c", &row["sf__Id"], "Ext__c"), row["Ext__c"]);
    }
    let mut rows: Vec<u32> =
        org.ingest.journal("Thing__c").unwrap().iter().map(|entry| entry.row).collect();
    rows.sort_unstable();
    assert_eq!(rows, (0..500).collect::<Vec<u32>>(), "each row once");
}

#[test]
fn new_records_get_defaults_stamps_and_numbers() {
    let org = Org::new();
    let id = org.one("Thing__c", "Name,Flag__c,Kind__c,Short__c\nn,,,\n");
    let field = |name: &str| org.field("Thing__c", &id, name);
    assert_eq!(field("Flag__c"), "true");
    assert_eq!(field("Kind__c"), "B");
    assert_eq!(field("OwnerId"), org.user);
    assert_eq!(field("CreatedById"), org.user);
    assert_eq!(field("CreatedDate"), field("SystemModstamp"));
    assert!(field("CreatedDate").ends_with(".000Z"));
    assert_eq!(field("Number__c"), "00000001");
    assert_eq!(field("Short__c"), "");
    let contact = org.one("Contact", "FirstName,LastName\nAda,Lovelace\n");
    assert_eq!(org.field("Contact", &contact, "Name"), "Ada Lovelace");
    let done = org.update("Contact", &format!("Id,FirstName\n{contact},#N/A\n"));
    assert_eq!(done.successful.rows.len(), 1);
    assert_eq!(org.field("Contact", &contact, "Name"), "Lovelace");
}

#[test]
fn updates_change_what_is_there_clear_what_is_na_and_leave_the_rest() {
    let org = Org::new();
    let id = org.one("Thing__c", "Name,Short__c,Mail__c,Flag__c\nn,abc,a@b.co,false\n");
    org.clock.advance(Duration::from_secs(10));
    let csv = format!("Id,Short__c,Mail__c,Amount__c,Flag__c\n{},,#N/A,12.5,#N/A\n", &id[..15]);
    let done = org.update("Thing__c", &csv);
    let row = &done.successful.rows[0];
    assert_eq!((row["sf__Id"].as_str(), row["sf__Created"].as_str()), (id.as_str(), "false"));
    assert_eq!(row["Id"], id, "ids come back with 18 characters");
    assert_eq!(row["Mail__c"], "");
    let field = |name: &str| org.field("Thing__c", &id, name);
    assert_eq!(field("Short__c"), "abc", "an empty cell leaves the field");
    assert_eq!(field("Mail__c"), "", "#N/A clears it");
    assert_eq!(field("Flag__c"), "false", "a boolean is never null");
    assert_eq!(field("Amount__c"), "12.5");
    assert_eq!(field("Name"), "n");
    assert_ne!(field("CreatedDate"), field("LastModifiedDate"));
}

#[test]
fn cleared_cells_and_quoted_empties_follow_their_switches() {
    let settings = Settings {
        cleared_cells: crate::local_org::settings::ClearedCells::AsUploaded,
        quoted_empty: crate::local_org::settings::QuotedEmpty::ClearsField,
        ..Settings::default()
    };
    let org = Org::with(settings);
    let id = org.one("Thing__c", "Name,Short__c,Mail__c\nn,abc,a@b.co\n");
    let done = org.update("Thing__c", &format!("Id,Short__c,Mail__c\n{id},\"\",#N/A\n"));
    assert_eq!(done.successful.rows[0]["Mail__c"], "#N/A");
    assert_eq!(org.field("Thing__c", &id, "Short__c"), "");
}

#[test]
fn upserts_find_records_by_key_whatever_its_form() {
    let org = Org::new();
    let first = org.upsert("Thing__c", "Ext__c", "Ext__c,Name\nKey-1,one\n");
    assert_eq!(first.successful.rows[0]["sf__Created"], "true");
    let again = org.upsert("Thing__c", "Ext__c", "Ext__c,Name\nKEY-1,two\n");
    assert_eq!(again.successful.rows[0]["sf__Created"], "false");
    assert_eq!(again.successful.rows[0]["sf__Id"], first.successful.rows[0]["sf__Id"]);
    org.upsert("Thing__c", "Num__c", "Num__c,Name\n10000000,num\n");
    let again = org.upsert("Thing__c", "Num__c", "Num__c,Name\n1.0E7,num\n");
    assert_eq!(again.successful.rows[0]["sf__Created"], "false", "numbers are keys by value");
    // Names of another letter case are other keys where the field says so.
    let done = org.upsert("Thing__c", "Exact__c", "Exact__c,Name\nab,1\nAB,2\n");
    assert_eq!(done.successful.column("sf__Created"), ["true", "true"]);
    assert_eq!(org.count("Thing__c"), 4);
    // By Id: with one an update, without one an insert.
    let id = first.successful.rows[0]["sf__Id"].clone();
    let done = org.upsert("Thing__c", "Id", &format!("Id,Name\n{id},three\n,four\n"));
    assert_eq!(done.successful.column("sf__Created"), ["false", "true"]);
    assert_eq!(org.field("Thing__c", &id, "Name"), "three");
}

#[test]
fn an_upsert_in_batches_run_twice_updates_every_row() {
    let org = Org::new();
    let csv = many(12_345);
    let first = org.upsert("Thing__c", "Ext__c", &csv);
    assert_eq!(first.successful.rows.len(), 12_345);
    let second = org.upsert("Thing__c", "Ext__c", &csv);
    assert!(second.successful.rows.iter().all(|row| row["sf__Created"] == "false"));
    assert_eq!(second.successful.column("sf__Id"), first.successful.column("sf__Id"));
    assert_eq!(org.count("Thing__c"), 12_345);
    assert_eq!(org.ingest.batches_used(), 4);
}

#[test]
fn deletes_fill_the_bin_and_hard_deletes_do_not() {
    let org = Org::with(Settings { hard_delete_permission: true, ..Settings::default() });
    let made = org.insert("Thing__c", &many(2));
    let ids = made.successful.column("sf__Id");
    let deleted =
        org.run(json!({"object":"Thing__c","operation":"delete"}), &format!("Id\n{}\n", ids[0]));
    assert_eq!(deleted.successful.rows[0]["sf__Created"], "false");
    let erased = org
        .run(json!({"object":"Thing__c","operation":"hardDelete"}), &format!("Id\n{}\n", ids[1]));
    assert_eq!(erased.successful.rows.len(), 1);
    assert!(org.record("Thing__c", &ids[0]).unwrap().deleted);
    assert_eq!(org.record("Thing__c", &ids[1]), None);
    assert_eq!(org.count("Thing__c"), 0);
    // Their keys are free again.
    assert_eq!(org.insert("Thing__c", &many(2)).successful.rows.len(), 2);
}

#[test]
fn results_are_in_the_jobs_dialect() {
    let org = Org::new();
    let body = json!({"object":"Thing__c","operation":"insert","columnDelimiter":"SEMICOLON","lineEnding":"CRLF"});
    let job = org.started(body, "Name;Short__c\r\n\"a;b\";c\r\n");
    assert!(org.ingest.wait(&job.key().to_string(), Duration::from_secs(60)).unwrap());
    let text = org.text(&job, ResultSet::Successful);
    let (head, row) = text.split_once("\r\n").unwrap();
    assert_eq!(head, "\"sf__Id\";\"sf__Created\";Name;Short__c");
    assert!(row.ends_with(";\"true\";\"a;b\";\"c\"\r\n"), "{row}");
}

#[test]
fn text_is_not_trimmed_and_odd_bytes_become_replacement_characters() {
    let org = Org::new();
    let job = org.create(json!({"object":"Thing__c","operation":"insert"}));
    org.upload(&job, b"Name,Short__c\n  x ,\xff\n").unwrap();
    org.ingest.close(&job).unwrap();
    let done = org.ended(job);
    assert_eq!(done.successful.rows[0]["Name"], "  x ");
    assert_eq!(done.successful.rows[0]["Short__c"], "\u{fffd}");
}
