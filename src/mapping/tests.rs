//! What a person is told about a mapping file, word for word; files that are
//! fine; and the documents that say the same.

use std::collections::BTreeSet;
use std::path::Path;

use proptest::prelude::*;
use secrecy::SecretString;
use serde_json::Value;

use super::*;
use crate::rows;

fn secrets() -> Secrets {
    Secrets::new(|name| (name == "MASK_KEY").then(|| "a secret of 20 letters".to_owned().into()))
}

/// CSV, read by the splitter alone.
fn files() -> CsvTables {
    CsvTables::default()
}

fn parse(text: &str) -> Result<Mapping, MappingError> {
    Mapping::parse(text, Path::new("/nowhere/legacy.toml"), &secrets(), &files())
}

/// All that is wrong with a file, as a person reads it.
fn wrong(text: &str) -> String {
    let error = parse(text).expect_err("something is wrong with it");
    let lines = error.problems.iter().map(|problem| {
        let hint = problem.hint.as_ref().map(|hint| format!("\n    {hint}"));
        problem.told("legacy.toml") + &hint.unwrap_or_default()
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn text_that_is_no_toml_is_told_by_its_line() {
    let told = wrong("unmapped = \"send\"\n[fields\nName = 1\n");
    assert!(told.starts_with("legacy.toml:2: "), "{told}");
    let told = wrong("[fields]\nName = \"A\"\nName = \"B\"\n");
    assert!(told.starts_with("legacy.toml:3: duplicate key"), "{told}");
}

#[test]
fn keys_and_words_that_are_not_there_are_told_with_those_that_are() {
    insta::assert_snapshot!(wrong(
        r#"
unmaped = "send"
unmapped = "drop"
[defaults]
trim = "yes"
decimal = ";"
[fields]
Name = { colum = "Firma", column = "Firma" }
Site = { column = "Ort", case = "uper" }
Phone = 3
Parent.Legacy_Id__c = "Konzern"
"#
    ));
}

#[test]
fn a_field_has_one_origin() {
    insta::assert_snapshot!(wrong(
        r#"
[fields]
Name = { trim = true }
Site = { column = "Ort", constant = "x" }
Phone = { constant = "1", trim = true }
Fax = { template = "{Vorwahl" }
Type = { template = "Kunde" }
Rating = { columns = [] }
Industry = { constant = [1] }
"#
    ));
}

#[test]
fn conversions_say_what_they_take() {
    insta::assert_snapshot!(wrong(
        r#"
[fields]
A = { column = "a", number = { decimal = ",", grouping = ",", scale = 30 } }
B = { column = "b", number = "yes" }
C = { column = "c", date = "DD.MM.YYYY" }
D = { column = "d", datetime = "dd.MM.yyyy HH:mm" }
E = { column = "e", datetime = { formats = ["yyyy-MM-dd HH:mm"], timezone = "Berlin", gap = "next" } }
F = { column = "f", date = ["dd.MM.yy"] }
G = { column = "g", boolean = { true = ["ja"], false = ["Ja"] } }
H = { column = "h", boolean = ["ja"] }
I = { column = "i", date = "yyyy-MM-dd", number = true }
J = { column = "j", number = { rounding = "up" } }
K = { column = "k", truncate = 0 }
L = { column = "l", substring = { start = 0 } }
M = { column = "m", boolean = { true = "ja" } }
N = { column = "n", number = { currency = "1" } }
O = { column = "o", datetime = {} }
"#
    ));
}

#[test]
fn maps_and_lookups_are_checked() {
    insta::assert_snapshot!(wrong(
        r#"
[fields]
A = { column = "a", map = { x = [1] } }
B = { column = "b", map = "ratings" }
C = { column = "c", map = "rating", else = "drop" }
D = { column = "d", else = "keep" }
E = { column = "e", lookup = "owners" }
F = { column = "f", missing = "null" }
G = { column = "g", map = { x = "1" }, else = { val = "1" } }
H = { column = "h", split = ",", piece = 0 }
I = { column = "i", piece = 1 }
J = { columns = ["i"], split = "," }
K = { column = "k", map = 3 }
L = { column = "l", join = "," }
[maps.rating]
values = { A = "1" }
from = "A"
[maps.none]
[maps.file]
file = "x.csv"
from = "A"
[lookups.o]
file = "o.csv"
key = "K"
"#
    ));
}

#[test]
fn composite_keys_have_as_many_columns_as_their_file() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("g.csv"), "Land,Nr,Id\nDE,1,x\n").unwrap();
    let text = r#"
[fields]
A = { column = "a", lookup = "g" }
B = { columns = ["a", "b"], lookup = "g", trim = true }
[lookups.g]
file = "g.csv"
key = ["Land", "Nr"]
value = "Id"
"#;
    let path = dir.path().join("legacy.toml");
    let error = Mapping::parse(text, &path, &secrets(), &files()).unwrap_err();
    let told: Vec<_> = error.problems.iter().map(|problem| problem.told("legacy.toml")).collect();
    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn a_file_that_is_missing_is_told_where_it_is_named() {
    let told = wrong("[lookups.o]\nfile = \"o.csv\"\nkey = \"K\"\nvalue = \"V\"\n");
    assert!(told.starts_with("legacy.toml:1: lookups.o: /nowhere/o.csv can't be read: "), "{told}");
    let error = Mapping::read(Path::new("/nowhere/legacy.toml"), &secrets(), &files()).unwrap_err();
    assert!(error.problems[0].told("legacy.toml").starts_with("legacy.toml: can't be read: "));
}

#[test]
fn secrets_are_named_and_never_told() {
    insta::assert_snapshot!(wrong("[fields]\nA = { column = \"a\", hash = true }\n"));
    insta::assert_snapshot!(wrong(
        "secret_env = \"OTHER\"\n[fields]\nA = { column = \"a\", mask = \"name\" }\nB = { column = \"b\", mask = \"iban\", hash = false }\n"
    ));
    let fine = parse("secret_env = \"MASK_KEY\"\n[fields]\nA = { column = \"a\", hash = true }\n")
        .unwrap();
    let stored = serde_json::to_string(&fine.secret).unwrap();
    assert!(!stored.contains("letters") && stored.contains("MASK_KEY"), "{stored}");
    assert!(!format!("{fine:?}").contains("a secret of"));
}

#[test]
fn expressions_and_filters_are_checked() {
    insta::assert_snapshot!(wrong(
        r#"
[fields]
A = { column = "a", replace = [{ pattern = "(x", with = "" }, { pattern = "(x)", with = "$2 ${name}" }, { with = "y" }] }
B = { column = "b", replace = "x" }
[filter]
all = [{ column = "a" }, { column = "b", is = "1", empty = true }, { column = "c", matches = "[" }, 5]
any = []
some = 1
"#
    ));
}

#[test]
fn a_file_that_is_fine_is_read_in_its_order() {
    let mapping = parse(
        r#"
unmapped = "send"
[defaults]
trim = true
[fields]
Name = "Firma"
"Parent.Legacy_Id__c" = { column = "Konzern", trim = false }
AnnualRevenue = { column = "Umsatz", number = true, empty = "clear" }
Type = { constant = 3.50 }
"#,
    )
    .unwrap();
    assert_eq!(mapping.unmapped, Unmapped::Send);
    let names: Vec<_> = mapping.fields.iter().map(|entry| entry.name.as_str()).collect();
    assert_eq!(names, ["Name", "Parent.Legacy_Id__c", "AnnualRevenue", "Type"]);
    assert_eq!(mapping.fields[0].recipe.steps, [Step::Trim]);
    assert!(mapping.fields[1].recipe.is_plain());
    assert_eq!(mapping.fields[2].recipe.empty, WhenEmpty::Clear);
    assert_eq!(mapping.fields[3].recipe.origin, Origin::Constant("3.50".to_owned()));
    assert_eq!(mapping.fields[3].line, 9);
}

/// Makes the values of one row; each as text, or as what became of it.
fn make(text: &str, header: &[&str], row: &[&str]) -> Vec<String> {
    let mapping = parse(text).unwrap_or_else(|error| panic!("{:?}", error.problems));
    let find = |name: &String| header.iter().position(|column| column == name);
    let recipes: Vec<(String, Recipe)> = mapping
        .fields
        .iter()
        .map(|entry| {
            let origin = entry.recipe.origin.find(find).unwrap();
            let (steps, empty) = (entry.recipe.steps.clone(), entry.recipe.empty.clone());
            (entry.name.clone(), Recipe { origin, steps, empty })
        })
        .collect();
    let filter = mapping.filter.as_ref().map(|(filter, _)| filter.find(find).unwrap());
    let supplies = Supplies {
        path: mapping.path.clone(),
        tables: mapping.tables.clone(),
        secret: mapping.secret.clone(),
        filter,
    };
    // What the ledger keeps does the same.
    let stored = serde_json::to_string(&(&supplies, &recipes)).unwrap();
    let (supplies, recipes): (Supplies, Vec<(String, Recipe)>) =
        serde_json::from_str(&stored).unwrap();
    let loaded = supplies.load(&secrets(), Path::new(""), &files()).unwrap();
    let each = recipes.iter().map(|(name, recipe)| (name.as_str(), Some(recipe)));
    let machine = Machine::new(&supplies, each, &loaded).unwrap();
    let mut line = Vec::new();
    rows::write_record(&mut line, row.iter().map(|cell| cell.as_bytes()), b',');
    let cells: Vec<_> = rows::Cells::new(&line, b',', b'"').collect();
    let mut room = Room::default();
    if !machine.lets_pass(Cells::new(&cells, ""), &mut room) {
        return vec!["left out".to_owned()];
    }
    (0..recipes.len())
        .map(|at| match machine.make(at, Cells::new(&cells, ""), &mut room) {
            Ok(Made::Value { text, truncated: false }) => text.to_owned(),
            Ok(Made::Value { text, truncated: true }) => format!("{text}…"),
            Ok(other) => format!("{other:?}"),
            Err(refusal) => format!("! {}", refusal.reason("")),
        })
        .collect()
}

#[test]
fn steps_are_done_in_the_order_that_is_documented() {
    let made = |field: &str, value: &str| {
        make(&format!("[fields]\nA = {{ column = \"a\", {field} }}\n"), &["a"], &[value]).remove(0)
    };
    assert_eq!(made(r#"strip = "html", collapse = true, case = "upper""#, "<b>a</b>  b "), "A B");
    assert_eq!(made(r#"trim = true, empty_words = ["K.A.", "-"], default = "x""#, " k.a. "), "x");
    assert_eq!(
        made(r#"replace = [{ pattern = "a", with = "b" }, { pattern = "b+", with = "c" }]"#, "aab"),
        "c"
    );
    assert_eq!(
        made(
            r#"map = { "10" = "ten" }, substring = { start = 1, length = 2 }, truncate = 2"#,
            "1099"
        ),
        "te…"
    );
    assert_eq!(made(r#"split = ",", map = { a = "1", b = "2" }, else = "null""#, "a, b,,c"), "1;2");
    assert_eq!(made(r#"split = "/", piece = -1, case = "title""#, "x/ y z"), "Y Z");
    assert_eq!(made(r#"map = { a = "" }, default = 0"#, "a"), "0");
    assert_eq!(
        made(r#"map = { a = "1" }"#, "b"),
        "! a value of 1 character (letters) is not in the value map"
    );
    assert_eq!(made(r#"map = { a = "1" }, else = "keep""#, "b"), "b");
    assert_eq!(made(r#"map = { a = "1" }, else = { value = "9" }"#, "b"), "9");
    assert_eq!(
        made(r#"number = { decimal = ",", grouping = "." }"#, "1.50"),
        "! a value of 4 characters (digits and signs) is no number in the form that the mapping says"
    );
    assert_eq!(made(r#"boolean = { true = ["ja", "x"], false = ["nein"] }"#, "JA"), "true");
    assert_eq!(made("long_id = true", "001000000000001"), "001000000000001AAA");
    assert_eq!(
        made("long_id = true", "4711"),
        "! a value of 4 characters (digits) is no record id of 15 or 18 characters"
    );
    assert_eq!(made(r#"empty = "reject""#, ""), "! no value, the mapping wants one");
    assert_eq!(made(r#"empty = "clear", number = true"#, "  "), "Clear");
    assert_eq!(made(r#"empty = "skip", trim = true"#, " "), "Skip");
    assert_eq!(made("trim = true", " "), "Nothing");
    assert_eq!(made(r#"number = true, default = "1""#, "#N/A"), "CellClears");
}

#[test]
fn several_columns_make_one_value() {
    let text = r#"
[fields]
A = { template = "{x} {{{y}}}", trim = true }
B = { columns = ["x", "y"], join = "-" }
C = { constant = true }
"#;
    let row = |x, y| make(text, &["x", "y"], &[x, y]);
    assert_eq!(row("1", "2"), ["1 {2}", "1-2", "true"]);
    assert_eq!(row("", "2"), ["{2}", "2", "true"]);
    assert_eq!(row("", "#N/A"), ["Nothing", "Nothing", "true"]);
    assert_eq!(row("a\"b", "c,d"), ["a\"b {c,d}", "a\"b-c,d", "true"]);
}

#[test]
fn filters_leave_rows_out() {
    let text = r#"
[fields]
A = "x"
[filter]
all = [{ column = "x", is_not = ["gelöscht"], ignore_case = true }, { column = "y", matches = "^K" }]
any = [{ column = "x", empty = false }, { column = "y", is = "K2" }]
"#;
    let passes = |x, y| make(text, &["x", "y"], &[x, y]) != ["left out"];
    assert!(passes("ok", "K1") && passes("", "K2"));
    assert!(!passes("GELÖSCHT ", "K1") && !passes("ok", "L1") && !passes("", "K1"));
}

#[test]
fn masks_are_the_same_for_the_same_value() {
    let text = r#"
secret_env = "MASK_KEY"
[fields]
A = { column = "x", case = "lower", mask = "email" }
B = { column = "y", case = "lower", mask = "email" }
C = { column = "x", hash = { length = 8 } }
"#;
    let made = make(text, &["x", "y"], &["Jo.Doe@Corp.example", "jo.doe@corp.example"]);
    assert_eq!(made[0], made[1]);
    assert!(made[0].ends_with("@example.invalid") && made[2].len() == 8, "{made:?}");
}

#[test]
fn another_secret_than_the_run_began_with_is_refused() {
    let fine = parse("secret_env = \"MASK_KEY\"\n[fields]\nA = { column = \"a\", hash = true }\n")
        .unwrap();
    let supplies =
        Supplies { path: fine.path, tables: Vec::new(), secret: fine.secret, filter: None };
    let other =
        Secrets::new(|_| Some(SecretString::from("another secret, long enough".to_owned())));
    let error = supplies.load(&other, Path::new(""), &files()).unwrap_err();
    assert_eq!(
        error.problems[0].told("legacy.toml"),
        "legacy.toml: secret_env: the environment variable `MASK_KEY` holds another secret than \
         when the run began"
    );
    assert!(supplies.load(&Secrets::default(), Path::new(""), &files()).is_err());
    assert!(supplies.load(&secrets(), Path::new(""), &files()).is_ok());
}

#[test]
fn lookups_in_the_org_are_checked_as_far_as_the_file_tells() {
    insta::assert_snapshot!(wrong(
        r#"
[fields]
A = { column = "x", lookup = "User by" }
B = { columns = ["x", "y"], lookup = "User by Email" }
C = { column = "x", lookup = "half" }
D = "x"
d = "y"
[lookups.half]
object = "User"
[lookups.both]
object = "User"
by = "Email, Name"
file = "a.csv"
[lookups.none]
file = "a.csv"
key = "A"
value = "B"
where = "A = 1"
"#
    ));
}

#[test]
fn what_the_org_answered_is_looked_up_kept_and_known_again() {
    let text = r#"
[fields]
A = { column = "x", lookup = "User by Email", ambiguous = { value = "two" }, missing = "null" }
B = { columns = ["x", "y"], lookup = "pairs" }
C = { column = "x", lookup = "user by Email" }
D = { column = "x", lookup = "User by Email" }
[lookups.pairs]
object = "Contact"
by = ["FirstName", "LastName"]
[lookups.idle]
object = "Account"
by = "Name"
"#;
    let mut mapping = parse(text).unwrap();
    assert_eq!(mapping.unused_tables(), ["lookups.idle"]);
    let questions = mapping.questions();
    let places: Vec<_> = questions.iter().map(|question| question.place.as_str()).collect();
    assert_eq!(
        places,
        [
            "legacy.toml:7: lookups.pairs",
            "legacy.toml:3: User by Email",
            "legacy.toml:5: user by Email"
        ]
    );
    for (question, ignore_case) in questions.iter().zip([false, true, true]) {
        let mut answer = Answer::new(question, question.asked.clone(), ignore_case);
        let is_pair = question.asked.keys.len() == 2;
        let records: &[(&[&str], &str)] = if is_pair {
            &[(&["a@b", "Y"], "p1"), (&["a@b", ""], "p2")]
        } else {
            &[(&["A@b"], "1"), (&["c@d"], "2"), (&["C@D"], "3"), (&["c,\"d"], "4")]
        };
        for (keys, value) in records {
            let keys: Vec<String> = keys.iter().map(|&key| key.to_owned()).collect();
            answer.add(&keys, value).unwrap();
        }
        assert_eq!(answer.keys(), if is_pair { 1 } else { 3 });
        mapping.answer(answer);
    }
    assert_eq!(mapping.questions().len(), 0, "all is answered");

    let recipes: Vec<Recipe> = mapping
        .fields
        .iter()
        .map(|field| Recipe {
            origin: field.recipe.origin.find(|name| Some(usize::from(name == "y"))).unwrap(),
            steps: field.recipe.steps.clone(),
            empty: field.recipe.empty.clone(),
        })
        .collect();
    let supplies = Supplies { tables: mapping.tables.clone(), ..Supplies::none() };
    let make = |loaded: &Loaded, x: &str, y: &str| {
        let machine =
            Machine::new(&supplies, recipes.iter().map(|recipe| ("F", Some(recipe))), loaded)
                .unwrap();
        let mut line = Vec::new();
        rows::write_record(&mut line, [x.as_bytes(), y.as_bytes()], b',');
        let cells: Vec<_> = rows::Cells::new(&line, b',', b'"').collect();
        let mut room = Room::default();
        let made = (0..3).map(|at| match machine.make(at, Cells::new(&cells, ""), &mut room) {
            Ok(Made::Value { text, .. }) => text.to_owned(),
            Ok(_) => String::new(),
            Err(_) => "!".to_owned(),
        });
        (made.collect::<Vec<_>>(), machine)
    };
    let folder = tempfile::tempdir().unwrap();
    let judge = |loaded: &Loaded| {
        assert_eq!(make(loaded, "a@B", "Y").0, ["1", "!", "1"]);
        assert_eq!(make(loaded, " a@b", "Y ").0, ["1", "p1", "1"]);
        assert_eq!(make(loaded, "C@d", "Y").0, ["two", "!", "!"]);
        assert_eq!(make(loaded, "c,\"D", "").0, ["4", "", "4"]);
        assert_eq!(make(loaded, "nobody", "").0, ["", "", "!"]);
    };
    judge(&mapping.loaded);
    make(&mapping.loaded, "", "").1.keep_answers(folder.path()).unwrap();
    judge(&supplies.load(&secrets(), folder.path(), &files()).unwrap());

    // A run goes on with what it began with, or not at all.
    let kept = folder.path().join("lookup-1.csv");
    let text = std::fs::read_to_string(&kept).unwrap();
    assert_eq!(text, "FirstName,LastName,Id,bulkhaul__Several\na@b,Y,p1,\n");
    std::fs::write(&kept, text.replace("p1", "p2")).unwrap();
    let error = supplies.load(&secrets(), folder.path(), &files()).unwrap_err();
    assert!(error.problems[0].message.ends_with("lookup-1.csv was changed since the run began"));
}

#[test]
fn steps_that_do_not_go_together_are_told() {
    insta::assert_snapshot!(wrong(
        r#"
secret_env = "MASK_KEY"
[fields]
A = { column = "a", replace = ["x"] }
B = { column = "b", split = ",", piece = 1, join = ";" }
C = { column = "c", mask = "name", hash = true }
D = { column = "d", empty = "default" }
E = { column = "e", empty = "skip", default = "x" }
F = { template = "{a and {b}" }
G = { template = "{} of {a}" }
H = { column = "h", map = "nowhere" }
I = { column = "i", number = { scale = 19 } }
J = { column = "j", number = { rounding = "down" } }
K = { column = "k", boolean = { true = ["ja", ""], false = ["nein"] } }
L = { column = "l", date = "dd 'of MM.yyyy" }
M = { column = "m", date = "MM.yyyy" }
N = { column = "n", datetime = { formats = ["dd.MM.yyyy h:mm"], timezone = "UTC" } }
O = { column = "o", empty_words = 3 }
"#
    ));
}

#[test]
fn short_secrets_files_that_are_no_text_and_those_too_long_are_refused() {
    let text = "secret_env = \"SHORT\"\n[fields]\nName = { column = \"a\", hash = true }\n";
    let short = Secrets::new(|_| Some("too short".to_owned().into()));
    let path = Path::new("/nowhere/legacy.toml");
    let error = Mapping::parse(text, path, &short, &files()).unwrap_err();
    let told = error.problems[0].told("legacy.toml");
    assert!(
        told.contains(
            "legacy.toml:1: secret_env: the environment variable `SHORT` has fewer than 16"
        ),
        "{told}"
    );
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.toml");
    std::fs::write(&path, b"# M\xFCller\n").unwrap();
    let told = |path: &Path| {
        let error = Mapping::read(path, &secrets(), &files()).unwrap_err();
        error.problems[0].told("a.toml")
    };
    assert!(told(&path).contains("is not UTF-8; save it in that encoding"), "{}", told(&path));
    std::fs::write(&path, " ".repeat((4 << 20) + 1)).unwrap();
    assert!(told(&path).contains("it has more than 4 MiB"), "{}", told(&path));
}

/// The keys that a part of the schema has.
fn schema_keys(schema: &Value) -> BTreeSet<&str> {
    schema["properties"]
        .as_object()
        .map(|keys| keys.keys().map(String::as_str).collect())
        .unwrap_or_default()
}

#[test]
fn the_schema_says_what_the_reader_takes() {
    let text = include_str!("../../docs/mapping.schema.json");
    let schema: Value = serde_json::from_str(text).unwrap();
    let defs = &schema["$defs"];
    let same = |name: &str, part: &Value, keys: &[&str]| {
        assert_eq!(schema_keys(part), keys.iter().copied().collect(), "{name}");
        assert_eq!(part["additionalProperties"], false, "{name}");
    };
    same("the top", &schema, keys::TOP);
    for (name, known) in [
        ("defaults", keys::DEFAULTS),
        ("field", keys::FIELD),
        ("replace", keys::REPLACE),
        ("substring", keys::SUBSTRING),
        ("number", keys::NUMBER),
        ("date", keys::DATE),
        ("datetime", keys::DATETIME),
        ("boolean", keys::BOOLEAN),
        ("hash", keys::HASH),
        ("value", keys::OTHERWISE),
        ("map", keys::MAP),
        ("lookup", keys::LOOKUP),
        ("filter", keys::FILTER),
        ("condition", keys::CONDITION),
    ] {
        same(name, &defs[name], known);
    }
    for (name, known) in [
        ("unmappedWords", keys::UNMAPPED),
        ("emptyWords", keys::EMPTY),
        ("stripWords", keys::STRIP),
        ("caseWords", keys::CASE),
        ("maskWords", keys::MASK),
        ("roundingWords", keys::ROUNDING),
        ("foldWords", keys::FOLD),
        ("elseWords", keys::ELSE),
        ("missingWords", keys::MISSING),
        ("decimalSigns", keys::DECIMAL),
        ("groupingSigns", keys::GROUPING),
    ] {
        let words: Vec<&str> = defs[name]["enum"]
            .as_array()
            .unwrap()
            .iter()
            .map(|word| word.as_str().unwrap())
            .collect();
        assert_eq!(words, known, "{name}");
    }
}

#[test]
fn every_key_is_documented() {
    let document = include_str!("../../docs/mapping.md");
    let lists = [
        keys::TOP,
        keys::DEFAULTS,
        keys::FIELD,
        keys::REPLACE,
        keys::SUBSTRING,
        keys::NUMBER,
        keys::DATE,
        keys::DATETIME,
        keys::BOOLEAN,
        keys::HASH,
        keys::MAP,
        keys::LOOKUP,
        keys::FILTER,
        keys::CONDITION,
        keys::UNMAPPED,
        keys::EMPTY,
        keys::STRIP,
        keys::CASE,
        keys::MASK,
        keys::ROUNDING,
        keys::FOLD,
        keys::ELSE,
    ];
    let missing: Vec<&str> =
        lists.into_iter().flatten().copied().filter(|key| !document.contains(key)).collect();
    assert_eq!(missing, Vec::<&str>::new());
}

proptest! {
    #[test]
    fn no_value_stops_a_recipe(value in "\\PC{0,12}", other in "[0-9.,:+ Zz-]{0,16}") {
        let text = r#"
[fields]
A = { column = "a", strip = ["html", "control"], collapse = true, replace = [{ pattern = "x.", with = "$0" }], substring = { start = -5, length = 3 }, case = "title", truncate = 2, default = "?" }
B = { column = "b", number = { decimal = ",", grouping = ".", scale = 2 } }
C = { column = "b", datetime = { formats = ["d.M.yyyy H:m", "yyyy-MM-dd'T'HH:mm:ssX"], timezone = "Asia/Tokyo" } }
D = { column = "a", split = ",", join = ";" }
"#;
        let made = make(text, &["a", "b"], &[&value, &other]);
        prop_assert!(made[0].chars().count() <= 3, "{:?}", made);
        let is_number = made[1].parse::<f64>().is_ok();
        prop_assert!(is_number || made[1] == "Nothing" || made[1].starts_with("! "), "{:?}", made);
    }
}
