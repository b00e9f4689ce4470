//! Plays a seed: loads, kills, restarts and resumes until the run says that it
//! is complete.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::scenario::{Draw, Kind, Scenario};
use crate::support::{Place, Said, Server, Watched, read_csv};

/// Processes a seed may take: kills and what the faults end with exit 4.
const MOST_PROCESSES: u32 = 60;

/// A row of the source, by column name, and its number.
pub(super) type Row = BTreeMap<String, String>;

/// What a seed came to.
pub(super) struct Played {
    pub(super) place: Place,
    /// The org's folder; nobody uses it any more.
    pub(super) org_dir: PathBuf,
    /// The rows of the source, from the first.
    pub(super) rows: Vec<Row>,
    /// Ids of the jobs that made the records before.
    pub(super) setup_jobs: Vec<String>,
    /// Keys that had a record before, with its id.
    pub(super) before: BTreeMap<String, String>,
    /// What the last process said.
    pub(super) said: Said,
    /// All that was told on the way.
    pub(super) told: String,
    pub(super) counts: Counts,
}

/// What was survived.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) kills: u64,
    pub(super) org_kills: u64,
    pub(super) resumes: u64,
    /// Faults the orgs told of; one that is killed can't tell.
    pub(super) faults: BTreeMap<String, u64>,
}

impl Counts {
    pub(super) fn add(&mut self, other: &Counts) {
        self.kills += other.kills;
        self.org_kills += other.org_kills;
        self.resumes += other.resumes;
        for (name, count) in &other.faults {
            *self.faults.entry(name.clone()).or_default() += count;
        }
    }
}

/// The org of a seed: always at the same address, on the same folder.
struct Org {
    dir: String,
    port: String,
    faults: String,
}

impl Org {
    /// The first start, with its port; below those that systems give out by
    /// themselves, so that nobody takes it while the org is down.
    fn first(dir: &Path, faults: &str, seed: u64) -> (Org, Server) {
        let spread = u64::from(std::process::id()).wrapping_mul(0x9E37_79B9).wrapping_add(seed);
        for next in 0..100 {
            let port = (18_000 + (spread.wrapping_mul(31) + next * 997) % 14_000).to_string();
            let org =
                Org { dir: dir.to_str().unwrap().to_owned(), port, faults: faults.to_owned() };
            if let Ok(server) = org.try_start() {
                return (org, server);
            }
        }
        panic!("no free port");
    }

    fn try_start(&self) -> Result<Server, String> {
        let fixed = ["--dir", &self.dir, "--port", &self.port];
        Server::try_start(&[&fixed[..], &["--faults", &self.faults]].concat())
    }

    fn start(&self) -> Server {
        let mut said = String::new();
        for _ in 0..50 {
            match self.try_start() {
                Ok(server) => return server,
                Err(error) => said = error,
            }
        }
        panic!("the org doesn't come up again: {said}");
    }
}

/// The rows of a seed's source.
fn rows_of(scenario: &Scenario, before: &BTreeMap<String, String>) -> Vec<Row> {
    let ids: Vec<&String> = before.values().collect();
    (1..=scenario.rows)
        .map(|number| {
            let site = match number % 5 {
                0 => format!("Hall {number}, \"north\""),
                1 => String::new(),
                2 => format!("Straße {number}\nHinterhof"),
                _ => format!("Site {number}"),
            };
            let mut row = Row::new();
            let mut put = |name: &str, value: String| row.insert(name.to_owned(), value);
            match scenario.kind {
                Kind::Insert | Kind::ProtectedInsert => {
                    put("Name", format!("Company {}", number % 50));
                    put("AccountNumber", format!("R-{number}"));
                    put("Site", site);
                    if scenario.kind == Kind::ProtectedInsert {
                        put("Legacy_Id__c", format!("L{number:06}"));
                    }
                }
                Kind::Upsert => {
                    put("Legacy_Id__c", format!("L{number:06}"));
                    put("Name", format!("New {number}"));
                    put("Site", site);
                }
                Kind::Update => {
                    put("Id", ids[usize::try_from(number - 1).unwrap()].clone());
                    put("Name", format!("New {number}"));
                    put("Site", site);
                }
                Kind::Delete => {
                    put("Id", ids[usize::try_from(number - 1).unwrap()].clone());
                }
            }
            row
        })
        .collect()
}

/// The source of a seed, and what its mapping needs.
fn write_source(place: &Place, scenario: &Scenario, rows: &[Row]) -> String {
    let mut writer = csv::WriterBuilder::new().flexible(true).from_writer(Vec::new());
    let status = scenario.mapped.then_some("Status");
    let names = rows[0].keys().map(|field| scenario.source_column(field));
    writer.write_record(names.chain(status)).unwrap();
    for (row, number) in rows.iter().zip(1..) {
        let mut cells: Vec<String> =
            row.iter().map(|(field, value)| scenario.source_value(field, value)).collect();
        if scenario.mapped {
            cells.push(if scenario.is_left_out(number) { "x" } else { "" }.to_owned());
        }
        if scenario.is_ragged(number) {
            cells.push("one too many".to_owned());
        }
        writer.write_record(cells).unwrap();
    }
    if scenario.mapped {
        place.file("mapping.toml", scenario.mapping());
        let mut names = csv::Writer::from_writer(Vec::new());
        names.write_record(["old", "new"]).unwrap();
        for (row, number) in rows.iter().zip(1..) {
            if let Some(name) = row.get("Name").filter(|_| !scenario.is_unknown(number)) {
                names.write_record([&name.to_lowercase(), name]).unwrap();
            }
        }
        place.file("names.csv", names.into_inner().unwrap());
    }
    let bytes = writer.into_inner().unwrap();
    place.file("source.csv", bytes).to_str().unwrap().to_owned()
}

/// Records that are there before: all that is updated or deleted, half of what
/// is upserted. Gives their jobs, and the records by key.
fn set_up(
    scenario: &Scenario,
    place: &Place,
    org_dir: &Path,
) -> (Vec<String>, BTreeMap<String, String>) {
    let every = match scenario.kind {
        Kind::Insert | Kind::ProtectedInsert => return (Vec::new(), BTreeMap::new()),
        Kind::Upsert => 2,
        Kind::Update | Kind::Delete => 1,
    };
    let rows: Vec<Row> = (1..=scenario.rows)
        .filter(|number| number % every == 0)
        .map(|number| {
            let key = ("Legacy_Id__c".to_owned(), format!("L{number:06}"));
            Row::from([key, ("Name".to_owned(), format!("Old {number}"))])
        })
        .collect();
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(rows[0].keys()).unwrap();
    for row in &rows {
        writer.write_record(row.values()).unwrap();
    }
    let source = place.file("before.csv", writer.into_inner().unwrap());
    let source = source.to_str().unwrap();
    let server = Server::start(&["--port", "0", "--dir", org_dir.to_str().unwrap()]);
    let upsert = ["--operation", "upsert", "--external-id", "Legacy_Id__c", "--yes", "--json"];
    let args = [&["load", source, "--object", "Account", "--runs-dir", "before"], &upsert[..]];
    let said = place.run_on(&server, &args.concat());
    assert_eq!(said.code, 0, "{said:?}");
    let _ = server.stop();
    let summary: Value = serde_json::from_str(&said.stdout).unwrap();
    let jobs = summary["jobs"].as_array().unwrap();
    let jobs = jobs.iter().map(|job| job["id"].as_str().unwrap().to_owned()).collect();
    let folder = place.path().join(summary["folder"].as_str().unwrap());
    let saved = read_csv(&folder.join("success.csv"));
    let records =
        saved.into_iter().map(|row| (row["Legacy_Id__c"].clone(), row["sf__Id"].clone())).collect();
    (jobs, records)
}

/// Plays a seed to the end of its run.
pub(super) fn play(scenario: &Scenario, draw: &mut Draw) -> Played {
    let place = Place::new();
    let org_dir = place.path().join("org");
    let (setup_jobs, before) = set_up(scenario, &place, &org_dir);
    let rows = rows_of(scenario, &before);
    let source = write_source(&place, scenario, &rows);
    let (org, mut server) = Org::first(&org_dir, &scenario.faults, scenario.seed);
    let mut counts = Counts::default();
    let (mut kills, mut org_kills) = (scenario.kills, scenario.org_kills);
    let mut told = String::new();
    let mut resume = false;
    for _ in 0..MOST_PROCESSES {
        let args = if resume { resume_args() } else { load_args(scenario, &source) };
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        counts.resumes += u64::from(resume);
        let mut running = Watched::start(place.command_on(&server, &args));
        if org_kills > 0 && draw.percent(50) {
            org_kills -= 1;
            if running.pass_lines(lines(draw)) {
                server.kill();
                counts.org_kills += 1;
                server = org.start();
            }
        }
        if kills > 0 && draw.percent(90) {
            kills -= 1;
            if running.pass_lines(lines(draw)) {
                told += running.seen();
                running.kill();
                counts.kills += 1;
                resume = is_begun(&place);
                continue;
            }
        }
        let said = running.end();
        told += &said.stderr;
        if matches!(said.code, 0 | 3) {
            counts.add(&Counts { faults: server.stop(), ..Counts::default() });
            return Played { place, org_dir, rows, setup_jobs, before, said, told, counts };
        }
        may_end_like_this(scenario, &said);
        resume = is_begun(&place);
    }
    panic!("{MOST_PROCESSES} processes didn't bring it to its end:\n{told}");
}

/// How far it comes before it is killed: often early, seldom late.
fn lines(draw: &mut Draw) -> usize {
    let far = draw.between(0, 12);
    usize::try_from(far * far * draw.between(1, 3) / 4).unwrap()
}

/// Whether there is a run to resume. What died before it had one left nothing.
fn is_begun(place: &Place) -> bool {
    let Ok(entries) = std::fs::read_dir(place.path().join("bulkhaul-runs")) else { return false };
    let mut begun = false;
    for entry in entries {
        let folder = entry.unwrap().path();
        if !folder.is_dir() {
            continue;
        }
        let has_source = bulkhaul::ledger::Ledger::open_read_only(&folder.join("ledger.sqlite"))
            .and_then(|ledger| ledger.sources())
            .is_ok_and(|sources| !sources.is_empty());
        if has_source {
            begun = true;
        } else {
            // As it says itself: nothing was sent, delete the folder.
            std::fs::remove_dir_all(&folder).unwrap();
        }
    }
    begun
}

fn load_args(scenario: &Scenario, source: &str) -> Vec<String> {
    let text = |text: &str| text.to_owned();
    let mut args = vec![text("load"), text(source)];
    args.extend(["--object", "Account", "--operation", scenario.operation()].map(text));
    if scenario.kind == Kind::Upsert {
        args.extend(["--external-id", "Legacy_Id__c"].map(text));
    }
    if scenario.mapped {
        args.extend(["--mapping", "mapping.toml"].map(text));
    }
    args.extend(["--chunk-rows", &scenario.chunk_rows.to_string()].map(text));
    args.extend(["--row-attempts", &scenario.row_attempts.to_string()].map(text));
    if scenario.serial {
        args.push(text("--serial"));
    } else {
        args.extend(["--parallel", &scenario.lanes.to_string()].map(text));
    }
    args.extend(["--progress", "json", "--json", "--yes"].map(text));
    args
}

fn resume_args() -> Vec<String> {
    ["resume", "--progress", "json", "--json", "--yes"].map(str::to_owned).to_vec()
}

/// Ends that the faults explain; `resume` goes on after each.
fn may_end_like_this(scenario: &Scenario, said: &Said) {
    let summary: Value = serde_json::from_str(&said.stdout).unwrap_or_default();
    let error = summary["error"]["code"].as_str().unwrap_or_default();
    let explained = match said.code {
        4 => true,
        // The org refused a job as a whole.
        1 => scenario.has("job-invalid"),
        // Before anything was done: the org didn't answer.
        2 => ["unreachable", "org-refused", "login"].contains(&error),
        _ => false,
    };
    assert!(explained, "{said:?}");
}
