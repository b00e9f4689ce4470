//! REST queries, page by page ("Query", REST API guide).

use serde::Deserialize;

use super::connection::{Call, QUERY_PATIENCE};
use super::encode;
use super::error::{CallError, Happened, Kind};
use super::org::Org;
use super::record::Record;

/// Which records a query sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum QueryScope {
    /// Records that are neither deleted nor archived.
    #[default]
    Live,
    /// Deleted, merged and archived records, too (`queryAll`).
    All,
}

/// One page of records, at most 2,000.
#[derive(Debug, Clone, PartialEq)]
pub struct QueryPage {
    /// Records the whole query has; for `SELECT COUNT()` the count itself.
    pub total: u64,
    /// The records of this page.
    pub records: Vec<Record>,
}

/// A query under way; holds one page's cursor, never the pages.
#[derive(Debug)]
pub struct QueryPages {
    org: Org,
    next: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PageReply {
    #[serde(default)]
    total_size: u64,
    #[serde(default)]
    done: bool,
    next_records_url: Option<String>,
    #[serde(default)]
    records: Vec<Record>,
}

impl Org {
    /// Begins a query; nothing is sent before the first page is asked for.
    pub fn query(&self, soql: &str, scope: QueryScope) -> QueryPages {
        let resource = match scope {
            QueryScope::Live => "query",
            QueryScope::All => "queryAll",
        };
        let path = self.path(&format!("{resource}/?q={}", encode(soql)));
        QueryPages { org: self.clone(), next: Some(path) }
    }

    /// All records of a query that is known to be small, `most` at most.
    ///
    /// # Errors
    /// Any [`CallError`]; `MALFORMED_QUERY` and its like for a wrong SOQL.
    pub async fn query_all_rows(&self, soql: &str, most: usize) -> Result<Vec<Record>, CallError> {
        self.query(soql, QueryScope::Live).at_most(most).await
    }

    /// The same of the objects that describe an org's own logic, such as its
    /// triggers ("Query", Tooling API guide). Not everybody may ask.
    ///
    /// # Errors
    /// Any [`CallError`].
    pub async fn tooling_rows(&self, soql: &str, most: usize) -> Result<Vec<Record>, CallError> {
        let path = self.path(&format!("tooling/query/?q={}", encode(soql)));
        QueryPages { org: self.clone(), next: Some(path) }.at_most(most).await
    }
}

impl QueryPages {
    async fn at_most(mut self, most: usize) -> Result<Vec<Record>, CallError> {
        let mut records = Vec::new();
        while records.len() < most
            && let Some(page) = self.next_page().await?
        {
            records.extend(page.records);
        }
        records.truncate(most);
        Ok(records)
    }
}

impl QueryPages {
    /// The next page; `None` after the last one. A page may be asked for
    /// again after a failure: cursors live two days.
    ///
    /// # Errors
    /// Any [`CallError`].
    pub async fn next_page(&mut self) -> Result<Option<QueryPage>, CallError> {
        let Some(path) = &self.next else { return Ok(None) };
        let call = Call { patience: QUERY_PATIENCE, ..Call::get("run the query", path.as_str()) };
        let reply: PageReply = self.org.connection().fetch(&call).await?;
        let next = match reply.next_records_url {
            Some(url) if !reply.done => {
                let local = path_of(&url).filter(|next| Some(*next) != self.next.as_deref());
                let Some(next) = local else {
                    return Err(call
                        .error(Kind::Reply, Happened::Refused)
                        .message("it names no next page but says there is one"));
                };
                Some(next.to_owned())
            }
            _ => None,
        };
        self.next = next;
        Ok(Some(QueryPage { total: reply.total_size, records: reply.records }))
    }
}

/// The path of a continuation URL. Its host, if it has one, is not followed:
/// the token goes to the instance URL alone.
fn path_of(url: &str) -> Option<&str> {
    let path = match url.split_once("://") {
        Some((_, rest)) => rest.get(rest.find('/')?..)?,
        None => url,
    };
    path.starts_with("/services/").then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_continuation_stays_with_the_org() {
        let path = "/services/data/v66.0/query/01g-2000";
        assert_eq!(path_of(path), Some(path));
        assert_eq!(path_of(&format!("https://evil.example{path}")), Some(path));
        assert_eq!(path_of("https://evil.example"), None);
        assert_eq!(path_of("//evil.example/x"), None);
        assert_eq!(path_of(""), None);
    }
}
