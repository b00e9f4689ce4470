//! The client against the embedded org: two readings of the protocol by two
//! authors, over real HTTP.

use std::io::{Read, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bulkhaul::domain::{
    ColumnDelimiter, FieldType, JobInfo, LineEnding, NewJob, Operation, ResultSet,
};
use bulkhaul::local_org::{LocalOrg, LocalOrgOptions};
use bulkhaul::salesforce::{ConnectOptions, Kind, Login, OpenTarget, Org, QueryScope, UploadBody};

pub(crate) async fn start() -> (LocalOrg, Org) {
    let local = LocalOrg::start(LocalOrgOptions::default()).await.unwrap();
    let login = Login::ClientCredentials {
        login_url: local.url().to_owned(),
        id: local.client_id(),
        secret: local.client_secret().into(),
    };
    let org = Org::connect(login, ConnectOptions::default()).await.unwrap();
    (local, org)
}

pub(crate) fn accounts(operation: Operation) -> NewJob {
    NewJob {
        object: "Account".into(),
        operation,
        external_id: (operation == Operation::Upsert).then(|| "Legacy_Id__c".into()),
        delimiter: ColumnDelimiter::Comma,
        line_ending: LineEnding::Lf,
        assignment_rule: None,
    }
}

/// Takes a text through a whole job.
pub(crate) async fn load(org: &Org, job: &NewJob, text: &str) -> JobInfo {
    let created = org.create_job(job).await.unwrap();
    let text = text.to_owned();
    let body = UploadBody {
        len: Some(text.len() as u64),
        gzip: false,
        open: Arc::new(move || {
            Ok(Box::new(std::io::Cursor::new(text.clone())) as Box<dyn Read + Send>)
        }),
    };
    org.upload(&created.id, &body, &(Arc::new(|_| {}) as _)).await.unwrap();
    org.close(&created.id).await.unwrap();
    let mut asked = tokio::time::interval(Duration::from_millis(20));
    for _ in 0..500 {
        asked.tick().await;
        let job = org.job(&created.id).await.unwrap();
        if job.state.is_terminal() {
            return job;
        }
    }
    panic!("the job did not end in 10 s");
}

/// A place in memory for a result set.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

async fn results(org: &Org, job: &JobInfo, set: ResultSet) -> String {
    let kept = Kept::default();
    let place = kept.clone();
    let open: OpenTarget = Arc::new(move || {
        place.0.lock().unwrap().clear();
        Ok(Box::new(place.clone()) as Box<dyn Write + Send>)
    });
    let done = org.results(&job.id, set, &open).await.unwrap();
    let bytes = kept.0.lock().unwrap().clone();
    assert_eq!(done.bytes, bytes.len() as u64);
    String::from_utf8(bytes).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_goes_its_whole_way() {
    let (local, org) = start().await;
    assert_eq!(org.identity().org_id, local.org_id());
    assert!(!org.identity().production);
    let text = "Name,Legacy_Id__c\n\"Zoë, Inc.\",A-1\n,A-2\nThird,A-3\n";
    let job = load(&org, &accounts(Operation::Upsert), text).await;
    assert_eq!(job.state.as_str(), "JobComplete", "{:?}", job.error_message);
    assert_eq!((job.records_processed, job.records_failed), (Some(3), Some(1)));
    let successful = results(&org, &job, ResultSet::Successful).await;
    assert!(successful.starts_with("\"sf__Id\",\"sf__Created\",Name,Legacy_Id__c"));
    assert_eq!(successful.lines().count(), 3);
    let failed = results(&org, &job, ResultSet::Failed).await;
    assert!(failed.contains("REQUIRED_FIELD_MISSING"), "{failed}");
    let unprocessed = results(&org, &job, ResultSet::Unprocessed).await;
    assert!(unprocessed.lines().count() <= 1, "{unprocessed}");

    let soql =
        "SELECT Name, Legacy_Id__c FROM Account WHERE Legacy_Id__c != null ORDER BY Legacy_Id__c";
    let records = org.query_all_rows(soql, 10).await.unwrap();
    let names: Vec<String> =
        records.iter().map(|record| record.get("Name").unwrap().cell()).collect();
    assert_eq!(names, ["Zoë, Inc.", "Third"]);

    let listed = org.list_jobs(None).await.unwrap();
    assert!(listed.jobs.iter().any(|listed| listed.id == job.id));
    let told = org.abort(&job.id).await.unwrap_err();
    assert_eq!(told.code.as_deref(), Some("INVALIDJOBSTATE"));
    org.delete_job(&job.id).await.unwrap();
    assert!(org.job(&job.id).await.unwrap_err().is_not_found());
    local.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_that_end_in_the_middle_are_renewed() {
    let (local, org) = start().await;
    for round in 0..3 {
        local.end_sessions();
        let text = format!("Name,Legacy_Id__c\nAcme,R-{round}\n");
        let job = load(&org, &accounts(Operation::Upsert), &text).await;
        assert_eq!(job.records_failed, Some(0));
    }
    local.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_neighbours_answer_too() {
    let (local, org) = start().await;
    let account = org.describe("Account").await.unwrap();
    let key = account.field("Legacy_Id__c").unwrap();
    assert!(key.external_id && key.is_key());
    assert_eq!(account.field("AnnualRevenue").unwrap().field_type, FieldType::Currency);
    assert!(org.objects().await.unwrap().iter().any(|object| object.name == "CampaignMember"));
    assert_eq!(org.describe("Nonsense").await.unwrap_err().status, Some(404));
    let limits = org.limits().await.unwrap();
    assert_eq!(limits.daily_bulk_batches().unwrap().max, 15_000);
    let (used, max) = org.usage().daily_calls.unwrap();
    assert!(used > 0 && max > used);
    let refused = org.query("SELECT Nope FROM Account", QueryScope::Live).next_page().await;
    let refused = refused.unwrap_err();
    assert_eq!((refused.kind, refused.code.as_deref()), (Kind::Refused, Some("INVALID_FIELD")));
    local.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_query_of_several_pages_loses_no_record() {
    let (local, org) = start().await;
    let rows = (0..4_500).map(|row| format!("Row {row},Q-{row}\n"));
    let text: String = std::iter::once("Name,Legacy_Id__c\n".to_owned()).chain(rows).collect();
    let job = load(&org, &accounts(Operation::Insert), &text).await;
    assert_eq!((job.records_processed, job.records_failed), (Some(4_500), Some(0)));
    let mut pages = org.query("SELECT Legacy_Id__c FROM Account", QueryScope::Live);
    let (mut count, mut seen) = (0, std::collections::HashSet::new());
    while let Some(page) = pages.next_page().await.unwrap() {
        assert_eq!(page.total, 4_500);
        count += 1;
        seen.extend(page.records.iter().map(|record| record.get("Legacy_Id__c").unwrap().cell()));
    }
    assert_eq!((count, seen.len()), (3, 4_500));
    local.stop().await;
}
