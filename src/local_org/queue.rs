//! What waits for the threads that work jobs: in order, some of it not before
//! its time; and the speed at which they may work.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The queue, and the word to stop.
pub(crate) struct Queue<T> {
    tasks: Mutex<VecDeque<(Instant, T)>>,
    wake: Condvar,
    stopping: AtomicBool,
    /// When the next piece of paced work may be done.
    next_free: Mutex<Option<Instant>>,
}

impl<T> Default for Queue<T> {
    fn default() -> Queue<T> {
        Queue {
            tasks: Mutex::default(),
            wake: Condvar::new(),
            stopping: AtomicBool::new(false),
            next_free: Mutex::default(),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<T> Queue<T> {
    /// Lets a task be taken, after `delay`.
    pub(crate) fn add(&self, task: T, delay: Duration) {
        lock(&self.tasks).push_back((Instant::now() + delay, task));
        self.wake.notify_all();
    }

    /// Wakes threads that wait for their turn: a job was aborted or removed.
    pub(crate) fn look_again(&self) {
        // Under the lock, so that nobody is between looking and waiting.
        let _tasks = lock(&self.tasks);
        self.wake.notify_all();
    }

    /// Lets threads end after the piece of work they are at.
    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
        self.look_again();
    }

    /// The word to stop was given.
    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// The next task whose time has come; `None`: stop.
    pub(crate) fn next(&self) -> Option<T> {
        let mut tasks = lock(&self.tasks);
        loop {
            if self.is_stopping() {
                return None;
            }
            let now = Instant::now();
            if let Some(at) = tasks.iter().position(|(due, _)| *due <= now) {
                return tasks.remove(at).map(|(_, task)| task);
            }
            let wait = tasks.iter().map(|(due, _)| *due).min().map(|due| due.duration_since(now));
            tasks = match wait {
                Some(wait) => match self.wake.wait_timeout(tasks, wait) {
                    Ok((tasks, _)) => tasks,
                    Err(poisoned) => poisoned.into_inner().0,
                },
                None => self.wake.wait(tasks).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    /// Waits until `rows` more rows may be done at `speed` a second; `false`
    /// when the work needn't go on.
    pub(crate) fn pace(&self, rows: u32, speed: Option<u64>, goes_on: impl Fn() -> bool) -> bool {
        let Some(speed) = speed.filter(|speed| *speed > 0) else { return true };
        let due = {
            let mut next_free = lock(&self.next_free);
            let start = next_free.map_or_else(Instant::now, |next| next.max(Instant::now()));
            let due = start + Duration::from_secs_f64(f64::from(rows) / speed as f64);
            *next_free = Some(due);
            due
        };
        let mut tasks = lock(&self.tasks);
        loop {
            if self.is_stopping() || !goes_on() {
                return false;
            }
            let now = Instant::now();
            if now >= due {
                return true;
            }
            tasks = match self.wake.wait_timeout(tasks, due - now) {
                Ok((tasks, _)) => tasks,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
    }
}
