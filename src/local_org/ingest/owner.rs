//! Who may own a record: a user who is active. Groups own as well.

use super::apply::Apply;
use super::prepare::Row;
use crate::local_org::ids::RecordKey;
use crate::local_org::store::{StoreError, blob};
use crate::local_org::value::{RowError, Value};

impl Apply<'_, '_> {
    /// Refuses an owner who is not active, where the row names one.
    pub(super) fn check_owner(&mut self, row: &Row) -> Result<(), StoreError> {
        let plan = self.plan;
        let Some((slot, users, active)) = &plan.owner else { return Ok(()) };
        let Some(owner) = self.named_owner(row, *slot) else { return Ok(()) };
        let counter = owner.counter().filter(|_| owner.prefix() == users.object.key_prefix);
        let Some(counter) = counter else { return Ok(()) };
        let is_inactive = match self.owners.get(&owner) {
            Some(known) => *known,
            None => {
                let mut user = Vec::new();
                self.lookups.read(users, counter, &mut user)?;
                let is_inactive = blob::Entries::new(&user)
                    .any(|entry| entry.slot == *active && entry.value == Value::Bool(false));
                self.owners.insert(owner, is_inactive);
                is_inactive
            }
        };
        if is_inactive {
            let object = plan.table.object.label.to_lowercase();
            let message =
                format!("operation performed with inactive user [{owner}] as owner of {object}");
            self.errors.push(RowError::new("INACTIVE_OWNER_OR_USER", message));
        }
        Ok(())
    }

    /// The owner that the row names, by id or by a key.
    fn named_owner(&self, row: &Row, slot: u16) -> Option<RecordKey> {
        let fresh = self.prepared.blobs.get(row.values.clone()).unwrap_or_default();
        let by_id = blob::Entries::new(fresh).find(|entry| entry.slot == slot);
        match by_id.map(|entry| entry.value) {
            Some(Value::Id(id)) => Some(id),
            _ => self.resolved.iter().find(|(own, _)| *own == slot).map(|(_, id)| *id),
        }
    }
}
