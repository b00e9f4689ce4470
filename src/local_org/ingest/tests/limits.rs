//! Limits and expiry.

use super::*;

#[test]
fn uploads_are_limited_once_turned_to_base64() {
    let org = Org::with(Settings { upload_base64_bytes: 40, ..Settings::default() });
    let job = org.create(json!({"object":"Account","operation":"insert"}));
    let error = org.upload(&job, &[b'x'; 31]).unwrap_err();
    assert_eq!((error.status.as_u16(), error.code.as_ref()), (400, "CLIENTINPUTERROR"));
    org.upload(&job, b"Name\n0123456789012345678901234").unwrap();
}

#[test]
fn open_jobs_end_after_a_day_and_ended_ones_go_after_a_week() {
    let org = Org::new();
    let open = org.create(json!({"object":"Account","operation":"insert"}));
    let done = org.insert("Account", "Name\na\n");
    let (open, done) = (open.key().to_string(), done.job.key().to_string());
    let state = |id: &str| org.ingest.job(id, &org.user).map(|job| job.state()).ok();
    let hours = |hours: u64| org.clock.advance(Duration::from_secs(hours * 3_600));
    hours(23);
    assert_eq!(state(&open), Some(State::Open));
    hours(2);
    assert_eq!(state(&open), Some(State::Aborted));
    assert_eq!(state(&done), Some(State::JobComplete));
    hours(6 * 24);
    assert_eq!(state(&done), None, "a week after its end");
    assert_eq!(state(&open), Some(State::Aborted), "its end was a day later");
    hours(24);
    assert_eq!(state(&open), None);
    assert_eq!(std::fs::read_dir(org.dir.path().join("jobs")).unwrap().count(), 0);

    let settings = Settings { open_job_expiry: OpenJobExpiry::Removed, ..Settings::default() };
    let org = Org::with(settings);
    let open = org.create(json!({"object":"Account","operation":"insert"})).key().to_string();
    org.clock.advance(Duration::from_secs(25 * 3_600));
    assert!(org.ingest.job(&open, &org.user).is_err());
}

#[test]
fn creating_is_refused_at_limits_that_say_so() {
    let settings = Settings {
        daily_batches: 1,
        batches_used_up: BatchesUsedUp::RefuseCreate,
        ..Settings::default()
    };
    let org = Org::with(settings);
    org.insert("Account", "Name\na\n");
    let error = org.refused(json!({"object":"Account","operation":"insert"}));
    assert_eq!(error.code, "EXCEEDEDQUOTA");
    assert_eq!(error.message, "ExceededQuota : ApiBatchItems Limit exceeded");

    let org = Org::with(Settings { concurrent_jobs: Some(1), ..Settings::default() });
    let first = org.create(json!({"object":"Account","operation":"insert"}));
    assert_eq!(org.refused(json!({"object":"Account","operation":"insert"})).code, "EXCEEDEDQUOTA");
    org.ingest.abort(&first).unwrap();
    org.create(json!({"object":"Account","operation":"insert"}));
}

#[test]
fn fields_have_a_limit_of_their_own() {
    let org = Org::with(Settings { field_chars: 10, ..Settings::default() });
    let error = org.insert("Thing__c", "Name\n01234567890\n").only_error();
    assert_eq!(error, "STRING_TOO_LONG:Thing Name: data value too large (max length=10):Name --");
}

#[test]
fn jobs_take_turns() {
    // One worker, two jobs: the short one doesn't wait for the long one.
    let org =
        Org::with(Settings { workers: 1, rows_per_second: Some(20_000), ..Settings::default() });
    let long = org.started(json!({"object":"Thing__c","operation":"insert"}), &many(60_000));
    let short = org.insert("Account", "Name\na\n");
    assert_eq!(short.state(), State::JobComplete);
    assert!(!long.state().is_terminal());
    org.ingest.abort(&long).unwrap();
}
