//! What a person is told about a header, word for word.

mod mapped;

use std::fmt::Write as _;
use std::path::Path;

use serde_json::{Value, json};

use super::*;
use crate::domain::{LineEnding, ValueKind};
use crate::mapping::{CsvTables, Mapping, Secrets};
use crate::transformer::EmptyMeans;

const COMMA: Dialect = Dialect { delimiter: b',', quote: b'"', line_ending: LineEnding::Lf };

/// A field that may be written and be empty, unless `more` says otherwise.
fn field(name: &str, field_type: &str, more: Value) -> Value {
    let mut field = json!({
        "name": name, "type": field_type, "label": name, "nillable": true,
        "createable": true, "updateable": true,
    });
    for (key, value) in more.as_object().unwrap() {
        field[key] = value.clone();
    }
    field
}

fn object(name: &str, mut fields: Vec<Value>) -> ObjectDescription {
    let read_only = json!({"createable": false, "updateable": false, "nillable": false});
    let mut id = read_only.clone();
    id["idLookup"] = json!(true);
    fields.push(field("Id", "id", id));
    fields.push(field("CreatedDate", "datetime", read_only));
    serde_json::from_value(json!({
        "name": name, "createable": true, "updateable": true, "deletable": true, "fields": fields,
        "recordTypeInfos": [
            {"recordTypeId": "012000000000000AAA", "name": "Master", "master": true, "available": true},
            {"recordTypeId": "0127Q000000AbcDQAS", "name": "Partner", "available": true,
             "defaultRecordTypeMapping": true},
        ],
    }))
    .unwrap()
}

fn account() -> ObjectDescription {
    let fixed = json!({"createable": false, "updateable": false});
    object(
        "Account",
        vec![
            field(
                "Name",
                "string",
                json!({"nillable": false, "nameField": true, "label": "Account Name"}),
            ),
            field("Phone", "phone", json!({"length": 8})),
            field("Start__c", "date", json!({})),
            field("Seen__c", "datetime", json!({})),
            field("Industry", "picklist", json!({})),
            field("AnnualRevenue", "currency", json!({"precision": 18, "scale": 2})),
            field("Active__c", "boolean", json!({"nillable": false})),
            field("Legacy_Id__c", "string", json!({"externalId": true, "unique": true})),
            field("Number__c", "double", json!({"externalId": true})),
            field(
                "Score__c",
                "double",
                json!({"calculated": true, "createable": false, "updateable": false}),
            ),
            field("BillingAddress", "address", fixed.clone()),
            field("BillingStreet", "textarea", json!({"compoundFieldName": "BillingAddress"})),
            field("BillingCity", "string", json!({"compoundFieldName": "BillingAddress"})),
            field("Logo__c", "base64", json!({})),
            field("Origin__c", "string", json!({"updateable": false})),
            field(
                "OwnerId",
                "reference",
                json!({
                    "nillable": false, "defaultedOnCreate": true,
                    "referenceTo": ["Group", "User"], "relationshipName": "Owner",
                }),
            ),
            field(
                "ParentId",
                "reference",
                json!({
                    "referenceTo": ["Account"], "relationshipName": "Parent",
                }),
            ),
            field(
                "RecordTypeId",
                "reference",
                json!({
                    "referenceTo": ["RecordType"], "relationshipName": "RecordType",
                }),
            ),
        ],
    )
}

fn user() -> ObjectDescription {
    object(
        "User",
        vec![
            field("Username", "string", json!({"idLookup": true})),
            field("Alias", "string", json!({})),
        ],
    )
}

struct Ask {
    operation: Operation,
    external_id: Option<&'static str>,
    keys: Vec<String>,
    maps: Vec<(String, String)>,
    object: ObjectDescription,
    mapping: Option<Mapping>,
    currency: Option<&'static str>,
}

fn ask(operation: Operation) -> Ask {
    Ask {
        operation,
        external_id: None,
        keys: Vec::new(),
        maps: Vec::new(),
        object: account(),
        mapping: None,
        currency: None,
    }
}

impl Ask {
    fn by(mut self, field: &'static str) -> Self {
        self.external_id = Some(field);
        self
    }

    fn key(mut self, key: &str) -> Self {
        self.keys.push(key.to_owned());
        self
    }

    fn map(mut self, column: &str, field: &str) -> Self {
        self.maps.push((column.to_owned(), field.to_owned()));
        self
    }

    fn spec(&self) -> LoadSpec<'_> {
        LoadSpec {
            operation: self.operation,
            object: &self.object,
            external_id: self.external_id,
            user_keys: &self.keys,
            renames: &self.maps,
            empty: EmptyMeans::Skip,
            mapping: self.mapping.as_ref(),
            currency: self.currency,
        }
    }

    fn mapping(mut self, text: &str) -> Self {
        let read = Mapping::parse(
            text,
            Path::new("/nowhere/legacy.toml"),
            &Secrets::default(),
            &CsvTables::default(),
        );
        self.mapping = Some(read.unwrap());
        self
    }

    fn of(&self, header: &[&str]) -> Result<Plan, Vec<Problem>> {
        let header: Vec<String> = header.iter().map(|&name| name.to_owned()).collect();
        let needed = needed_parents(&self.spec(), &header);
        compile(&self.spec(), &header, COMMA, &mut |name| {
            assert!(needed.iter().any(|known| known == name), "{name} was not announced");
            match name {
                "Account" => Some(account()),
                "User" => Some(user()),
                _ => None,
            }
        })
    }

    fn problems(&self, header: &[&str]) -> String {
        let mut text = String::new();
        for problem in self.of(header).expect_err("there should be problems") {
            let _ = writeln!(text, "- {problem}");
            if let Some(hint) = problem.hint {
                let _ = writeln!(text, "    {hint}");
            }
        }
        text
    }

    fn notes(&self, header: &[&str]) -> String {
        self.of(header).unwrap().notes.join("\n")
    }

    #[track_caller]
    fn headers(&self, header: &[&str]) -> Vec<String> {
        self.of(header).unwrap().columns.into_iter().map(|column| column.header).collect()
    }
}

#[test]
fn all_problems_of_an_insert_are_told_at_once() {
    let told = ask(Operation::Insert).key("Telephone").map("Nope", "Name").problems(&[
        "Id",
        "Phnoe",
        "Turnover",
        "Score__c",
        "CreatedDate",
        "BillingAddress",
        "Logo__c",
        "Legacy_Id__c",
        "legacy_id__C",
    ]);
    insta::assert_snapshot!(told, @"
    - --map: the source has no column `Nope`
        its columns are Id, Phnoe, Turnover, Score__c, CreatedDate, BillingAddress, Logo__c, Legacy_Id__c, legacy_id__C
    - column `Id`: an insert can't have an Id, the org gives it
        leave it out with --map 'Id='
    - column `Phnoe`: Account has no field `Phnoe` that this user may see
        did you mean `Phone`? --map 'Phnoe=Phone', or --map 'Phnoe='
    - column `Turnover`: Account has no field `Turnover` that this user may see
        name its field with --map 'Turnover=FIELD', or --map 'Turnover='
    - column `Score__c`: Account.Score__c is computed by a formula
        leave it out with --map 'Score__c='
    - column `CreatedDate`: Account.CreatedDate is set by the org unless this user may set audit fields
        leave it out with --map 'CreatedDate='
    - column `BillingAddress`: Account.BillingAddress is made of other fields and can't be written itself
        its parts are BillingStreet, BillingCity; or leave it out with --map 'BillingAddress='
    - column `Logo__c`: Account.Logo__c holds binary content, which Bulk API 2.0 does not carry
        leave it out with --map 'Logo__c='
    - columns `Legacy_Id__c` and `legacy_id__C` both set Account.Legacy_Id__c
        leave one out: --map 'Legacy_Id__c=' or --map 'legacy_id__C='
    - new Account records need Name, which no column sets
        say which column holds it: --map 'Column=Name'
    - --key: no column `Telephone` is sent, so results can't be matched by it
        these are sent: Legacy_Id__c
    ");
}

#[test]
fn a_label_leads_to_its_field() {
    let told = ask(Operation::Insert).map("Phone", "Fone").problems(&["account name", "Phone"]);
    insta::assert_snapshot!(told, @"
    - column `account name`: Account has no field `account name` that this user may see
        did you mean `Name`? --map 'account name=Name', or --map 'account name='
    - --map 'Phone=Fone': Account has no field `Fone` that this user may see
        did you mean `Phone`? --map 'Phone=Phone', or --map 'Phone='
    - new Account records need Name, which no column sets
        say which column holds it: --map 'Column=Name'
    ");
}

#[test]
fn relationship_columns_are_checked_against_describe() {
    let told = ask(Operation::Insert).problems(&[
        "Name",
        "Parent.Legacy",
        "Parent.Phone",
        "Owner.Username",
        "Lead:Owner.Email",
        "Owner:User.Username",
        "ParentId.Legacy_Id__c",
        "Partner.Name",
        "Parent.Owner.Name",
        "User:Owner",
        "RecordType.DeveloperName",
    ]);
    insta::assert_snapshot!(told, @"
    - column `Parent.Legacy`: Account has no field `Legacy` that this user may see
        did you mean `Legacy_Id__c`?
    - column `Parent.Phone`: Account.Phone is neither an external id nor a lookup key
        Account records are found by Legacy_Id__c, Number__c, Id
    - column `Owner.Username`: Owner can point at Group, User; the type must be named
        write for example User:Owner.Username
    - column `Lead:Owner.Email`: Owner can't point at `Lead`, only at Group, User
    - column `Owner:User.Username`: Account has no relationship `User`
        the type stands before the colon: User:Owner.Username
    - column `ParentId.Legacy_Id__c`: Account has no relationship `ParentId`
        ParentId is the field, Parent the relationship: Parent.Legacy_Id__c
    - column `Partner.Name`: Account has no relationship `Partner`
    - column `Parent.Owner.Name`: `Parent.Owner.Name` goes over more than one parent; only the record's own parent can be named
    - column `User:Owner`: `User:Owner` names no field of the parent
        write Relationship.Field, or Type:Relationship.Field
    - column `RecordType.DeveloperName`: RecordType is not visible to this user, so its field `DeveloperName` can't be checked
    ");
}

#[test]
fn relationship_columns_are_sent_in_exact_case_with_the_type_only_where_needed() {
    let plan = ask(Operation::Insert)
        .of(&["Name", "account:parent.legacy_id__c", "user:OWNER.username"])
        .unwrap();
    let headers: Vec<_> = plan.columns.iter().map(|column| column.header.as_str()).collect();
    assert_eq!(headers, ["Name", "Parent.Legacy_Id__c", "User:Owner.Username"]);
    assert_eq!(plan.columns[1].field, "ParentId");
    assert_eq!(plan.columns[1].kind, ValueKind::Text { case_sensitive: false });
}

#[test]
fn a_lookup_by_id_and_by_parent_at_once_is_refused() {
    let told = ask(Operation::Insert).problems(&["Name", "ParentId", "Parent.Legacy_Id__c"]);
    insta::assert_snapshot!(told, @"
    - columns `ParentId` and `Parent.Legacy_Id__c` both set Account.ParentId
        leave one out: --map 'ParentId=' or --map 'Parent.Legacy_Id__c='
    ");
}

#[test]
fn an_upsert_needs_a_real_external_id_that_is_in_the_file() {
    insta::assert_snapshot!(ask(Operation::Upsert).problems(&["Name"]), @"
    - an upsert needs the field by which records are matched
        --external-id FIELD; Account records are found by Legacy_Id__c, Number__c, Id
    ");
    insta::assert_snapshot!(ask(Operation::Upsert).by("Phone").problems(&["Name", "Phone"]), @"
    - --external-id: Account.Phone is not marked as external id
        Account records are found by Legacy_Id__c, Number__c, Id
    ");
    insta::assert_snapshot!(ask(Operation::Upsert).by("Legacy").problems(&["Name"]), @"
    - --external-id: Account has no field `Legacy`
        did you mean `Legacy_Id__c`?
    ");
    insta::assert_snapshot!(
        ask(Operation::Upsert).by("Legacy_Id__c").problems(&["Name", "Legacy Id", "Id"]), @"
        - column `Legacy Id`: Account has no field `Legacy Id` that this user may see
            did you mean `Legacy_Id__c`? --map 'Legacy Id=Legacy_Id__c', or --map 'Legacy Id='
        - column `Id`: an upsert by another field can't have an Id as well
            leave it out with --map 'Id='
        - an upsert needs the column Legacy_Id__c
            did you mean --map 'Legacy Id=Legacy_Id__c'?
        ");
    insta::assert_snapshot!(ask(Operation::Update).by("Legacy_Id__c").problems(&["Id", "Name"]), @"- --external-id goes with upsert, this is update");
}

#[test]
fn an_upsert_by_a_number_that_is_not_unique_is_warned_of() {
    let plan = ask(Operation::Upsert).by("number__c").of(&["NUMBER__C", "Origin__c"]).unwrap();
    assert_eq!(plan.key, Some(0));
    assert_eq!(plan.external_id.as_deref(), Some("Number__c"));
    assert_eq!(plan.columns[0].treatment, Treatment::NumericKey);
    assert!(plan.text_candidates.is_empty());
    insta::assert_snapshot!(plan.notes.join("\n"), @"
    Number__c is not unique: a row that matches several records fails
    Account.Origin__c can be set on new records only: rows that match a record will fail
    new Account records need Name, which no column sets: rows that match no record will fail
    columns sent in the org's spelling: `NUMBER__C` as Number__c
    no OwnerId: this user will own all new records
    no RecordTypeId: new records get the default record type of this user, Partner
    ");
}

#[test]
fn an_upsert_may_go_by_id() {
    let plan = ask(Operation::Upsert).by("id").of(&["id", "Name"]).unwrap();
    assert_eq!(plan.key, Some(0));
    assert_eq!(plan.columns[0].header, "Id");
}

#[test]
fn update_and_delete_need_an_id() {
    insta::assert_snapshot!(ask(Operation::Update).problems(&["Name", "Score__c"]), @"
    - column `Score__c`: Account.Score__c is computed by a formula
        leave it out with --map 'Score__c='
    - an update needs the column Id
        say which column holds it: --map 'Column=Id'
    ");
    insta::assert_snapshot!(
        ask(Operation::Delete).problems(&["bulkhaul__Row", "sf__Id", "Name", "Phone"]), @"
        - a delete takes the column Id alone; this source also has `Name`, `Phone`
            leave them out with --map 'Name=' --map 'Phone='
        - a delete needs the column Id
            `sf__Id` of a result file holds the ids of its records: --map 'sf__Id=Id'
        ");
    insta::assert_snapshot!(ask(Operation::HardDelete).problems(&["sf__Created"]), @"
    - a hardDelete needs the column Id
        say which column holds it: --map 'Column=Id'
    ");
}

#[test]
fn a_result_file_can_be_the_source_of_a_delete() {
    let delete = ask(Operation::Delete).map("sf__Id", "Id").map("Name", "");
    let plan = delete.of(&["bulkhaul__Row", "sf__Id", "sf__Created", "Name"]).unwrap();
    assert_eq!(plan.header_line(), b"Id\n");
    assert_eq!(plan.key_place(), Some(1));
    assert!(!plan.is_identity());
    let dropped: Vec<_> = plan.dropped.iter().map(|c| (c.name.as_str(), c.reason)).collect();
    assert_eq!(
        dropped,
        [
            ("bulkhaul__Row", DropReason::ResultColumn),
            ("sf__Created", DropReason::ResultColumn),
            ("Name", DropReason::Asked),
        ]
    );
}

#[test]
fn mappings_name_columns_that_are_there_once() {
    let told = ask(Operation::Insert)
        .map("Nmae", "Name")
        .map("Company", "Name")
        .map("company", "Phone")
        .problems(&["Company", "Name"]);
    insta::assert_snapshot!(told, @"
    - --map: the source has no column `Nmae`
        did you mean `Name`?
    - --map: column `company` is mapped twice
    - columns `Company` and `Name` both set Account.Name
        leave one out: --map 'Company=' or --map 'Name='
    ");
}

#[test]
fn an_object_that_may_not_be_written_is_refused() {
    let mut load = ask(Operation::Upsert).by("Legacy_Id__c");
    load.object.createable = false;
    load.object.updateable = false;
    insta::assert_snapshot!(load.problems(&["Legacy_Id__c", "Name"]), @"
    - this user may not create Account records
        the user's profile or permission sets must grant it
    - this user may not change Account records
        the user's profile or permission sets must grant it
    ");
    let mut load = ask(Operation::Delete);
    load.object.deletable = false;
    insta::assert_snapshot!(load.problems(&["Id"]), @"
    - this user may not delete Account records
        the user's profile or permission sets must grant it
    ");
}

#[test]
fn nothing_to_send_is_a_problem() {
    let mut load = ask(Operation::Insert);
    load.object.fields.retain(|field| field.name != "Name");
    insta::assert_snapshot!(
        load.problems(&["sf__Id", "bulkhaul__Row"]), @"- no column of the source would be sent");
}

#[test]
fn an_id_that_is_left_out_is_missed() {
    insta::assert_snapshot!(ask(Operation::Update).map("Id", "").problems(&["Id", "sf__Id"]), @"
    - an update needs the column Id
        `sf__Id` of a result file holds the ids of its records: --map 'sf__Id=Id'
    ");
}

#[test]
fn corrections_and_what_happens_by_itself_are_noted() {
    let notes = ask(Operation::Insert).notes(&["name", "PHONE", "sf__Id"]);
    insta::assert_snapshot!(notes, @"
    columns sent in the org's spelling: `name` as Name, `PHONE` as Phone
    columns not sent: sf__Id
    no OwnerId: this user will own all new records
    no RecordTypeId: new records get the default record type of this user, Partner
    nothing sent is known to tell rows apart, so results are matched by all columns together; a text field filled from run and row number and named with --key makes that certain
    ");
}

#[test]
fn an_upsert_without_required_fields_is_only_noted() {
    let notes = ask(Operation::Upsert).by("Legacy_Id__c").notes(&["Legacy_Id__c", "OwnerId"]);
    insta::assert_snapshot!(notes, @"
    new Account records need Name, which no column sets: rows that match no record will fail
    no RecordTypeId: new records get the default record type of this user, Partner
    ");
}

#[test]
fn keys_are_found_by_column_or_field_and_spare_the_search_for_unique_texts() {
    let load = ask(Operation::Insert).map("Firm", "Name").key("firm").key("phone");
    let plan = load.of(&["Phone", "Firm"]).unwrap();
    assert_eq!(plan.user_keys, [1, 0]);
    assert!(plan.text_candidates.is_empty());

    let plan = ask(Operation::Insert)
        .of(&["Industry", "Phone", "BillingStreet", "Origin__c", "Name", "Legacy_Id__c"])
        .unwrap();
    let watched: Vec<_> =
        plan.text_candidates.iter().map(|&at| plan.columns[at].header.as_str()).collect();
    assert_eq!(watched, ["Legacy_Id__c", "Name", "Phone", "Origin__c"]);
}

#[test]
fn an_insert_is_protected_by_a_unique_field_without_gaps_or_doubles() {
    let header = &["Name", "Phone", "Legacy_Id__c", "Number__c"];
    let plan = ask(Operation::Insert).of(header).unwrap();
    assert_eq!(plan.protecting_keys, [2]);
    assert_eq!(plan.text_candidates.first(), Some(&2));
    for (unique_text, protects) in [(None, false), (Some(0), false), (Some(2), true)] {
        assert_eq!(plan.protects(unique_text), protects, "{unique_text:?}");
    }
    // A key named for matching doesn't keep the org from saving a row twice.
    let plan = ask(Operation::Insert).key("Name").of(header).unwrap();
    assert_eq!((plan.text_candidates.as_slice(), plan.protects(Some(2))), ([2].as_slice(), true));
    let plan = ask(Operation::Insert).key("Legacy_Id__c").of(header).unwrap();
    assert!(plan.protects(Some(2)) && !plan.protects(None));
    // External ids need not be unique, and a parent's key says nothing of the child.
    let plan = ask(Operation::Insert).of(&["Name", "Number__c", "Parent.Legacy_Id__c"]).unwrap();
    assert!(plan.protecting_keys.is_empty());
    // Whatever finds its record changes that, however often.
    let plan = ask(Operation::Upsert).by("Legacy_Id__c").of(header).unwrap();
    assert!(plan.protects(None) && plan.protecting_keys.is_empty());
    assert!(ask(Operation::Update).of(&["Id", "Phone"]).unwrap().protects(None));
    // But by its id, a row without one creates a record each time.
    assert!(!ask(Operation::Upsert).by("Id").of(&["Id", "Name"]).unwrap().protects(None));
}

#[test]
fn a_plan_of_an_older_release_protects_nothing() {
    let plan = ask(Operation::Insert).of(&["Name", "Legacy_Id__c"]).unwrap();
    let mut stored = serde_json::to_value(&plan).unwrap();
    stored.as_object_mut().unwrap().remove("protecting_keys");
    let old: Plan = serde_json::from_value(stored).unwrap();
    assert!(plan.protects(Some(1)) && !old.protects(Some(1)));
}

#[test]
fn a_header_is_written_as_its_columns_are() {
    assert_eq!(ask(Operation::Insert).headers(&[" name ", "Active__c"]), ["Name", "Active__c"]);
    let plan = ask(Operation::Insert).of(&["Name", "Active__c"]).unwrap();
    assert_eq!(plan.boolean_columns().collect::<Vec<_>>(), [1]);
    assert!(plan.is_identity());
}

#[test]
fn a_plan_survives_the_ledger() {
    let plan = ask(Operation::Upsert)
        .by("Number__c")
        .map("Firm", "Name")
        .of(&["Number__c", "Firm", "sf__Error", "Active__c", "User:Owner.Username"])
        .unwrap();
    let stored = serde_json::to_string(&plan).unwrap();
    assert_eq!(serde_json::from_str::<Plan>(&stored).unwrap(), plan);
}
