//! What SOQL conditions, orders and groups mean.

use std::fmt::Write as _;

use proptest::prelude::*;
use serde_json::json;

use super::Rig;

async fn names(rig: &Rig, condition: &str) -> Vec<String> {
    rig.column(&format!("SELECT Name FROM Account WHERE {condition} ORDER BY Name"), "Name").await
}

async fn rig() -> Rig {
    let rig = Rig::new().await;
    let top = rig.put("Account", &[("Name", "Top"), ("Industry", "Energy"), ("Site", "HQ")]);
    rig.put(
        "Account",
        &[
            ("Name", "acme"),
            ("ParentId", &top),
            ("Industry", "Banking"),
            ("AnnualRevenue", "1.0E7"),
            ("NumberOfEmployees", "7"),
            ("Segments__c", "SMB;Partner"),
            ("Active__c", "true"),
            ("Contract_Start__c", "2026-02-28"),
            ("Last_Audit__c", "2026-02-28T23:59:59Z"),
            ("Legacy_Id__c", "L-1"),
            ("Case_Key__c", "Key"),
            ("External_No__c", "10000000"),
        ],
    );
    rig.put(
        "Account",
        &[
            ("Name", "Ümlaut_50%"),
            ("Industry", "banking"),
            ("AnnualRevenue", "-5.5"),
            ("Segments__c", "Enterprise"),
            ("Contract_Start__c", "2025-12-31"),
            ("Legacy_Id__c", "L-2"),
            ("Case_Key__c", "key"),
        ],
    );
    rig
}

#[tokio::test]
async fn conditions_mean_what_the_reference_says() {
    let rig = rig().await;
    for (condition, expected) in [
        ("Name = 'ACME'", &["acme"][..]),
        ("Industry = 'BANKING'", &["acme", "Ümlaut_50%"]),
        ("Industry != 'Banking'", &["Top"]),
        ("AnnualRevenue = 10000000", &["acme"]),
        ("AnnualRevenue < 0", &["Ümlaut_50%"]),
        ("AnnualRevenue != 10000000", &["Top", "Ümlaut_50%"]),
        ("AnnualRevenue = null", &["Top"]),
        ("AnnualRevenue != null AND NumberOfEmployees >= 7", &["acme"]),
        ("Name LIKE 'a%'", &["acme"]),
        ("Name LIKE '%\\_50\\%'", &["Ümlaut_50%"]),
        ("Name LIKE 'ü_LAUT%'", &["Ümlaut_50%"]),
        ("NOT Name LIKE 'a%'", &["Top", "Ümlaut_50%"]),
        ("Segments__c INCLUDES ('smb;partner', 'Startup')", &["acme"]),
        ("Segments__c INCLUDES ('SMB;Enterprise')", &[]),
        ("Segments__c EXCLUDES ('Enterprise')", &["acme", "Top"]),
        ("Active__c = true", &["acme"]),
        ("Active__c = false", &["Top", "Ümlaut_50%"]),
        ("Contract_Start__c >= 2026-01-01", &["acme"]),
        ("Last_Audit__c = 2026-03-01T00:59:59+01:00", &["acme"]),
        ("Last_Audit__c > 2026-02-28T23:59:58.000Z", &["acme"]),
        ("Parent.Name = 'top'", &["acme"]),
        ("Parent.Name != 'top'", &["Top", "Ümlaut_50%"]),
        ("ParentId = null AND (Site = 'HQ' OR Industry = 'x')", &["Top"]),
        ("Industry IN ('Energy', 'Banking')", &["acme", "Top", "Ümlaut_50%"]),
        ("Industry NOT IN ('Banking')", &["Top"]),
        ("NumberOfEmployees NOT IN (7)", &["Top", "Ümlaut_50%"]),
        ("Legacy_Id__c = 'l-1'", &["acme"]),
        ("Legacy_Id__c IN ('L-1', 'L-2', 'L-3') AND Industry = 'Banking'", &["acme", "Ümlaut_50%"]),
        ("Case_Key__c = 'key'", &["Ümlaut_50%"]),
        ("Case_Key__c = 'KEY'", &[]),
        ("External_No__c = 1.0E7", &["acme"]),
        ("Name = ''", &[]),
        ("Account.Site = 'hq'", &["Top"]),
    ] {
        assert_eq!(names(&rig, condition).await, expected, "{condition}");
    }
}

#[tokio::test]
async fn date_literals_go_by_the_orgs_clock() {
    let rig = Rig::new().await;
    let today = jiff::Timestamp::from_millisecond(rig.org.clock().now_ms()).unwrap().to_string();
    rig.put("Account", &[("Name", "now"), ("Contract_Start__c", &today[..10])]);
    assert_eq!(names(&rig, "Contract_Start__c = TODAY").await, ["now"]);
    rig.org.clock().advance(std::time::Duration::from_hours(24));
    let mut client = super::Client::new(rig.org.url());
    client.token = Some(rig.org.access_token().unwrap());
    let rig = Rig { client, ..rig };
    assert!(names(&rig, "Contract_Start__c = TODAY").await.is_empty());
    assert_eq!(names(&rig, "Contract_Start__c = YESTERDAY").await, ["now"]);
    assert_eq!(names(&rig, "Contract_Start__c = LAST_N_DAYS:1").await, ["now"]);
}

#[tokio::test]
async fn polymorphic_parents_and_person_names() {
    let rig = Rig::new().await;
    let user = "005Lo0000000001IAA";
    let contact =
        rig.put("Contact", &[("FirstName", "Ada"), ("LastName", "Byron"), ("OwnerId", user)]);
    let lead = rig.put("Lead", &[("LastName", "Solo"), ("Company", "Acme")]);
    rig.put("Task", &[("Subject", "Call"), ("WhoId", &contact)]);
    rig.put("Task", &[("Subject", "Mail"), ("WhoId", &lead)]);
    let reply = rig.query("SELECT Who.Name, Who.Type FROM Task WHERE Who.Type = 'Lead'").await;
    assert_eq!(reply["records"][0]["Who"]["Name"], "Solo");
    assert_eq!(reply["records"][0]["Who"]["Type"], "Lead");
    assert_eq!(
        rig.column("SELECT Subject FROM Task WHERE Who.Name = 'ada byron'", "Subject").await,
        ["Call"]
    );
    let reply = rig.query("SELECT Name, Owner.Name FROM Contact").await;
    assert_eq!(reply["records"][0]["Name"], "Ada Byron");
    assert_eq!(reply["records"][0]["Owner"]["Name"], "System Administrator");
}

#[tokio::test]
async fn order_limit_and_offset() {
    let rig = rig().await;
    let order = async |clause: &str| {
        rig.column(&format!("SELECT Name FROM Account ORDER BY {clause}"), "Name").await
    };
    assert_eq!(order("AnnualRevenue").await, ["Top", "Ümlaut_50%", "acme"]);
    assert_eq!(order("AnnualRevenue DESC").await, ["Top", "acme", "Ümlaut_50%"]);
    assert_eq!(order("AnnualRevenue DESC NULLS LAST").await, ["acme", "Ümlaut_50%", "Top"]);
    assert_eq!(order("Industry, Name DESC").await, ["Ümlaut_50%", "acme", "Top"]);
    assert_eq!(order("Parent.Name NULLS LAST, Name").await[0], "acme");
    assert_eq!(order("Name LIMIT 1 OFFSET 1").await, ["Top"]);
    assert_eq!(order("Name LIMIT 0").await, [] as [&str; 0]);
}

#[tokio::test]
async fn groups_and_aggregates() {
    let rig = rig().await;
    let reply = rig
        .query(
            "SELECT Industry, COUNT(Id) n, SUM(AnnualRevenue), MIN(Name) FROM Account \
             GROUP BY Industry ORDER BY COUNT(Id) DESC",
        )
        .await;
    assert_eq!(reply["totalSize"], 2);
    let first = &reply["records"][0];
    assert_eq!(first["attributes"]["type"], "AggregateResult");
    assert_eq!((&first["Industry"], &first["n"]), (&json!("Banking"), &json!(2)));
    assert_eq!((&first["expr0"], &first["expr1"]), (&json!(9_999_994.5), &json!("acme")));
    assert_eq!(reply["records"][1]["expr0"], json!(null));
    let all = rig.query("SELECT COUNT(AnnualRevenue), COUNT_DISTINCT(Industry) FROM Account").await;
    assert_eq!((&all["records"][0]["expr0"], &all["records"][0]["expr1"]), (&json!(2), &json!(2)));
}

/// A condition and, for each of three rows, whether it holds: judged by a
/// model that knows nothing of the evaluator.
fn conditions() -> impl Strategy<Value = (String, [bool; 3])> {
    let leaf = prop_oneof![
        Just(("NumberOfEmployees = 1".to_owned(), [true, false, false])),
        Just(("NumberOfEmployees > 1".to_owned(), [false, true, false])),
        Just(("NumberOfEmployees != 2".to_owned(), [true, false, true])),
        Just(("NumberOfEmployees = null".to_owned(), [false, false, true])),
        Just(("Name IN ('a', 'C')".to_owned(), [true, false, true])),
        Just(("Name LIKE '_'".to_owned(), [true, true, true])),
        Just(("Legacy_Id__c = 'x2'".to_owned(), [false, true, false])),
    ];
    leaf.prop_recursive(4, 24, 3, |inner| {
        let join = |all: &[(String, [bool; 3])], word: &str| {
            let mut text = String::new();
            for (at, (part, _)) in all.iter().enumerate() {
                let _ = write!(text, "{}({part})", if at == 0 { "" } else { word });
            }
            text
        };
        prop_oneof![
            prop::collection::vec(inner.clone(), 1..4).prop_map(move |all| (
                join(&all, " AND "),
                std::array::from_fn(|row| all.iter().all(|(_, holds)| holds[row]))
            )),
            prop::collection::vec(inner.clone(), 1..4).prop_map(move |any| (
                join(&any, " OR "),
                std::array::from_fn(|row| any.iter().any(|(_, holds)| holds[row]))
            )),
            inner.prop_map(|(text, holds)| (format!("NOT ({text})"), holds.map(|h| !h))),
        ]
    })
}

#[test]
fn nested_conditions_agree_with_a_truth_table() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let rig = runtime.block_on(async {
        let rig = Rig::new().await;
        rig.put("Account", &[("Name", "a"), ("NumberOfEmployees", "1"), ("Legacy_Id__c", "X1")]);
        rig.put("Account", &[("Name", "b"), ("NumberOfEmployees", "2"), ("Legacy_Id__c", "X2")]);
        rig.put("Account", &[("Name", "c")]);
        rig
    });
    proptest!(ProptestConfig::with_cases(60), |((condition, holds) in conditions())| {
        let expected: Vec<&str> =
            ["a", "b", "c"].into_iter().zip(holds).filter(|(_, h)| *h).map(|(n, _)| n).collect();
        prop_assert_eq!(runtime.block_on(names(&rig, &condition)), expected, "{}", condition);
    });
}
