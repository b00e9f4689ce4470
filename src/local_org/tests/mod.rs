//! The org as a client sees it, over real HTTP.

mod bulk_query;
mod faults;
mod ingest;
mod login;
mod queries;
mod resources;
mod setup;
mod soql;
mod wire;

use std::sync::Arc;

use super::catalogue::ObjectDef;
use super::ids::RecordKey;
use super::org::{LocalOrg, LocalOrgOptions};
use super::settings::Settings;
use super::value::Value;
use wire::Client;

/// An org in memory and a client that is logged in.
struct Rig {
    org: LocalOrg,
    client: Client,
}

impl Rig {
    async fn new() -> Rig {
        Rig::with(Settings::default()).await
    }

    async fn with(settings: Settings) -> Rig {
        let options = LocalOrgOptions { settings, ..LocalOrgOptions::default() };
        let org = LocalOrg::start(options).await.unwrap();
        let mut client = Client::new(org.url());
        client.token = Some(org.access_token().unwrap());
        Rig { org, client }
    }

    fn object(&self, name: &str) -> Arc<ObjectDef> {
        Arc::clone(self.org.state().catalogue.object(name).unwrap())
    }

    /// Puts a record into the store, its values given as cells.
    fn put(&self, object: &str, cells: &[(&str, &str)]) -> String {
        let object = self.object(object);
        let mut values = vec![Value::Null; object.fields.len()];
        for (name, cell) in cells {
            let (at, field) = object.field(name).unwrap_or_else(|| panic!("no field {name}"));
            values[at] = Value::parse(field, cell).unwrap();
        }
        self.org.state().store.insert(&object, &values).unwrap()
    }

    /// Puts a record into the recycle bin.
    fn delete(&self, object: &str, id: &str) {
        let store = &self.org.state().store;
        let table = store.table(&self.object(object)).unwrap();
        let counter = RecordKey::parse(id).unwrap().counter().unwrap();
        store
            .transaction(table, |transaction| {
                let writer = &mut transaction.writer;
                let mut blob = Vec::new();
                writer.read(counter, &mut blob)?;
                writer.delete(counter, &blob)
            })
            .unwrap_or_else(|error: super::StoreError| panic!("{error}"));
    }

    /// Runs a query and gives the reply's JSON.
    async fn query(&self, soql: &str) -> serde_json::Value {
        let reply = self.client.get(&query_path("query", soql)).await;
        assert_eq!(reply.status, 200, "{soql}: {}", reply.text());
        reply.json()
    }

    /// The values of one field over all records of a query.
    async fn column(&self, soql: &str, field: &str) -> Vec<String> {
        let reply = self.query(soql).await;
        let records = reply["records"].as_array().unwrap();
        records.iter().map(|r| r[field].as_str().unwrap_or("null").to_owned()).collect()
    }

    /// The code and message of a refused query.
    async fn refused(&self, soql: &str) -> (String, String) {
        let reply = self.client.get(&query_path("query", soql)).await;
        assert_eq!(reply.status, 400, "{soql}: {}", reply.text());
        let body = reply.json();
        let text = |name: &str| body[0][name].as_str().unwrap().to_owned();
        (text("errorCode"), text("message"))
    }
}

fn query_path(resource: &str, soql: &str) -> String {
    format!("/services/data/v66.0/{resource}?q={}", wire::escaped(soql))
}
