//! Query jobs as a client meets them, without the HTTP in between.

mod jobs;
mod pages;
mod refusals;
mod rows;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value as Json, json};

use super::job::{QueryJob, Shape};
use super::pages::Asked;
use super::*;
use crate::local_org::catalogue::ObjectDef;
use crate::local_org::value::Value;

const VERSION: &str = "66.0";

/// One field of every kind.
const THING: &str = r#"{"name":"Thing__c","label":"Thing","keyPrefix":"a99","fields":[
    {"name":"Name","type":"string","label":"Thing Name","length":80,"nameField":true,"nillable":false},
    {"name":"Ext__c","type":"string","label":"Ext","externalId":true,"unique":true,"length":20},
    {"name":"Amount__c","type":"currency","label":"Amount","precision":18,"scale":2},
    {"name":"Ratio__c","type":"double","label":"Ratio","precision":18,"scale":16},
    {"name":"Count__c","type":"int","label":"Count","digits":8},
    {"name":"Flag__c","type":"boolean","label":"Flag"},
    {"name":"Day__c","type":"date","label":"Day"},
    {"name":"At__c","type":"datetime","label":"At"},
    {"name":"Clock__c","type":"time","label":"Clock"},
    {"name":"Mail__c","type":"email","label":"Mail"},
    {"name":"Tags__c","type":"multipicklist","label":"Tags","picklistValues":["x","y","z"]},
    {"name":"Notes__c","type":"textarea","label":"Notes","length":131072},
    {"name":"Body__c","type":"base64","label":"Body"},
    {"name":"Formula__c","type":"string","label":"Formula","calculated":true},
    {"name":"Account__c","type":"reference","label":"Account","referenceTo":["Account"],"relationshipName":"Account__r"},
    {"name":"Who__c","type":"reference","label":"Who","referenceTo":["Contact","Lead"],"relationshipName":"Who__r"}]}"#;

/// An object SOQL doesn't read at all.
const HIDDEN: &str =
    r#"{"name":"Hidden__c","keyPrefix":"a98","queryable":false,"fields":[{"name":"Name"}]}"#;

/// An org with its folder, or in memory.
struct Org {
    bulk: BulkQuery,
    ingest: Ingest,
    catalogue: Arc<Catalogue>,
    store: Arc<Store>,
    clock: Clock,
    dir: Arc<tempfile::TempDir>,
    user: String,
}

impl Org {
    fn new() -> Org {
        Org::with(Settings::default())
    }

    fn with(settings: Settings) -> Org {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("objects")).unwrap();
        std::fs::write(dir.path().join("objects/Thing__c.json"), THING).unwrap();
        std::fs::write(dir.path().join("objects/Hidden__c.json"), HIDDEN).unwrap();
        Org::open(Arc::new(dir), settings, Clock::new(), true)
    }

    fn open(dir: Arc<tempfile::TempDir>, settings: Settings, clock: Clock, on_disk: bool) -> Org {
        let catalogue = Arc::new(Catalogue::open(Some(dir.path())).unwrap());
        let place = on_disk.then(|| dir.path());
        let store = Arc::new(Store::open(place, &catalogue).unwrap());
        let ingest = Ingest::start(place, &settings, &clock, &catalogue, &store).unwrap();
        let bulk = BulkQuery::start(place, &settings, &clock, &catalogue, &store, &ingest).unwrap();
        let user = RecordKey::new("005", 1).to_string();
        Org { bulk, ingest, catalogue, store, clock, dir, user }
    }

    /// The same test on disk and in memory.
    fn both(settings: Settings, test: impl Fn(&Org)) {
        let org = Org::with(settings.clone());
        test(&org);
        test(&Org::open(Arc::clone(&org.dir), settings, Clock::new(), false));
    }

    /// Stops it and starts it again with other settings.
    fn restart(self, settings: Settings) -> Org {
        let (dir, clock) = (Arc::clone(&self.dir), self.clock.clone());
        drop(self);
        Org::open(dir, settings, clock, true)
    }

    fn object(&self, name: &str) -> &Arc<ObjectDef> {
        self.catalogue.object(name).unwrap()
    }

    /// Puts a record into the store, its values given as cells.
    fn put(&self, object: &str, cells: &[(&str, &str)]) -> String {
        let object = self.object(object);
        let mut values = vec![Value::Null; object.fields.len()];
        values[object.system.created_date] = Value::DateTime(self.clock.now_ms());
        for (name, cell) in cells {
            let (at, field) = object.field(name).unwrap_or_else(|| panic!("no field {name}"));
            values[at] = Value::parse(field, cell).unwrap();
        }
        self.store.insert(object, &values).unwrap()
    }

    /// So many things, named by their numbers.
    fn things(&self, count: usize) {
        for n in 0..count {
            self.put("Thing__c", &[("Name", &format!("n{n}"))]);
        }
    }

    /// Puts a record into the recycle bin.
    fn delete(&self, object: &str, id: &str) {
        let table = self.store.table(self.object(object)).unwrap();
        let counter = RecordKey::parse(id).unwrap().counter().unwrap();
        let deleted: Result<(), crate::local_org::StoreError> =
            self.store.transaction(table, |transaction| {
                let mut blob = Vec::new();
                transaction.writer.read(counter, &mut blob)?;
                transaction.writer.delete(counter, &blob)
            });
        deleted.unwrap();
    }

    fn create(&self, body: Json) -> Result<Arc<QueryJob>, ApiError> {
        self.bulk.create(body.to_string().as_bytes(), &self.user, VERSION).map(|(job, _)| job)
    }

    fn start(&self, soql: &str) -> Arc<QueryJob> {
        self.create(json!({"operation": "query", "query": soql})).unwrap()
    }

    fn ended(&self, job: &Arc<QueryJob>) {
        assert!(self.bulk.wait(&job.key().to_string(), Duration::from_mins(1)).unwrap());
    }

    fn run_as(&self, body: Json) -> Arc<QueryJob> {
        let job = self.create(body).unwrap();
        self.ended(&job);
        assert_eq!(job.state(), State::JobComplete, "{:?}", job.progress().error);
        job
    }

    fn run(&self, soql: &str) -> Arc<QueryJob> {
        self.run_as(json!({"operation": "query", "query": soql}))
    }

    fn page(&self, job: &Arc<QueryJob>, asked: &Asked) -> (String, u64, Option<String>) {
        let mut page = self.bulk.page(job, asked, VERSION).unwrap();
        let mut text = page.header;
        loop {
            let piece = page.body.next(1_000).unwrap();
            if piece.is_empty() {
                break;
            }
            text.extend_from_slice(&piece);
        }
        (String::from_utf8(text).unwrap(), page.rows, page.next)
    }

    /// The only page of a job.
    fn text(&self, job: &Arc<QueryJob>) -> String {
        let (text, rows, next) = self.page(job, &Asked::default());
        assert_eq!((rows, next), (job.progress().processed, None));
        text
    }

    /// The rows of a query, by column.
    fn rows(&self, soql: &str) -> Vec<BTreeMap<String, String>> {
        rows(&self.text(&self.run(soql)))
    }

    fn refused(&self, body: Json) -> (String, String) {
        let error = self.create(body).unwrap_err();
        assert_eq!(error.status, 400);
        (error.code.into_owned(), error.message)
    }
}

impl Drop for Org {
    fn drop(&mut self) {
        self.bulk.stop();
        self.ingest.stop();
    }
}

fn rows(text: &str) -> Vec<BTreeMap<String, String>> {
    let mut reader = ::csv::Reader::from_reader(text.as_bytes());
    reader.deserialize().map(|row| row.unwrap()).collect()
}

/// Locator of the next page.
fn at(locator: &str) -> Asked {
    Asked { locator: Some(locator.to_owned()), max_records: None }
}

fn most(rows: &str) -> Asked {
    Asked { locator: None, max_records: Some(rows.to_owned()) }
}
