//! The records every org has from its first start: itself, a profile, an
//! administrator and what he may do, the record types of its objects, and the
//! statuses of cases.

use serde_json::Value as Json;

use super::catalogue::{Catalogue, ObjectDef};
use super::ids::RecordKey;
use super::store::{Store, StoreError};
use super::value::Value;

/// Login name of the administrator.
pub(crate) const ADMIN: &str = "admin@local.org";

/// Values of `Case.Status`, with whether a case gets it by itself and whether
/// it is closed then.
const CASE_STATUSES: [(&str, bool, bool); 4] = [
    ("New", true, false),
    ("Working", false, false),
    ("Escalated", false, false),
    ("Closed", false, true),
];

/// Puts in what is missing and gives the org's id. `random` makes the id of
/// a new org, so that two folders are two orgs; `now` dates the records.
///
/// # Errors
/// When the store can't be read or written.
pub(crate) fn seed(
    catalogue: &Catalogue,
    store: &Store,
    random: u64,
    now: i64,
) -> Result<String, StoreError> {
    let seeder = Seeder { catalogue, store, now };
    let mut org_id = None;
    if let Some(object) = catalogue.object("Organization") {
        store.scan(object, false, &mut |record| {
            org_id = Some(record.id);
            std::ops::ControlFlow::Break(())
        })?;
    }
    seeder.record(
        "Profile",
        &key("00e", 1),
        &[("Name", "System Administrator"), ("UserType", "Standard")],
    )?;
    let user = [
        ("Username", ADMIN),
        ("FirstName", "System"),
        ("LastName", "Administrator"),
        ("Email", ADMIN),
        ("Alias", "admin"),
        ("CommunityNickname", "admin"),
        ("IsActive", "true"),
        ("TimeZoneSidKey", "GMT"),
        ("LocaleSidKey", "en_US"),
        ("EmailEncodingKey", "UTF-8"),
        ("LanguageLocaleKey", "en_US"),
        ("UserType", "Standard"),
        ("ProfileId", &key("00e", 1)),
    ];
    seeder.record("User", &key("005", 1), &user)?;
    // What a profile allows is a permission set of its own, too.
    let allowed = [
        ("Name", "X00eAdministrator"),
        ("Label", "System Administrator"),
        ("ProfileId", &key("00e", 1)),
        ("IsOwnedByProfile", "true"),
        ("PermissionsViewAllData", "true"),
        ("PermissionsQueryAllFiles", "true"),
    ];
    seeder.record("PermissionSet", &key("0PS", 1), &allowed)?;
    let assigned = [("PermissionSetId", key("0PS", 1)), ("AssigneeId", key("005", 1))];
    let assigned = assigned.each_ref().map(|(name, id)| (*name, id.as_str()));
    seeder.record("PermissionSetAssignment", &key("0Pa", 1), &assigned)?;
    for object in catalogue.objects() {
        for kind in object.record_types.iter().filter(|kind| !kind.master) {
            let values = [
                ("Name", kind.name.as_str()),
                ("DeveloperName", kind.developer_name.as_str()),
                ("SobjectType", object.name.as_str()),
                ("IsActive", if kind.active { "true" } else { "false" }),
            ];
            seeder.record("RecordType", &kind.id, &values)?;
        }
    }
    for (at, (status, default, closed)) in (1..).zip(CASE_STATUSES) {
        let truth = |truth| if truth { "true" } else { "false" };
        let values = [
            ("MasterLabel", status),
            ("ApiName", status),
            ("SortOrder", &at.to_string()),
            ("IsDefault", truth(default)),
            ("IsClosed", truth(closed)),
        ];
        seeder.record("CaseStatus", &key("0X8", at), &values)?;
    }
    let Some(org_id) = org_id else {
        // Nine digits of base 62 hold it.
        let id = key("00D", 1 + random % 62_u64.pow(9));
        let values = [
            ("Name", "Local Rehearsal Org"),
            ("OrganizationType", "Developer Edition"),
            ("IsSandbox", "true"),
            ("InstanceName", "LOCAL"),
            ("DefaultLocaleSidKey", "en_US"),
            ("LanguageLocaleKey", "en_US"),
            ("TimeZoneSidKey", "GMT"),
            ("FiscalYearStartMonth", "1"),
        ];
        seeder.record("Organization", &id, &values)?;
        return Ok(id);
    };
    Ok(org_id)
}

fn key(prefix: &str, counter: u64) -> String {
    RecordKey::new(prefix, counter).to_string()
}

struct Seeder<'a> {
    catalogue: &'a Catalogue,
    store: &'a Store,
    now: i64,
}

impl Seeder<'_> {
    /// A record under an id, unless it is there.
    fn record(&self, object: &str, id: &str, given: &[(&str, &str)]) -> Result<(), StoreError> {
        let Some(object) = self.catalogue.object(object) else { return Ok(()) };
        if self.store.get(object, id)?.is_some() {
            return Ok(());
        }
        let mut values = self.defaults(object);
        for (name, text) in given {
            let Some((at, field)) = object.field(name) else { continue };
            if let (Some(place), Ok(value)) = (values.get_mut(at), Value::parse(field, text)) {
                *place = value;
            }
        }
        self.store.insert_with_id(object, id, &values)?;
        Ok(())
    }

    fn defaults(&self, object: &ObjectDef) -> Vec<Value> {
        let admin = RecordKey::new("005", 1);
        let system = &object.system;
        object
            .fields
            .iter()
            .enumerate()
            .map(|(at, field)| {
                if at == system.created_date
                    || at == system.last_modified_date
                    || at == system.system_modstamp
                {
                    Value::DateTime(self.now.div_euclid(1000) * 1000)
                } else if at == system.created_by_id
                    || at == system.last_modified_by_id
                    || system.owner_id == Some(at)
                {
                    Value::Id(admin)
                } else {
                    match &field.default_value {
                        Some(Json::Bool(value)) => Value::Bool(*value),
                        _ => Value::Null,
                    }
                }
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_org_is_seeded_once() {
        let catalogue = Catalogue::open(None).unwrap();
        let store = Store::open(None, &catalogue).unwrap();
        let id = seed(&catalogue, &store, 123, 0).unwrap();
        assert!(id.starts_with("00DLo0"));
        assert_eq!(seed(&catalogue, &store, 456, 0).unwrap(), id);
        for (object, count) in
            [("Organization", 1), ("User", 1), ("Profile", 1), ("RecordType", 3), ("CaseStatus", 4)]
        {
            let object = catalogue.object(object).unwrap();
            assert_eq!(store.count(object, true).unwrap(), count, "{}", object.name);
        }
        let user = catalogue.object("User").unwrap();
        let (username, _) = user.field("Username").unwrap();
        assert_eq!(store.find_by(user, username, ADMIN).unwrap()[0].id, "005Lo0000000001IAA");
    }
}
