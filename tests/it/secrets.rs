//! Quiet about secrets and data (I8): whatever a run writes, of what it must
//! not tell nothing is in it.

use std::path::{Path, PathBuf};

use crate::support::{Place, Said, Server};

/// Cells that occur nowhere but in the source. One in a good row, one in a row
/// that the org refuses and quotes in its reason, one in a row that is
/// rejected for its own sake.
const CELLS: [&str; 3] = ["Quixotic Bicycles", "zyzzyva-at-nowhere", "perhapsmaybe"];

const SOURCE: &str = "Legacy_Id__c,Name,Email__c,Active__c,AnnualRevenue\n\
    K1,Quixotic Bicycles,a@example.com,true,1\n\
    K2,Two,zyzzyva-at-nowhere,true,2\n\
    K3,Three,c@example.com,perhapsmaybe,3\n\
    K4,Quixotic Bicycles,d@example.com,true,zyzzyva-at-nowhere\n\
    K5,Quixotic Bicycles,too,many,cells,here\n";

/// Whether there is an access token somewhere: `00D`, the rest of an org's id,
/// and an exclamation mark.
pub(crate) fn has_token(bytes: &[u8]) -> bool {
    bytes.windows(3).enumerate().filter(|(_, three)| three == b"00D").any(|(at, _)| {
        let rest = &bytes[at..];
        let id = rest.iter().take_while(|byte| byte.is_ascii_alphanumeric()).count();
        (15..=18).contains(&id) && rest.get(id) == Some(&b'!')
    })
}

pub(crate) fn has(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

/// Every file below a folder.
pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found
}

/// What may hold the values of rows: result files, and outcome files, which
/// keep the org's reasons (docs/ledger.md).
fn may_hold_cells(path: &Path) -> bool {
    let ending = path.extension().and_then(|ending| ending.to_str());
    matches!(ending, Some("csv" | "outcomes" | "rejected"))
}

/// Everything that was written: streams and files, each with a name and
/// whether it may hold cells.
fn written(place: &Place, said: &Said) -> Vec<(String, Vec<u8>, bool)> {
    let mut all = vec![
        ("stdout".to_owned(), said.stdout.clone().into_bytes(), false),
        ("stderr".to_owned(), said.stderr.clone().into_bytes(), false),
    ];
    for path in files(place.path()) {
        let name = path.strip_prefix(place.path()).unwrap().display().to_string();
        all.push((name, std::fs::read(&path).unwrap(), may_hold_cells(&path)));
    }
    all
}

/// Where something is told that must not be.
fn leaks(all: &[(String, Vec<u8>, bool)], secret: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (name, bytes, may_hold_cells) in all {
        if has_token(bytes) {
            found.push(format!("{name}: an access token"));
        }
        if has(bytes, secret) {
            found.push(format!("{name}: the client secret"));
        }
        for cell in CELLS.iter().filter(|_| !may_hold_cells) {
            if has(bytes, cell) {
                found.push(format!("{name}: the cell `{cell}`"));
            }
        }
    }
    found
}

#[test]
fn a_leak_is_noticed() {
    let told = |name: &str, text: &str, may| (name.to_owned(), text.as_bytes().to_vec(), may);
    let all = [
        told("a", "Bearer 00DLo0000000001!AQxyz", true),
        told("b", "id 00DLo0000000001MAA, fine!", false),
        told("c", "secret=hush&x", true),
        told("d", "row of Quixotic Bicycles", false),
        told("e", "row of Quixotic Bicycles", true),
    ];
    let found = leaks(&all, "hush");
    assert_eq!(
        found,
        ["a: an access token", "c: the client secret", "d: the cell `Quixotic Bicycles`"]
    );
}

#[test]
fn no_secret_and_no_cell_is_told_outside_of_result_files() {
    // Paced and with a short token life, so that it is renewed on the way.
    let server = Server::in_memory(&["--speed", "2", "--token-lifetime", "1"]);
    let secret = server.secret();
    // The log on stderr, among the events, and in a file of its own.
    for more in [&["-vv", "--progress", "plain"][..], &["-vv", "--log-file", "log.txt", "--json"]] {
        let place = Place::new();
        let outside = tempfile::tempdir().unwrap();
        let source = outside.path().join("accounts.csv");
        std::fs::write(&source, SOURCE).unwrap();
        let mut args = vec!["load", source.to_str().unwrap(), "--object", "Account"];
        args.extend(["--operation", "upsert", "--external-id", "Legacy_Id__c"]);
        args.extend(more);
        if more.contains(&"--json") {
            args.extend(["--progress", "json"]);
        }
        let said = place.run_on(&server, &args);
        assert_eq!(said.code, 3, "{}", said.stderr);
        let rows = &place.summary()["rows"];
        assert_eq!((&rows["succeeded"], &rows["failed"]), (&1.into(), &2.into()), "{rows}");
        assert_eq!(rows["rejected"], 2, "{rows}");

        let all = written(&place, &said);
        assert_eq!(leaks(&all, &secret), Vec::<String>::new());
        // It was looked for in the right places: the values are in the files
        // where they belong, and the log, the ledger and the summary say a lot.
        let named = |name: &str| all.iter().find(|(found, ..)| found.ends_with(name)).unwrap();
        assert!(has(&named("success.csv").1, CELLS[0]));
        assert!(has(&named("failed.csv").1, CELLS[1]));
        assert!(has(&named("rejected.csv").1, CELLS[2]));
        assert!(has(&named("ledger.sqlite").1, "Legacy_Id__c"));
        assert!(has(&named("summary.json").1, "INVALID_EMAIL_ADDRESS"));
        let log = if more.contains(&"--log-file") { "log.txt" } else { "stderr" };
        assert!(has(&named(log).1, "session renewed"), "{}", said.stderr);
    }
}

#[test]
fn a_refused_login_is_told_without_its_secret() {
    let server = Server::in_memory(&[]);
    let place = Place::new();
    let wrong = "hush-hush-4711";
    let mut command = place.command_on(&server, &["limits", "-vv", "--log-file", "log.txt"]);
    let said = Said::from(command.env("BULKHAUL_CLIENT_SECRET", wrong).output().unwrap());
    assert_eq!(said.code, 2, "{}", said.stderr);
    assert_eq!(leaks(&written(&place, &said), wrong), Vec::<String>::new());
}
