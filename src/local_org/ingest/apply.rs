//! The second half of a unit of work: rows meet the records. It runs inside
//! one transaction that commits the records, the result rows' lengths and the
//! journal together, so that a unit is done once or not at all.

use std::collections::{HashMap, HashSet};

use super::csv;
use super::faulty::{self, RowFaults};
use super::header::Target;
use super::job::Operation;
use super::plan::Plan;
use super::prepare::{KeyCell, Prepared, ReferenceTo, Row, not_writable, parent_not_found, told};
use super::shuffle::shuffle;
use super::tell::{Fate, Outcome};
use crate::local_org::faults::RowFault;
use crate::local_org::ids::RecordKey;
use crate::local_org::settings::{EmptyKey, ResultOrder, RowErrors};
use crate::local_org::store::{Change, Key, Lookups, StoreError, TableWriter, Transaction, blob};
use crate::local_org::value::{RowError, Value};

/// Rows that are saved together: duplicates among them fail (section 2.6).
pub(crate) const CHUNK: usize = 200;

/// Applies a unit's rows.
pub(crate) struct Apply<'a, 'c> {
    pub(super) plan: &'a Plan,
    data: &'a [u8],
    pub(super) prepared: &'a Prepared,
    first_row: u32,
    writer: &'a mut TableWriter<'c>,
    pub(super) lookups: &'a mut Lookups<'c>,
    insert_stamp: Vec<u8>,
    update_stamp: Vec<u8>,
    /// Parents seen in this unit; they can't go while the writer is ours.
    parents: HashMap<RecordKey, Option<bool>>,
    /// Owners seen in this unit, and whether they are inactive.
    pub(super) owners: HashMap<RecordKey, bool>,
    pub(super) errors: Vec<RowError>,
    faults: RowFaults<'a>,
    // Scratch, kept to spare allocations.
    record: Vec<u8>,
    pub(super) old: Vec<u8>,
    found: Vec<u64>,
    pub(super) resolved: Vec<(u16, RecordKey)>,
    overridden: Vec<bool>,
}

impl<'a, 'c> Apply<'a, 'c> {
    /// Ready to apply `prepared`, which was read from `data`.
    pub(crate) fn new(
        plan: &'a Plan,
        data: &'a [u8],
        prepared: &'a Prepared,
        first_row: u32,
        now_ms: i64,
        transaction: &'a mut Transaction<'c>,
        faults: RowFaults<'a>,
    ) -> Apply<'a, 'c> {
        Apply {
            plan,
            data,
            prepared,
            first_row,
            writer: &mut transaction.writer,
            lookups: &mut transaction.lookups,
            insert_stamp: plan.insert_stamp(now_ms),
            update_stamp: plan.update_stamp(now_ms),
            parents: HashMap::new(),
            owners: HashMap::new(),
            errors: Vec::new(),
            faults,
            record: Vec::new(),
            old: Vec::new(),
            found: Vec::new(),
            resolved: Vec::new(),
            overridden: Vec::new(),
        }
    }

    /// Applies all rows, chunk by chunk.
    pub(crate) fn run(mut self) -> Result<Outcome, StoreError> {
        let rows = self.prepared.rows.len();
        let mut outcome = Outcome::default();
        outcome.successes.reserve(self.prepared.cells.len() + rows * 32);
        let mut chunks: Vec<usize> = (0..rows).step_by(CHUNK).collect();
        let shuffled = self.plan.settings.result_order == ResultOrder::Shuffled;
        let seed = self.plan.settings.seed ^ self.plan.job << 32 ^ u64::from(self.first_row);
        if shuffled {
            shuffle(&mut chunks, seed);
        }
        let mut fates: Vec<(usize, Fate)> = Vec::with_capacity(CHUNK);
        for start in chunks {
            let chunk = start..(start + CHUNK).min(rows);
            let doubles = self.doubles(chunk.clone());
            fates.clear();
            for at in chunk {
                let Some(row) = self.prepared.rows.get(at) else { continue };
                let fate = self.row(at, row, &doubles)?;
                fates.push((at, fate));
            }
            if shuffled {
                shuffle(&mut fates, seed ^ start as u64);
            }
            for (at, fate) in &fates {
                self.tell(*at, fate, &mut outcome);
            }
        }
        Ok(outcome)
    }

    /// Rows of a chunk whose key another row of it has, too.
    fn doubles(&self, chunk: std::ops::Range<usize>) -> HashSet<usize> {
        let mut doubles = HashSet::new();
        let by_id = match self.plan.operation {
            Operation::Insert => return doubles,
            Operation::Upsert => self.plan.upsert_key.is_none(),
            Operation::Update | Operation::Delete | Operation::HardDelete => true,
        };
        let mut ids: HashMap<RecordKey, usize> = HashMap::new();
        let mut texts: HashMap<&str, usize> = HashMap::new();
        let mut numbers: HashMap<u64, usize> = HashMap::new();
        let key_place = self.plan.upsert_key.unwrap_or_default();
        for at in chunk {
            let Some(row) = self.prepared.rows.get(at) else { continue };
            let other = if by_id {
                row.id.and_then(|id| ids.insert(id, at))
            } else {
                let cell = self.prepared.keys(self.plan, at).get(key_place).copied();
                match cell {
                    Some(KeyCell::Number(number)) => {
                        // Minus zero is zero.
                        numbers.insert((number + 0.0).to_bits(), at)
                    }
                    Some(KeyCell::Text(start, end)) => {
                        self.prepared.text(start, end).and_then(|text| texts.insert(text, at))
                    }
                    _ => None,
                }
            };
            if let Some(other) = other {
                doubles.insert(other);
                doubles.insert(at);
            }
        }
        doubles
    }

    fn row(&mut self, at: usize, row: &Row, doubles: &HashSet<usize>) -> Result<Fate, StoreError> {
        self.errors.clear();
        let own = row.id.and_then(|id| id.counter());
        if let Some(error) = &row.error {
            return Ok(Fate::Failed { record: own, error: error.clone() });
        }
        if doubles.contains(&at) {
            return Ok(Fate::failed(own, self.duplicate(row)));
        }
        let fault = self.faults.of(self.number(at));
        if let Some(fault) = fault.filter(|fault| *fault != RowFault::ErrorSaved)
            && self.faults.strike(fault)
        {
            return Ok(Fate::failed(own, faulty::told(fault, &self.locked_record(row))));
        }
        let fate = match self.plan.operation {
            Operation::Insert => self.insert(at, row)?,
            Operation::Upsert => self.upsert(at, row)?,
            Operation::Update => match (row.id, own) {
                (None, _) => {
                    let message = "Id not specified in an update call";
                    Fate::failed(None, RowError::new("MISSING_ARGUMENT", message))
                }
                (Some(_), None) => Fate::failed(None, RowError::invalid_reference()),
                (Some(_), Some(counter)) => self.update(at, row, counter)?,
            },
            Operation::Delete | Operation::HardDelete => match (row.id, own) {
                (None, _) => {
                    let message = "Id not specified in a delete call";
                    Fate::failed(None, RowError::new("MISSING_ARGUMENT", message))
                }
                (Some(_), None) => Fate::failed(None, RowError::invalid_reference()),
                (Some(_), Some(counter)) => self.delete(counter)?,
            },
        };
        Ok(match (fault, fate) {
            (Some(RowFault::ErrorSaved), Fate::Saved { record, change })
                if self.faults.strike(RowFault::ErrorSaved) =>
            {
                let error = faulty::told(RowFault::ErrorSaved, "").to_string();
                Fate::Hidden { record, change, error }
            }
            (_, fate) => fate,
        })
    }

    /// Data row of the upload.
    pub(super) fn number(&self, at: usize) -> u32 {
        self.first_row + at as u32
    }

    /// The record that a row which could not lock one names: its parent, else
    /// its own, else its owner.
    fn locked_record(&self, row: &Row) -> String {
        let references = self.prepared.references.get(row.references.clone()).unwrap_or_default();
        let parent = references.iter().find_map(|reference| match reference.to {
            ReferenceTo::Id(id) => Some(id),
            ReferenceTo::Key(_) => None,
        });
        parent.or(row.id).map_or_else(|| self.plan.user_id(), |id| id.to_string())
    }

    /// Another row of the chunk has the same key: none of them is saved.
    fn duplicate(&self, row: &Row) -> RowError {
        let object = &self.plan.table.object;
        let column = self.plan.header.key;
        let shown = column.map(|column| self.cell_text(row, column)).unwrap_or_default();
        let field = column
            .and_then(|column| self.plan.header.columns.get(column))
            .map(|column| match column.target {
                Target::Field(field) => field,
                _ => object.system.id,
            })
            .and_then(|field| object.fields.get(field));
        let what = if row.id.is_some() { "id" } else { "external id" };
        let error =
            RowError::new("DUPLICATE_VALUE", format!("Duplicate {what} specified: {shown}"));
        match field {
            Some(field) => error.on(field),
            None => error,
        }
    }

    pub(super) fn raw(&self, row: &Row) -> &'a [u8] {
        csv::content(self.data.get(row.raw.clone()).unwrap_or_default())
    }

    fn cell_text(&self, row: &Row, column: usize) -> String {
        csv::Cells::new(self.raw(row), self.plan.delimiter)
            .nth(column)
            .map(|cell| cell.text().into_owned())
            .unwrap_or_default()
    }

    /// More errors of this row would be told.
    pub(super) fn goes_on(&self) -> bool {
        self.errors.is_empty() || self.plan.settings.row_errors == RowErrors::All
    }

    fn upsert(&mut self, at: usize, row: &Row) -> Result<Fate, StoreError> {
        let plan = self.plan;
        let named = plan.header.key.is_some();
        let Some(key_place) = plan.upsert_key else {
            // By Id, or without the key's column.
            return match (row.id, row.id.and_then(|id| id.counter())) {
                (Some(_), Some(counter)) => self.update(at, row, counter),
                (Some(_), None) => Ok(Fate::failed(None, RowError::invalid_reference())),
                (None, _) if named => self.insert(at, row),
                (None, _) => Ok(Fate::failed(None, self.key_missing())),
            };
        };
        let cell = self.prepared.keys(plan, at).get(key_place).copied();
        let Some(key) = cell.and_then(|cell| self.prepared.key(cell)) else {
            return match plan.settings.empty_key {
                EmptyKey::FailRow => Ok(Fate::failed(None, self.key_missing())),
                EmptyKey::Insert => self.insert(at, row),
            };
        };
        let Some(table_key) = plan.keys.get(key_place).copied() else {
            return self.insert(at, row);
        };
        self.writer.find(table_key, &key, &mut self.found)?;
        match *self.found.as_slice() {
            [] => self.insert(at, row),
            [counter] => self.update(at, row, counter),
            [first, second, ..] => {
                let name = self.upsert_field();
                let prefix = &plan.table.object.key_prefix;
                let message = format!(
                    "{name}: more than one record found for external id field: [{}, {}]",
                    RecordKey::new(prefix, first),
                    RecordKey::new(prefix, second)
                );
                let mut error = RowError::new("DUPLICATE_EXTERNAL_ID", message);
                error.fields.push(name);
                Ok(Fate::failed(None, error))
            }
        }
    }

    fn upsert_field(&self) -> String {
        let key = self.plan.upsert_key.and_then(|key| self.plan.keys.get(key));
        key.and_then(|key| self.plan.table.keys.get(*key))
            .and_then(|key| self.plan.table.object.fields.get(key.field))
            .map_or_else(|| "Id".to_owned(), |field| field.name.clone())
    }

    fn key_missing(&self) -> RowError {
        RowError::new("MISSING_ARGUMENT", format!("{} not specified", self.upsert_field()))
    }

    fn insert(&mut self, at: usize, row: &Row) -> Result<Fate, StoreError> {
        let plan = self.plan;
        if let Some(refusal) = &plan.no_insert {
            return Ok(Fate::failed(None, refusal.clone()));
        }
        if row.not_createable {
            self.errors.push(RowError::not_writable(not_writable(plan, self.raw(row), true)));
        }
        if self.goes_on() {
            self.check_required(row);
        }
        if self.goes_on() {
            self.resolve(at, row)?;
        }
        if self.goes_on() {
            self.check_owner(row)?;
        }
        if self.goes_on() {
            self.check_picklists(row, true);
        }
        if self.goes_on() {
            self.check_unique(at, None)?;
        }
        if self.errors.is_empty() {
            self.errors.extend(self.faults.storage());
        }
        if !self.errors.is_empty() {
            return Ok(Fate::Failed { record: None, error: told(&self.errors) });
        }
        self.record.clear();
        self.record
            .extend_from_slice(self.prepared.blobs.get(row.values.clone()).unwrap_or_default());
        for (slot, id) in &self.resolved {
            blob::put(&mut self.record, *slot, Value::Id(*id));
        }
        for column in self.prepared.absent.get(row.absent.clone()).unwrap_or_default() {
            let column = plan.columns.get(*column as usize);
            if let Some(default) = column.and_then(|column| column.default.as_ref()) {
                self.record.extend_from_slice(default);
            }
        }
        self.record.extend_from_slice(&plan.insert_defaults);
        self.record.extend_from_slice(&self.insert_stamp);
        if !plan.auto_numbers.is_empty() {
            let number = format!("{:08}", plan.table.next_counter());
            for slot in &plan.auto_numbers {
                blob::put(&mut self.record, *slot, Value::Text(&number));
            }
        }
        self.put_person_name();
        let table = &plan.table;
        let mut keys: Vec<Option<Key<'_>>> = vec![None; table.keys.len()];
        if plan.keys_from_record {
            for entry in blob::Entries::new(&self.record) {
                let column = table.field(entry.slot).and_then(|field| table.key_column(field));
                if let Some((place, column)) = column
                    && let Some(to) = keys.get_mut(place)
                {
                    *to = column.key(entry.value);
                }
            }
        } else {
            for (place, cell) in plan.keys.iter().zip(self.prepared.keys(plan, at)) {
                if let Some(to) = keys.get_mut(*place) {
                    *to = self.prepared.key(*cell);
                }
            }
        }
        let record = self.writer.insert(&self.record, &keys)?;
        Ok(Fate::Saved { record, change: Change::Created })
    }

    fn check_required(&mut self, row: &Row) {
        let plan = self.plan;
        let absent = self.prepared.absent.get(row.absent.clone()).unwrap_or_default();
        let required = |at: &&u32| plan.columns.get(**at as usize).is_some_and(|c| c.required);
        if plan.missing_required.is_empty() && !absent.iter().any(|at| required(&at)) {
            return;
        }
        let object = &plan.table.object;
        let mut missing = plan.missing_required.clone();
        for at in absent.iter().filter(required) {
            if let Some(Target::Field(field) | Target::Parent { field, .. }) =
                plan.header.columns.get(*at as usize).map(|column| &column.target)
                && let Some(field) = object.fields.get(*field)
            {
                missing.push(field.name.clone());
            }
        }
        self.errors.push(RowError::required(missing));
    }

    /// Finds the records that lookups point at.
    fn resolve(&mut self, at: usize, row: &Row) -> Result<(), StoreError> {
        self.resolved.clear();
        let references = self.prepared.references.get(row.references.clone()).unwrap_or_default();
        for reference in references {
            if !self.goes_on() {
                break;
            }
            let column = reference.column as usize;
            let (Some(header), Some(column)) =
                (self.plan.header.columns.get(column), self.plan.columns.get(column))
            else {
                continue;
            };
            match reference.to {
                ReferenceTo::Id(id) => match self.state_of(id, &column.targets)? {
                    Some(false) => {}
                    Some(true) => self.errors.push(RowError::deleted()),
                    None => self.errors.push(RowError::invalid_reference()),
                },
                ReferenceTo::Key(cell) => {
                    let Target::Parent { table, parent_field, .. } = &header.target else {
                        continue;
                    };
                    let key = self.prepared.key(cell);
                    if let (Some(key), Some((place, _))) = (key, table.key_column(*parent_field)) {
                        self.lookups.find(table, place, &key, &mut self.found)?;
                    } else {
                        self.found.clear();
                    }
                    let same_object = table.object.name == self.plan.table.object.name;
                    if same_object && !self.plan.settings.same_file_references {
                        let newest = self.plan.newest_before;
                        self.found.retain(|counter| *counter <= newest);
                    }
                    let name = &table.object.name;
                    match (self.found.as_slice(), table.object.fields.get(*parent_field)) {
                        ([parent], _) => {
                            let id = RecordKey::new(&table.object.key_prefix, *parent);
                            self.resolved.push((column.slot, id));
                        }
                        ([], Some(field)) => {
                            let text = self.cell_text(row, reference.column as usize);
                            self.errors.push(parent_not_found(field, name, &text));
                        }
                        (_, Some(field)) => {
                            let text = self.cell_text(row, reference.column as usize);
                            let message = format!(
                                "More than one record found for foreign key external ID: {text} \
                                 for field {} in entity {name}",
                                field.name
                            );
                            self.errors.push(RowError::new("INVALID_FIELD", message));
                        }
                        (_, None) => {}
                    }
                }
            }
        }
        if self.errors.is_empty() {
            let number = self.number(at);
            let by_id = references.iter().filter_map(|reference| match reference.to {
                ReferenceTo::Id(id) => Some(id),
                ReferenceTo::Key(_) => None,
            });
            let mut parents = by_id.chain(self.resolved.iter().map(|(_, id)| *id));
            let locked = parents.find_map(|parent| self.faults.parent(parent, number));
            self.errors.extend(locked);
        }
        Ok(())
    }

    fn state_of(
        &mut self,
        id: RecordKey,
        targets: &[std::sync::Arc<crate::local_org::store::Table>],
    ) -> Result<Option<bool>, StoreError> {
        if let Some(state) = self.parents.get(&id) {
            return Ok(*state);
        }
        let target = targets.iter().find(|target| target.object.key_prefix == id.prefix());
        let state = match (target, id.counter()) {
            (Some(table), Some(counter)) => self.lookups.state(table, counter)?,
            _ => None,
        };
        self.parents.insert(id, state);
        Ok(state)
    }

    /// No other live record may have a unique key of this row.
    fn check_unique(&mut self, at: usize, own: Option<u64>) -> Result<(), StoreError> {
        let plan = self.plan;
        for (place, cell) in plan.keys.iter().zip(self.prepared.keys(plan, at)) {
            let Some(column) = plan.table.keys.get(*place).filter(|column| column.unique) else {
                continue;
            };
            let Some(key) = self.prepared.key(*cell) else { continue };
            self.writer.find(*place, &key, &mut self.found)?;
            let other = self.found.iter().find(|counter| Some(**counter) != own);
            if let (Some(other), Some(field)) = (other, plan.table.object.fields.get(column.field))
            {
                let id = RecordKey::new(&plan.table.object.key_prefix, *other);
                let message = format!(
                    "duplicate value found: {} duplicates value on record with id: {id}",
                    field.name
                );
                self.errors.push(RowError::new("DUPLICATE_VALUE", message));
                if !self.goes_on() {
                    break;
                }
            }
        }
        Ok(())
    }

    fn update(&mut self, at: usize, row: &Row, counter: u64) -> Result<Fate, StoreError> {
        let plan = self.plan;
        if let Some(refusal) = &plan.no_update {
            return Ok(Fate::failed(Some(counter), refusal.clone()));
        }
        match self.writer.read(counter, &mut self.old)? {
            None => return Ok(Fate::failed(None, RowError::invalid_reference())),
            Some(true) => return Ok(Fate::failed(Some(counter), RowError::deleted())),
            Some(false) => {}
        }
        if row.not_updateable {
            self.errors.push(RowError::not_writable(not_writable(plan, self.raw(row), false)));
        }
        if self.goes_on() {
            self.resolve(at, row)?;
        }
        if self.goes_on() {
            self.check_owner(row)?;
        }
        if self.goes_on() {
            self.check_picklists(row, false);
        }
        if self.goes_on() {
            self.check_unique(at, Some(counter))?;
        }
        if !self.errors.is_empty() {
            return Ok(Fate::Failed { record: Some(counter), error: told(&self.errors) });
        }
        self.merge(row.values.clone());
        // The key that an upsert found its record by is the record's already.
        let keys = self.prepared.keys(plan, at).iter().enumerate();
        let rekeyed = keys
            .filter(|(place, _)| Some(*place) != plan.upsert_key)
            .any(|(_, cell)| *cell != KeyCell::Absent);
        if rekeyed {
            self.writer.update(counter, &self.record)?;
        } else {
            self.writer.update_values(counter, &self.record)?;
        }
        Ok(Fate::Saved { record: counter, change: Change::Updated })
    }

    /// The old record with the row's values over it, into `self.record`.
    fn merge(&mut self, values: std::ops::Range<usize>) {
        let fresh = self.prepared.blobs.get(values).unwrap_or_default();
        self.overridden.clear();
        let mut mark = |slot: u16| {
            let slot = usize::from(slot);
            if self.overridden.len() <= slot {
                self.overridden.resize(slot + 1, false);
            }
            if let Some(mark) = self.overridden.get_mut(slot) {
                *mark = true;
            }
        };
        for entry in blob::Entries::new(fresh).chain(blob::Entries::new(&self.update_stamp)) {
            mark(entry.slot);
        }
        for (slot, _) in &self.resolved {
            mark(*slot);
        }
        let named = self.plan.person_name.as_ref().filter(|name| name.in_upload);
        if let Some(name) = named {
            mark(name.slot);
        }
        self.record.clear();
        for entry in blob::Entries::new(&self.old) {
            if !self.overridden.get(usize::from(entry.slot)).copied().unwrap_or(false) {
                self.record.extend_from_slice(entry.bytes);
            }
        }
        for entry in blob::Entries::new(fresh).filter(|entry| !entry.value.is_null()) {
            self.record.extend_from_slice(entry.bytes);
        }
        for (slot, id) in &self.resolved {
            blob::put(&mut self.record, *slot, Value::Id(*id));
        }
        self.record.extend_from_slice(&self.update_stamp);
        if named.is_some() {
            self.put_person_name();
        }
    }

    /// A person's name, from the parts in `self.record`.
    fn put_person_name(&mut self) {
        let Some(name) = &self.plan.person_name else { return };
        let mut parts: Vec<&str> = vec![""; name.parts.len()];
        for entry in blob::Entries::new(&self.record) {
            let place = name.parts.iter().position(|part| *part == entry.slot);
            if let (Some(part), Value::Text(text)) =
                (place.and_then(|place| parts.get_mut(place)), entry.value)
            {
                *part = text;
            }
        }
        parts.retain(|part| !part.is_empty());
        let whole = parts.join(" ");
        if !whole.is_empty() {
            blob::put(&mut self.record, name.slot, Value::Text(&whole));
        }
    }

    fn delete(&mut self, counter: u64) -> Result<Fate, StoreError> {
        if let Some(refusal) = &self.plan.no_delete {
            return Ok(Fate::failed(Some(counter), refusal.clone()));
        }
        match self.writer.read(counter, &mut self.old)? {
            None => return Ok(Fate::failed(None, RowError::invalid_reference())),
            Some(true) => return Ok(Fate::failed(Some(counter), RowError::deleted())),
            Some(false) => {}
        }
        if self.plan.operation == Operation::HardDelete {
            self.writer.erase(counter)?;
        } else {
            self.resolved.clear();
            self.merge(0..0);
            self.writer.delete(counter, &self.record)?;
        }
        Ok(Fate::Saved { record: counter, change: Change::Deleted })
    }
}
