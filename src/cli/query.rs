//! The `query` command: look at what is in the org.

use std::fs::OpenOptions;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde_json::json;

use super::org::{self, Phase, call_error};
use super::table;
use super::{CliError, Context, Exit};
use crate::salesforce::{FieldValue, Org, QueryScope, Record};

/// How records are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A table for people
    Table,
    /// CSV with a header line
    Csv,
    /// One JSON array
    Json,
    /// One JSON object a line
    Jsonl,
}

/// The `query` command.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  bulkhaul query \"SELECT Id, Name, Owner.Name FROM Account LIMIT 10\" --org local
  bulkhaul query \"SELECT Id, Name FROM Account\" --org sf:prod --format csv --out accounts.csv

Fields of parents are columns of their own (Owner.Name); null is empty.")]
pub struct QueryArgs {
    /// What to ask for
    #[arg(value_name = "SOQL")]
    pub soql: String,
    /// How to show the records [default: table; for --out by its ending, else csv]
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub format: Option<Format>,
    /// Show this many records at most; tables end at 2000 without it
    #[arg(long, value_name = "N")]
    pub limit: Option<u64>,
    /// Deleted, merged and archived records, too
    #[arg(long)]
    pub all: bool,
    /// Write to this file instead of stdout
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// Records a table shows without `--limit`: it is laid out in memory.
const TABLE_RECORDS: u64 = 2_000;

pub(super) fn run(args: QueryArgs, context: &Context) -> Result<Exit, CliError> {
    let format = choose_format(&args, context)?;
    context.runtime()?.block_on(async {
        let connected = org::connect(context, org::reading(context)).await?;
        let done = answer(&args, format, &connected.org, context).await;
        connected.close().await;
        done
    })
}

fn choose_format(args: &QueryArgs, context: &Context) -> Result<Format, CliError> {
    let by_ending = |path: &Path| match path.extension().and_then(|ending| ending.to_str()) {
        Some("json") => Format::Json,
        Some("jsonl" | "ndjson") => Format::Jsonl,
        _ => Format::Csv,
    };
    match (&args.out, args.format) {
        (_, Some(format))
            if context.global.json && args.out.is_none() && format != Format::Json =>
        {
            Err(CliError::refused("usage", "--json leaves no room on stdout for --format")
                .hint("Leave out one of them, or write the records to a file with --out."))
        }
        (_, Some(format)) => Ok(format),
        (Some(path), None) => Ok(by_ending(path)),
        (None, None) if context.global.json => Ok(Format::Json),
        (None, None) => Ok(Format::Table),
    }
}

async fn answer(
    args: &QueryArgs,
    format: Format,
    org: &Org,
    context: &Context,
) -> Result<Exit, CliError> {
    let scope = if args.all { QueryScope::All } else { QueryScope::Live };
    let most = match (args.limit, format) {
        (Some(limit), _) => limit,
        (None, Format::Table) => TABLE_RECORDS,
        (None, _) => u64::MAX,
    };
    let mut pages = org.query(&args.soql, scope);
    // Nothing is written, and no file made, before the org has agreed.
    let first = pages.next_page().await.map_err(|error| call_error(&error, Phase::Preflight))?;
    let (total, mut records) = match first {
        Some(page) if is_count(&args.soql) => {
            (1, vec![Record(vec![("count".into(), FieldValue::Number(page.total.into()))])])
        }
        Some(page) => (page.total, page.records),
        None => (0, Vec::new()),
    };
    let columns = columns(&args.soql, &records);
    let enveloped = context.global.json && args.out.is_none();
    let (target, shown): (Box<dyn Write>, String) = match &args.out {
        Some(path) => (Box::new(create(path)?), path.display().to_string()),
        None => (Box::new(io::stdout().lock()), "stdout".into()),
    };
    let local =
        |error: io::Error| CliError::repair("local", format!("can't write to {shown}: {error}"));
    let mut output = Output::new(BufWriter::new(target), format, columns);
    output.enveloped = enveloped;
    output.fitted = args.out.is_none() && context.stdout_is_terminal();
    let mut written = 0u64;
    let mut write = async || -> Result<(), Stop> {
        output.begin()?;
        loop {
            let room = usize::try_from(most - written).unwrap_or(usize::MAX);
            records.truncate(room);
            for record in &records {
                output.record(record)?;
            }
            written += records.len() as u64;
            if written >= most {
                break;
            }
            match pages.next_page().await {
                Ok(Some(page)) => records = page.records,
                Ok(None) => break,
                Err(error) => return Err(Stop::Call(call_error(&error, Phase::Running))),
            }
        }
        output.end(written, total)?;
        Ok(())
    };
    match write().await {
        Ok(()) => {}
        Err(Stop::Io(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            return Ok(Exit::Success);
        }
        Err(Stop::Io(error)) => return Err(local(error)),
        Err(Stop::Call(error)) => {
            let error = CliError { resumable: false, ..error };
            return Err(if args.out.is_some() {
                let file = format!("{shown} holds the first {written} of {total} records only");
                CliError { message: format!("{}; {file}", error.message), ..error }
            } else {
                error
            });
        }
    }
    if args.out.is_some() {
        let told = if context.global.json {
            let object = json!({"command": "query", "rows": written, "total": total, "out": shown});
            format!("{object}\n")
        } else if context.global.quiet {
            String::new()
        } else {
            format!("{} written to {shown}\n", counted(written, total))
        };
        context.print(&told)?;
    }
    Ok(Exit::Success)
}

/// Why writing stopped.
enum Stop {
    Io(io::Error),
    Call(CliError),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Stop {
        Stop::Io(error)
    }
}

impl From<csv::Error> for Stop {
    fn from(error: csv::Error) -> Stop {
        Stop::Io(match error.into_kind() {
            csv::ErrorKind::Io(error) => error,
            other => io::Error::other(format!("{other:?}")),
        })
    }
}

/// Makes a file that only its owner reads: it holds records (I8).
fn create(path: &Path) -> Result<std::fs::File, CliError> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map_err(|error| {
        CliError::refused("local", format!("can't write to {}: {error}", path.display()))
    })
}

fn counted(written: u64, total: u64) -> String {
    let plural = if total == 1 { "" } else { "s" };
    if written < total {
        format!("{written} of {total} record{plural}")
    } else {
        format!("{written} record{plural}")
    }
}

/// Writes records as they come; only a table is kept to its end.
struct Output<W: Write> {
    format: Format,
    columns: Vec<String>,
    enveloped: bool,
    fitted: bool,
    csv: Option<csv::Writer<W>>,
    plain: Option<W>,
    table: Option<comfy_table::Table>,
    count: u64,
}

impl<W: Write> Output<W> {
    fn new(out: W, format: Format, columns: Vec<String>) -> Self {
        let (csv, plain) = match format {
            Format::Csv => (Some(csv::Writer::from_writer(out)), None),
            _ => (None, Some(out)),
        };
        Output {
            format,
            columns,
            enveloped: false,
            fitted: false,
            csv,
            plain,
            table: None,
            count: 0,
        }
    }

    fn begin(&mut self) -> Result<(), Stop> {
        match (self.format, &mut self.csv, &mut self.plain) {
            (Format::Csv, Some(csv), _) if !self.columns.is_empty() => {
                csv.write_record(&self.columns)?;
            }
            (Format::Json, _, Some(out)) => {
                let head =
                    if self.enveloped { "{\"command\":\"query\",\"records\":[" } else { "[" };
                out.write_all(head.as_bytes())?;
            }
            (Format::Table, ..) => {
                let names: Vec<&str> = self.columns.iter().map(String::as_str).collect();
                self.table = Some(table::new(&names, self.fitted));
            }
            _ => {}
        }
        Ok(())
    }

    fn record(&mut self, record: &Record) -> Result<(), Stop> {
        let cell = |path: &String| record.at(path).map(FieldValue::cell).unwrap_or_default();
        match (self.format, &mut self.csv, &mut self.plain) {
            (Format::Csv, Some(csv), _) => csv.write_record(self.columns.iter().map(cell))?,
            (Format::Json, _, Some(out)) => {
                out.write_all(if self.count == 0 { b"\n" } else { b",\n" })?;
                serde_json::to_writer(&mut *out, record).map_err(io::Error::from)?;
            }
            (Format::Jsonl, _, Some(out)) => {
                serde_json::to_writer(&mut *out, record).map_err(io::Error::from)?;
                out.write_all(b"\n")?;
            }
            _ => {
                if let Some(table) = &mut self.table {
                    table.add_row(self.columns.iter().map(|path| {
                        let cell = comfy_table::Cell::new(table::harmless(&cell(path)));
                        match record.at(path) {
                            Some(FieldValue::Number(_)) => {
                                cell.set_alignment(comfy_table::CellAlignment::Right)
                            }
                            _ => cell,
                        }
                    }));
                }
            }
        }
        self.count += 1;
        Ok(())
    }

    fn end(&mut self, written: u64, total: u64) -> Result<(), Stop> {
        if let Some(csv) = &mut self.csv {
            csv.flush()?;
        }
        let Some(out) = &mut self.plain else { return Ok(()) };
        match (self.format, &self.table) {
            (Format::Json, _) => {
                let close = if self.count == 0 { "]" } else { "\n]" };
                out.write_all(close.as_bytes())?;
                if self.enveloped {
                    write!(out, ",\"rows\":{written},\"total\":{total}}}")?;
                }
                out.write_all(b"\n")?;
            }
            (Format::Table, Some(table)) => {
                if self.count > 0 {
                    writeln!(out, "{}", table.trim_fmt())?;
                }
                writeln!(out, "{}", counted(written, total))?;
            }
            _ => {}
        }
        out.flush()?;
        Ok(())
    }
}

/// Whether a query asks for a bare count, which comes without records.
fn is_count(soql: &str) -> bool {
    let bare: String =
        soql.chars().filter(|c| !c.is_whitespace()).take(17).collect::<String>().to_lowercase();
    bare == "selectcount()from"
}

/// The columns of a query: the fields as the SOQL lists them, so that a null
/// parent does not take its column away; where it lists something else
/// (functions, aliases), what the first page holds.
fn columns(soql: &str, records: &[Record]) -> Vec<String> {
    let listed = select_list(soql);
    if records.is_empty() {
        return listed.unwrap_or_default();
    }
    let spelled = |path: &String| {
        // A null parent hides the spelling of what is below it; another
        // record may show it.
        let mut spellings = records.iter().map(|record| spelled_as(path, record));
        let first = spellings.next()??;
        let rest = spellings.flatten().find(|other| !other.eq(&first));
        Some(if first.contains('.') { rest.unwrap_or(first) } else { first })
    };
    if let Some(spelled) = listed.and_then(|listed| listed.iter().map(spelled).collect()) {
        return spelled;
    }
    let mut found: Vec<String> = Vec::new();
    for path in records.iter().flat_map(Record::paths) {
        if !found.contains(&path) {
            found.push(path);
        }
    }
    // A parent that is null in one record and not in another.
    let whole = found.clone();
    found.retain(|path| {
        let inside = format!("{path}.");
        !whole.iter().any(|other| other.starts_with(&inside))
    });
    found
}

/// A path in the org's spelling, as far as the record shows it.
fn spelled_as(path: &str, record: &Record) -> Option<String> {
    let (head, tail) = path.split_once('.').map_or((path, None), |(h, t)| (h, Some(t)));
    let (name, value) = record.entry(head)?;
    match (tail, value) {
        (None, FieldValue::Record(_)) => None,
        (None, _) => Some(name.to_owned()),
        (Some(tail), FieldValue::Record(parent)) => {
            Some(format!("{name}.{}", spelled_as(tail, parent)?))
        }
        (Some(tail), FieldValue::Null) => Some(format!("{name}.{tail}")),
        (Some(_), _) => None,
    }
}

/// The plain fields of a SELECT list; `None` when it holds anything else.
fn select_list(soql: &str) -> Option<Vec<String>> {
    let soql = soql.trim();
    let list = soql.get(..6).filter(|word| word.eq_ignore_ascii_case("select"))?;
    let rest = soql.get(list.len()..)?;
    // No field list of plain names can hold this word but as its end.
    let lower = rest.to_ascii_lowercase();
    let from = lower.match_indices("from").map(|(at, _)| at).find(|&at| {
        let blank = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_whitespace);
        at > 0 && blank(lower.as_bytes().get(at - 1)) && blank(lower.as_bytes().get(at + 4))
    })?;
    let mut words = rest.get(from + 4..)?.split_ascii_whitespace();
    let object = words.next()?;
    let alias = words.next().filter(|word| !word.eq_ignore_ascii_case("as")).or(words.next());
    let field = |item: &str| {
        let item = item.trim();
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
        let item = item.split_once('.').map_or(item, |(head, tail)| {
            let own = head.eq_ignore_ascii_case(object)
                || alias.is_some_and(|alias| head.eq_ignore_ascii_case(alias));
            if own { tail } else { item }
        });
        (!item.is_empty() && item.chars().all(plain)).then(|| item.to_owned())
    };
    rest.get(..from)?.split(',').map(field).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(json: &str) -> Vec<Record> {
        serde_json::from_str(json).unwrap()
    }

    fn written(soql: &str, format: Format, json: &str) -> String {
        let records = records(json);
        let mut out = Vec::new();
        let mut output = Output::new(&mut out, format, columns(soql, &records));
        let mut write = || -> Result<(), Stop> {
            output.begin()?;
            for record in &records {
                output.record(record)?;
            }
            output.end(records.len() as u64, 7)
        };
        assert!(write().is_ok());
        drop(output);
        String::from_utf8(out).unwrap()
    }

    const CONTACTS: &str = r#"[
        {"attributes":{},"Id":"1","LastName":"O\"Hara, Zoë","Account":null,"Rate__c":1.5},
        {"attributes":{},"Id":"2","LastName":"Two\nlines","Account":{"attributes":{},"Name":"Acme"},"Rate__c":null}]"#;
    const SOQL: &str = "select id, LASTNAME, account.Name, Rate__c from Contact where Id != null";

    #[test]
    fn csv_has_the_queried_columns_in_the_orgs_spelling() {
        assert_eq!(
            written(SOQL, Format::Csv, CONTACTS),
            "Id,LastName,Account.Name,Rate__c\n1,\"O\"\"Hara, Zoë\",,1.5\n2,\"Two\nlines\",Acme,\n"
        );
        let soql = SOQL.replace("account.Name", "ACCOUNT.name");
        assert!(written(&soql, Format::Csv, CONTACTS).starts_with("Id,LastName,Account.Name,"));
        assert_eq!(written(SOQL, Format::Csv, "[]"), "id,LASTNAME,account.Name,Rate__c\n");
    }

    #[test]
    fn json_keeps_parents_nested_and_is_json() {
        let text = written(SOQL, Format::Json, CONTACTS);
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value[1]["Account"]["Name"], "Acme");
        assert_eq!(written(SOQL, Format::Json, "[]"), "[]\n");
        let lines = written(SOQL, Format::Jsonl, CONTACTS);
        assert_eq!(lines.lines().count(), 2);
        assert!(lines.starts_with(r#"{"Id":"1","LastName":"#));
    }

    #[test]
    fn a_table_says_how_many_there_are() {
        let text = written(SOQL, Format::Table, CONTACTS);
        assert!(text.contains("Account.Name") && text.contains("Acme"));
        assert!(text.ends_with("2 of 7 records\n"), "{text}");
        assert_eq!(written(SOQL, Format::Table, "[]"), "0 of 7 records\n");
    }

    #[test]
    fn a_bare_count_is_told_from_a_counted_field() {
        assert!(is_count(" SELECT Count( )\nFROM Account"));
        assert!(!is_count("SELECT COUNT(Id) FROM Account"));
        assert!(!is_count("é"));
    }

    #[test]
    fn what_is_no_plain_field_is_taken_from_the_records() {
        let grouped = r#"[{"attributes":{},"Industry":"Mining","expr0":3}]"#;
        let soql = "SELECT Industry, COUNT(Id) FROM Account GROUP BY Industry";
        assert_eq!(columns(soql, &records(grouped)), ["Industry", "expr0"]);
        let whole_parent = records(r#"[{"Id":"1","A":null},{"Id":"2","A":{"Name":"x"}}]"#);
        assert_eq!(columns("SELECT FIELDS(ALL) FROM X", &whole_parent), ["Id", "A.Name"]);
        let own = records(r#"[{"Name":"x"}]"#);
        assert_eq!(columns("SELECT a.Name FROM Account a", &own), ["Name"]);
        assert_eq!(columns("SELECT a.Name FROM Account AS a", &own), ["Name"]);
        assert_eq!(columns("SELECT Account.name FROM Account", &own), ["Name"]);
    }

    proptest::proptest! {
        #[test]
        fn any_text_can_be_looked_at(soql in "(select|SELECT)? ?[a-zé.,() ]{0,30}( from )?[a-z ]{0,9}") {
            let _ = columns(&soql, &records(r#"[{"a":1}]"#));
        }
    }
}
