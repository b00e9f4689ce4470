//! Faults on purpose of rows and jobs; the journal and the records judge.

use std::collections::BTreeSet;

use super::*;

fn faulty(spec: &str) -> Settings {
    Settings { faults: spec.parse().unwrap(), ..Settings::default() }.with_knobs()
}

impl Org {
    fn injected(&self, name: &str) -> u64 {
        self.ingest.faults().injected().get(name).copied().unwrap_or(0)
    }

    /// Rows of a job that took effect; none may have twice.
    fn effects(&self, job: &Job, object: &str) -> BTreeSet<u32> {
        let id = job.key().to_string();
        let journal = self.ingest.journal(object).unwrap();
        let rows: Vec<u32> =
            journal.iter().filter(|entry| entry.job == id).map(|entry| entry.row).collect();
        let set: BTreeSet<u32> = rows.iter().copied().collect();
        assert_eq!(set.len(), rows.len(), "a row took effect twice");
        set
    }
}

fn named(rows: &Table) -> BTreeSet<u32> {
    rows.rows.iter().map(|row| row["Name"][1..].parse().unwrap()).collect()
}

#[test]
fn rows_fail_by_chance_and_the_same_ones_again() {
    let mut seen = Vec::new();
    for _ in 0..2 {
        let org = Org::with(faulty("seed=3,row-lock=10%,row-error=10%,row-refused=10%"));
        let done = org.insert("Thing__c", &many(2_000));
        let count = |code: &str| {
            done.failed.rows.iter().filter(|row| row["sf__Error"].starts_with(code)).count() as u64
        };
        for (code, name) in [
            ("UNABLE_TO_LOCK_ROW:unable to obtain exclusive access to this record", "row-lock"),
            ("UNKNOWN_EXCEPTION:", "row-error"),
            ("FIELD_CUSTOM_VALIDATION_EXCEPTION:", "row-refused"),
        ] {
            assert_eq!(count(code), org.injected(name), "{name}");
            assert!((100..300).contains(&count(code)), "{name}");
        }
        assert_eq!(named(&done.successful), org.effects(&done.job, "Thing__c"));
        assert_eq!(done.successful.rows.len() + done.failed.rows.len(), 2_000);
        seen.push(named(&done.failed));
    }
    assert_eq!(seen[0], seen[1]);
}

#[test]
fn a_row_can_be_saved_and_told_as_failed() {
    let org = Org::with(faulty("row-error-saved=50%"));
    let done = org.insert("Thing__c", &many(400));
    assert_eq!(org.effects(&done.job, "Thing__c").len(), 400, "all are saved");
    assert_eq!(org.count("Thing__c"), 400);
    assert_eq!(done.failed.rows.len() as u64, org.injected("row-error-saved"));
    assert!(done.failed.rows.len() > 100 && done.successful.rows.len() > 100);
    assert!(done.failed.column("sf__Id").iter().all(String::is_empty), "an insert tells no id");
    assert!(done.failed.column("sf__Error").iter().all(|e| e.starts_with("UNKNOWN_EXCEPTION:")));
}

#[test]
fn storage_runs_out_and_comes_back() {
    let org = Org::with(faulty("storage=30"));
    let done = org.insert("Thing__c", &many(50));
    assert_eq!((done.successful.rows.len(), done.failed.rows.len()), (30, 20));
    let full = "STORAGE_LIMIT_EXCEEDED:storage limit exceeded:--";
    assert!(done.failed.column("sf__Error").iter().all(|error| error == full));
    let id = &done.successful.rows[0]["sf__Id"];
    let update = org.update("Thing__c", &format!("Id,Name\n{id},new\n"));
    assert_eq!(update.successful.rows.len(), 1, "updates need no room");
    let gone =
        org.run(json!({"object": "Thing__c", "operation": "delete"}), &format!("Id\n{id}\n"));
    assert_eq!(gone.successful.rows.len(), 1);
    let more = org.insert("Thing__c", "Name\nmore\n");
    assert_eq!(more.failed.rows.len(), 1, "the recycle bin counts, too");
}

/// Rows of children, `parents` parents taking turns.
fn children(parents: &[String], rows: usize) -> String {
    let mut csv = String::from("Name,Account__c\n");
    for row in 0..rows {
        let _ = writeln!(csv, "n{row},{}", parents[row % parents.len()]);
    }
    csv
}

fn parents(org: &Org, count: usize) -> Vec<String> {
    let mut csv = String::from("Name\n");
    for parent in 0..count {
        let _ = writeln!(csv, "p{parent}");
    }
    let done = org.insert("Account", &csv);
    assert_eq!(done.successful.rows.len(), count);
    done.successful.column("sf__Id")
}

#[test]
fn rows_of_several_batches_lose_the_parents_they_share() {
    let org = Org::with(faulty("seed=5,parent-locks=50%"));
    let ids = parents(&org, 7);
    let done = org.insert("Thing__c", &children(&ids, 20_000));
    let lost = done.failed.rows.len();
    assert_eq!(lost as u64, org.injected("parent-locks"));
    // One of the two batches holds all seven; about half of the other's fail.
    assert!((4_500..5_500).contains(&lost), "{lost}");
    let batches: BTreeSet<u32> = named(&done.failed).iter().map(|row| row / 10_000).collect();
    assert_eq!(batches.len(), 1);
    for row in &done.failed.rows {
        let told = format!(
            "UNABLE_TO_LOCK_ROW:unable to obtain exclusive access to this record or 200 records: \
             {}:--",
            row["Account__c"]
        );
        assert_eq!(row["sf__Error"], told);
    }
    assert_eq!(named(&done.successful), org.effects(&done.job, "Thing__c"));
}

#[test]
fn parents_are_free_where_batches_do_not_meet() {
    let org = Org::with(faulty("parent-locks=100%"));
    let ids = parents(&org, 3);
    for _ in 0..2 {
        let done = org.insert("Thing__c", &children(&ids, 500));
        assert_eq!(done.failed.rows.len(), 0, "one batch, and no other job at work");
    }
    let serial = Org::with(Settings { workers: 1, ..faulty("parent-locks=100%") });
    let ids = parents(&serial, 3);
    let done = serial.insert("Thing__c", &children(&ids, 20_000));
    assert_eq!(done.failed.rows.len(), 0, "batches run one at a time");
    // Rows of one parent within one batch.
    let apart = Org::with(faulty("parent-locks=100%"));
    let ids = parents(&apart, 2);
    let (first, second) = (children(&ids[..1], 10_000), children(&ids[1..], 5_000));
    let csv = first + second.split_once('\n').unwrap().1;
    assert_eq!(apart.insert("Thing__c", &csv).failed.rows.len(), 0);
}

#[test]
fn a_job_fails_half_way_and_keeps_what_it_did() {
    for (fault, error) in [
        ("job-fails", "InternalServerError : "),
        ("job-times-out", "Timeout : "),
        ("job-locks", "TooManyLockFailure : "),
    ] {
        let org = Org::with(faulty(&format!("{fault}=#2")));
        assert_eq!(org.insert("Thing__c", "Name\nn0\n").state(), State::JobComplete);
        let done = org.insert("Thing__c", &many(1_000));
        assert_eq!((done.state(), org.injected(fault)), (State::Failed, 1));
        assert!(done.error().starts_with(error), "{}", done.error());
        // A unit in hand may still be committed; what is told adds up then, too.
        org.ingest.stop();
        let done = org.ended(done.job.clone());
        let (told, left) = (named(&done.successful), named(&done.unprocessed));
        assert_eq!(told, org.effects(&done.job, "Thing__c"));
        assert!(!told.is_empty() && !left.is_empty() && told.is_disjoint(&left));
        assert_eq!(told.len() + left.len(), 1_000);
    }
}

#[test]
fn a_job_fails_at_once_or_is_aborted_by_somebody_else() {
    let org = Org::with(faulty("job-invalid=#1,job-aborted=#2,job-aborted-open=#3..4"));
    let done = org.insert("Thing__c", &many(10));
    assert_eq!((done.state(), done.unprocessed.rows.len()), (State::Failed, 10));
    assert!(done.error().starts_with("InvalidBatch : "));
    let done = org.insert("Thing__c", &many(1_000));
    assert_eq!(done.state(), State::Aborted);
    org.ingest.stop();
    let done = org.ended(done.job.clone());
    assert_eq!(named(&done.successful), org.effects(&done.job, "Thing__c"));
    assert_eq!(done.successful.rows.len() + done.unprocessed.rows.len(), 1_000);
    assert!(!done.unprocessed.rows.is_empty());
    for _ in 0..2 {
        let job = org.create(json!({"object": "Thing__c", "operation": "insert"}));
        let refused = org.upload(&job, b"Name\nn1\n").and_then(|()| org.ingest.close(&job));
        assert_eq!(refused.unwrap_err().code, "INVALIDJOBSTATE");
        assert_eq!(job.state(), State::Aborted);
    }
    assert_eq!(org.injected("job-aborted-open"), 2);
}

#[test]
fn a_doomed_job_meets_its_fate_after_a_restart_too() {
    let waiting = Settings { start_delay_ms: 3_600_000, ..faulty("job-fails=#1") };
    let org = Org::with(waiting);
    let job = org.started(json!({"object": "Thing__c", "operation": "insert"}), &many(100));
    let id = job.key().to_string();
    let org = org.restart(faulty("job-fails=#1"));
    let done = org.ended(org.ingest.known(&id).unwrap());
    assert_eq!(done.state(), State::Failed);
    org.ingest.stop();
    let done = org.ended(done.job.clone());
    assert_eq!(done.successful.rows.len() + done.unprocessed.rows.len(), 100);
}

#[test]
fn batches_run_out_and_come_back_when_the_clock_moves() {
    let org = Org::with(faulty("daily-batches=1"));
    assert_eq!(org.insert("Thing__c", "Name\na\n").state(), State::JobComplete);
    let done = org.insert("Thing__c", "Name\nb\n");
    assert_eq!((done.state(), done.unprocessed.rows.len()), (State::Failed, 1));
    org.clock.advance(Duration::from_hours(25));
    assert_eq!(org.insert("Thing__c", "Name\nb\n").state(), State::JobComplete);
}
