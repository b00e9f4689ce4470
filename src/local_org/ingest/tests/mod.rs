//! Ingest as a client meets it, without the HTTP in between.

mod errors;
mod faults;
mod files;
mod jobs;
mod limits;
mod picked;
mod relations;
mod rows;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value as Json, json};

use super::job::{Job, Shape};
use super::results::{self, Answer, ResultSet};
use super::*;
use crate::local_org::store::Record;

const VERSION: &str = "66.0";

/// One field of every kind.
const THING: &str = r#"{"name":"Thing__c","label":"Thing","keyPrefix":"a99","fields":[
    {"name":"Name","type":"string","label":"Thing Name","length":80,"nameField":true,"nillable":false},
    {"name":"Ext__c","type":"string","label":"Ext","externalId":true,"unique":true,"length":20},
    {"name":"Exact__c","type":"string","label":"Exact","externalId":true,"unique":true,"caseSensitive":true},
    {"name":"Num__c","type":"double","label":"Num","externalId":true,"precision":18,"scale":2},
    {"name":"Loose__c","type":"string","label":"Loose","externalId":true},
    {"name":"Amount__c","type":"currency","label":"Amount","precision":18,"scale":2},
    {"name":"Count__c","type":"int","label":"Count","digits":8},
    {"name":"Flag__c","type":"boolean","label":"Flag","defaultValue":true},
    {"name":"Day__c","type":"date","label":"Day"},
    {"name":"At__c","type":"datetime","label":"At"},
    {"name":"Clock__c","type":"time","label":"Clock"},
    {"name":"Mail__c","type":"email","label":"Mail"},
    {"name":"Kind__c","type":"picklist","label":"Kind","restrictedPicklist":true,
     "picklistValues":["A",{"value":"B","defaultValue":true}]},
    {"name":"Tags__c","type":"multipicklist","label":"Tags","length":400,"picklistValues":["x","y","z"]},
    {"name":"Short__c","type":"string","label":"Short","length":5},
    {"name":"Once__c","type":"string","label":"Once","updateable":false},
    {"name":"Formula__c","type":"string","label":"Formula","calculated":true},
    {"name":"Account__c","type":"reference","label":"Account","referenceTo":["Account"],"relationshipName":"Account__r"},
    {"name":"Self__c","type":"reference","label":"Self","referenceTo":["Thing__c"],"relationshipName":"Self__r"},
    {"name":"Who__c","type":"reference","label":"Who","referenceTo":["Contact","Lead"],"relationshipName":"Who__r"},
    {"name":"Number__c","type":"string","label":"Number","autoNumber":true}]}"#;

/// An org with its folder.
struct Org {
    ingest: Ingest,
    catalogue: Arc<Catalogue>,
    store: Arc<Store>,
    clock: Clock,
    dir: Arc<tempfile::TempDir>,
    user: String,
}

/// What became of a job.
struct Done {
    job: Arc<Job>,
    successful: Table,
    failed: Table,
    unprocessed: Table,
}

/// A result set, by column.
struct Table {
    header: Vec<String>,
    rows: Vec<BTreeMap<String, String>>,
}

impl Table {
    fn parse(text: &str) -> Table {
        let mut reader = ::csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .from_reader(text.as_bytes());
        let mut records = reader
            .records()
            .map(|record| record.unwrap().iter().map(str::to_owned).collect::<Vec<String>>());
        let header = records.next().unwrap_or_default();
        let rows = records.map(|record| header.iter().cloned().zip(record).collect()).collect();
        Table { header, rows }
    }

    /// The cells of a column, sorted.
    fn column(&self, name: &str) -> Vec<String> {
        let mut cells: Vec<String> = self.rows.iter().map(|row| row[name].clone()).collect();
        cells.sort();
        cells
    }
}

impl Done {
    fn state(&self) -> State {
        self.job.state()
    }

    fn error(&self) -> String {
        self.job.progress().error.clone().unwrap_or_default()
    }

    /// `sf__Error` of the only failed row.
    fn only_error(&self) -> String {
        assert_eq!(self.failed.rows.len(), 1, "{:?} {:?}", self.error(), self.failed.rows);
        self.failed.rows[0]["sf__Error"].clone()
    }
}

impl Org {
    fn new() -> Org {
        Org::with(Settings::default())
    }

    fn with(settings: Settings) -> Org {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("objects")).unwrap();
        std::fs::write(dir.path().join("objects/Thing__c.json"), THING).unwrap();
        Org::open(Arc::new(dir), settings, Clock::new())
    }

    fn open(dir: Arc<tempfile::TempDir>, settings: Settings, clock: Clock) -> Org {
        let catalogue = Arc::new(Catalogue::open(Some(dir.path())).unwrap());
        let store = Arc::new(Store::open(Some(dir.path()), &catalogue).unwrap());
        let ingest =
            Ingest::start(Some(dir.path()), &settings, &clock, &catalogue, &store).unwrap();
        let user = RecordKey::new("005", 1).to_string();
        Org { ingest, catalogue, store, clock, dir, user }
    }

    /// Stops it and starts it again with other settings.
    fn restart(self, settings: Settings) -> Org {
        self.ingest.stop();
        let (dir, clock) = (Arc::clone(&self.dir), self.clock.clone());
        drop(self);
        Org::open(dir, settings, clock)
    }

    fn create(&self, body: Json) -> Arc<Job> {
        self.ingest.create(body.to_string().as_bytes(), &self.user, VERSION).unwrap().0
    }

    fn refused(&self, body: Json) -> ApiError {
        self.ingest.create(body.to_string().as_bytes(), &self.user, VERSION).unwrap_err()
    }

    fn upload(&self, job: &Arc<Job>, csv: &[u8]) -> Result<(), ApiError> {
        match self.ingest.start_upload(job)? {
            None => Ok(()),
            Some(mut arriving) => {
                arriving.writer().unwrap().write_all(csv).unwrap();
                arriving.finish()
            }
        }
    }

    fn started(&self, body: Json, csv: &str) -> Arc<Job> {
        let job = self.create(body);
        self.upload(&job, csv.as_bytes()).unwrap();
        self.ingest.close(&job).unwrap();
        job
    }

    /// Creates, uploads, closes, waits, and fetches all three sets.
    fn run(&self, body: Json, csv: &str) -> Done {
        let job = self.started(body, csv);
        self.ended(job)
    }

    fn ended(&self, job: Arc<Job>) -> Done {
        assert!(self.ingest.wait(&job.key().to_string(), Duration::from_mins(1)).unwrap());
        let table = |set| Table::parse(&self.text(&job, set));
        Done {
            successful: table(ResultSet::Successful),
            failed: table(ResultSet::Failed),
            unprocessed: table(ResultSet::Unprocessed),
            job,
        }
    }

    fn text(&self, job: &Arc<Job>, set: ResultSet) -> String {
        let mut text = String::new();
        match results::open(&self.ingest.inner, job, set, VERSION).unwrap() {
            Answer::NoContent => {}
            Answer::Body(mut read) => {
                read.read_to_string(&mut text).unwrap();
            }
        }
        text
    }

    fn insert(&self, object: &str, csv: &str) -> Done {
        self.run(json!({"object": object, "operation": "insert"}), csv)
    }

    fn update(&self, object: &str, csv: &str) -> Done {
        self.run(json!({"object": object, "operation": "update"}), csv)
    }

    fn upsert(&self, object: &str, key: &str, csv: &str) -> Done {
        let body = json!({"object": object, "operation": "upsert", "externalIdFieldName": key});
        self.run(body, csv)
    }

    /// Makes one record and gives its id.
    fn one(&self, object: &str, csv: &str) -> String {
        let done = self.insert(object, csv);
        assert_eq!(done.successful.rows.len(), 1, "{} {:?}", done.error(), done.failed.rows);
        done.successful.rows[0]["sf__Id"].clone()
    }

    fn record(&self, object: &str, id: &str) -> Option<Record> {
        self.store.get(self.catalogue.object(object).unwrap(), id).unwrap()
    }

    /// A field of a record, as Bulk CSV shows it.
    fn field(&self, object: &str, id: &str, field: &str) -> String {
        let place = self.catalogue.object(object).unwrap().field(field).unwrap().0;
        self.record(object, id).unwrap().values[place].bulk_text().into_owned()
    }

    fn count(&self, object: &str) -> u64 {
        self.store.count(self.catalogue.object(object).unwrap(), false).unwrap()
    }
}

impl Drop for Org {
    fn drop(&mut self) {
        self.ingest.stop();
    }
}

/// `Name` and one more column, `rows` rows of them.
fn many(rows: usize) -> String {
    let mut csv = String::from("Name,Ext__c\n");
    for row in 0..rows {
        let _ = writeln!(csv, "n{row},E{row}");
    }
    csv
}
