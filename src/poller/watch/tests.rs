//! Watching jobs of a scripted org on a clock that doesn't wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use super::*;
use crate::domain::{JobState, NoEvents};
use crate::salesforce::scripted::{Act, ScriptedOrg, Seen, json};

#[test]
fn questions_come_often_at_first_and_seldom_later() {
    assert!(pause(Duration::ZERO) < Duration::from_millis(200));
    assert!(pause(Duration::from_secs(30)) >= Duration::from_secs(8));
    assert!(pause(Duration::from_hours(5)) <= LONGEST.mul_f64(1.2));
}

fn unknown() -> Act {
    json(404, r#"[{"errorCode":"NOT_FOUND","message":"The requested resource does not exist"}]"#)
}

fn state(state: &str) -> Act {
    json(200, &format!(r#"{{"id":"750","state":"{state}","numberRecordsProcessed":7}}"#))
}

/// Watches a job whose n-th question is answered by `answer`; with it come
/// the number of questions and the time until the end was known.
async fn watch(
    answer: impl Fn(usize) -> Act + Send + Sync + 'static,
) -> (Result<Watched, PollerError>, usize, Duration) {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let scripted = ScriptedOrg::start(move |request: &Seen| {
        let of_job = request.path.ends_with("/jobs/ingest/750");
        of_job.then(|| answer(count.fetch_add(1, SeqCst)))
    })
    .await;
    let events: SharedSink = Arc::new(NoEvents);
    let org = scripted.connect(Arc::clone(&events)).await;
    let poller = Poller::start(org, events);
    let started = Instant::now();
    let end = poller.terminal(1, "750", 100_000).await;
    (end, asked.load(SeqCst), started.elapsed())
}

#[tokio::test(start_paused = true)]
async fn a_job_is_watched_to_its_end() {
    let (end, asked, _) = watch(|n| match n {
        0..5 => state("InProgress"),
        _ => state("JobComplete"),
    })
    .await;
    let info = end.unwrap().info;
    assert_eq!((info.state, info.records_processed), (JobState::JobComplete, Some(7)));
    assert_eq!(asked, 6);
}

#[tokio::test(start_paused = true)]
async fn a_steady_job_is_seen_to_end_at_once() {
    let started = Instant::now();
    let (end, asked, took) = watch(move |_| {
        // 9,000 rows a second.
        let done = (started.elapsed().as_millis() as u64 * 9).min(100_000);
        let state = if done == 100_000 { "JobComplete" } else { "InProgress" };
        json(200, &format!(r#"{{"id":"750","state":"{state}","numberRecordsProcessed":{done}}}"#))
    })
    .await;
    assert_eq!(end.unwrap().info.state, JobState::JobComplete);
    // It ended after 11.112 s.
    assert!(took < Duration::from_millis(11_900), "{took:?}");
    assert!(asked < 14, "{asked} questions");
}

#[tokio::test(start_paused = true)]
async fn a_job_that_hangs_at_its_last_row_costs_few_questions() {
    let started = Instant::now();
    let (_, asked, _) = watch(move |_| {
        let state =
            if started.elapsed() < Duration::from_hours(1) { "InProgress" } else { "Failed" };
        json(200, &format!(r#"{{"id":"750","state":"{state}","numberRecordsProcessed":100000}}"#))
    })
    .await;
    assert!(asked < 220, "{asked} questions");
}

#[tokio::test(start_paused = true)]
async fn a_job_is_gone_only_when_the_org_says_so_three_times_in_half_a_minute() {
    let (end, asked, took) = watch(|_| unknown()).await;
    assert!(matches!(end, Err(PollerError::Gone { job }) if job == "750"));
    assert_eq!(asked, 3);
    assert!(took >= MISSING_FOR, "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_job_that_shows_up_again_is_watched_on() {
    let (end, asked, _) = watch(|n| match n {
        0 | 1 | 3 | 4 => unknown(),
        2 => state("InProgress"),
        _ => state("Aborted"),
    })
    .await;
    assert_eq!(end.unwrap().info.state, JobState::Aborted);
    assert_eq!(asked, 6);
}

#[tokio::test(start_paused = true)]
async fn a_404_that_is_not_the_orgs_says_nothing_about_the_job() {
    let (end, asked, _) = watch(|n| match n {
        0..40 => Act::Answer(404, vec![], b"<html><title>Not here</title>".to_vec()),
        _ => state("JobComplete"),
    })
    .await;
    assert_eq!(end.unwrap().info.state, JobState::JobComplete);
    assert_eq!(asked, 41);
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_an_hour_ends_no_watch() {
    let started = Instant::now();
    let (end, _, took) = watch(move |_| {
        if started.elapsed() < Duration::from_hours(1) {
            Act::Answer(503, vec![], b"<html>".to_vec())
        } else {
            state("JobComplete")
        }
    })
    .await;
    assert_eq!(end.unwrap().info.state, JobState::JobComplete);
    assert!(took > Duration::from_mins(59), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_refusal_that_does_not_pass_ends_the_watch() {
    let (end, asked, _) =
        watch(|_| json(403, r#"[{"errorCode":"FEATURENOTENABLED","message":"not for you"}]"#))
            .await;
    assert!(matches!(end, Err(PollerError::Call { .. })));
    assert_eq!(asked, 1);
}
