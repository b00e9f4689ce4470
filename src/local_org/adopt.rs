//! Objects of elsewhere brought into an org's folder: their definitions, and
//! records that have nothing but keys.

use std::io::Write as _;
use std::path::Path;

use super::catalogue::{Catalogue, ObjectDef, built_in};
use super::ids::RecordKey;
use super::org::{LocalOrg, LocalOrgError, lock_folder};
use super::store::{Key, StoreError};
use super::value::Value;

/// The names of the objects that an org has by itself.
pub fn built_in_objects() -> impl Iterator<Item = &'static str> {
    built_in().iter().map(|(name, _)| *name)
}

/// Whether an org was started in this folder before.
pub fn is_an_org(dir: &Path) -> bool {
    dir.join("records.sqlite").exists()
}

/// Writes definitions (API name and describe JSON each) into the folder's
/// `objects/`, made when it isn't there. All of them are checked first with
/// those that are there: either all are written, or none. Records stay.
///
/// # Errors
/// When an org is in the folder, or it has one of these objects, and
/// `replace` is not set; when a process has the folder; when a definition
/// can't be used; when the disk can't be written.
pub fn adopt_objects(
    dir: &Path,
    definitions: &[(String, String)],
    replace: bool,
) -> Result<(), LocalOrgError> {
    let folder = dir.join("objects");
    let path_of = |name: &str| folder.join(format!("{name}.json"));
    if !replace {
        if is_an_org(dir) {
            return Err(LocalOrgError::Taken { path: dir.to_owned() });
        }
        if let Some((name, _)) = definitions.iter().find(|(name, _)| path_of(name).exists()) {
            return Err(LocalOrgError::Taken { path: path_of(name) });
        }
    }
    let _lock = lock_folder(dir)?;
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| LocalOrgError::Folder { path, source }
    };
    let fresh: Vec<(String, String)> = definitions
        .iter()
        .map(|(name, text)| (path_of(name).display().to_string(), text.clone()))
        .collect();
    Catalogue::open_with(Some(dir), &fresh)?;
    std::fs::create_dir_all(&folder).map_err(failed(&folder))?;
    for (name, text) in definitions {
        let path = path_of(name);
        // A reader finds the old one or the new one, never a half.
        let beside = folder.join(format!("{name}.json.new"));
        let mut file = std::fs::File::create(&beside).map_err(failed(&beside))?;
        file.write_all(text.as_bytes()).map_err(failed(&beside))?;
        file.sync_all().map_err(failed(&beside))?;
        std::fs::rename(&beside, &path).map_err(failed(&path))?;
    }
    Ok(())
}

impl LocalOrg {
    /// Adds records that have these fields and what the org gives by itself.
    /// A value that doesn't fit its field is left out; a row without any makes
    /// no record. Nothing else is checked. The number of records.
    ///
    /// # Errors
    /// When there is no such object, or the store can't be written; then none
    /// of these rows is there.
    pub fn put_records(
        &self,
        object: &str,
        fields: &[String],
        rows: &[Vec<String>],
    ) -> Result<u64, StoreError> {
        let state = self.state();
        let missing = || StoreError::NoObject(object.to_owned());
        let object = state.catalogue.object(object).ok_or_else(missing)?;
        let places: Vec<Option<usize>> =
            fields.iter().map(|name| object.field(name).map(|(place, _)| place)).collect();
        let table = state.store.table(object)?;
        let usual = usual_values(object, state.now());
        state.store.transaction(table, |transaction| {
            let mut made = 0;
            for row in rows {
                let mut values = usual.clone();
                let mut any = false;
                for (place, cell) in places.iter().zip(row) {
                    let Some(place) = place.filter(|_| !cell.is_empty()) else { continue };
                    if let (Some(field), Some(to)) =
                        (object.fields.get(place), values.get_mut(place))
                        && let Ok(value) = Value::parse(field, cell)
                    {
                        *to = value;
                        any = true;
                    }
                }
                if !any {
                    continue;
                }
                let keys: Vec<Option<Key<'_>>> = table
                    .keys
                    .iter()
                    .map(|key| values.get(key.field).and_then(|value| key.key(value.view())))
                    .collect();
                transaction.writer.insert(&table.encode(&values), &keys)?;
                made += 1;
            }
            Ok(made)
        })
    }
}

/// What a record has that nobody gave values: dates and users of its making.
fn usual_values(object: &ObjectDef, now: i64) -> Vec<Value> {
    let system = &object.system;
    let made = Value::DateTime(now - now.rem_euclid(1000));
    let user = Value::Id(RecordKey::new("005", 1));
    let of = |(place, field): (usize, &super::catalogue::FieldDef)| {
        if [system.created_date, system.last_modified_date, system.system_modstamp].contains(&place)
        {
            made.clone()
        } else if [system.created_by_id, system.last_modified_by_id].contains(&place)
            || system.owner_id == Some(place)
        {
            user.clone()
        } else if field.kind == super::catalogue::FieldKind::Boolean {
            Value::Bool(false)
        } else {
            Value::Null
        }
    };
    object.fields.iter().enumerate().map(of).collect()
}
