//! Bodies and queries that make no job.

use super::*;

#[test]
fn bodies_that_make_no_job_are_told_why() {
    let org = Org::new();
    let soql = "SELECT Id FROM Thing__c";
    for (body, code, part) in [
        (json!([]), "JSON_PARSER_ERROR", "not a JSON object"),
        (
            json!({"operation": "query", "query": soql, "object": "Thing__c"}),
            "JSON_PARSER_ERROR",
            "Unrecognized field \"object\"",
        ),
        (
            json!({"operation": "query", "query": 5}),
            "API_ERROR",
            "Value does not match expected type at [line:1, column:",
        ),
        (
            json!({"operation": ["query"], "query": soql}),
            "API_ERROR",
            "Value does not match expected type",
        ),
        (json!({"operation": "Query", "query": soql}), "JSON_PARSER_ERROR", "Query is not one of"),
        (json!({"operation": "insert", "query": soql}), "JSON_PARSER_ERROR", "insert"),
        (json!({"query": soql}), "INVALIDJOB", "No operation"),
        (json!({"operation": "query"}), "INVALIDJOB", "No query"),
        (json!({"operation": "query", "query": null}), "INVALIDJOB", "No query"),
        (json!({"operation": "query", "query": soql, "contentType": "JSON"}), "INVALIDJOB", "JSON"),
        (
            json!({"operation": "query", "query": soql, "columnDelimiter": ","}),
            "JSON_PARSER_ERROR",
            "columnDelimiter",
        ),
    ] {
        let (got, message) = org.refused(body.clone());
        assert_eq!(got, code, "{body}: {message}");
        assert!(message.contains(part), "{body}: {message}");
    }
    let error = org.bulk.create(b"{", &org.user, VERSION).unwrap_err();
    assert_eq!(&*error.code, "JSON_PARSER_ERROR");
    assert_eq!(org.bulk.create(b"{}", &org.user, "46.0").unwrap_err().status, 404);
    assert_eq!(org.bulk.used().0, 0, "nothing is counted");
}

#[test]
fn queries_that_bulk_refuses_are_told_why() {
    let org = Org::new();
    for (soql, code, part) in [
        ("SELECT COUNT() FROM Account", "API_ERROR", "aggregate function"),
        ("SELECT COUNT(Id) FROM Account", "API_ERROR", "aggregate function"),
        ("SELECT MAX(AnnualRevenue) m FROM Account", "API_ERROR", "aggregate function"),
        ("SELECT Industry FROM Account GROUP BY Industry", "API_ERROR", "GROUP BY"),
        (
            "SELECT CALENDAR_YEAR(CreatedDate), COUNT(Id) FROM Account GROUP BY CALENDAR_YEAR(CreatedDate)",
            "API_ERROR",
            "GROUP BY",
        ),
        ("SELECT Id FROM Account LIMIT 5 OFFSET 5", "API_ERROR", "OFFSET"),
        ("SELECT TYPEOF Who WHEN Lead THEN Name END FROM Task", "API_ERROR", "TYPEOF"),
        ("SELECT FIELDS(ALL) FROM Account LIMIT 5", "API_ERROR", "FIELDS()"),
        (
            "SELECT Id, (SELECT Id FROM Contacts) FROM Account",
            "API_ERROR",
            "Aggregate Relationships not supported in Bulk Query",
        ),
        (
            "SELECT Id, BillingAddress FROM Account",
            "API_ERROR",
            "Selecting compound data not supported in Bulk Query",
        ),
        ("SELECT Account.BillingAddress FROM Contact", "API_ERROR", "Selecting compound data"),
        ("SELECT Body__c FROM Thing__c", "API_ERROR", "Binary field not supported"),
        (
            "SELECT Id FROM CaseStatus",
            "INVALIDENTITY",
            "Entity 'CaseStatus' is not supported by the Bulk API.",
        ),
        ("SELECT Id FROM Hidden__c", "API_ERROR", "does not support query"),
        ("SELECT Id FROM Account ALL ROWS", "MALFORMED_QUERY", "ALL ROWS not allowed"),
        ("SELECT Id FROM Nope", "INVALID_TYPE", "sObject type 'Nope' is not supported."),
        ("SELECT Nope FROM Account", "INVALID_FIELD", "No such column 'Nope'"),
        ("SELECT Id FROM Account WHERE", "MALFORMED_QUERY", "unexpected token"),
        ("SELECT Id FROM Account WHERE Name = 'x", "MALFORMED_QUERY", "mismatched"),
    ] {
        let (got, message) = org.refused(json!({"operation": "query", "query": soql}));
        assert_eq!(got, code, "{soql}: {message}");
        assert!(message.contains(part), "{soql}: {message}");
    }
    // Words that are refused elsewhere are fine as texts.
    org.run("SELECT Id FROM Account WHERE Name = '(SELECT' AND Name != 'GROUP BY OFFSET'");
}

#[test]
fn names_of_people_are_compound_when_the_switch_says_so() {
    let org = Org::new();
    org.put("Contact", &[("FirstName", "Ada"), ("LastName", "Lovelace")]);
    assert_eq!(org.rows("SELECT Name FROM Contact")[0]["Name"], "Ada Lovelace");
    let org = Org::with(Settings { query_person_names: false, ..Settings::default() });
    for soql in ["SELECT Name FROM Contact", "SELECT Owner.Name FROM Lead"] {
        let (code, message) = org.refused(json!({"operation": "query", "query": soql}));
        assert_eq!(code, "API_ERROR");
        assert!(message.contains("compound data"), "{message}");
    }
    org.run("SELECT FirstName, LastName FROM Contact");
}
