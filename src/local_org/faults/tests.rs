//! Tests of the language and of its decisions.

use proptest::prelude::*;

use super::draw::Share;
use super::names::{CALLS, GROUPS, JOBS, ROWS};
use super::spec::{Act, CallRule, Point, Target, When};
use super::*;

fn spec(text: &str) -> FaultSpec {
    text.parse().unwrap_or_else(|error| panic!("{error}"))
}

fn refusal(text: &str) -> String {
    text.parse::<FaultSpec>().unwrap_err().to_string()
}

#[test]
fn a_text_is_read_in_whatever_dress() {
    let read =
        spec("seed=7,create+upload:done-reset=5%, *:503:2s=#3\n row-lock=0.01 clock:-90m=#9..");
    let rule =
        |targets: &[Target], fault, when| CallRule { targets: targets.to_vec(), fault, when };
    let expected = FaultSpec {
        seed: Some(7),
        rows: vec![(RowFault::Lock, Share(10_000))],
        clock: vec![(-5_400_000, When::Numbers(vec![(9, u64::MAX)]))],
        calls: vec![
            rule(
                &[Target::One(Call::Create), Target::One(Call::Upload)],
                CallFault::Connection(Act::Reset, Point::Done),
                When::Share(Share(50_000)),
            ),
            rule(
                &[Target::All],
                CallFault::Status { code: 503, html: false, done: false, retry_after: Some(2_000) },
                When::Numbers(vec![(3, 3)]),
            ),
        ],
        ..FaultSpec::default()
    };
    assert_eq!(read, expected);
    assert_eq!(
        read.to_string(),
        "seed=7,row-lock=1%,clock:-90m=#9..,create+upload:done-reset=5%,*:503:2s=#3"
    );
    assert!(spec("").is_empty() && spec(" seed=7 ").is_empty() && !read.is_empty());
}

#[test]
fn what_is_wrong_is_named_with_what_is_known() {
    for (text, parts) in [
        ("seed=7,limit", &["`limit` has no value", "NAME=VALUE"][..]),
        ("sead=7", &["`sead=7`: there is no `sead`", "seed, limit", "row-lock", "job-fails"]),
        ("uplaod:reset=5%", &["there is no call `uplaod`", "create, upload", "writes", "*"]),
        ("create+:reset=5%", &["there is no call ``"]),
        ("upload:rest=5%", &["there is no fault `rest`", "reset-in-request", "done-503-html"]),
        ("upload:=5%", &["there is no fault ``"]),
        ("upload:reset=5", &["`5` is no share such as `5%`", "#3"]),
        ("upload:reset=101%", &["`101%` is no share"]),
        ("upload:reset=0.0000001", &["is no share"]),
        ("upload:reset=#0", &["`#0` is no share"]),
        ("upload:reset=#5..3", &["`#5..3`"]),
        ("upload:reset=#3+", &["`#3+`"]),
        ("row-lock=#3", &["`#3` is no share; write a percentage"]),
        ("seed=-1", &["`-1` is no whole number"]),
        ("seed=", &["`` is no whole number"]),
        ("upload:stall:5=1%", &["`5` is no duration", "800ms"]),
        ("upload:stall:0s=1%", &["`0s` is no duration"]),
        ("upload:reset:5s=1%", &["`reset` takes no duration"]),
        ("start-delay=5", &["`5` is no duration"]),
        ("clock:25h=#3", &["`25h` is no jump of the clock"]),
        (
            "info:reset-in-request=1%",
            &[
                "`reset-in-request` can strike create, upload, close, abort, query-create, query-abort, \
              token only",
            ],
        ),
        (
            "create:cut=1%",
            &["`cut` can strike successful, failed, unprocessed, query-results only"],
        ),
        (
            "*:refused=1%,create:refused=1%",
            &["`create:refused=1%`", "`refused` can strike token only"],
        ),
        ("seed=1,seed=2", &["`seed=2`: `seed` is there already"]),
    ] {
        let told = refusal(text);
        for part in parts {
            assert!(told.contains(part), "{text}: {told}");
        }
    }
}

fn when() -> impl Strategy<Value = When> {
    let range = (1..1_000_u64, 0..100_u64, any::<bool>())
        .prop_map(|(first, more, open)| (first, if open { u64::MAX } else { first + more }));
    prop_oneof![
        (0..=1_000_000_u32).prop_map(|share| When::Share(Share(share))),
        prop::collection::vec(range, 1..4).prop_map(When::Numbers),
    ]
}

fn rule() -> impl Strategy<Value = CallRule> {
    let targets: Vec<Target> = CALLS
        .iter()
        .map(|(_, call)| Target::One(*call))
        .chain(GROUPS.iter().map(|(_, group)| *group))
        .collect();
    let targets = prop::collection::vec(prop::sample::select(targets), 1..4);
    let fault = (prop::sample::select(CallFault::all()), prop::option::of(1..u64::MAX / 2))
        .prop_map(|(fault, ms)| ms.and_then(|ms| fault.with_argument(ms)).unwrap_or(fault));
    (targets, fault, when())
        .prop_map(|(targets, fault, when)| CallRule { targets, fault, when })
        .prop_filter("it can strike", |rule| CALLS.iter().any(|(_, call)| rule.covers(*call)))
}

fn number() -> impl Strategy<Value = Option<u64>> {
    prop::option::of(any::<u64>())
}

fn any_spec() -> impl Strategy<Value = FaultSpec> {
    let share = || (0..=1_000_000_u32).prop_map(Share);
    let rows = (prop::sample::select(ROWS.map(|(_, fault)| fault).to_vec()), share());
    let jobs = (prop::sample::select(JOBS.map(|(_, fault)| fault).to_vec()), when());
    let jump =
        (1..10_i64.pow(12), any::<bool>()).prop_map(|(by, back)| if back { -by } else { by });
    (
        (number(), number(), number(), number(), number(), number(), number(), number()),
        (
            prop::option::of(1..u64::MAX / 2),
            prop::option::of(share()),
            number(),
            number(),
            number(),
        ),
        prop::collection::vec(rows, 0..4),
        prop::collection::vec(jobs, 0..4),
        prop::collection::vec((jump, when()), 0..3),
        prop::collection::vec(rule(), 0..5),
    )
        .prop_map(|(knobs, more, rows, jobs, clock, calls)| FaultSpec {
            seed: knobs.0,
            limit: knobs.1,
            calm_after: knobs.2,
            session_calls: knobs.3,
            storage: knobs.4,
            daily_batches: knobs.5,
            daily_requests: knobs.6,
            rows_per_second: knobs.7,
            start_delay: more.0,
            parent_locks: more.1,
            daily_query_jobs: more.2,
            query_records_per_second: more.3,
            download_bytes_per_second: more.4,
            rows,
            jobs,
            clock,
            calls,
        })
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(spec in any_spec()) {
        prop_assert_eq!(spec.to_string().parse::<FaultSpec>().unwrap(), spec);
    }

    #[test]
    fn no_text_is_a_panic(text in "[a-z0-9:=+#%.,* -]{0,40}") {
        let _ = text.parse::<FaultSpec>();
    }
}

/// Numbers of calls that are struck, out of so many.
fn struck(text: &str, call: Call, calls: u64) -> Vec<u64> {
    let spec = spec(text);
    (1..=calls).filter(|number| spec.strikes(call, *number).is_some()).collect()
}

#[test]
fn a_seed_decides_and_another_decides_otherwise() {
    let once = struck("seed=1,upload:reset=5%", Call::Upload, 10_000);
    assert!((400..600).contains(&once.len()), "{}", once.len());
    assert_eq!(once, struck("seed=1,upload:reset=5%", Call::Upload, 10_000));
    assert_ne!(once, struck("seed=2,upload:reset=5%", Call::Upload, 10_000));
    // Neither other rules nor a longer list of calls change who is struck.
    let beside = "seed=1,upload+create:reset=5%,info:503=50%,row-lock=9%";
    assert_eq!(once, struck(beside, Call::Upload, 10_000));
    assert_ne!(once, struck(beside, Call::Create, 10_000));
    assert_eq!(struck("upload:reset=100%", Call::Upload, 50).len(), 50);
    assert_eq!(struck("upload:reset=0%", Call::Upload, 50).len(), 0);
    assert_eq!(struck("upload:reset=#2+4..5+48..", Call::Upload, 50), [2, 4, 5, 48, 49, 50]);
    assert_eq!(struck("reads:503=#1..", Call::Upload, 50).len(), 0);
}

#[test]
fn the_order_in_which_calls_come_does_not_matter() {
    let text = "seed=9,writes:reset=30%,info:503=30%";
    let (one, other) = (Faults::new(&spec(text)), Faults::new(&spec(text)));
    let mut seen = Vec::new();
    for _ in 0..100 {
        seen.push((one.on_call(Call::Create), one.on_call(Call::Info)));
    }
    let infos: Vec<_> = (0..100).map(|_| other.on_call(Call::Info)).collect();
    let creates: Vec<_> = (0..100).map(|_| other.on_call(Call::Create)).collect();
    assert!(seen.iter().copied().eq(creates.into_iter().zip(infos)));
}

#[test]
fn the_first_rule_that_hits_is_the_one() {
    let found = spec("upload:reset=#2,upload:503=#1..").strikes(Call::Upload, 2).unwrap();
    assert_eq!(found.name(), "upload:reset");
    let found = spec("upload:reset=#2,upload:503=#1..").strikes(Call::Upload, 1).unwrap();
    assert_eq!(found.name(), "upload:503");
}

#[test]
fn it_becomes_calm() {
    let faults = Faults::new(&spec("limit=3,*:503=100%"));
    assert_eq!((0..5).filter(|_| faults.take("x")).count(), 3);
    assert_eq!(faults.on_call(Call::Info), (0, None));
    assert_eq!(faults.injected(), BTreeMap::from([("x".to_owned(), 3)]));
    let faults = Faults::new(&spec("calm-after=2,info:503=100%,clock:+1h=#1..,session-calls=1"));
    assert!(faults.session_calls().is_some());
    for calm in [false, false, true, true] {
        let (jump, struck) = faults.on_call(Call::Info);
        assert_eq!((jump == 0, struck.is_none()), (calm, calm));
    }
    assert!(faults.session_calls().is_none() && !faults.take("row-lock"));
}

#[test]
fn the_first_batch_holds_a_parent_until_its_job_ends() {
    let faults = Faults::new(&spec("parent-locks=100%"));
    let parent = RecordKey::new("001", 1);
    let locked = |batch| faults.parent_is_locked(parent, batch, 0);
    assert!(!locked((1, 0)) && !locked((1, 0)), "its own");
    assert!(locked((1, 1)), "another batch of the job");
    assert!(locked((2, 0)), "another job");
    assert!(!faults.parent_is_locked(RecordKey::new("001", 2), (2, 0), 0), "another parent");
    faults.release(1);
    assert!(!locked((2, 0)));
    assert!(locked((1, 0)));
}
