//! A job's life: creation, states, the fields of its bodies, the list.

use super::*;
use crate::local_org::settings::{EarlyResults, OthersJobs, ResultOrder};

fn account_insert() -> Json {
    json!({"object": "Account", "operation": "insert"})
}

fn refusal<T: std::fmt::Debug>(result: Result<T, ApiError>) -> (u16, String, String) {
    let error = result.unwrap_err();
    (error.status.as_u16(), error.code.into_owned(), error.message)
}

/// Names of the fields that not every body has.
fn optional(body: &Json) -> Vec<String> {
    const CORE: [&str; 10] = [
        "id",
        "operation",
        "object",
        "createdById",
        "createdDate",
        "systemModstamp",
        "state",
        "concurrencyMode",
        "contentType",
        "apiVersion",
    ];
    let body = body.as_object().unwrap();
    for name in CORE {
        assert!(body.contains_key(name), "{name} is always there");
    }
    let mut names: Vec<String> =
        body.keys().filter(|name| !CORE.contains(&name.as_str())).cloned().collect();
    names.sort();
    names
}

#[test]
fn bodies_have_the_fields_of_the_matrix() {
    let org = Org::new();
    let job = org.create(account_insert());
    let created = job.json(Shape::Created);
    assert_eq!(optional(&created), ["columnDelimiter", "contentUrl", "lineEnding"]);
    let id = job.key().to_string();
    assert_eq!(created["contentUrl"], format!("services/data/v66.0/jobs/ingest/{id}/batches"));
    assert_eq!(created["apiVersion"], json!(66.0));
    assert!(created["apiVersion"].is_f64(), "a number with its decimal: {}", created["apiVersion"]);
    assert_eq!(
        (created["lineEnding"].as_str(), created["columnDelimiter"].as_str()),
        (Some("LF"), Some("COMMA"))
    );
    assert!(created["createdDate"].as_str().unwrap().ends_with("+0000"));
    let times = ["apexProcessingTime", "apiActiveProcessingTime"];
    let more = ["retries", "totalProcessingTime"];
    let open =
        [&times[..], &["columnDelimiter", "contentUrl", "jobType", "lineEnding"], &more].concat();
    assert_eq!(optional(&job.json(Shape::Info)), open);
    assert_eq!(
        optional(&job.json(Shape::Listed)),
        ["columnDelimiter", "contentUrl", "jobType", "lineEnding"]
    );
    org.upload(&job, b"Name\nn\n").unwrap();
    let closed = org.ingest.close(&job).unwrap();
    assert_eq!(optional(&closed), [] as [&str; 0]);
    assert_eq!(closed["state"], "UploadComplete");
    org.ended(Arc::clone(&job));
    let counts = ["numberRecordsFailed", "numberRecordsProcessed"];
    let ended =
        [&times[..], &["columnDelimiter", "jobType", "lineEnding"], &counts, &more].concat();
    assert_eq!(optional(&job.json(Shape::Info)), ended);
    assert_eq!(optional(&job.json(Shape::Listed)), ["columnDelimiter", "jobType", "lineEnding"]);

    let body = json!({"object":"thing__c","operation":"upsert","externalIdFieldName":"ext__c"})
        .to_string();
    let (job, created) =
        org.ingest.create_with(body.as_bytes(), b"Ext__c,Name\nx,n\n", &org.user, VERSION).unwrap();
    assert_eq!(optional(&created), ["columnDelimiter", "externalIdFieldName", "lineEnding"]);
    assert_eq!(created["state"], "UploadComplete");
    assert_eq!(
        (created["object"].as_str(), created["externalIdFieldName"].as_str()),
        (Some("Thing__c"), Some("Ext__c"))
    );
    assert_eq!(org.ended(job).successful.rows.len(), 1);
}

#[test]
fn create_refuses_what_makes_no_job() {
    let org = Org::new();
    for (body, code, message) in [
        (
            json!({"object":"Nope","operation":"insert"}),
            "INVALIDENTITY",
            "Entity 'Nope' is not supported by the Bulk API.",
        ),
        (json!({"operation":"insert"}), "INVALIDJOB", "InvalidJob : No object specified"),
        (json!({"object":"Account"}), "INVALIDJOB", "InvalidJob : No operation specified"),
        (
            json!({"object":"Account","operation":"Insert"}),
            "JSON_PARSER_ERROR",
            "Cannot deserialize \"operation\": Insert is not one of its values",
        ),
        (
            json!({"object":"Account","operation":"insert","columnDelimiter":","}),
            "JSON_PARSER_ERROR",
            "Cannot deserialize \"columnDelimiter\": , is not one of its values",
        ),
        (
            json!({"object":"Account","operation":"insert","color":"red"}),
            "JSON_PARSER_ERROR",
            "Unrecognized field \"color\"",
        ),
        (
            json!({"object":"Account","operation":"insert","contentType":"XML"}),
            "INVALIDJOB",
            "InvalidJob : Unsupported content type: XML",
        ),
        (
            json!({"object":"Account","operation":"upsert"}),
            "INVALIDJOB",
            "InvalidJob : External ID was blank for Account. An External ID must be specified for upsert.",
        ),
        (
            json!({"object":"Account","operation":"upsert","externalIdFieldName":"Industry"}),
            "INVALIDJOB",
            "InvalidJob : Field name provided, Industry does not match an External ID, Salesforce Id, or indexed field for Account",
        ),
        (
            json!({"object":"Account","operation":"insert","assignmentRuleId":"01QLo0000000001"}),
            "INVALIDJOB",
            "InvalidJob : Assignment rules are for Case and Lead",
        ),
        (
            json!({"object":"Account","operation":"hardDelete"}),
            "FEATURENOTENABLED",
            "hardDelete operation requires special user profile permission, please contact your system administrator",
        ),
    ] {
        let error = org.refused(body);
        assert_eq!(
            (error.status.as_u16(), error.code.as_ref(), error.message.as_str()),
            (400, code, message)
        );
    }
    assert_eq!(org.ingest.inner.registry.all().len(), 0);
}

#[test]
fn a_job_takes_one_upload() {
    let org = Org::new();
    let job = org.create(account_insert());
    org.upload(&job, b"Name\na\n").unwrap();
    let (status, code, message) = refusal(org.upload(&job, b"Name\nb\n"));
    assert_eq!((status, code.as_str()), (400, "INVALIDJOB"));
    assert!(
        message.starts_with(&format!(
            "Found multipe contents for job: <{}>, please 'Close'",
            job.key()
        )),
        "{message}"
    );
    org.ingest.close(&job).unwrap();
    assert_eq!(org.ended(job).successful.column("Name"), ["a"]);

    let settings = Settings { second_upload: SecondUpload::RefuseClose, ..Settings::default() };
    let org = Org::with(settings);
    let job = org.create(account_insert());
    org.upload(&job, b"Name\na\n").unwrap();
    org.upload(&job, b"Name\nb\n").unwrap();
    assert_eq!(refusal(org.ingest.close(&job)).1, "INVALIDJOB");
    org.ingest.abort(&job).unwrap();
    assert_eq!(org.count("Account"), 0);
}

#[test]
fn a_broken_upload_is_as_if_it_had_not_been() {
    let org = Org::new();
    let job = org.create(account_insert());
    let mut arriving = org.ingest.start_upload(&job).unwrap().unwrap();
    arriving.writer().unwrap().write_all(b"Name\nhal").unwrap();
    assert!(org.ingest.start_upload(&job).is_err(), "one at a time");
    drop(arriving);
    org.upload(&job, b"Name\nwhole\n").unwrap();
    org.ingest.close(&job).unwrap();
    assert_eq!(org.ended(job).successful.column("Name"), ["whole"]);
}

#[test]
fn illegal_actions_are_refused_by_state() {
    let org = Org::new();
    let job = org.create(account_insert());
    assert_eq!(refusal(org.ingest.close(&job)).1, "CLIENTINPUTERROR", "nothing uploaded");
    assert_eq!(refusal(org.ingest.delete(&job)).1, "INVALIDJOBSTATE", "open");
    let early = results::open(&org.ingest.inner, &job, ResultSet::Failed, VERSION).map(|_| ());
    assert_eq!(refusal(early).1, "INVALIDJOBSTATE", "results before the end");
    let done = org.insert("Account", "Name\na\n");
    let invalid = |message: &str| (400, "INVALIDJOBSTATE".to_owned(), message.to_owned());
    assert_eq!(
        refusal(org.ingest.close(&done.job)),
        invalid("Closing already Completed Job not allowed")
    );
    assert_eq!(
        refusal(org.ingest.abort(&done.job)),
        invalid("Aborting already Completed Job not allowed")
    );
    assert_eq!(refusal(org.upload(&done.job, b"Name\n")).1, "INVALIDJOBSTATE");
    let other = results::open(&org.ingest.inner, &done.job, ResultSet::Failed, "60.0").map(|_| ());
    assert_eq!(refusal(other).0, 409, "another API version");
    org.ingest.delete(&done.job).unwrap();
    let id = done.job.key().to_string();
    assert_eq!(
        refusal(org.ingest.job(&id, &org.user)),
        (404, "NOT_FOUND".to_owned(), "The requested resource does not exist".to_owned())
    );
    assert_eq!(
        std::fs::read_dir(org.dir.path().join("jobs")).unwrap().count(),
        0,
        "its files are gone"
    );
    assert_eq!(org.count("Account"), 1, "its records are not");
    assert_eq!(org.ingest.journal("Account").unwrap().len(), 1, "nor its journal");
}

#[test]
fn ids_are_found_in_all_their_forms_by_their_user_only() {
    let org = Org::new();
    let job = org.create(account_insert());
    let id = job.key().to_string();
    for form in [id.as_str(), &id[..15], &id.to_lowercase()] {
        assert_eq!(org.ingest.job(form, &org.user).unwrap().number, job.number);
    }
    for wrong in ["", "nonsense", "001Lo0000000001", "750Lo0000000099"] {
        assert_eq!(refusal(org.ingest.job(wrong, &org.user)).0, 404, "{wrong}");
    }
    let other = RecordKey::new("005", 7).to_string();
    assert_eq!(refusal(org.ingest.job(&id, &other)).0, 404);
    let org = Org::with(Settings { others_jobs: OthersJobs::InvalidUser, ..Settings::default() });
    let id = org.create(account_insert()).key().to_string();
    assert_eq!(refusal(org.ingest.job(&id, &other)).1, "INVALIDUSER");
}

/// A job slow enough to be caught at work: several units, the first done.
fn caught_at_work(org: &Org) -> Arc<Job> {
    let job = org.started(json!({"object":"Thing__c","operation":"insert"}), &many(30_000));
    assert!(job.wait_until(Duration::from_mins(1), |progress| progress.processed > 0));
    assert_eq!(job.state(), State::InProgress);
    job
}

fn slow() -> Settings {
    Settings { rows_per_second: Some(8_000), ..Settings::default() }
}

fn all_rows_once(done: &Done) {
    let mut rows = done.successful.column("Ext__c");
    rows.extend(done.failed.column("Ext__c"));
    rows.extend(done.unprocessed.column("Ext__c"));
    rows.sort();
    rows.dedup();
    assert_eq!(rows.len(), 30_000);
    let sum = done.successful.rows.len() + done.failed.rows.len() + done.unprocessed.rows.len();
    assert_eq!(sum, 30_000);
}

#[test]
fn a_job_aborted_at_work_keeps_what_it_did_and_tells_the_rest() {
    let org = Org::with(slow());
    let job = caught_at_work(&org);
    assert_eq!(refusal(org.ingest.delete(&job)).1, "API_ERROR", "not while in progress");
    org.ingest.abort(&job).unwrap();
    // A unit in hand may still finish: stopping waits for it.
    org.ingest.stop();
    let done = org.ended(job);
    assert_eq!(done.state(), State::Aborted);
    assert!(!done.successful.rows.is_empty() && !done.unprocessed.rows.is_empty());
    all_rows_once(&done);
    assert_eq!(org.count("Thing__c"), done.successful.rows.len() as u64);
}

#[test]
fn a_job_goes_on_after_a_restart_and_does_nothing_twice() {
    let org = Org::with(slow());
    let number = caught_at_work(&org).number;
    let before = org.count("Thing__c");
    let org = org.restart(Settings { result_order: ResultOrder::Uploaded, ..Settings::default() });
    let job = org.ingest.inner.registry.get(number).unwrap();
    let done = org.ended(job);
    assert_eq!(done.state(), State::JobComplete, "{}", done.error());
    assert!(before < 30_000, "it was caught at work");
    all_rows_once(&done);
    assert_eq!(done.failed.rows.len(), 0);
    assert_eq!(org.count("Thing__c"), 30_000);
    assert_eq!(done.job.progress().processed, 30_000);
    let mut rows: Vec<u32> =
        org.ingest.journal("Thing__c").unwrap().iter().map(|e| e.row).collect();
    rows.sort_unstable();
    assert_eq!(rows, (0..30_000).collect::<Vec<u32>>());
    assert_eq!(org.ingest.batches_used(), 3, "a batch begun again is not counted again");
    // Ended jobs and their results are still there, too.
    let org = org.restart(Settings::default());
    let job = org.ingest.inner.registry.get(number).unwrap();
    assert_eq!(org.ended(job).successful.rows.len(), 30_000);
}

#[test]
fn results_may_be_told_early() {
    let org = Org::with(Settings { early_results: EarlyResults::Partial, ..slow() });
    let job = caught_at_work(&org);
    let early = Table::parse(&org.text(&job, ResultSet::Successful)).rows.len();
    assert!(early > 0 && early < 30_000, "{early}");
    org.ingest.abort(&job).unwrap();
}

#[test]
fn lists_come_in_pages_and_filters_hold() {
    let org = Org::with(Settings { list_page: 10, ..Settings::default() });
    let mut made: Vec<String> =
        (0..25).map(|_| org.create(account_insert()).key().to_string()).collect();
    let list = |query: &[(&str, &str)]| {
        let query: Vec<(String, String)> =
            query.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        org.ingest.list(&query, VERSION)
    };
    let mut seen = Vec::new();
    let mut page = list(&[("jobType", "V2Ingest")]).unwrap();
    loop {
        let records = page["records"].as_array().unwrap();
        assert!(records.len() <= 10);
        seen.extend(records.iter().map(|record| record["id"].as_str().unwrap().to_owned()));
        let Some(next) = page["nextRecordsUrl"].as_str() else { break };
        assert_eq!(page["done"], false);
        assert!(next.starts_with("/services/data/v66.0/jobs/ingest?queryLocator=01g"), "{next}");
        page = list(&[("queryLocator", next.split_once('=').unwrap().1)]).unwrap();
    }
    assert_eq!(page["done"], true);
    assert_ne!(seen, made, "in no order");
    seen.sort();
    made.sort();
    assert_eq!(seen, made);
    assert_eq!(list(&[("jobType", "Classic")]).unwrap()["records"], json!([]));
    assert_eq!(list(&[("isPkChunkingEnabled", "true")]).unwrap()["records"], json!([]));
    assert!(list(&[("jobType", "V3")]).is_err());
    assert!(list(&[("queryLocator", "01g-5")]).is_err());
}
