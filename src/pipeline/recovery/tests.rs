//! A model of a client that dies anywhere, of its ledger and of the org:
//! whatever the order of steps, crashes and reopenings, the planner and the
//! state machine bring every chunk to its end without sending it twice.

use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use super::*;
use crate::domain::{AttemptEvent, step};

/// A job as the org knows it.
#[derive(Debug)]
struct Job {
    state: JobState,
    has_data: bool,
    /// Whether it saved the rows of the chunk.
    saved: bool,
    /// Deleted after its time.
    purged: bool,
}

/// [`next`], or one that is wrong.
type Planner = fn(&ChunkFacts, &dyn Fn(&str) -> OrgSays) -> Next;

/// The process ends here: killed, or nobody answered.
struct Died;

/// How a call that changes something goes.
#[derive(PartialEq, Eq)]
enum Call {
    Told,
    DoneUntold,
    NotDone,
    Refused,
}

/// The world: what outlives a process (org and ledger), and what happens next.
/// With no choices left everything goes well.
struct World {
    planner: Planner,
    jobs: Vec<Job>,
    ledger: ChunkFacts,
    disputed: bool,
    choices: std::vec::IntoIter<u8>,
    deaths: u32,
}

impl World {
    fn new(planner: Planner, choices: Vec<u8>) -> Self {
        let ledger = ChunkFacts { number: 1, rows: 10, reconciled: false, attempts: Vec::new() };
        World {
            planner,
            jobs: Vec::new(),
            ledger,
            disputed: false,
            choices: choices.into_iter(),
            deaths: 0,
        }
    }

    /// One of `of` things, the first of which is that all goes well.
    fn choose(&mut self, of: u8) -> u8 {
        self.choices.next().map_or(0, |choice| choice % of)
    }

    /// A moment between two steps, where the process may be killed and the org
    /// goes on by itself.
    fn moment(&mut self) -> Result<(), Died> {
        for at in 0..self.jobs.len() {
            if self.jobs[at].state == JobState::UploadComplete && self.choose(3) != 1 {
                self.end(at);
            }
        }
        if self.choose(6) == 5 { Err(Died) } else { Ok(()) }
    }

    /// A job comes to its end.
    fn end(&mut self, at: usize) {
        let failed = self.choose(5) == 4;
        let job = &mut self.jobs[at];
        job.saved = !failed && job.has_data;
        job.state = if failed { JobState::Failed } else { JobState::JobComplete };
    }

    fn call(&mut self) -> Call {
        match self.choose(8) {
            5 => Call::DoneUntold,
            6 => Call::NotDone,
            7 => Call::Refused,
            _ => Call::Told,
        }
    }

    /// Writes a step down, as the ledger does: only what the state machine knows.
    fn write(&mut self, event: AttemptEvent) -> Result<(), Died> {
        let last = self.ledger.attempts.last_mut().expect("an attempt");
        last.state = step(last.state, event).expect("a step that can happen");
        self.moment()
    }

    fn says(&self, job: &str) -> OrgSays {
        let job = &self.jobs[job.parse::<usize>().expect("its place")];
        if job.purged { OrgSays::NoSuchJob } else { OrgSays::State(job.state, 0) }
    }

    fn close(&mut self, at: usize) {
        assert!(self.jobs[at].has_data, "nothing is closed without its data");
        for (other, job) in self.jobs.iter().enumerate() {
            let may_save = job.saved || job.state == JobState::UploadComplete;
            assert!(other == at || !may_save, "two jobs of the same rows at work");
        }
        if self.jobs[at].state == JobState::Open {
            self.jobs[at].state = JobState::UploadComplete;
        }
    }

    /// What others do to jobs while no process of ours lives.
    fn others(&mut self) {
        let Some(last) = self.ledger.attempts.last().cloned() else { return };
        let Some(at) = last.job.as_ref().and_then(|job| job.parse::<usize>().ok()) else { return };
        let choice = self.choose(8);
        let job = &mut self.jobs[at];
        match (choice, job.state) {
            (5, JobState::Open) if job.has_data => job.state = JobState::UploadComplete,
            (6, JobState::Open) => job.state = JobState::Aborted,
            // The org deletes jobs that ended long ago.
            (7, state) if state.is_terminal() && last.state.may_have_processed() => {
                job.purged = true;
            }
            _ => {}
        }
    }

    /// One process: goes on until the chunk is done or it dies.
    fn process(&mut self) -> Result<(), Died> {
        loop {
            self.moment()?;
            match (self.planner)(&self.ledger, &|job| self.says(job)) {
                Next::Done => return Ok(()),
                Next::Begin | Next::Judge => self.begin()?,
                Next::Lost { .. } => self.write(AttemptEvent::CreateUnanswered)?,
                Next::GiveUp { job, state, .. } => self.give_up(&job, state)?,
                Next::Close { job, .. } => {
                    self.send_close(job.parse().expect("its place"))?;
                    self.write(AttemptEvent::CloseSeen)?;
                }
                Next::Watch { job, ended, .. } => {
                    self.watch(job.parse().expect("its place"), ended)?;
                }
                Next::Gone { .. } => {
                    self.disputed = true;
                    self.account(true)?;
                }
            }
        }
    }

    fn begin(&mut self) -> Result<(), Died> {
        let number = self.ledger.attempts.len() as u32 + 1;
        self.ledger.attempts.push(AttemptFacts {
            number,
            state: AttemptState::Creating,
            job: None,
            accounted: false,
        });
        self.moment()?;
        let call = self.call();
        if call == Call::Refused {
            return self.write(AttemptEvent::CreateRefused);
        }
        if call != Call::NotDone {
            let state = JobState::Open;
            self.jobs.push(Job { state, has_data: false, saved: false, purged: false });
        }
        if call != Call::Told {
            return self.write(AttemptEvent::CreateUnanswered);
        }
        let at = self.jobs.len() - 1;
        self.moment()?;
        self.ledger.attempts.last_mut().expect("an attempt").job = Some(at.to_string());
        self.write(AttemptEvent::JobCreated)?;
        self.write(AttemptEvent::UploadStarted)?;
        let call = self.call();
        if matches!(call, Call::Told | Call::DoneUntold) {
            self.jobs[at].has_data = true;
        }
        if call != Call::Told {
            return Err(Died);
        }
        self.write(AttemptEvent::BodyTaken)?;
        self.write(AttemptEvent::CloseStarted)?;
        self.send_close(at)?;
        self.write(AttemptEvent::CloseSeen)
    }

    fn send_close(&mut self, at: usize) -> Result<(), Died> {
        let call = self.call();
        if matches!(call, Call::Told | Call::DoneUntold) {
            self.close(at);
        }
        if call == Call::Told { Ok(()) } else { Err(Died) }
    }

    fn give_up(&mut self, job: &str, state: AttemptState) -> Result<(), Died> {
        let at: usize = job.parse().expect("its place");
        let aborting = state == AttemptState::Aborting;
        match (self.jobs[at].state, aborting) {
            (JobState::Open, _) => {
                if !aborting {
                    self.write(AttemptEvent::GiveUp)?;
                }
                let call = self.call();
                if matches!(call, Call::Told | Call::DoneUntold) {
                    self.jobs[at].state = JobState::Aborted;
                }
                if call != Call::Told {
                    return Err(Died);
                }
                self.write(AttemptEvent::AbortSeen)
            }
            // Aborted without ever having been closed: nothing was processed.
            (JobState::Aborted, true) => self.write(AttemptEvent::AbortSeen),
            (JobState::Aborted, false) => self.write(AttemptEvent::Ended(JobState::Aborted)),
            // Somebody else closed it.
            _ => self.write(AttemptEvent::CloseSeen),
        }
    }

    fn watch(&mut self, at: usize, ended: bool) -> Result<(), Died> {
        if self.jobs[at].state == JobState::UploadComplete {
            self.end(at);
        }
        if !ended {
            self.write(AttemptEvent::Ended(self.jobs[at].state))?;
        }
        self.account(self.jobs[at].saved)
    }

    /// Outcomes on disk, then the attempt's line, then the chunk's.
    fn account(&mut self, done: bool) -> Result<(), Died> {
        self.ledger.attempts.last_mut().expect("an attempt").accounted = true;
        // Judging again comes to the same: the model judges by itself.
        self.ledger.reconciled = done;
        self.moment()
    }
}

/// Plays the choices to the end and judges what the org and the ledger have.
fn play(planner: Planner, choices: Vec<u8>) -> Result<(), TestCaseError> {
    let mut world = World::new(planner, choices);
    while world.process().is_err() {
        world.deaths += 1;
        world.others();
        prop_assert!(world.deaths < 400, "it comes to an end");
    }
    prop_assert!(world.ledger.reconciled);
    let saved = world.jobs.iter().filter(|job| job.saved).count();
    if world.disputed {
        prop_assert!(saved <= 1, "disputed rows are not sent again");
    } else {
        prop_assert_eq!(saved, 1, "{:?}", world.jobs);
    }
    // Of ours, only jobs whose create call was not answered stay open.
    for job in world.ledger.attempts.iter().filter_map(|attempt| attempt.job.as_deref()) {
        let state = world.jobs[job.parse::<usize>().expect("its place")].state;
        prop_assert!(state.is_terminal(), "job {} is left {:?}", job, state);
    }
    Ok(())
}

fn histories() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(any::<u8>(), 0..160)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn no_sequence_of_steps_crashes_and_reopenings_loses_or_doubles_a_chunk(
        choices in histories(),
    ) {
        play(next, choices)?;
    }
}

#[test]
fn the_model_finds_planners_that_are_wrong() {
    let too_soon: Planner = |chunk, says| match next(chunk, says) {
        Next::Watch { ended: false, .. } => Next::Begin,
        right => right,
    };
    let sends_disputed_again: Planner = |chunk, says| match next(chunk, says) {
        Next::Gone { .. } => Next::Begin,
        right => right,
    };
    let leaves_jobs_open: Planner = |chunk, says| match next(chunk, says) {
        Next::GiveUp { .. } => Next::Begin,
        right => right,
    };
    for wrong in [too_soon, sends_disputed_again, leaves_jobs_open] {
        let config = ProptestConfig { cases: 20_000, failure_persistence: None, ..<_>::default() };
        let found = TestRunner::new(config).run(&histories(), |choices| play(wrong, choices));
        assert!(found.is_err());
    }
}

#[test]
fn the_org_s_silence_is_not_its_word() {
    let attempt =
        |state| AttemptFacts { number: 1, state, job: Some("j".into()), accounted: false };
    let chunk = |state| ChunkFacts {
        number: 1,
        rows: 5,
        reconciled: false,
        attempts: vec![attempt(state)],
    };
    let silent = |_: &str| OrgSays::Nothing;
    let gone = |_: &str| OrgSays::NoSuchJob;
    assert!(matches!(next(&chunk(AttemptState::Closing), &silent), Next::Close { .. }));
    assert!(matches!(next(&chunk(AttemptState::Closed), &silent), Next::Watch { .. }));
    assert!(matches!(next(&chunk(AttemptState::Closed), &gone), Next::Gone { .. }));
    assert!(matches!(next(&chunk(AttemptState::Uploaded), &gone), Next::GiveUp { .. }));
}
