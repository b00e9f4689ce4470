//! Bad input and what it gets: the sentence a person reads, the exit code, and
//! nothing sent that shouldn't be.

use std::path::Path;

use crate::support::{Place, Server, json};

/// What a load of a source is told, after its folder's name was taken out.
struct Told {
    code: i32,
    text: String,
}

fn load(place: &Place, server: &Server, sources: &[&str], more: &[&str]) -> Told {
    let fixed = if more.contains(&"--operation") {
        vec!["--object", "Account"]
    } else {
        vec!["--object", "Account", "--operation", "insert"]
    };
    let said = place.run_on(server, &[&["load"], sources, &fixed[..], more].concat());
    let folder = format!("{}/", place.path().display());
    Told { code: said.code, text: said.stderr.replace(&folder, "") }
}

/// A load that is refused before anything is sent: exit 2, no job, no record,
/// no run folder.
fn refused(name: &str, content: impl AsRef<[u8]>, more: &[&str]) -> String {
    let (place, server) = (Place::new(), Server::in_memory(&[]));
    let path = place.file(name, content);
    let told = load(&place, &server, &[path.to_str().unwrap()], more);
    assert_eq!(told.code, 2, "{}", told.text);
    nothing_happened(&place, &server);
    told.text
}

fn nothing_happened(place: &Place, server: &Server) {
    assert!(server.jobs().is_empty());
    assert_eq!(server.count("Account"), 0);
    let runs = place.path().join("bulkhaul-runs");
    let left = std::fs::read_dir(runs).map_or(0, |entries| {
        entries
            .filter(|entry| {
                let name = entry.as_ref().unwrap().file_name();
                !name.to_string_lossy().starts_with('.')
            })
            .count()
    });
    assert_eq!(left, 0, "a refused load leaves no run folder");
}

#[test]
fn files_that_are_no_source() {
    insta::assert_snapshot!("empty_file", refused("a.csv", "", &[]));
    insta::assert_snapshot!("only_blank_lines", refused("a.csv", "\n\r\n\n", &[]));
    insta::assert_snapshot!("zip_archive", refused("a.csv", b"PK\x03\x04\x14\0\x08\0", &[]));
    let mut junk = vec![0u8; 4096];
    let mut state = 7u32;
    for byte in &mut junk {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        *byte = (state >> 24) as u8;
    }
    junk[0] = 0x9C;
    let told = refused("junk.csv", &junk, &[]);
    assert!(told.contains("junk.csv"), "{told}");
    insta::assert_snapshot!("nul_byte", refused("a.csv", b"Name,Phone\nA,1\nB,\x002\n", &[]));
    insta::assert_snapshot!("cut_gzip", refused("a.csv.gz", b"\x1F\x8B\x08\0\0\0\0\0\0\x03", &[]));
    insta::assert_snapshot!("cut_parquet", refused("a.parquet", b"PAR1 and no more", &[]));
    insta::assert_snapshot!(
        "utf16_without_mark",
        refused("a.csv", "Name\nA\n".bytes().flat_map(|b| [b, 0]).collect::<Vec<u8>>(), &[])
    );
}

#[test]
fn places_where_there_is_no_source() {
    let (place, server) = (Place::new(), Server::in_memory(&[]));
    let at = |name: &str| place.path().join(name).to_str().unwrap().to_owned();
    std::fs::create_dir(place.path().join("empty")).unwrap();
    std::fs::create_dir(place.path().join("other")).unwrap();
    place.file("other/readme.md", "no rows");
    let told = |source: &str| {
        let told = load(&place, &server, &[&at(source)], &[]);
        assert_eq!(told.code, 2, "{}", told.text);
        told.text
    };
    insta::assert_snapshot!("missing_file", told("none.csv"));
    insta::assert_snapshot!("missing_folder", told("no/where.csv"));
    insta::assert_snapshot!("pattern_without_files", told("*.csv"));
    insta::assert_snapshot!("folder_without_files", told("empty"));
    insta::assert_snapshot!("folder_of_other_files", told("other"));
    nothing_happened(&place, &server);
}

#[test]
fn headers_that_cannot_be_loaded() {
    insta::assert_snapshot!("duplicate_names", refused("a.csv", "Name,Phone,name\nA,1,B\n", &[]));
    insta::assert_snapshot!("blank_names", refused("a.csv", "Name,,Phone, \nA,1,2,3\n", &[]));
    let names: Vec<String> = (0..5001).map(|n| format!("Field_{n}__c")).collect();
    insta::assert_snapshot!("too_many_columns", refused("a.csv", names.join(","), &[]));
    insta::assert_snapshot!("unknown_field", refused("a.csv", "Name,Fone\nA,1\n", &[]));
    insta::assert_snapshot!("unclosed_header", refused("a.csv", "Name,\"Phone\nA,1\n", &[]));
    insta::assert_snapshot!(
        "update_without_id",
        refused("a.csv", "Name\nA\n", &["--operation", "update"])
    );
    insta::assert_snapshot!(
        "upsert_without_external_id",
        refused("a.csv", "Name\nA\n", &["--operation", "upsert", "--external-id", "Legacy_Id__c"])
    );
    insta::assert_snapshot!(
        "delete_with_more_columns",
        refused("a.csv", "Id,Name\n001000000000001AAA,A\n", &["--operation", "delete", "--yes"])
    );
    let (place, server) = (Place::new(), Server::in_memory(&[]));
    let path = place.file("a.csv", "Name\nA\n");
    let args = ["load", path.to_str().unwrap(), "--object", "Acount", "--operation", "insert"];
    let said = place.run_on(&server, &args);
    assert_eq!(said.code, 2, "{said:?}");
    insta::assert_snapshot!("unknown_object", said.stderr);
    nothing_happened(&place, &server);
}

#[test]
fn an_unclosed_quote_names_the_row_it_began_in() {
    let mut text = String::from("Name,Phone\n");
    for row in 1..=500 {
        text += &format!("A{row},{row}\n");
    }
    text += "\"B,501\nC,502\nD,503\n";
    insta::assert_snapshot!("unclosed_quote", refused("a.csv", text, &[]));
}

#[test]
fn files_with_other_headers_are_refused_by_name() {
    let (place, server) = (Place::new(), Server::in_memory(&[]));
    let one = place.file("one.csv", "Name,Phone\nA,1\n");
    let other = place.file("other.csv", "Name,Website\nB,x\n");
    let told = load(&place, &server, &[one.to_str().unwrap(), other.to_str().unwrap()], &[]);
    assert_eq!(told.code, 2, "{}", told.text);
    insta::assert_snapshot!("other_headers", told.text);
    nothing_happened(&place, &server);
    let parquet = crate::support::fixture("parquet/accounts.parquet");
    let told = load(&place, &server, &[one.to_str().unwrap(), &parquet], &[]);
    assert_eq!(told.code, 2, "{}", told.text);
    assert!(told.text.contains("load them apart"), "{}", told.text);
    nothing_happened(&place, &server);
}

#[test]
fn a_header_without_rows_is_a_success() {
    let (place, server) = (Place::new(), Server::in_memory(&[]));
    let path = place.file("a.csv", "Name,Phone\n");
    let told = load(&place, &server, &[path.to_str().unwrap()], &["--progress", "none"]);
    assert_eq!(told.code, 0, "{}", told.text);
    assert!(server.jobs().is_empty());
    assert_eq!(place.summary()["rows"]["read"], 0);
}

/// Rows that are wrong by themselves are rejected with their place; the others
/// go.
#[test]
fn rows_that_are_wrong_do_not_hold_the_others_up() {
    let (place, server) = (Place::new(), Server::in_memory(&[]));
    let mut text = b"Name,Phone,Description\n".to_vec();
    text.extend_from_slice(b"A,1,fine\n");
    text.extend_from_slice(b"B,\xFF\xFE,bad bytes\n");
    text.extend_from_slice(b"C,3\n");
    text.extend_from_slice(b"D,4,x,too many\n");
    text.extend_from_slice(format!("E,5,{}\n", "x".repeat(131_073)).as_bytes());
    text.extend_from_slice(
        format!("F,{},\"{}\"\n", "5".repeat(131_000), "y ".repeat(65_000)).as_bytes(),
    );
    text.extend_from_slice(b"\"G\"x,7,behind\n");
    text.extend_from_slice(b"\n\nH,8,fine\n");
    let path = place.file("a.csv", text);
    let told = load(&place, &server, &[path.to_str().unwrap()], &["--progress", "none"]);
    assert_eq!(told.code, 3, "{}", told.text);
    let rejected: Vec<String> = place
        .result("rejected.csv")
        .iter()
        .map(|row| format!("row {}: {}", row["bulkhaul__Row"], row["bulkhaul__Error"]))
        .collect();
    insta::assert_snapshot!("rejected_rows", rejected.join("\n"));
    let rows = place.summary()["rows"].clone();
    assert_eq!((&rows["read"], &rows["rejected"]), (&8.into(), &5.into()));
    // The cell of F is no longer than a cell may be; the field of the org is
    // shorter, and that is the org's to say.
    assert_eq!((&rows["succeeded"], &rows["failed"]), (&2.into(), &1.into()));
    assert_eq!(server.count("Account"), 2);
}

#[test]
fn a_row_of_400_001_characters_is_rejected_and_one_less_is_not() {
    let (place, server) = (Place::new(), Server::in_memory(&[]));
    let row = |extra: usize| {
        // Four cells, three delimiters, and no more than 131,072 characters in
        // any cell.
        let cells = ["a".repeat(100_000), "b".repeat(100_000), "c".repeat(100_000)];
        let last = "d".repeat(99_997 + extra);
        format!("{},{},{},{last}", cells[0], cells[1], cells[2])
    };
    let text = format!("Name,Phone,Site,Description\n{}\n{}\n", row(0), row(1));
    let path = place.file("a.csv", text);
    let told = load(&place, &server, &[path.to_str().unwrap()], &["--progress", "none"]);
    assert_eq!(told.code, 3, "{}", told.text);
    let rejected = place.result("rejected.csv");
    assert_eq!(rejected.len(), 1);
    assert_eq!(rejected[0]["bulkhaul__Row"], "2");
    insta::assert_snapshot!(
        rejected[0]["bulkhaul__Error"],
        @"400001 characters, the service takes 400,000 in a row (the row begins at byte 400029)"
    );
    // The other one is within the limit of a row; its fields are shorter, which
    // is the org's to say.
    assert_eq!(place.result("failed.csv")[0]["bulkhaul__Row"], "1");
}

#[test]
fn a_run_folder_that_cannot_be_made_is_told() {
    let (place, server) = (Place::new(), Server::in_memory(&[]));
    let path = place.file("a.csv", "Name\nA\n");
    place.file("runs", "a file where the runs folder should be");
    let runs = place.path().join("runs");
    let told =
        load(&place, &server, &[path.to_str().unwrap()], &["--runs-dir", runs.to_str().unwrap()]);
    assert_eq!(told.code, 2, "{}", told.text);
    assert!(told.text.contains("runs"), "{}", told.text);
    assert!(server.jobs().is_empty());
}

#[test]
fn the_standard_input_that_is_none_or_not_alone_is_refused() {
    let (place, server) = (Place::new(), Server::in_memory(&[]));
    let path = place.file("a.csv", "Name\nA\n");
    let told = load(&place, &server, &["-", path.to_str().unwrap()], &[]);
    assert_eq!(told.code, 2, "{}", told.text);
    assert!(told.text.contains("no other source"), "{}", told.text);
    // Of a scheduler it is /dev/null: nothing, told as such.
    let told = load(&place, &server, &["-"], &[]);
    assert_eq!(told.code, 2, "{}", told.text);
    assert!(told.text.contains("is empty"), "{}", told.text);
    nothing_happened(&place, &server);
}

#[test]
fn encodings_and_zones_that_are_none_are_refused() {
    let told = refused("a.csv", "Name\nA\n", &["--encoding", "klingon"]);
    assert!(told.contains("`klingon` is no encoding"), "{told}");
    let (place, server) = (Place::new(), Server::in_memory(&[]));
    let parquet = crate::support::fixture("parquet/accounts.parquet");
    let told = load(&place, &server, &[&parquet], &["--timezone", "Mars/Olympus"]);
    assert_eq!(told.code, 2, "{}", told.text);
    assert!(told.text.contains("Mars/Olympus"), "{}", told.text);
    nothing_happened(&place, &server);
}

#[test]
fn parquet_files_that_cannot_be_loaded_are_refused_in_words() {
    let (place, server) = (Place::new(), Server::in_memory(&[]));
    for (name, words) in [
        ("nested", "nested"),
        ("encrypted-footer", "encrypted"),
        ("encrypted-columns", "encrypted"),
        ("no-columns", "column"),
        ("interval", "interval"),
    ] {
        let file = crate::support::fixture(&format!("parquet/{name}.parquet"));
        assert!(Path::new(&file).exists());
        let told = load(&place, &server, &[&file], &[]);
        assert_eq!(told.code, 2, "{name}: {}", told.text);
        assert!(told.text.contains(words), "{name}: {}", told.text);
    }
    nothing_happened(&place, &server);
    let rows = crate::support::fixture("parquet/no-rows.parquet");
    let said = place.run_on(&server, &["head", &rows, "--json"]);
    assert_eq!(json(&said)["rows_seen"], 0);
}
