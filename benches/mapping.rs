//! How fast rows are made by a mapping: 20 fields with dates, numbers, two value
//! maps, a lookup file and a mask, on one core, batches from memory. The
//! throughput is that of the source.
//!
//! With `BULKHAUL_BESIDE=FOLDER` it makes one file of another instead, as
//! benches/mapping.sh wants it beside other tools.

#![expect(clippy::panic, reason = "a bench that can't begin must not measure nothing")]

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use bulkhaul::domain::{ObjectDescription, Operation};
use bulkhaul::mapping::{Mapping, Secrets};
use bulkhaul::pipeline::TableReader;
use bulkhaul::reader::{Source, SourceOptions};
use bulkhaul::rows::{RawBatch, SourceRows as _};
use bulkhaul::transformer::{EmptyMeans, LoadSpec, Plan, compile};
use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};

/// About 70 MB.
const ROWS: u64 = 250_000;

const COLUMNS: [&str; 20] = [
    "Nr",
    "Firma",
    "Rechtsform",
    "Strasse",
    "Hausnr",
    "PLZ",
    "Ort",
    "Land",
    "Telefon",
    "Mail",
    "Branche",
    "Umsatz",
    "Mitarbeiter",
    "Rabatt",
    "Beginn",
    "Zuletzt",
    "Aktiv",
    "Segmente",
    "Betreuer",
    "Bemerkung",
];

/// What is measured.
#[derive(Debug, Clone, Copy)]
enum Kind {
    /// Every column by another name: the pass-through.
    Identity,
    /// Every column trimmed.
    Trimmed,
    /// What a legacy export needs; values repeat as they do there.
    Legacy,
    /// The same where streets, towns and remarks stand once each: the worst
    /// case of remembering what a cell came to.
    Distinct,
}

fn main() {
    if let Some(folder) = std::env::var_os("BULKHAUL_BESIDE") {
        return beside(Path::new(&folder));
    }
    // One core: what a mapping costs, not how many there are.
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build_global();
    or_panic(pool);
    divan::main();
}

fn or_panic<T, E: std::fmt::Display>(result: Result<T, E>) -> T {
    result.unwrap_or_else(|error| panic!("{error}"))
}

/// A number that looks drawn, of a row and a column.
fn drawn(row: u64, column: u64, below: u64) -> u64 {
    let mut mixed =
        row.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ column.wrapping_mul(0xD6E8_FEB8_6659_FD93);
    for _ in 0..2 {
        mixed = (mixed ^ mixed >> 31).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    }
    (mixed >> 16) % below
}

fn write_source(path: &Path, kind: Kind) {
    let mut text = COLUMNS.join(";") + "\n";
    for row in 0..ROWS {
        let of = |column: u64, below: u64| drawn(row, column, below);
        let branch = ["MB", "BK", "LM", "IT", "TR"][of(1, 5) as usize];
        let land = ["D", "A", "CH"][of(2, 3) as usize];
        let active = ["ja", "nein", ""][of(3, 3) as usize];
        // Towns and streets as often as there are such; in the worst case each
        // value stands once.
        let (town, street, remark) = match kind {
            Kind::Distinct => (row, row, row),
            _ => (of(4, 8_000), of(5, 20_000), of(6, 30_000)),
        };
        let _ = writeln!(
            text,
            "K{row:08};Müller und Söhne {row};GmbH;Am Güterbahnhof {street};{};{:05};Frankfurt \
             {town};{land};069 / {:07};Info{row}@Firma.example.com;{branch};{}.{:03}.{:03},{:02} \
             €;{};{},5;{:02}.{:02}.{};{:02}.{:02}.{} {:02}:{:02};{active};KMU, Partner;M{};Zahlt \
             per Rechnung, Ansprechpartner wie im Vorjahr {remark}",
            of(7, 200) + 1,
            of(8, 100_000),
            of(9, 10_000_000),
            of(10, 9) + 1,
            of(11, 1_000),
            of(12, 1_000),
            of(13, 100),
            of(14, 5_000),
            of(15, 40),
            of(16, 28) + 1,
            of(17, 12) + 1,
            1990 + of(18, 35),
            of(19, 28) + 1,
            of(20, 12) + 1,
            2015 + of(21, 10),
            of(22, 24),
            of(23, 60),
            of(24, 500),
        );
    }
    or_panic(std::fs::write(path, text));
}

fn mapping(kind: Kind) -> String {
    match kind {
        Kind::Identity => names("F", |column| format!("\"{column}\"")),
        Kind::Trimmed => {
            "[defaults]\ntrim = true\n".to_owned() + &names("F", |column| format!("\"{column}\""))
        }
        Kind::Legacy | Kind::Distinct => LEGACY.to_owned(),
    }
}

fn names(prefix: &str, value: impl Fn(&str) -> String) -> String {
    let entries = COLUMNS.iter().enumerate();
    let entries = entries.map(|(at, column)| format!("{prefix}{at} = {}\n", value(column)));
    "[fields]\n".to_owned() + &entries.collect::<String>()
}

const LEGACY: &str = r#"
secret_env = "KEY"
[defaults]
trim = true
decimal = ","
grouping = "."
timezone = "Europe/Berlin"
[fields]
F0 = "Nr"
F1 = { template = "{Firma} {Rechtsform}" }
F2 = { template = "{Strasse} {Hausnr}" }
F3 = "PLZ"
F4 = { column = "Ort", case = "upper" }
F5 = { column = "Land", map = { D = "Germany", A = "Austria", CH = "Switzerland" } }
F6 = { column = "Telefon", replace = [{ pattern = "[^+0-9]", with = "" }] }
F7 = { column = "Mail", case = "lower", mask = "email" }
F8 = { column = "Branche", map = { MB = "Machinery", BK = "Banking", LM = "Food", IT = "Technology", TR = "Transportation" } }
F9 = { column = "Umsatz", number = { currency = "€", scale = 2 } }
F10 = { column = "Mitarbeiter", number = true }
F11 = { column = "Rabatt", number = true, default = 0 }
F12 = { column = "Beginn", date = "dd.MM.yyyy" }
F13 = { column = "Zuletzt", datetime = { formats = ["dd.MM.yyyy HH:mm"], gap = "later", overlap = "earlier" } }
F14 = { column = "Aktiv", boolean = { true = ["ja"], false = ["nein"] }, default = false }
F15 = { column = "Segmente", split = "," }
F16 = { column = "Betreuer", lookup = "owners" }
F17 = { column = "Bemerkung", strip = ["html", "control"], truncate = 255 }
F18 = { constant = "Customer" }
F19 = { column = "Firma", substring = { length = 10 } }
[lookups.owners]
file = "owners.csv"
key = "Code"
value = "Id"
"#;

/// The 20 fields, from `source.csv` to `bulkhaul.csv`, on as many threads as
/// `RAYON_NUM_THREADS` says and one that reads. Files that are not there are
/// made, and that is all then.
///
/// The mask is a hash here, which others can make, too; with
/// `BULKHAUL_BESIDE_PLAIN` there is none.
fn beside(folder: &Path) {
    let source = folder.join("source.csv");
    if !source.exists() {
        write_source(&source, Kind::Legacy);
        write_owners(folder);
        let plain = std::env::var_os("BULKHAUL_BESIDE_PLAIN").is_some();
        let hash = if plain { "" } else { ", hash = true" };
        let mapping = LEGACY.replace(", mask = \"email\"", hash);
        return or_panic(std::fs::write(folder.join("mapping.toml"), mapping));
    }
    let (source, plan) = compiled(&source, &folder.join("mapping.toml"));
    let file = or_panic(std::fs::File::create(folder.join("bulkhaul.csv")));
    let mut out = std::io::BufWriter::with_capacity(1 << 20, file);
    or_panic(out.write_all(&plan.header_line()));
    // As many batches as a load has ahead of its encoders.
    let (ahead, batches) = std::sync::mpsc::sync_channel(2);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let mut rows = or_panic(source.rows(None));
            while let Some(batch) = or_panic(rows.next_batch()) {
                if ahead.send(batch).is_err() {
                    break;
                }
            }
        });
        for batch in batches {
            let encoded = plan.apply(&batch);
            assert_eq!(encoded.rejections.len(), 0);
            // All rows are written anew, one after the other.
            or_panic(out.write_all(&encoded.side));
        }
    });
    or_panic(out.flush());
}

struct Prepared {
    _dir: tempfile::TempDir,
    batches: Vec<RawBatch>,
    bytes: u64,
    plan: Plan,
}

fn write_owners(folder: &Path) {
    let mut owners = String::from("Code,Id\n");
    for owner in 0..500 {
        let _ = writeln!(owners, "M{owner},0050000000{owner:05}");
    }
    or_panic(std::fs::write(folder.join("owners.csv"), owners));
}

fn prepare(kind: Kind) -> Prepared {
    let dir = or_panic(tempfile::tempdir());
    let path = dir.path().join("source.csv");
    write_source(&path, kind);
    write_owners(dir.path());
    let file = dir.path().join("mapping.toml");
    or_panic(std::fs::write(&file, mapping(kind)));
    let (source, plan) = compiled(&path, &file);
    let mut rows = or_panic(source.rows(None));
    let mut batches = Vec::new();
    while let Some(batch) = or_panic(rows.next_batch()) {
        batches.push(batch);
    }
    let bytes = batches.iter().map(|batch| batch.bytes.len() as u64).sum();
    Prepared { _dir: dir, batches, bytes, plan }
}

/// A source and the plan that a mapping makes of it.
fn compiled(path: &Path, file: &Path) -> (Source, Plan) {
    let secrets = Secrets::new(|_| Some("a secret for the bench".to_owned().into()));
    let files = TableReader::new(Path::new("/nowhere"));
    let mapping = Mapping::read(file, &secrets, &files)
        .unwrap_or_else(|error| panic!("{:?}", error.problems));
    let source = or_panic(Source::open(&[PathBuf::from(path)], &SourceOptions::default()));
    let fields: Vec<_> = (0..20)
        .map(|at| {
            serde_json::json!({
                "name": format!("F{at}"), "type": "string", "length": 255, "nillable": true,
                "createable": true, "updateable": true,
            })
        })
        .collect();
    let object: ObjectDescription = or_panic(serde_json::from_value(serde_json::json!({
        "name": "Account", "createable": true, "updateable": true, "fields": fields,
    })));
    let keys = vec!["F0".to_owned()];
    let spec = LoadSpec {
        operation: Operation::Insert,
        object: &object,
        external_id: None,
        user_keys: &keys,
        currency: None,
        renames: &[],
        empty: EmptyMeans::Skip,
        mapping: Some(&mapping),
    };
    let plan = compile(&spec, source.header(), source.dialect(), &mut |_| None)
        .unwrap_or_else(|problems| panic!("{problems:?}"));
    (source, plan)
}

#[divan::bench(args = [Kind::Identity, Kind::Trimmed, Kind::Legacy, Kind::Distinct], sample_count = 5)]
fn map(bencher: Bencher, kind: Kind) {
    let it = prepare(kind);
    bencher.counter(BytesCount::new(it.bytes)).counter(ItemsCount::new(ROWS)).bench(|| {
        let rejected: usize =
            it.batches.iter().map(|batch| it.plan.apply(batch).rejections.len()).sum();
        assert_eq!(rejected, 0);
    });
}
