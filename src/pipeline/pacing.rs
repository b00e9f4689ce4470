//! The pace of a load: how many lanes work at once, between one and
//! `--parallel`.
//!
//! Additive increase, multiplicative decrease, as networks share a line: when
//! the org pushes back the number is halved, and one lane is added whenever as
//! many lanes as now work at once have ended without a push-back. So it goes to
//! and fro a little below what the org takes, and follows when that changes.
//!
//! - Lanes that are pushed back together count once: there is one decrease per
//!   cool-down, and what a lane tells that began before the last decrease is
//!   news of the former pace.
//! - Lanes at work are never stopped; the next ones wait.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// Time after a decrease in which there is no other: as long as a call that
/// was turned away may wait until it comes again.
const COOL_DOWN: Duration = Duration::from_secs(30);

/// One row in so many that fails for a lock is a push-back: the service itself
/// puts a batch of 10,000 rows back at about 100 locks.
const ROWS_PER_LOCK: u64 = 100;

/// So few locks say nothing, however small the job.
const FEW_LOCKS: u64 = 10;

/// What asked for a slower pace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PushBack {
    /// Replies to calls: too many requests, a busy service.
    Calls,
    /// A job that failed for its locks (`TooManyLockFailure`).
    LockedJob,
    /// Many rows of a job that failed for a lock.
    LockedRows,
}

impl PushBack {
    /// What the lock failures among a job's rows say of the pace.
    pub const fn of_locks(lock_failures: u64, rows: u64) -> Option<PushBack> {
        if lock_failures >= FEW_LOCKS && lock_failures.saturating_mul(ROWS_PER_LOCK) >= rows {
            Some(PushBack::LockedRows)
        } else {
            None
        }
    }
}

/// A change of the number of lanes, to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PaceChange {
    /// Lanes before.
    pub from: usize,
    /// Lanes from now on.
    pub to: usize,
    /// What asked for fewer; `None` when there are more.
    pub why: Option<PushBack>,
}

impl fmt::Display for PaceChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lanes = if self.to == 1 { "lane" } else { "lanes" };
        let why = match self.why {
            Some(PushBack::Calls) => "the org asks for fewer calls at once",
            Some(PushBack::LockedJob) => "a job failed because its rows were locked",
            Some(PushBack::LockedRows) => "many rows failed because of locks",
            None => "the org keeps up",
        };
        write!(f, "{} {lanes} instead of {}: {why}", self.to, self.from)
    }
}

/// When a lane began, as the gate counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LaneStart(u64);

/// Lets as many lanes work at once as the org takes.
#[derive(Debug)]
pub struct LaneGate {
    most: usize,
    pace: Mutex<Pace>,
    freed: Notify,
}

#[derive(Debug)]
struct Pace {
    target: usize,
    at_work: usize,
    /// Lanes begun since the last decrease that ended without a push-back,
    /// since the number last changed.
    clean: usize,
    /// Counts decreases.
    epoch: u64,
    decreased: Option<Instant>,
    /// The counter of push-backs when it was last looked at.
    heard: u64,
}

/// A lane's leave to work; given back when dropped.
#[derive(Debug)]
pub struct LanePermit {
    gate: Arc<LaneGate>,
    start: LaneStart,
}

impl LanePermit {
    /// When it was given, for [`LaneGate::lane_ended`], which may come after
    /// the permit was dropped.
    pub const fn start(&self) -> LaneStart {
        self.start
    }
}

impl Drop for LanePermit {
    fn drop(&mut self) {
        let mut pace = self.gate.pace();
        pace.at_work = pace.at_work.saturating_sub(1);
        drop(pace);
        self.gate.freed.notify_waiters();
    }
}

impl LaneGate {
    /// A gate for `most` lanes (at least one), which it begins with.
    pub fn new(most: usize) -> Arc<LaneGate> {
        let most = most.max(1);
        let pace = Pace { target: most, at_work: 0, clean: 0, epoch: 0, decreased: None, heard: 0 };
        Arc::new(LaneGate { most, pace: Mutex::new(pace), freed: Notify::new() })
    }

    /// Lanes that may work at once now.
    pub fn target(&self) -> usize {
        self.pace().target
    }

    /// Waits until one lane more may work. In no certain order: lanes are alike.
    ///
    /// # Cancel safety
    /// Dropping it gives up the wait; nothing is taken.
    pub async fn acquire(self: &Arc<Self>) -> LanePermit {
        loop {
            let freed = self.freed.notified();
            tokio::pin!(freed);
            // Listening before looking, so that no change falls in between.
            freed.as_mut().enable();
            if let Some(permit) = self.try_acquire() {
                return permit;
            }
            freed.await;
        }
    }

    /// A permit, if one lane more may work now.
    pub fn try_acquire(self: &Arc<Self>) -> Option<LanePermit> {
        let mut pace = self.pace();
        if pace.at_work >= pace.target {
            return None;
        }
        pace.at_work += 1;
        Some(LanePermit { gate: Arc::clone(self), start: LaneStart(pace.epoch) })
    }

    /// Hears of the calls' push-backs: `total` is their number since the
    /// connection was made (`Usage::push_backs`). To be asked now and then,
    /// and at least whenever a lane ends. Returns the change, if there is one.
    pub fn heed(&self, total: u64) -> Option<PaceChange> {
        let mut pace = self.pace();
        if total <= pace.heard {
            return None;
        }
        pace.heard = total;
        pace.decrease(PushBack::Calls)
    }

    /// Hears how a lane ended: pushed back or not. A lane that failed for any
    /// other reason says nothing of the pace and isn't told. Returns the
    /// change, if there is one.
    pub fn lane_ended(&self, start: LaneStart, push_back: Option<PushBack>) -> Option<PaceChange> {
        let mut pace = self.pace();
        if start.0 != pace.epoch {
            return None;
        }
        if let Some(push_back) = push_back {
            return pace.decrease(push_back);
        }
        pace.clean += 1;
        if pace.clean < pace.target || pace.target >= self.most {
            return None;
        }
        let from = pace.target;
        pace.target += 1;
        pace.clean = 0;
        drop(pace);
        self.freed.notify_waiters();
        Some(PaceChange { from, to: from + 1, why: None })
    }

    fn pace(&self) -> MutexGuard<'_, Pace> {
        self.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pace {
    fn decrease(&mut self, why: PushBack) -> Option<PaceChange> {
        self.clean = 0;
        if self.decreased.is_some_and(|last| last.elapsed() < COOL_DOWN) {
            return None;
        }
        self.decreased = Some(Instant::now());
        self.epoch += 1;
        let from = self.target;
        self.target = (from / 2).max(1);
        (self.target < from).then_some(PaceChange { from, to: self.target, why: Some(why) })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst};

    use super::*;

    /// An org that is slower, and says so, when more lanes work than it likes.
    struct Knee {
        likes: AtomicUsize,
        at_work: AtomicUsize,
        push_backs: AtomicU64,
        jobs: AtomicU64,
        /// Lanes at work at the begin of each job.
        seen: Mutex<Vec<usize>>,
    }

    impl Knee {
        fn at(likes: usize) -> Arc<Knee> {
            Arc::new(Knee {
                likes: AtomicUsize::new(likes),
                at_work: AtomicUsize::new(0),
                push_backs: AtomicU64::new(0),
                jobs: AtomicU64::new(0),
                seen: Mutex::default(),
            })
        }

        async fn work(&self) {
            let at_work = self.at_work.fetch_add(1, SeqCst) + 1;
            self.seen.lock().unwrap().push(at_work);
            let likes = self.likes.load(SeqCst);
            // No two jobs are of one length, or they would go in step.
            let mut seconds = 40.0 + (self.jobs.fetch_add(1, SeqCst) * 7 % 23) as f64;
            if at_work > likes {
                self.push_backs.fetch_add(1, SeqCst);
                seconds *= (at_work as f64 / likes as f64).powi(3);
            }
            tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
            self.at_work.fetch_sub(1, SeqCst);
        }

        /// Works so many jobs; the mean of lanes at work in the latter half,
        /// and how long all took.
        async fn run(self: &Arc<Self>, gate: &Arc<LaneGate>, jobs: usize) -> (f64, Duration) {
            let began = Instant::now();
            self.seen.lock().unwrap().clear();
            let mut lanes = tokio::task::JoinSet::new();
            for _ in 0..jobs {
                let permit = gate.acquire().await;
                let (org, lane_gate) = (Arc::clone(self), Arc::clone(gate));
                lanes.spawn(async move {
                    let start = permit.start();
                    org.work().await;
                    drop(permit);
                    lane_gate.heed(org.push_backs.load(SeqCst));
                    lane_gate.lane_ended(start, None);
                });
                gate.heed(self.push_backs.load(SeqCst));
            }
            while lanes.join_next().await.is_some() {}
            let seen = self.seen.lock().unwrap();
            let latter = &seen[seen.len() / 2..];
            (latter.iter().sum::<usize>() as f64 / latter.len() as f64, began.elapsed())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn it_settles_near_what_the_org_takes_and_follows_it() {
        let gate = LaneGate::new(16);
        let org = Knee::at(6);
        let (mean, _) = org.run(&gate, 400).await;
        assert!((3.0..=7.0).contains(&mean), "{mean} where 6 are best");
        org.likes.store(14, SeqCst);
        let (mean, _) = org.run(&gate, 600).await;
        assert!((7.0..=15.0).contains(&mean), "{mean} where 14 are best");
        org.likes.store(2, SeqCst);
        let (mean, _) = org.run(&gate, 400).await;
        assert!((1.0..=3.0).contains(&mean), "{mean} where 2 are best");
    }

    #[tokio::test(start_paused = true)]
    async fn it_beats_a_pace_that_does_not_yield() {
        let (_, yielding) = Knee::at(4).run(&LaneGate::new(16), 400).await;
        let stubborn = Knee::at(4);
        let began = Instant::now();
        let lanes = Arc::new(tokio::sync::Semaphore::new(16));
        let mut jobs = tokio::task::JoinSet::new();
        for _ in 0..400 {
            let lane = Arc::clone(&lanes).acquire_owned().await.unwrap();
            let org = Arc::clone(&stubborn);
            jobs.spawn(async move {
                org.work().await;
                drop(lane);
            });
        }
        while jobs.join_next().await.is_some() {}
        assert!(yielding * 2 < began.elapsed(), "{yielding:?} against {:?}", began.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn lanes_pushed_back_together_count_once() {
        let gate = LaneGate::new(8);
        let mut starts = Vec::new();
        for _ in 0..8 {
            starts.push(gate.acquire().await.start());
        }
        let first = gate.lane_ended(starts[0], Some(PushBack::LockedJob));
        let why = Some(PushBack::LockedJob);
        assert_eq!(first, Some(PaceChange { from: 8, to: 4, why }));
        for total in 1..5 {
            assert_eq!(gate.heed(total), None);
        }
        // However late they tell: they began at the former pace.
        tokio::time::advance(COOL_DOWN * 10).await;
        for start in &starts[1..] {
            assert_eq!(gate.lane_ended(*start, Some(PushBack::LockedRows)), None);
        }
        assert_eq!(gate.target(), 4);
        let start = gate.acquire().await.start();
        assert_eq!(gate.lane_ended(start, Some(PushBack::LockedRows)).unwrap().to, 2);
        tokio::time::advance(COOL_DOWN).await;
        assert_eq!(gate.heed(4), None, "nothing new");
        assert_eq!(gate.heed(5).unwrap().to, 1);
        tokio::time::advance(COOL_DOWN).await;
        assert_eq!(gate.heed(6), None, "one lane always works");
        assert_eq!(gate.target(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_round_without_a_push_back_adds_a_lane() {
        let gate = LaneGate::new(4);
        let before = gate.acquire().await.start();
        gate.heed(1);
        assert_eq!(gate.target(), 2);
        assert_eq!(gate.lane_ended(before, None), None, "it began before");
        let mut changes = Vec::new();
        for _ in 0..12 {
            let start = gate.acquire().await.start();
            changes.push(gate.lane_ended(start, None).map(|change| change.to));
        }
        let none = [None; 7];
        assert_eq!(changes[..5], [None, Some(3), None, None, Some(4)]);
        assert_eq!(changes[5..], none, "never more than --parallel");
    }

    #[tokio::test(start_paused = true)]
    async fn lanes_beyond_the_pace_wait_for_their_turn() {
        let gate = LaneGate::new(2);
        let (first, second) = (gate.acquire().await, gate.acquire().await);
        assert!(gate.try_acquire().is_none());
        gate.heed(1);
        drop(first);
        assert!(gate.try_acquire().is_none(), "one is at work, as many as may");
        let waiting = tokio::spawn({
            let gate = Arc::clone(&gate);
            async move { gate.acquire().await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(second);
        drop(waiting.await.unwrap());
        // A wait that is given up takes nothing.
        let held = gate.acquire().await;
        let given_up = tokio::time::timeout(Duration::from_secs(1), gate.acquire()).await;
        assert!(given_up.is_err());
        drop(held);
        assert!(gate.try_acquire().is_some());
    }

    #[test]
    fn a_share_of_locks_is_a_push_back() {
        for (locks, rows, expected) in [
            (0, 0, None),
            (9, 9, None),
            (10, 10, Some(PushBack::LockedRows)),
            (10, 1_000, Some(PushBack::LockedRows)),
            (10, 1_001, None),
            (2_500, 250_000, Some(PushBack::LockedRows)),
            (u64::MAX, u64::MAX, Some(PushBack::LockedRows)),
        ] {
            assert_eq!(PushBack::of_locks(locks, rows), expected, "{locks} of {rows}");
        }
    }

    #[test]
    fn changes_are_told_in_a_sentence() {
        let change = |from, to, why| PaceChange { from, to, why }.to_string();
        assert_eq!(
            change(2, 1, Some(PushBack::Calls)),
            "1 lane instead of 2: the org asks for fewer calls at once"
        );
        assert_eq!(change(3, 4, None), "4 lanes instead of 3: the org keeps up");
    }
}
