//! States, who may see a job, how long it lives, quotas, restarts.

use super::*;

/// One record a second: a job of some records stays in progress.
fn slow() -> Settings {
    Settings { query_records_per_second: Some(1), ..Settings::default() }
}

fn in_progress(job: &QueryJob) {
    assert!(job.wait_until(Duration::from_mins(1), |p| p.state == State::InProgress));
}

#[test]
fn each_body_has_its_fields_and_none_has_the_query() {
    let org = Org::new();
    org.things(3);
    let body = json!({"operation": "queryAll", "query": "SELECT Id FROM thing__c"});
    let (job, created) = org.bulk.create(body.to_string().as_bytes(), &org.user, "62.0").unwrap();
    assert_eq!(created["state"], "UploadComplete");
    assert_eq!(
        (&created["object"], &created["operation"]),
        (&json!("Thing__c"), &json!("queryAll"))
    );
    assert_eq!(
        (&created["apiVersion"], &created["concurrencyMode"]),
        (&json!(62.0), &json!("Parallel"))
    );
    assert_eq!(
        (&created["lineEnding"], &created["columnDelimiter"]),
        (&json!("LF"), &json!("COMMA"))
    );
    assert_eq!(created["id"].as_str().unwrap().len(), 18);
    org.ended(&job);
    let info = org.bulk.info(&job);
    assert_eq!(info["state"], "JobComplete");
    assert_eq!((&info["jobType"], &info["numberRecordsProcessed"]), (&json!("V2Query"), &json!(3)));
    assert_eq!((&info["isPkChunkingSupported"], &info["retries"]), (&json!(true), &json!(0)));
    for body in [&created, &info] {
        assert!(!body.to_string().contains("SELECT"), "{body}");
        assert!(body["contentUrl"].is_null() && body["numberRecordsFailed"].is_null());
    }
    assert!(created["jobType"].is_null() && created["numberRecordsProcessed"].is_null());
}

#[test]
fn an_abort_ends_a_job_at_once_and_its_results_are_not_to_be_had() {
    let org = Org::with(slow());
    org.things(100);
    let job = org.start("SELECT Id FROM Thing__c");
    in_progress(&job);
    let early = org.bulk.page(&job, &Asked::default(), VERSION).err().unwrap();
    assert_eq!((early.status.as_u16(), &*early.code), (400, "INVALIDJOBSTATE"));
    let early = org.bulk.delete(&job).unwrap_err();
    assert_eq!((early.status.as_u16(), &*early.code), (400, "API_ERROR"));
    assert!(early.message.ends_with("because the job is not terminated"));
    let patched = org.bulk.abort(&job).unwrap();
    assert_eq!(patched["state"], "Aborted");
    assert!(patched["lineEnding"].is_null());
    let again = org.bulk.abort(&job).unwrap_err();
    assert_eq!(again.message, "Aborting already Completed Job not allowed");
    assert!(org.bulk.page(&job, &Asked::default(), VERSION).is_err());
    org.bulk.delete(&job).unwrap();
    let gone = org.bulk.job(&job.key().to_string(), &org.user, VERSION).unwrap_err();
    assert_eq!(gone.status, 404);
}

#[test]
fn a_job_that_waits_can_be_aborted_before_it_begins() {
    let settings = Settings { query_start_delay_ms: 3_600_000, ..Settings::default() };
    let org = Org::with(settings);
    let job = org.start("SELECT Id FROM Thing__c");
    assert_eq!(job.state(), State::UploadComplete);
    assert!(org.bulk.delete(&job).is_err());
    org.bulk.abort(&job).unwrap();
    assert_eq!(org.bulk.info(&job)["numberRecordsProcessed"], 0);
}

#[test]
fn a_deleted_job_is_gone_with_its_results() {
    let org = Org::new();
    org.things(3);
    let job = org.run("SELECT Id FROM Thing__c");
    let files = || std::fs::read_dir(org.dir.path().join("query-results")).unwrap().count();
    assert_eq!(files(), 2);
    org.bulk.delete(&job).unwrap();
    assert_eq!(files(), 0);
    let gone = org.bulk.page(&job, &Asked::default(), VERSION).err().unwrap();
    assert_eq!(gone.status, 404, "by who looked it up before");
    assert_eq!(org.bulk.used().0, 1, "it stays counted");
}

#[test]
fn jobs_go_seven_days_after_their_end() {
    let org = Org::new();
    let job = org.run("SELECT Id FROM Thing__c");
    let id = job.key().to_string();
    org.clock.advance(Duration::from_hours(7 * 24 - 1));
    assert!(org.bulk.job(&id, &org.user, VERSION).is_ok());
    org.clock.advance(Duration::from_hours(1));
    assert_eq!(org.bulk.job(&id, &org.user, VERSION).unwrap_err().status, 404);
}

#[test]
fn other_users_jobs_and_those_of_ingest_are_not_found() {
    let org = Org::new();
    let id = org.run("SELECT Id FROM Thing__c").key().to_string();
    let other = RecordKey::new("005", 2).to_string();
    assert_eq!(org.bulk.job(&id, &other, VERSION).unwrap_err().status, 404);
    assert_eq!(org.bulk.job(&id, &org.user, "46.0").unwrap_err().status, 404, "before query jobs");
    let body = json!({"object": "Thing__c", "operation": "insert"}).to_string();
    let (load, _) = org.ingest.create(body.as_bytes(), &org.user, VERSION).unwrap();
    let load = load.key().to_string();
    assert_eq!(org.bulk.job(&load, &org.user, VERSION).unwrap_err().status, 404);
    assert_eq!(org.ingest.job(&id, &org.user).unwrap_err().status, 404);
    assert_ne!(load, id);
}

#[test]
fn quotas_run_out_and_come_back_after_a_day() {
    let settings = Settings { daily_query_jobs: 2, ..Settings::default() };
    let org = Org::with(settings.clone());
    let body = json!({"operation": "query", "query": "SELECT Id FROM Thing__c"});
    org.run_as(body.clone());
    org.run_as(body.clone());
    let org = org.restart(settings);
    let (code, message) = org.refused(body.clone());
    assert_eq!(code, "LIMIT_EXCEEDED");
    assert_eq!(message, "Max bulk v2 query jobs (2) per 24 hrs has been reached (2)");
    org.clock.advance(Duration::from_hours(24));
    org.run_as(body);

    let org = Org::with(Settings { daily_query_megabytes: 1, ..Settings::default() });
    let long = "x".repeat(100_000);
    for _ in 0..11 {
        org.put("Thing__c", &[("Name", "n"), ("Notes__c", &long)]);
    }
    let body = json!({"operation": "query", "query": "SELECT Notes__c FROM Thing__c"});
    org.run_as(body.clone());
    let (code, message) = org.refused(body);
    assert_eq!(code, "LIMIT_EXCEEDED");
    assert!(message.contains("result size stored (1024) kb"), "{message}");
}

#[test]
fn results_outlive_a_restart_and_what_was_in_progress_begins_anew() {
    let org = Org::new();
    org.things(250);
    let done = org.run("SELECT Name FROM Thing__c");
    let (text, _, next) = org.page(&done, &most("100"));
    let org = org.restart(slow());
    let job = org.start("SELECT Name FROM Thing__c ORDER BY Name");
    in_progress(&job);
    let org = org.restart(Settings::default());
    org.put("Thing__c", &[("Name", "late")]);
    let find =
        |job: &Arc<QueryJob>| org.bulk.job(&job.key().to_string(), &org.user, VERSION).unwrap();
    let (done, job) = (find(&done), find(&job));
    assert_eq!(org.page(&done, &most("100")).0, text);
    assert_eq!(org.page(&done, &at(&next.unwrap())).1, 150);
    org.ended(&job);
    assert!((250..=251).contains(&rows(&org.text(&job)).len()));
}

#[test]
fn a_killed_org_leaves_nothing_behind_but_what_is_complete() {
    let org = Org::new();
    org.things(3);
    let done = org.run("SELECT Name FROM Thing__c");
    let dir = org.dir.path().join("query-results");
    std::fs::write(dir.join("750Lo0100000009AAA.csv"), "half").unwrap();
    let org = org.restart(Settings::default());
    assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 2);
    let done = org.bulk.job(&done.key().to_string(), &org.user, VERSION).unwrap();
    assert_eq!(org.text(&done), "\"Name\"\n\"n0\"\n\"n1\"\n\"n2\"\n");
}

#[test]
fn jobs_fail_and_are_aborted_by_others_on_purpose() {
    let faults = "query-job-times-out=#3,query-job-aborted=#4".parse().unwrap();
    let settings = Settings {
        fail_query_jobs: vec![1],
        abort_query_jobs: vec![2],
        query_error_message: true,
        faults,
        ..Settings::default()
    };
    let org = Org::with(settings);
    org.things(10);
    for (state, error) in [
        ("Failed", json!("InternalServerError : An unexpected error occurred")),
        ("Aborted", Json::Null),
        ("Failed", json!("Timeout : The query could not be run in the time allowed")),
        ("Aborted", Json::Null),
        ("JobComplete", Json::Null),
    ] {
        let job = org.start("SELECT Id FROM Thing__c");
        org.ended(&job);
        let info = org.bulk.info(&job);
        assert_eq!((&info["state"], &info["errorMessage"]), (&json!(state), &error));
        assert_eq!(state == "JobComplete", org.bulk.page(&job, &Asked::default(), VERSION).is_ok());
        org.bulk.delete(&job).unwrap();
    }
    let injected: Vec<_> = org.bulk.inner.faults.injected().into_keys().collect();
    assert_eq!(injected, ["query-job-aborted", "query-job-times-out"]);
}

#[test]
fn lists_have_all_jobs_unless_a_filter_says_otherwise() {
    let org = Org::with(Settings { list_page: 2, ..Settings::default() });
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(org.run("SELECT Id FROM Thing__c").key().to_string());
    }
    let body = json!({"object": "Thing__c", "operation": "insert"}).to_string();
    let (load, _) = org.ingest.create(body.as_bytes(), &org.user, VERSION).unwrap();
    let load = load.key().to_string();
    let list = |query: &[(&str, &str)]| {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let mut query: Vec<(String, String)> = query.iter().map(owned).collect();
        let mut found = Vec::new();
        loop {
            let page = org.bulk.list(&query, VERSION).unwrap();
            for job in page["records"].as_array().unwrap() {
                assert!(job["jobType"] == "V2Query" || job["jobType"] == "V2Ingest");
                found.push(job["id"].as_str().unwrap().to_owned());
            }
            let Some(next) = page["nextRecordsUrl"].as_str() else { break };
            assert_eq!(page["done"], false);
            let (path, locator) = next.split_once("?queryLocator=").unwrap();
            assert_eq!(path, "/services/data/v66.0/jobs/ingest");
            // The same list goes on under the path it names.
            let locator = [("queryLocator".to_owned(), locator.to_owned())];
            assert_eq!(
                org.ingest.list(&locator, VERSION).unwrap()["records"],
                org.bulk.list(&locator, VERSION).unwrap()["records"]
            );
            query = locator.to_vec();
        }
        found.sort();
        found
    };
    ids.sort();
    assert_eq!(list(&[("jobType", "V2Query")]), ids);
    assert_eq!(list(&[("jobType", "V2Query"), ("concurrencyMode", "parallel")]), ids);
    assert_eq!(list(&[("jobType", "V2Ingest")]), std::slice::from_ref(&load));
    ids.push(load);
    ids.sort();
    assert_eq!(list(&[("isPkChunkingEnabled", "false")]), ids);
    for none in
        [("jobType", "Classic"), ("isPkChunkingEnabled", "true"), ("concurrencyMode", "serial")]
    {
        assert!(list(&[none]).is_empty());
    }
    let wrong = [("jobType".to_owned(), "V3".to_owned())];
    assert_eq!(org.bulk.list(&wrong, VERSION).unwrap_err().status, 400);
    let body = org.bulk.list(&[], VERSION).unwrap()["records"][0].clone();
    assert!(body["numberRecordsProcessed"].is_null());
    let job = org.run("SELECT Id FROM Thing__c");
    assert_eq!(job.json(Shape::Listed, true)["jobType"], "V2Query");
}
