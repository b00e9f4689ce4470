//! Drafts: what goes where, and whether the file that comes out is one.

use std::path::Path;

use serde_json::json;

use super::*;
use crate::mapping::{CsvTables, Mapping, Secrets};

fn object() -> ObjectDescription {
    let text = |name: &str, label: &str| {
        json!({"name": name, "label": label, "type": "string", "length": 20,
               "nillable": true, "createable": true, "updateable": true})
    };
    let typed = |name: &str, kind: &str| {
        json!({"name": name, "label": name.replace("__c", ""), "type": kind, "nillable": true,
               "createable": true, "updateable": true})
    };
    let mut name = text("Name", "Account Name");
    name["nillable"] = json!(false);
    let mut key = text("Legacy_Id__c", "Legacy Id");
    key["externalId"] = json!(true);
    let mut tier = typed("Tier__c", "picklist");
    tier["restrictedPicklist"] = json!(true);
    tier["picklistValues"] = json!([
        {"value": "Gold", "label": "Gold plated", "active": true},
        {"value": "Silver", "active": true},
        {"value": "Old", "active": false}
    ]);
    let mut owner = typed("OwnerId", "reference");
    owner["relationshipName"] = json!("Owner");
    let mut parent = typed("ParentId", "reference");
    parent["relationshipName"] = json!("Parent");
    parent["referenceTo"] = json!(["Account"]);
    serde_json::from_value(json!({"name": "Account", "label": "Account", "fields": [
        {"name": "Id", "type": "id"},
        name, key, tier, owner, parent,
        text("BillingCity", "Billing City"),
        text("ShippingCity", "Shipping City"),
        text("Phone", "Account Phone"),
        typed("AnnualRevenue", "currency"),
        typed("Start__c", "date"),
        typed("Audit__c", "datetime"),
        typed("Active__c", "boolean"),
        typed("Email__c", "email"),
    ]}))
    .unwrap()
}

fn column(name: &str, values: &[&str]) -> SampledColumn {
    SampledColumn {
        name: name.to_owned(),
        values: values.iter().map(|value| (*value).to_owned()).collect(),
    }
}

fn drafted(columns: &[SampledColumn]) -> Draft {
    let object = object();
    let parents = [object.clone()];
    let spec = DraftSpec {
        object: &object,
        parents: &parents,
        operation: Operation::Upsert,
        external_id: Some("Legacy_Id__c"),
        source: "old.csv",
        samples: true,
    };
    let draft = draft(&spec, columns);
    let read = Mapping::parse(
        &draft.text,
        Path::new("old.toml"),
        &Secrets::default(),
        &CsvTables::default(),
    );
    assert!(read.is_ok(), "{:?}\n{}", read.err(), draft.text);
    draft
}

/// The confidence and field of a column.
fn given(draft: &Draft, column: usize) -> Option<(Confidence, &str)> {
    let proposal = draft.proposals.iter().find(|proposal| proposal.column == column)?;
    Some((proposal.confidence, proposal.field.as_str()))
}

fn has_line(draft: &Draft, line: &str) {
    assert!(draft.text.lines().any(|own| own == line), "{line}\n\n{}", draft.text);
}

#[test]
fn names_labels_and_other_words_find_their_fields() {
    let draft = drafted(&[
        column("LEGACY ID", &["A1"]),
        column("Account Name", &["Acme"]),
        column("Telefon", &["030 1"]),
        column("Ort", &["Ulm"]),
        column("Shoe size", &["43"]),
    ]);
    assert_eq!(given(&draft, 0), Some((Confidence::Sure, "Legacy_Id__c")));
    assert_eq!(given(&draft, 1), Some((Confidence::Sure, "Name")));
    assert_eq!(given(&draft, 2), Some((Confidence::Likely, "Phone")));
    assert_eq!(given(&draft, 3), Some((Confidence::Likely, "BillingCity")));
    assert_eq!(given(&draft, 4), None);
    assert!(draft.missing.is_empty());
    has_line(&draft, "Phone = \"Telefon\"");
    has_line(&draft, "# - \"Shoe size\"; such as \"43\"");
}

#[test]
fn a_parent_is_named_by_a_key_of_its_own() {
    let draft = drafted(&[column("Parent.Legacy_Id__c", &["A1"])]);
    assert_eq!(given(&draft, 0), Some((Confidence::Sure, "Parent.Legacy_Id__c")));
    has_line(&draft, "\"Parent.Legacy_Id__c\" = \"Parent.Legacy_Id__c\"");
    let draft = drafted(&[column("Parent Legacy ID", &["A1"])]);
    assert_eq!(given(&draft, 0), Some((Confidence::Sure, "Parent.Legacy_Id__c")));
    // The name of the parent alone is a guess; ids are the lookup itself.
    let draft = drafted(&[column("Parent", &["A1"])]);
    assert_eq!(given(&draft, 0), Some((Confidence::Guess, "Parent.Legacy_Id__c")));
    has_line(&draft, "# \"Parent.Legacy_Id__c\" = \"Parent\"");
    let draft = drafted(&[column("Parent", &["001D000000IqhSLIAZ"])]);
    assert_eq!(given(&draft, 0), Some((Confidence::Likely, "ParentId")));
    let draft = drafted(&[
        column("ParentId", &["001D000000IqhSLIAZ"]),
        column("Parent Legacy Id", &["A1"]),
    ]);
    assert_eq!(given(&draft, 0), Some((Confidence::Sure, "ParentId")));
    assert_eq!(given(&draft, 1), None, "both would set one field");
}

#[test]
fn values_say_what_they_need() {
    let draft = drafted(&[
        column("Annual Revenue", &["1.234.567,50 €", "98.000 €", "0,00 €"]),
        column("Start", &["01.04.1998", "31.12.2012"]),
        column("Active", &["ja", "Nein"]),
        column("Tier", &["Gold", "gold plated", "Bronze", "Old"]),
        column("Audit", &["24.12.2024 23:30"]),
    ]);
    has_line(
        &draft,
        "AnnualRevenue = { column = \"Annual Revenue\", number = { decimal = \",\", grouping = \".\", \
         currency = [\"€\"] } }",
    );
    has_line(&draft, "Start__c = { column = \"Start\", date = \"dd.MM.yyyy\" }");
    has_line(
        &draft,
        "Active__c = { column = \"Active\", boolean = { true = [\"ja\"], false = [\"nein\"] } }",
    );
    has_line(&draft, "Tier__c = { column = \"Tier\", map = \"Tier__c\", else = \"keep\" }");
    has_line(&draft, "\"gold plated\" = \"Gold\"");
    has_line(&draft, "# \"Bronze\" = \"\"");
    has_line(&draft, "# \"Old\" = \"\"");
    // The zone of a time is for a person to say.
    assert_eq!(given(&draft, 4), Some((Confidence::Guess, "Audit__c")));
    assert!(draft.text.contains("\n# Audit__c = {"), "{}", draft.text);
}

#[test]
fn blanks_that_the_values_were_judged_without_are_taken_away() {
    let draft = drafted(&[
        column("AnnualRevenue", &["1.5", " 2 "]),
        column("Start", &["01.04.1998 "]),
        column("Phone", &["1", "2"]),
    ]);
    has_line(&draft, "AnnualRevenue = { column = \"AnnualRevenue\", trim = true }");
    has_line(&draft, "Start__c = { column = \"Start\", trim = true, date = \"dd.MM.yyyy\" }");
    has_line(&draft, "Phone = \"Phone\"");
}

#[test]
fn values_in_the_orgs_own_form_need_nothing() {
    let draft = drafted(&[
        column("Start", &["1998-04-01"]),
        column("Active", &["yes", "0"]),
        column("AnnualRevenue", &["1.5", "1e3", "-2"]),
        column("Audit", &["2024-12-24T23:30:00Z", "2024-12-24T23:30:00.000+01:00"]),
    ]);
    has_line(&draft, "Start__c = \"Start\"");
    has_line(&draft, "Active__c = \"Active\"");
    has_line(&draft, "AnnualRevenue = \"AnnualRevenue\"");
    has_line(&draft, "Audit__c = \"Audit\"");
}

#[test]
fn what_cannot_be_told_apart_is_left_to_a_person() {
    // Days and months, a thousand or one and a bit, two words.
    for (name, values) in [
        ("Start", ["01/02/2020", "03/04/2021"]),
        ("AnnualRevenue", ["1,234", "5,678"]),
        ("AnnualRevenue", ["1.234", "25.678"]),
        ("AnnualRevenue", ["1.234", "950"]),
        ("Active", ["foo", "bar"]),
    ] {
        let draft = drafted(&[column(name, &values)]);
        assert_eq!(given(&draft, 0).map(|(sure, _)| sure), Some(Confidence::Guess), "{name}");
    }
    // Without points that part thousands, these are plain.
    for other in ["1.5", "0.125", "1234", "1234.567"] {
        let draft = drafted(&[column("AnnualRevenue", &["1.234", other])]);
        has_line(&draft, "AnnualRevenue = \"AnnualRevenue\"");
    }
    let draft = drafted(&[column("Start", &["13/02/2020", "03/04/2021"])]);
    has_line(&draft, "Start__c = { column = \"Start\", date = \"dd/MM/yyyy\" }");
    // Ids where there are none.
    let draft = drafted(&[column("Owner ID", &["MM", "JK"])]);
    assert_eq!(given(&draft, 0), Some((Confidence::Guess, "OwnerId")));
    assert!(draft.text.contains("\"Owner.Key__c\""), "{}", draft.text);
}

#[test]
fn a_field_is_given_once_and_ties_are_listed() {
    let draft = drafted(&[
        column("name", &["Acme"]),
        column("Name", &["Acme"]),
        column("Company", &["Acme"]),
        column("Shipping City", &["Ulm"]),
    ]);
    assert_eq!(given(&draft, 0), None);
    assert_eq!(given(&draft, 1), None);
    assert_eq!(draft.unmatched[0], (0, vec!["Name".to_owned()]));
    assert_eq!(given(&draft, 3), Some((Confidence::Sure, "ShippingCity")));
    assert_eq!(draft.missing, ["Name", "Legacy_Id__c"]);
}

#[test]
fn hostile_names_and_values_stay_where_they_belong() {
    let draft = drafted(&[
        column("Na\"me\\\n", &["a\n[fields]\nPhone = \"x\"", "b\u{0}"]),
        column("Tier", &["\"]\n# x", "\\"]),
        column("bulkhaul__Row", &["1"]),
        column("", &["x"]),
    ]);
    assert!(draft.unmatched.iter().all(|(column, _)| *column != 2));
    assert!(!draft.text.contains("\nPhone = "), "{}", draft.text);
}

#[test]
fn without_samples_no_value_is_written() {
    let object = object();
    let spec = DraftSpec {
        object: &object,
        parents: &[],
        operation: Operation::Insert,
        external_id: None,
        source: "old.csv",
        samples: false,
    };
    let columns =
        [column("Name", &["Geheim1"]), column("Tier", &["Geheim2"]), column("Shoe", &["Geheim3"])];
    let made = draft(&spec, &columns);
    assert!(!made.text.contains("Geheim"), "{}", made.text);
}
