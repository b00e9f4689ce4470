//! Chunks to closed jobs, against a scripted org that keeps jobs as the
//! service does, on a clock that doesn't wait.

use std::io::{self, Read};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::json as value;
use tempfile::TempDir;
use tokio::time::Instant;

use super::*;
use crate::domain::{
    AttemptState as S, ColumnDelimiter, LineEnding, NewJob, NoEvents, Operation, RowNumber,
};
use crate::ledger::{
    AttemptRecord, Body, BodyKind, ChunkRecord, FILE_NAME, Ledger, OrgRecord, RunRecord,
    SharedLedger, SourceRecord,
};
use crate::salesforce::scripted::{Act, ScriptedOrg, Seen, json};
use crate::salesforce::{Kind, UploadBody};

/// What a request wants of the org's jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Want {
    Create,
    Upload,
    Close,
    Abort,
    Ask,
}

fn want(request: &Seen) -> Option<Want> {
    if !request.path.contains("/jobs/ingest") {
        return None;
    }
    let text = String::from_utf8_lossy(&request.body);
    Some(match request.method.as_str() {
        "POST" => Want::Create,
        "PUT" => Want::Upload,
        "PATCH" if text.contains("UploadComplete") => Want::Close,
        "PATCH" => Want::Abort,
        _ => Want::Ask,
    })
}

/// The jobs of the org, in the order of their creation.
type Jobs = Arc<Mutex<Vec<&'static str>>>;

/// What happens instead of the usual; the number counts the requests of that
/// kind so far, from 0.
enum Twist {
    /// Nothing special.
    None,
    /// The org answers this and does nothing.
    Instead(Act),
    /// The org does it and answers this.
    DoneBut(Act),
}

struct Stage {
    scripted: ScriptedOrg,
    jobs: Jobs,
    ledger: SharedLedger,
    uploader: Uploader,
    steps: Arc<Mutex<Vec<AttemptStep>>>,
    _folder: TempDir,
}

/// A job as the service would treat it; `None` for a request it refuses.
fn work(jobs: &mut Vec<&'static str>, want: Want, request: &Seen) -> Act {
    let number = request
        .path
        .split('/')
        .find_map(|part| part.strip_prefix("750"))
        .and_then(|text| text.parse::<usize>().ok());
    let show = |number: usize, state: &str| {
        json(200, &format!(r#"{{"id":"750{number}","state":"{state}"}}"#))
    };
    if want == Want::Create {
        jobs.push("Open");
        return show(jobs.len() - 1, "Open");
    }
    let Some(number) = number else { return json(400, "[]") };
    let next = match (want, jobs[number]) {
        (Want::Ask, state) => return show(number, state),
        (Want::Upload, "Open") => return Act::Answer(201, vec![], vec![]),
        (Want::Close, "Open") => "UploadComplete",
        (Want::Abort, "Open") => "Aborted",
        _ => return json(400, r#"[{"errorCode":"INVALIDJOBSTATE","message":"not now"}]"#),
    };
    jobs[number] = next;
    show(number, next)
}

fn record() -> (RunRecord, SourceRecord, ChunkRecord) {
    let run = RunRecord {
        id: "r1".to_owned(),
        command: "load".to_owned(),
        settings: value!({}),
        org: OrgRecord {
            id: "00D7Q000001AbCdUAK".to_owned(),
            name: "Acme".to_owned(),
            url: "http://127.0.0.1".to_owned(),
            user: "0057Q000002xYzQQAU".to_owned(),
            username: "admin@acme.example".to_owned(),
            production: false,
        },
        api_version: "66.0".to_owned(),
        object: "Account".to_owned(),
        operation: Some(Operation::Insert),
        external_id: None,
        started_at: Timestamp::now(),
        parent_run: None,
    };
    let source = SourceRecord {
        ordinal: 0,
        path: "a.csv".into(),
        bytes: 9,
        modified: None,
        inode: None,
        edge_digest: String::new(),
        header: vec!["Name".to_owned()],
        dialect: value!({}),
        plan: value!([]),
        rows: None,
        derivation: None,
        files: Vec::new(),
    };
    let chunk = ChunkRecord {
        number: 1,
        source: 0,
        start: 5,
        end: 9,
        first_row: RowNumber(1),
        last_row: RowNumber(2),
        read: 2,
        rows: [1, 2].into_iter().map(RowNumber).collect(),
        rejected: 0,
        rejected_file: None,
        body: Body {
            kind: BodyKind::Span,
            bytes: 4,
            digest: String::new(),
            delimiter: b',',
            line_ending: LineEnding::Lf,
            needs_final_newline: false,
        },
        unique_text: None,
    };
    (run, source, chunk)
}

fn chunk() -> ChunkBody {
    ChunkBody {
        chunk: 1,
        first_row: 1,
        rows: 2,
        bytes: 8,
        part: AttemptRecord::default(),
        job: NewJob {
            object: "Account".to_owned(),
            operation: Operation::Insert,
            external_id: None,
            delimiter: ColumnDelimiter::Comma,
            line_ending: LineEnding::Lf,
            assignment_rule: None,
        },
        body: UploadBody {
            len: Some(9),
            gzip: false,
            open: Arc::new(|| Ok(Box::new(&b"Name\na\nb\n"[..]) as Box<dyn Read + Send>)),
        },
    }
}

/// Sets an org with a twist, a ledger with one chunk, and an uploader.
async fn stage(twist: impl Fn(Want, usize) -> Twist + Send + Sync + 'static) -> Stage {
    let jobs = Jobs::default();
    let kept = Arc::clone(&jobs);
    let asked = Mutex::new(Vec::new());
    let scripted = ScriptedOrg::start(move |request: &Seen| {
        let want = want(request)?;
        let before = {
            let mut asked = asked.lock().unwrap();
            let before = asked.iter().filter(|&&known| known == want).count();
            asked.push(want);
            before
        };
        let mut jobs = kept.lock().unwrap();
        Some(match twist(want, before) {
            Twist::None => work(&mut jobs, want, request),
            Twist::Instead(act) => act,
            Twist::DoneBut(act) => {
                work(&mut jobs, want, request);
                act
            }
        })
    })
    .await;
    let folder = TempDir::new().unwrap();
    let (run, source, chunk) = record();
    let ledger = Ledger::create(&folder.path().join(FILE_NAME), &run).unwrap();
    ledger.record_source(&source).unwrap();
    ledger.record_chunk(&chunk).unwrap();
    let ledger = SharedLedger::new(ledger);
    let org = scripted.connect(Arc::new(NoEvents)).await;
    let steps = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&steps);
    let uploader = Uploader::new(org, ledger.clone(), Arc::new(NoEvents))
        .observed_by(Arc::new(move |step: &AttemptStep| heard.lock().unwrap().push(step.clone())));
    Stage { scripted, jobs, ledger, uploader, steps, _folder: folder }
}

impl Stage {
    fn jobs(&self) -> Vec<&'static str> {
        self.jobs.lock().unwrap().clone()
    }

    /// States of all attempts by the ledger.
    fn attempts(&self) -> Vec<S> {
        let attempts = self.ledger.blocking().attempts_of(1).unwrap();
        attempts.iter().map(|attempt| attempt.state).collect()
    }

    fn count(&self, wanted: Want) -> usize {
        self.scripted.seen().iter().filter(|request| want(request) == Some(wanted)).count()
    }
}

fn unavailable() -> Act {
    Act::Answer(503, vec![], b"<html><title>Down for maintenance</title>".to_vec())
}

#[tokio::test(start_paused = true)]
async fn a_chunk_becomes_one_closed_job_and_every_step_is_told() {
    let stage = stage(|_, _| Twist::None).await;
    let closed = stage.uploader.upload(&chunk()).await.unwrap();
    assert_eq!(closed, Closed { attempt: 1, job: "7500".to_owned() });
    assert_eq!(stage.jobs(), ["UploadComplete"]);
    let puts: Vec<Seen> =
        stage.scripted.seen().into_iter().filter(|request| request.method == "PUT").collect();
    assert_eq!(puts[0].body, b"Name\na\nb\n");
    let steps = stage.steps.lock().unwrap().clone();
    let states: Vec<S> = steps.iter().map(|step| step.state).collect();
    assert_eq!(states, [S::Creating, S::Created, S::Uploading, S::Uploaded, S::Closing, S::Closed]);
    assert_eq!(steps[0].job, None);
    assert!(steps[1..].iter().all(|step| step.job.as_deref() == Some("7500")));
}

#[tokio::test(start_paused = true)]
async fn an_upload_that_breaks_is_made_anew_even_when_the_abort_fails() {
    let stage = stage(|want, n| match (want, n) {
        (Want::Upload, 0) => Twist::DoneBut(Act::HangUp),
        (Want::Abort, _) => Twist::Instead(unavailable()),
        _ => Twist::None,
    })
    .await;
    let closed = stage.uploader.upload(&chunk()).await.unwrap();
    assert_eq!(closed, Closed { attempt: 2, job: "7501".to_owned() });
    assert_eq!(stage.jobs(), ["Open", "UploadComplete"]);
    assert_eq!(stage.attempts(), [S::Aborting, S::Closed]);
    // The job that was given up is told of, too.
    let steps = stage.steps.lock().unwrap();
    assert!(steps.contains(&AttemptStep {
        chunk: 1,
        attempt: 1,
        job: Some("7500".to_owned()),
        state: S::Aborting,
        first_row: 1,
        rows: 2,
        bytes: 8,
    }));
}

#[tokio::test(start_paused = true)]
async fn an_upload_that_breaks_leaves_its_job_aborted() {
    let stage = stage(|want, n| match (want, n) {
        (Want::Upload, 0) => Twist::Instead(Act::HangUp),
        _ => Twist::None,
    })
    .await;
    stage.uploader.upload(&chunk()).await.unwrap();
    assert_eq!(stage.jobs(), ["Aborted", "UploadComplete"]);
    assert_eq!(stage.attempts(), [S::GivenUp, S::Closed]);
}

#[tokio::test(start_paused = true)]
async fn a_job_that_vanished_before_its_upload_is_made_anew() {
    let gone =
        || Act::Answer(404, vec![], br#"[{"errorCode":"NOT_FOUND","message":"gone"}]"#.to_vec());
    let stage = stage(move |want, n| match (want, n) {
        (Want::Upload | Want::Abort, 0) => Twist::Instead(gone()),
        _ => Twist::None,
    })
    .await;
    let closed = stage.uploader.upload(&chunk()).await.unwrap();
    assert_eq!(closed.job, "7501");
    assert_eq!(stage.attempts(), [S::GivenUp, S::Closed]);
}

#[tokio::test(start_paused = true)]
async fn an_unanswered_create_is_left_alone_and_exactly_one_job_is_closed() {
    let stage = stage(|want, n| match (want, n) {
        (Want::Create, 0) => Twist::DoneBut(Act::HangUp),
        _ => Twist::None,
    })
    .await;
    let closed = stage.uploader.upload(&chunk()).await.unwrap();
    assert_eq!(closed.job, "7501");
    assert_eq!(stage.jobs(), ["Open", "UploadComplete"]);
    assert_eq!(stage.attempts(), [S::Lost, S::Closed]);
    assert_eq!(stage.count(Want::Abort), 0);
    assert_eq!((stage.count(Want::Upload), stage.count(Want::Close)), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_to_the_close_is_settled_by_asking() {
    let stage = stage(|want, n| match (want, n) {
        (Want::Close, 0) => Twist::DoneBut(Act::HangUp),
        _ => Twist::None,
    })
    .await;
    let closed = stage.uploader.upload(&chunk()).await.unwrap();
    assert_eq!(closed, Closed { attempt: 1, job: "7500".to_owned() });
    assert_eq!(stage.jobs(), ["UploadComplete"]);
    assert_eq!((stage.count(Want::Close), stage.count(Want::Ask)), (1, 1));
    assert_eq!(stage.attempts(), [S::Closed]);
}

#[tokio::test(start_paused = true)]
async fn a_close_that_did_not_arrive_is_sent_again_to_the_same_job() {
    let stage = stage(|want, n| match (want, n) {
        (Want::Close, 0..4) => Twist::Instead(Act::HangUp),
        _ => Twist::None,
    })
    .await;
    stage.uploader.upload(&chunk()).await.unwrap();
    assert_eq!(stage.jobs(), ["UploadComplete"]);
    assert_eq!((stage.count(Want::Create), stage.count(Want::Close)), (1, 5));
}

#[tokio::test(start_paused = true)]
async fn a_minute_of_503_on_every_call_is_survived() {
    for bad in [Want::Create, Want::Upload, Want::Close] {
        let began = Arc::new(Mutex::new(None));
        let stage = stage(move |want, _| {
            if want != bad {
                return Twist::None;
            }
            let since = *began.lock().unwrap().get_or_insert_with(Instant::now);
            if since.elapsed() < Duration::from_mins(1) {
                Twist::Instead(unavailable())
            } else {
                Twist::None
            }
        })
        .await;
        let began = Instant::now();
        stage.uploader.upload(&chunk()).await.unwrap();
        assert!(began.elapsed() >= Duration::from_mins(1));
        let closed = stage.jobs().iter().filter(|&&state| state == "UploadComplete").count();
        assert_eq!(closed, 1, "{bad:?}: {:?}", stage.jobs());
        assert!(!stage.jobs().contains(&"Open"), "{bad:?}: {:?}", stage.jobs());
        assert_eq!(stage.count(Want::Close) > 1, bad == Want::Close);
    }
}

#[tokio::test(start_paused = true)]
async fn after_ten_minutes_of_trouble_the_chunk_is_left_to_resume() {
    for bad in [Want::Create, Want::Close] {
        let stage = stage(
            move |want, _| {
                if want == bad { Twist::Instead(unavailable()) } else { Twist::None }
            },
        )
        .await;
        let began = Instant::now();
        let error = stage.uploader.upload(&chunk()).await.unwrap_err();
        let seconds = began.elapsed().as_secs();
        assert!((9 * 60..11 * 60).contains(&seconds), "{seconds} s");
        assert!(error.call().unwrap().is_transient());
        let unknown = matches!(&error, UploadError::CloseUnknown { job, .. } if job == "7500");
        assert_eq!(unknown, bad == Want::Close);
        // A job whose close was tried is never replaced.
        let last = *stage.attempts().last().unwrap();
        assert_eq!(last, if bad == Want::Close { S::Closing } else { S::Lost });
    }
}

#[tokio::test(start_paused = true)]
async fn the_org_is_not_asked_again_before_its_retry_after() {
    let waits = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&waits);
    let stage = stage(move |want, n| {
        if want != Want::Create {
            return Twist::None;
        }
        kept.lock().unwrap().push(Instant::now());
        if n == 0 {
            let wait = vec![("Retry-After", "45".to_owned())];
            return Twist::Instead(Act::Answer(503, wait, vec![]));
        }
        Twist::None
    })
    .await;
    stage.uploader.upload(&chunk()).await.unwrap();
    let creates = waits.lock().unwrap().clone();
    assert!(creates[1] - creates[0] >= Duration::from_secs(45));
}

#[tokio::test(start_paused = true)]
async fn a_body_that_cannot_be_read_is_tried_once() {
    for len in [Some(9), None] {
        let stage = stage(|_, _| Twist::None).await;
        let mut chunk = chunk();
        chunk.body = UploadBody {
            len,
            gzip: false,
            open: Arc::new(|| Err(io::Error::other("disk on fire"))),
        };
        let error = stage.uploader.upload(&chunk).await.unwrap_err();
        assert_eq!(error.call().unwrap().kind, Kind::Local);
        assert_eq!(stage.attempts(), [S::GivenUp]);
        assert_eq!(stage.jobs(), ["Aborted"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_job_that_others_ended_before_its_close_is_left_to_the_poller() {
    let stage = stage(|want, _| match want {
        // Somebody is quicker by a moment.
        Want::Close => Twist::Instead(json(400, r#"[{"errorCode":"INVALIDJOBSTATE"}]"#)),
        Want::Ask => Twist::Instead(json(200, r#"{"id":"7500","state":"Aborted"}"#)),
        _ => Twist::None,
    })
    .await;
    let closed = stage.uploader.upload(&chunk()).await.unwrap();
    assert_eq!(closed, Closed { attempt: 1, job: "7500".to_owned() });
    assert_eq!(stage.attempts(), [S::Closed]);
}

#[tokio::test(start_paused = true)]
async fn a_create_that_is_refused_ends_it_at_once() {
    let stage = stage(|want, _| match want {
        Want::Create => Twist::Instead(json(
            400,
            r#"[{"errorCode":"INVALIDENTITY","message":"Entity 'X' is not supported"}]"#,
        )),
        _ => Twist::None,
    })
    .await;
    let error = stage.uploader.upload(&chunk()).await.unwrap_err();
    assert_eq!(error.call().unwrap().code.as_deref(), Some("INVALIDENTITY"));
    assert_eq!(stage.attempts(), [S::GivenUp]);
}
