//! What stands in the rows: formats, columns, which records, and that they
//! stay as they were.

use super::*;

#[test]
fn values_come_as_bulk_csv_shows_them() {
    let org = Org::new();
    for (field, cell, shown) in [
        ("Amount__c", "45800000", "4.58E7"),
        ("Amount__c", "10000000", "1.0E7"),
        ("Amount__c", "9999999.99", "9999999.99"),
        ("Amount__c", "-12345678.9", "-1.23456789E7"),
        ("Amount__c", "123456789012345", "1.23456789012345E14"),
        ("Amount__c", "100", "100.0"),
        ("Amount__c", "0", "0.0"),
        ("Amount__c", "-0", "-0.0"),
        ("Ratio__c", "0.001", "0.001"),
        ("Ratio__c", "0.00099", "9.9E-4"),
        ("Ratio__c", "0.1", "0.1"),
        ("Count__c", "45800000", "45800000"),
        ("Flag__c", "true", "true"),
        ("Flag__c", "false", "false"),
        ("Day__c", "1899-12-31", "1899-12-31"),
        ("Day__c", "3999-02-28", "3999-02-28"),
        ("At__c", "1850-06-07T08:09:10+01:00", "1850-06-07T07:09:10.000Z"),
        ("At__c", "2026-04-16T19:00:00Z", "2026-04-16T19:00:00.000Z"),
        ("At__c", "2300-01-01T00:00:00Z", "2300-01-01T00:00:00.000Z"),
        ("Clock__c", "10:30:00", "10:30:00.000Z"),
        ("Tags__c", "z;x", "x;z"),
        ("Notes__c", "He said \"no\", twice", "He said \"\"no\"\", twice"),
        ("Notes__c", "two\nlines\r\n", "two\nlines\r\n"),
        ("Notes__c", "👩🏽‍🚀 Zoë \u{0}end", "👩🏽‍🚀 Zoë \u{0}end"),
        ("Notes__c", " #N/A ", " #N/A "),
    ] {
        let id = org.put("Thing__c", &[("Name", "n"), (field, cell)]);
        let job = org.run(&format!("SELECT {field} FROM Thing__c WHERE Id = '{id}'"));
        assert_eq!(org.text(&job), format!("\"{field}\"\n\"{shown}\"\n"), "{field} {cell:?}");
    }
}

#[test]
fn long_texts_and_nulls() {
    let org = Org::new();
    let long = "ä\"\n".repeat(43_690) + "xy";
    assert_eq!(long.chars().count(), 131_072);
    org.put("Thing__c", &[("Name", "n"), ("Notes__c", &long)]);
    assert_eq!(org.rows("SELECT Notes__c FROM Thing__c")[0]["Notes__c"], long);
    let text = org.text(&org.run(
        "SELECT Ext__c, Amount__c, Count__c, Flag__c, Day__c, At__c, Clock__c, Formula__c, \
         Account__r.Name, Account__r.IsDeleted FROM Thing__c",
    ));
    // Booleans are never null, unless there is no record that has one.
    assert!(text.ends_with("\n\"\",\"\",\"\",\"false\",\"\",\"\",\"\",\"\",\"\",\"\"\n"), "{text}");
}

#[test]
fn columns_are_as_the_query_names_them() {
    let org = Org::new();
    let account = org.put("Account", &[("Name", "Acme")]);
    let lead = org.put("Lead", &[("FirstName", "Ada"), ("LastName", "Byron"), ("Company", "x")]);
    let id = org.put("Thing__c", &[("Name", "n"), ("Account__c", &account), ("Who__c", &lead)]);
    let soql = "select name, account__R.Name, Id, Who__r.Type, Who__r.Name, Account__r.Active__c, \
                Account__r.Id from Thing__c";
    assert_eq!(
        org.text(&org.run(soql)),
        format!(
            "\"name\",\"account__R.Name\",\"Id\",\"Who__r.Type\",\"Who__r.Name\",\
             \"Account__r.Active__c\",\"Account__r.Id\"\n\
             \"n\",\"Acme\",\"{id}\",\"Lead\",\"Ada Byron\",\"false\",\"{account}\"\n"
        )
    );
    // Before version 50 columns came in the order of their names.
    let body = json!({"operation": "query", "query": "SELECT Name, Ext__c, Id FROM Thing__c"});
    let (job, _) = org.bulk.create(body.to_string().as_bytes(), &org.user, "49.0").unwrap();
    org.ended(&job);
    let page = org.bulk.page(&job, &Asked::default(), "49.0").unwrap();
    assert_eq!(page.header, b"\"Ext__c\",\"Id\",\"Name\"\n");
}

#[test]
fn delimiters_and_line_ends_are_those_of_the_job() {
    let org = Org::new();
    org.put("Thing__c", &[("Name", "a,b|c"), ("Count__c", "1")]);
    for (word, delimiter) in
        [("PIPE", '|'), ("TAB", '\t'), ("SEMICOLON", ';'), ("CARET", '^'), ("BACKQUOTE", '`')]
    {
        let job = org.run_as(json!({
            "operation": "query", "query": "SELECT Name, Count__c FROM Thing__c",
            "columnDelimiter": word, "lineEnding": "CRLF", "contentType": "CSV",
        }));
        let expected = format!("\"Name\"{delimiter}\"Count__c\"\r\n\"a,b|c\"{delimiter}\"1\"\r\n");
        assert_eq!(org.text(&job), expected);
    }
}

#[test]
fn conditions_order_and_limit_hold() {
    Org::both(Settings::default(), |org| {
        let mut ids = Vec::new();
        for n in 0..9_000 {
            let count = ((n * 7_919) % 9_000).to_string();
            ids.push(org.put("Thing__c", &[("Name", "n"), ("Count__c", &count)]));
        }
        let column = |soql: &str, name: &str| -> Vec<String> {
            org.rows(soql).into_iter().map(|mut row| row.remove(name).unwrap()).collect()
        };
        assert_eq!(column("SELECT Id FROM Thing__c", "Id"), ids);
        let part =
            format!("SELECT Id FROM Thing__c WHERE Id >= '{}' AND Id < '{}'", ids[100], ids[5_000]);
        assert_eq!(column(&part, "Id"), ids[100..5_000]);
        let last = format!("SELECT Id FROM Thing__c WHERE Id > '{}' ORDER BY Id DESC", ids[8_990]);
        let mut expected = ids[8_991..].to_vec();
        expected.reverse();
        assert_eq!(column(&last, "Id"), expected);
        let three = "SELECT Count__c FROM Thing__c ORDER BY Count__c DESC LIMIT 3";
        assert_eq!(column(three, "Count__c"), ["8999", "8998", "8997"]);
        let some = "SELECT Count__c FROM Thing__c WHERE Count__c < 4500 LIMIT 2500";
        assert_eq!(column(some, "Count__c").len(), 2_500);
        assert!(column("SELECT Id FROM Thing__c LIMIT 0", "Id").is_empty());
        assert!(column("SELECT Id FROM Thing__c WHERE Id < '001000000000000AAA'", "Id").is_empty());
    });
}

#[test]
fn rows_stay_as_they_were_when_the_job_ran() {
    Org::both(Settings::default(), |org| {
        let ids: Vec<String> =
            (0..5).map(|n| org.put("Thing__c", &[("Name", &format!("n{n}"))])).collect();
        let job = org.run("SELECT Id, Name FROM Thing__c");
        let (first, _, next) = org.page(&job, &most("2"));
        for id in &ids {
            org.delete("Thing__c", id);
        }
        org.put("Thing__c", &[("Name", "late")]);
        assert_eq!(org.page(&job, &most("2")).0, first);
        let (rest, count, _) = org.page(&job, &at(&next.unwrap()));
        assert_eq!(count, 3);
        assert_eq!(
            rest,
            format!(
                "\"Id\",\"Name\"\n\"{}\",\"n2\"\n\"{}\",\"n3\"\n\"{}\",\"n4\"\n",
                ids[2], ids[3], ids[4]
            )
        );
        assert_eq!(org.rows("SELECT Name FROM Thing__c")[0]["Name"], "late");
    });
}

#[test]
fn a_job_at_work_sees_the_org_as_it_was_when_it_began() {
    // Ten pieces of records, with time between them.
    let org = Org::with(Settings { query_records_per_second: Some(20_000), ..Settings::default() });
    org.things(9_500);
    let job = org.start("SELECT Name FROM Thing__c");
    assert!(
        job.wait_until(Duration::from_mins(1), |p| p.state == State::InProgress && p.processed > 0)
    );
    org.put("Thing__c", &[("Name", "late")]);
    org.ended(&job);
    assert_eq!(job.progress().processed, 9_500);
}

#[test]
fn query_all_reads_the_recycle_bin_too() {
    let org = Org::new();
    let gone = org.put("Thing__c", &[("Name", "gone"), ("Ext__c", "g")]);
    org.put("Thing__c", &[("Name", "kept"), ("Ext__c", "k")]);
    org.delete("Thing__c", &gone);
    let soql = "SELECT Name, IsDeleted FROM Thing__c";
    assert_eq!(org.text(&org.run(soql)), "\"Name\",\"IsDeleted\"\n\"kept\",\"false\"\n");
    for (order, expected) in [
        ("", "\"gone\",\"true\"\n\"kept\",\"false\"\n"),
        (" ORDER BY Name DESC", "\"kept\",\"false\"\n\"gone\",\"true\"\n"),
        (" WHERE IsDeleted = true", "\"gone\",\"true\"\n"),
        (" WHERE Ext__c = 'g'", "\"gone\",\"true\"\n"),
    ] {
        let job = org.run_as(json!({"operation": "queryAll", "query": format!("{soql}{order}")}));
        assert_eq!(org.text(&job), format!("\"Name\",\"IsDeleted\"\n{expected}"), "{order}");
    }
}

#[test]
fn old_activities_are_archived() {
    for object in ["Task", "Event"] {
        let org = Org::new();
        org.put(object, &[("Subject", "old"), ("ActivityDate", "2001-01-01")]);
        org.put(object, &[("Subject", "new")]);
        let soql = format!("SELECT Subject, IsArchived FROM {object}");
        let plain = org.text(&org.run(&soql));
        assert_eq!(plain, "\"Subject\",\"IsArchived\"\n\"new\",\"false\"\n");
        let all = |soql: &str| {
            let job = org.run_as(json!({"operation": "queryAll", "query": soql}));
            let rows = rows(&org.text(&job));
            rows.into_iter().map(|row| row["Subject"].clone()).collect::<Vec<_>>()
        };
        assert_eq!(all(&soql), ["old", "new"]);
        assert_eq!(all(&format!("{soql} WHERE IsArchived = true")), ["old"]);
        let live = format!("{soql} WHERE IsDeleted = false ORDER BY Subject");
        assert_eq!(all(&live), ["new", "old"]);
        org.clock.advance(Duration::from_hours(24 * 367));
        assert!(org.rows(&soql).is_empty(), "what has no date goes by its creation");
        let org = org.restart(Settings { archive_after_days: None, ..Settings::default() });
        assert_eq!(org.rows(&soql).len(), 2);
    }
}
