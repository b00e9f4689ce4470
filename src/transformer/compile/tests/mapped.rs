//! Mapping files against header and describe, and the rows they make.

use proptest::prelude::*;

use super::*;
use crate::domain::RowNumber;
use crate::rows::{EncodedRow, RecordSplitter, RowStream as _};
use crate::transformer::DropReason;

/// Encodes a text; each row as it is sent, or as `!` and the reason.
fn encode(plan: &Plan, text: &str) -> Vec<String> {
    let mut splitter = RecordSplitter::new(
        text.as_bytes(),
        plan.source,
        Some(plan.header.len() as u32),
        RowNumber(1),
        0,
        Path::new("a.csv"),
    );
    let mut rows = Vec::new();
    while let Some(batch) = splitter.next_batch().unwrap() {
        let encoded = plan.apply(&batch);
        assert_eq!(encoded.rows.len(), batch.records.len());
        rows.extend(encoded.rows.iter().map(|row| match *row {
            EncodedRow::Same => "=".to_owned(),
            EncodedRow::Rewritten { start, end } => {
                let text = encoded.side[start as usize..end as usize].to_vec();
                String::from_utf8(text).unwrap().trim_end().to_owned()
            }
            EncodedRow::Rejected(at) => {
                let names = plan.column_names();
                format!("! {}", encoded.rejections[at as usize].reason(&names, None))
            }
        }));
    }
    rows
}

#[test]
fn a_mapping_that_changes_nothing_is_the_plan_without_one() {
    let header = &["Name", "Phone", "Active__c"];
    let plain = ask(Operation::Insert).of(header).unwrap();
    for text in [
        "unmapped = \"send\"\n",
        "unmapped = \"send\"\n[fields]\nPhone = \"Phone\"\n",
        "[fields]\nactive__c = \"Active__c\"\nPhone = { column = \"Phone\" }\nName = \"Name\"\n",
        "[fields]\nPhone = { column = \"Phone\", trim = false }\nName = \"name\"\nActive__c = \"Active__c\"\n",
    ] {
        let plan = ask(Operation::Insert).mapping(text).of(header).unwrap();
        assert!(plan.is_identity(), "{text}");
        assert_eq!(plan, plain, "{text}");
        assert_eq!(encode(&plan, "a,b,true\n"), ["="]);
    }
    // Other names and columns left out are what `--map` makes of them.
    let renamed = ask(Operation::Insert)
        .mapping("[fields]\nPhone = \"Tel\"\nName = \"Firma\"\n")
        .of(&["Firma", "X", "Tel"])
        .unwrap();
    assert!(renamed.mapping.is_none());
    let kinds: Vec<_> = renamed.dropped.iter().map(|column| column.reason).collect();
    assert_eq!(kinds, [DropReason::NotMapped]);
    assert_eq!(encode(&renamed, "a,x,1\n"), ["a,1"]);
}

#[test]
fn fields_that_can_not_be_set_are_told_by_their_entries() {
    let mut asked = ask(Operation::Update);
    for name in ["Name", "Phone"] {
        let field = asked.object.fields.iter_mut().find(|field| field.name == name).unwrap();
        (field.auto_number, field.updateable, field.createable) = (name == "Name", false, false);
    }
    let told = asked
        .mapping(
            "[fields]\nId = \"Nr\"\nName = \"a\"\nPhone = \"a\"\nScore__c = \"a\"\n\
             OwnerId = \"a\"\n\"Owner.Username\" = \"a\"\n",
        )
        .problems(&["Nr", "a"]);
    insta::assert_snapshot!(told);
}

#[test]
fn all_problems_of_a_mapping_are_told_at_once() {
    let told = ask(Operation::Upsert)
        .by("Legacy_Id__c")
        .mapping(
            r#"
unmapped = "refuse"
[fields]
Nmae = "Firma"
Phone = { template = "{Vorwahl} {Nummer}" }
Score__c = "Firma"
Active__c = { column = "Firma", date = "dd.MM.yyyy" }
AnnualRevenue = { column = "Firma", datetime = "yyyy-MM-dd'T'HH:mmX" }
Start__c = { column = "Firma", datetime = "yyyy-MM-dd'T'HH:mmX" }
"Owner.Username" = "Firma"
"Parent.Lgacy_Id__c" = "Firma"
Id = "Firma"
[filter]
all = [{ column = "Lnad", is = "DE" }]
"#,
        )
        .problems(&["Firma", "Nummr", "Land", "sf__Id", "Twice", "Twice"]);
    insta::assert_snapshot!(told);
}

#[test]
fn what_a_mapping_lacks_is_told_in_its_words() {
    let told = ask(Operation::Insert).mapping("[fields]\nPhone = \"A\"\n").problems(&["A"]);
    insta::assert_snapshot!(told);
    let told = ask(Operation::Upsert)
        .by("Legacy_Id__c")
        .mapping("[fields]\nName = \"A\"\n")
        .problems(&["A", "Legacy Id"]);
    insta::assert_snapshot!(told);
    let told = ask(Operation::Delete)
        .mapping("[fields]\nName = \"A\"\nId = \"B\"\n")
        .problems(&["A", "B"]);
    insta::assert_snapshot!(told);
    let notes = ask(Operation::Insert)
        .mapping("[fields]\nName = { column = \"A\", trim = true }\nOwnerId = { constant = \"005000000000001\" }\n")
        .notes(&["A", "B", "sf__Id"]);
    insta::assert_snapshot!(notes);
}

const LEGACY: &str = r#"
[defaults]
trim = true
decimal = ","
grouping = "."
[fields]
Legacy_Id__c = "Nr"
Name = { column = "Firma", collapse = true }
Phone = { template = "{Vorwahl} {Nummer}", truncate = true }
Industry = { column = "Branche", map = { MB = "Machinery", BK = "Banking" } }
AnnualRevenue = { column = "Umsatz", number = { currency = "€", scale = "field" }, default = 0 }
Start__c = { column = "Beginn", date = ["dd.MM.yyyy", "yyyy-MM-dd"], empty = "clear" }
Seen__c = { column = "Zuletzt", datetime = { formats = ["dd.MM.yyyy HH:mm"], timezone = "Europe/Berlin" } }
Active__c = { column = "Aktiv", boolean = { true = ["ja"], false = ["nein"] }, default = false }
BillingCity = { constant = "Köln, Rhein" }
"#;

const LEGACY_HEADER: &[&str] = &[
    "Nr", "Firma", "Vorwahl", "Nummer", "Branche", "Umsatz", "Beginn", "Zuletzt", "Aktiv", "Rest",
];

#[test]
fn rows_are_made_field_by_field() {
    let plan = ask(Operation::Upsert).by("Legacy_Id__c").mapping(LEGACY).of(LEGACY_HEADER).unwrap();
    assert!(!plan.is_identity());
    let rows = encode(
        &plan,
        concat!(
            "K1 ,Müller  & Söhne,030,12345,MB,\"1.234,565 €\",31.12.2025,01.07.2026 12:00,Ja,x\n",
            "K2,\"a \"\"b\"\"\n c\",,,,,,,,\n",
            "K3,\"x, y\",1,2,BK,-5,2026-02-03,#N/A,nein,\n",
            "#N/A,c,1,2,XX,,,,,\n",
            "K4,c,1,2,,\"1,2,3\",,,,\n",
            "K5,c,1,2,,,31.02.2026,,,\n",
            "K6,c,1,2,,,,,vielleicht,\n",
            "K7,c,1,2,,,,,#N/A,\n",
            "K8,c,1,2,,,,29.03.2026 02:30,,\n",
            "K9,c\n",
        ),
    );
    let mut line = plan.header_line();
    line.pop();
    insta::assert_snapshot!(format!("{}\n{}", String::from_utf8(line).unwrap(), rows.join("\n")));
}

#[test]
fn keys_and_watched_texts_are_those_that_are_sent() {
    let text =
        "[fields]\nLegacy_Id__c = { columns = [\"A\", \"B\"], join = \"-\" }\nName = \"A\"\n";
    let plan = ask(Operation::Upsert).by("Legacy_Id__c").mapping(text).of(&["A", "B"]).unwrap();
    // Its name is behind those of the source.
    assert_eq!(plan.key_place(), Some(2 + plan.key.unwrap()));
    assert_eq!(plan.columns[plan.key.unwrap()].source, None);
    let mut splitter = RecordSplitter::new(
        "x,1\nx-1,\ny,\n".as_bytes(),
        plan.source,
        Some(2),
        RowNumber(1),
        0,
        Path::new("a.csv"),
    );
    let encoded = plan.apply(&splitter.next_batch().unwrap().unwrap());
    assert_eq!(encoded.keys[0], encoded.keys[1], "both are sent as x-1");
    assert_ne!(encoded.keys[0], encoded.keys[2]);
    let names = plan.column_names();
    assert_eq!(
        crate::rows::Rejection::DuplicateKey { column: plan.key_place().unwrap() as u32, row: 1 }
            .reason(&names, None),
        "`A`, `B`, for Legacy_Id__c: row 1 has the same key"
    );
}

#[test]
fn a_mapped_plan_survives_the_ledger_and_sends_nothing_before_it_is_ready() {
    let plan = ask(Operation::Upsert).by("Legacy_Id__c").mapping(LEGACY).of(LEGACY_HEADER).unwrap();
    let stored = serde_json::to_string(&plan).unwrap();
    let mut again: Plan = serde_json::from_str(&stored).unwrap();
    assert_eq!(again, plan);
    let row = "K1,a,1,2,MB,\"1,5\",31.12.2025,,ja,\n";
    assert!(!again.is_ready());
    assert_eq!(encode(&again, row), ["! the mapping was not made ready"]);
    again.make_ready(&Secrets::default(), Path::new(""), &CsvTables::default()).unwrap();
    assert_eq!(encode(&again, row), encode(&plan, row));
    assert!(encode(&plan, row)[0].starts_with("K1,a,"));
}

#[test]
fn rows_that_are_left_out_say_so() {
    let text = "[fields]\nName = \"A\"\n[filter]\nall = [{ column = \"B\", is = \"1\" }]\n";
    let plan = ask(Operation::Insert).mapping(text).of(&["A", "B"]).unwrap();
    assert_eq!(encode(&plan, "a,1\nb,2\n"), ["a", "! left out by the mapping's filter"]);
    assert_eq!(plan.dropped, [], "what a filter looks at was not forgotten");
}

#[test]
fn what_outgrows_the_service_is_rejected() {
    let text = "[fields]\nName = { template = \"{A}{A}{A}\" }\nPhone = \"B\"\n";
    let plan = ask(Operation::Insert).mapping(text).of(&["A", "B"]).unwrap();
    let long = "é".repeat(44_000);
    let told = encode(&plan, &format!("{long},1\n")).remove(0);
    assert_eq!(
        told,
        "! `A`, for Name: a value of 132000 characters (letters) is longer than the 131,072 \
         characters that the service takes in a cell"
    );
}

/// The slow, obvious way of what [`LEGACY`] says, in floating minutes of work
/// a row: each field by itself, on texts.
fn slowly(row: &[String]) -> Option<Vec<String>> {
    let trimmed: Vec<&str> = row.iter().map(|cell| cell.trim()).collect();
    let name = trimmed[1].split_whitespace().collect::<Vec<_>>().join(" ");
    let phone = if row[2].is_empty() && row[3].is_empty() {
        String::new()
    } else {
        format!("{} {}", row[2], row[3]).trim().chars().take(8).collect()
    };
    let industry = match trimmed[4] {
        "" => "",
        "MB" => "Machinery",
        "BK" => "Banking",
        _ => return None,
    };
    let revenue = match trimmed[5] {
        "" => "0".to_owned(),
        text => {
            let (whole, cents) = text.split_once(',').unwrap_or((text, ""));
            let number: i64 = whole.replace('.', "").parse().ok()?;
            if cents.is_empty() { number.to_string() } else { format!("{number}.{cents}") }
        }
    };
    let start = match trimmed[6] {
        "" => "#N/A".to_owned(),
        text => {
            let parts: Vec<&str> = text.split('.').collect();
            format!("{}-{}-{}", parts[2], parts[1], parts[0])
        }
    };
    let active = match trimmed[8].to_lowercase().as_str() {
        "ja" => "true",
        "nein" | "" => "false",
        _ => return None,
    };
    let fields = [trimmed[0], &name, &phone, industry, &revenue, &start, "", active, "Köln, Rhein"];
    Some(fields.into_iter().map(str::to_owned).collect())
}

fn a_row() -> impl Strategy<Value = Vec<String>> {
    let grouped =
        (-999_999_i64..1_000_000, 0_u8..100, any::<bool>()).prop_map(|(n, cents, cut)| {
            let plain = n.abs().to_string();
            let grouped = match plain.len() {
                4.. => format!("{}.{}", &plain[..plain.len() - 3], &plain[plain.len() - 3..]),
                _ => plain,
            };
            let sign = if n < 0 { "-" } else { "" };
            if cut { format!("{sign}{grouped}") } else { format!("{sign}{grouped},{cents:02}") }
        });
    (
        "K[0-9]{1,4} ?",
        " ?[A-Za-zäß,\"\n ]{1,12}",
        "[0-9]{0,4}",
        "[0-9]{0,8}",
        prop::sample::select(vec!["MB", " BK", "", "XX"]),
        prop_oneof![Just(String::new()), grouped],
        prop_oneof![
            Just(String::new()),
            (1..=28, 1..=12, 1900..2100).prop_map(|(d, m, y)| format!("{d:02}.{m:02}.{y}")),
        ],
        prop::sample::select(vec!["Ja", "nein", " ja ", "", "?"]),
    )
        .prop_map(|(nr, name, area, number, branch, revenue, start, active)| {
            let (branch, active) = (branch.to_owned(), active.to_owned());
            vec![nr, name, area, number, branch, revenue, start, String::new(), active, "r".into()]
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn rows_on_all_threads_are_those_made_by_hand(rows in prop::collection::vec(a_row(), 1..900)) {
        let plan =
            ask(Operation::Upsert).by("Legacy_Id__c").mapping(LEGACY).of(LEGACY_HEADER).unwrap();
        let mut text = Vec::new();
        for row in &rows {
            crate::rows::write_record(&mut text, row.iter().map(String::as_bytes), b',');
            text.push(b'\n');
        }
        let made = encode(&plan, &String::from_utf8(text).unwrap());
        prop_assert_eq!(made.len(), rows.len());
        for (row, made) in rows.iter().zip(&made) {
            let expected = slowly(row);
            let sent = (!made.starts_with("! ")).then(|| {
                let mut reader = csv::ReaderBuilder::new()
                    .has_headers(false)
                    .from_reader(made.as_bytes());
                let record = reader.records().next().unwrap().unwrap();
                record.iter().map(str::to_owned).collect::<Vec<_>>()
            });
            prop_assert_eq!(sent, expected, "{:?}", row);
        }
    }
}

#[test]
fn a_currency_is_sent_with_every_row() {
    let mut asked = ask(Operation::Insert);
    asked.currency = Some("EUR");
    let told = |asked: &Ask, header: &[&str]| asked.of(header).unwrap_err().remove(0);
    let problem = told(&asked, &["Name"]);
    assert_eq!(
        problem.message,
        "--currency: Account has no field CurrencyIsoCode that this user may see"
    );
    let values = json!({"picklistValues": [
        {"value": "EUR", "active": true}, {"value": "USD", "active": true},
        {"value": "DEM", "active": false}
    ]});
    let currency = serde_json::from_value(field("CurrencyIsoCode", "picklist", values)).unwrap();
    asked.object.fields.push(currency);
    let plan = asked.of(&["Name", "Phone"]).unwrap();
    assert_eq!(plan.header_line(), b"Name,Phone,CurrencyIsoCode\n");
    assert_eq!(encode(&plan, "a,1\n\"b,c\",\n"), ["a,1,EUR", "\"b,c\",,EUR"]);
    // A run goes on with it.
    let mut again: Plan = serde_json::from_value(serde_json::to_value(&plan).unwrap()).unwrap();
    again.make_ready(&Secrets::default(), Path::new(""), &CsvTables::default()).unwrap();
    assert_eq!(encode(&again, "a,1\n"), ["a,1,EUR"]);

    let problem = told(&asked, &["Name", "CurrencyIsoCode"]);
    assert_eq!(
        problem.message,
        "--currency: `CurrencyIsoCode` sets Account.CurrencyIsoCode already"
    );
    asked.currency = Some("DEM");
    let problem = told(&asked, &["Name"]);
    assert_eq!(problem.message, "--currency: the org has no active currency `DEM`");
    assert_eq!(problem.hint.unwrap(), "it has EUR, USD");
    asked.currency = Some("usd");
    let asked = asked.mapping("[fields]\nName = { column = \"A\", trim = true }\n");
    let plan = asked.of(&["A"]).unwrap();
    assert_eq!(encode(&plan, " a \n"), ["a,USD"]);
    let mut asked = ask(Operation::Delete);
    asked.currency = Some("EUR");
    assert!(told(&asked, &["Id"]).message.contains("--currency does not go with delete"));
}
