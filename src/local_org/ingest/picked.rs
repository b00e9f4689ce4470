//! Values of restricted picklists against the record type of their row. The
//! field's own list was checked when the row was read; what a record type has
//! of it depends on the record, so it is checked here.

use super::apply::Apply;
use super::prepare::Row;
use crate::local_org::catalogue::FieldKind;
use crate::local_org::ids::RecordKey;
use crate::local_org::store::blob;
use crate::local_org::value::{RowError, Value};

impl Apply<'_, '_> {
    /// Refuses values that the row's record type hasn't. Only what the row
    /// sets counts: what the record has already stays.
    pub(super) fn check_picklists(&mut self, row: &Row, inserts: bool) {
        let plan = self.plan;
        let Some(slot) = plan.record_type else { return };
        let Some(record_type) = self.record_type(row, slot, inserts) else { return };
        let fresh = self.prepared.blobs.get(row.values.clone()).unwrap_or_default();
        for entry in blob::Entries::new(fresh) {
            let Value::Text(text) = entry.value else { continue };
            let narrowed = plan
                .narrowed
                .iter()
                .filter(|narrowed| narrowed.record_type == record_type)
                .find(|narrowed| narrowed.slot == entry.slot);
            let Some(narrowed) = narrowed else { continue };
            let has = |value: &&str| narrowed.values.iter().any(|known| known == value);
            let refused = match narrowed.field.kind {
                FieldKind::MultiPicklist => text.split(';').find(|value| !has(value)),
                _ => Some(text).filter(|value| !has(value)),
            };
            if let Some(value) = refused {
                self.errors.push(RowError::bad_picklist(&narrowed.field, value));
                if !self.goes_on() {
                    return;
                }
            }
        }
    }

    /// The record type that the record will have; none is the master.
    fn record_type(&self, row: &Row, slot: u16, inserts: bool) -> Option<RecordKey> {
        let of = |bytes: &[u8]| {
            blob::Entries::new(bytes).find(|entry| entry.slot == slot).map(|entry| {
                match entry.value {
                    Value::Id(id) => Some(id),
                    _ => None,
                }
            })
        };
        if let Some(set) = of(self.prepared.blobs.get(row.values.clone()).unwrap_or_default()) {
            return set;
        }
        if let Some((_, id)) = self.resolved.iter().find(|(resolved, _)| *resolved == slot) {
            return Some(*id);
        }
        if !inserts {
            return of(&self.old).flatten();
        }
        let absent = self.prepared.absent.get(row.absent.clone()).unwrap_or_default();
        let default = absent
            .iter()
            .filter_map(|column| self.plan.columns.get(*column as usize))
            .filter(|column| column.slot == slot)
            .find_map(|column| column.default.as_deref());
        of(default.unwrap_or(&self.plan.insert_defaults)).flatten()
    }
}
