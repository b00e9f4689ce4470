//! Seeded runs that are killed again and again on an org that fails on
//! purpose, and afterwards the org's own journal as the judge.
//!
//! `cargo test` plays a few seeds, `just torture 300` some hundreds. A seed
//! that fails is played again by the command that is printed with it: the same
//! load, the same faults and the same kills, as far as these depend on the
//! number of lines told and not on the moment.

#![expect(clippy::print_stdout, reason = "the report of a long form is read by people")]

mod judge;
mod play;
mod scenario;

use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Instant;

use play::Counts;
pub(crate) use scenario::Draw;
use scenario::Scenario;

/// Seeds that `cargo test` plays, and how many are played side by side: they
/// wait for each other's disks and for pauses more than for processors.
const SEEDS: u64 = 16;
const SIDE_BY_SIDE: u64 = 4;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().unwrap())
}

#[test]
fn whatever_fails_and_whoever_dies_every_row_is_accounted_for_once() {
    let one = number("BULKHAUL_TORTURE_SEED");
    let long = number("BULKHAUL_TORTURE_SEEDS");
    let first = one.unwrap_or(1);
    let last = one.unwrap_or(long.unwrap_or(SEEDS));
    let next = AtomicU64::new(first);
    let survived = Mutex::new(Counts::default());
    let failed = Mutex::new(Vec::new());
    let started = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..SIDE_BY_SIDE {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, SeqCst);
                    if seed > last {
                        return;
                    }
                    match catch_unwind(AssertUnwindSafe(|| play_and_judge(seed))) {
                        Ok(counts) => survived.lock().unwrap().add(&counts),
                        Err(_) => failed.lock().unwrap().push(seed),
                    }
                }
            });
        }
    });
    let survived = survived.into_inner().unwrap();
    let mut failed = failed.into_inner().unwrap();
    failed.sort_unstable();
    let seconds = started.elapsed().as_secs();
    let mut report = format!(
        "{} seeds in {seconds} s, {} failed\n{} kills of bulkhaul, {} of the org, {} resumes\n\
         {} faults, by the count of orgs that were not killed:\n",
        last - first + 1,
        failed.len(),
        survived.kills,
        survived.org_kills,
        survived.resumes,
        survived.faults.values().sum::<u64>(),
    );
    for (name, count) in &survived.faults {
        writeln!(report, "{count:>8} {name}").unwrap();
    }
    for seed in &failed {
        writeln!(report, "seed {seed} failed; {}", command(*seed)).unwrap();
    }
    println!("{report}");
    if long.is_some() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("target/torture");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("report.txt"), &report).unwrap();
    }
    assert!(failed.is_empty(), "{report}");
}

fn command(seed: u64) -> String {
    format!(
        "play it again: BULKHAUL_TORTURE_SEED={seed} cargo test --test it torture -- --nocapture"
    )
}

fn play_and_judge(seed: u64) -> Counts {
    let (scenario, mut draw) = Scenario::of(seed);
    let told = std::env::var("BULKHAUL_TORTURE_SEED").is_ok();
    println!("{scenario:?}");
    let started = Instant::now();
    let played = play::play(&scenario, &mut draw);
    if told {
        println!("{}", played.told);
    }
    judge::judge(&scenario, &played);
    println!("seed {seed}: {:?} after {:.1} s", played.counts, started.elapsed().as_secs_f64());
    played.counts
}
