//! The `head` command: what a source was found to be, before anyone loads it.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use super::load::refusal;
use super::source_args::{self, SourceArgs};
use super::table::{self, harmless};
use super::{CliError, Context, Exit};
use crate::pipeline::SpooledInput;
use crate::reader::{FileFormat, Glance, KnownFile, LineEnd, Packing, Source, glance};
use crate::report::format::{bytes, count, thousands};
use crate::rows::SourceError;

/// Characters of a value that a table shows.
const SHOWN_CHARS: usize = 40;

/// Show what a source is taken for, before anyone loads it
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bulkhaul head accounts.csv
  bulkhaul head 'in/*.csv.gz' --encoding windows-1252
  zcat accounts.csv.gz | bulkhaul head -

  Types are those of the first 10,000 rows, of Parquet those of the file. No org
  is asked. `load` takes the same arguments on how a source is to be read.")]
pub struct HeadArgs {
    /// CSV or Parquet files, folders, patterns, or `-` for the standard input
    #[arg(value_name = "SOURCE", required = true)]
    sources: Vec<PathBuf>,
    /// Rows to show
    #[arg(long, default_value_t = 5, value_name = "N", value_parser = clap::value_parser!(u16).range(0..=1000))]
    rows: u16,
    #[command(flatten)]
    reading: SourceArgs,
}

pub(super) fn run(args: &HeadArgs, context: &Context) -> Result<Exit, CliError> {
    let spooled = source_args::standard_input(&args.sources, &context.global.runs_dir)?;
    let refused = |error: SourceError| {
        let refused = refusal::source(&error);
        // There is nothing that could have been sent.
        CliError { message: refused.message.replace("; nothing was sent", ""), ..refused }
    };
    let options = args.reading.options();
    let source = match &spooled {
        Some(spooled) => SpooledInput::open(spooled, &options),
        None => Source::open(&args.sources, &options),
    };
    let source = source.map_err(refused)?;
    let seen = glance(&source, usize::from(args.rows)).map_err(refused)?;
    let files = source.files();
    if context.global.json {
        context.print_json(&as_json(&source, &files, &seen))?;
    } else {
        context.print(&as_text(&source, &files, &seen, context))?;
    }
    Ok(Exit::Success)
}

fn visible(byte: u8) -> String {
    match byte {
        0 => "none".to_owned(),
        b'\t' => "tab".to_owned(),
        byte => char::from(byte).to_string(),
    }
}

const fn line_end(end: LineEnd) -> &'static str {
    match end {
        LineEnd::Lf => "LF",
        LineEnd::Crlf => "CRLF",
        LineEnd::Cr => "CR",
    }
}

fn described(format: &FileFormat) -> String {
    match format {
        FileFormat::Parquet => "Parquet".to_owned(),
        FileFormat::Csv { packing, encoding, byte_order_mark, delimiter, quote, line_end: end } => {
            let packed = match packing {
                Packing::None => String::new(),
                packing => format!(", packed with {}", packing.as_str()),
            };
            let mark = if *byte_order_mark { " with a byte order mark" } else { "" };
            format!(
                "CSV{packed}, {encoding}{mark}, delimiter {}, quote {}, lines end with {}",
                visible(*delimiter),
                visible(*quote),
                line_end(*end)
            )
        }
    }
}

fn as_json(source: &Source, files: &[KnownFile], seen: &Glance) -> Value {
    let names = source.names();
    let files: Vec<Value> = files
        .iter()
        .map(|file| {
            let mut told = json!({
                "path": file.named.path,
                "name": file.named.shown,
                "bytes": file.identity.bytes,
                "rows": file.rows,
            });
            let format = match &file.format {
                FileFormat::Parquet => json!({ "format": "parquet" }),
                FileFormat::Csv {
                    packing,
                    encoding,
                    byte_order_mark,
                    delimiter,
                    quote,
                    line_end: end,
                } => json!({
                    "format": "csv",
                    "packing": packing,
                    "encoding": encoding,
                    "byte_order_mark": byte_order_mark,
                    "delimiter": visible(*delimiter),
                    "quote": visible(*quote),
                    "line_end": line_end(*end),
                }),
            };
            if let (Value::Object(told), Value::Object(format)) = (&mut told, format) {
                told.extend(format);
            }
            told
        })
        .collect();
    let columns: Vec<Value> = seen
        .columns
        .iter()
        .map(|column| {
            json!({
                "name": column.name,
                "looks_like": column.looks_like,
                "empty": column.empty,
                "longest": column.longest,
            })
        })
        .collect();
    let rows: Vec<Value> = seen
        .first_rows
        .iter()
        .map(|(place, cells)| {
            json!({ "source": names.get(place.file), "row": place.row, "cells": cells })
        })
        .collect();
    json!({
        "files": files,
        "columns": columns,
        "rows_seen": seen.rows,
        "all_rows_seen": seen.is_all,
        "faulty_rows_seen": seen.faulty,
        "first_rows": rows,
        "notes": source.notes(),
    })
}

fn as_text(source: &Source, files: &[KnownFile], seen: &Glance, context: &Context) -> String {
    let fitted = context.stdout_is_terminal();
    let mut text = String::new();
    let mut before = None;
    for file in files {
        let rows = match file.rows {
            Some(rows) => format!(", {}", count(rows, "row")),
            None => String::new(),
        };
        let what = described(&file.format);
        let size = bytes(file.identity.bytes);
        let shown = if files.len() > 1 {
            &file.named.shown
        } else {
            &file.named.path.display().to_string()
        };
        if before.as_ref() == Some(&what) {
            let _ = writeln!(text, "{shown}: the same, {size}{rows}");
        } else {
            let _ = writeln!(text, "{shown}: {what}, {size}{rows}");
        }
        before = Some(what);
    }
    for note in source.notes() {
        let _ = writeln!(text, "note: {note}");
    }
    let mut columns = table::new(&["Column", "Looks like", "Empty", "Longest"], fitted);
    for column in &seen.columns {
        columns.add_row([
            harmless(&column.name),
            column.looks_like.clone(),
            thousands(column.empty),
            thousands(column.longest as u64),
        ]);
    }
    let some = if seen.is_all { "all" } else { "the first" };
    let _ = writeln!(text, "\nIn {some} {}:\n", count(seen.rows, "row"));
    let _ = writeln!(text, "{}", columns.trim_fmt());
    if let Some((place, fault)) = &seen.first_fault {
        let names = source.names();
        let of = match names.get(place.file) {
            Some(name) if names.len() > 1 => format!(" of {name}"),
            _ => String::new(),
        };
        let _ = writeln!(
            text,
            "\n{} can't be sent, the first of them row {}{of}: {fault}",
            count(seen.faulty, "row"),
            place.row
        );
    }
    if !seen.first_rows.is_empty() {
        let names: Vec<String> = std::iter::once("Row".to_owned())
            .chain(seen.columns.iter().map(|column| harmless(&column.name)))
            .collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut rows = table::new(&names, fitted);
        for (place, cells) in &seen.first_rows {
            let cells = cells.iter().map(|cell| shortened(&harmless(cell)));
            rows.add_row(std::iter::once(place.row.to_string()).chain(cells));
        }
        let _ = writeln!(text, "\n{}", rows.trim_fmt());
    }
    text
}

fn shortened(value: &str) -> String {
    let line = value.replace('\n', " ");
    match line.char_indices().nth(SHOWN_CHARS) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line,
    }
}
