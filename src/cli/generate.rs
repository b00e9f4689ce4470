//! The `generate` command.

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::{CliError, Context, Exit};
use crate::domain::error_chain;
use crate::domain::{ColumnDelimiter, LineEnding};
use crate::generator::{ColumnSet, DEFAULT_SEED, Format, Recipe, SampleObject, Shape, columns};

/// The `generate` command.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  A file of accounts to try a load with:
    bulkhaul generate --object Account --rows 20000 --out accounts.csv

  A million rows for a bench, other values, every 500th row to be refused by the org:
    bulkhaul generate --object Account --rows 1000000 --seed 7 --bad-every 500 --out big.csv

  As a spreadsheet writes it (CRLF rows, LF in cells, byte order mark, semicolons):
    bulkhaul generate --object Account --rows 100 --line-ending crlf --bom --delimiter ';'

Every value is a function of seed, row number and column: the same command writes the same
bytes on every machine.")]
pub struct GenerateArgs {
    /// Object to make rows for
    #[arg(long, value_name = "OBJECT", ignore_case = true)]
    object: ObjectChoice,
    /// Rows to write, the header not counted
    #[arg(long, value_name = "N", required_unless_present = "traps")]
    rows: Option<u64>,
    /// Seed of the values
    #[arg(long, value_name = "S", default_value_t = DEFAULT_SEED)]
    seed: u64,
    /// File to write; standard output if not given
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Overwrite the file if it exists
    #[arg(long)]
    force: bool,
    /// Columns by name, or one of `default`, `common` (every common type) and `all`
    #[arg(long, value_name = "A,B", value_delimiter = ',', default_value = "default")]
    columns: Vec<String>,
    /// What the rows are like as a whole
    #[arg(long, value_enum, default_value = "plain", value_name = "NAME")]
    shape: ShapeChoice,
    /// Put a value that the org must refuse into every Nth row
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    bad_every: Option<u64>,
    /// Write the file of traps instead: one row for each way to be refused, good rows between
    #[arg(long, conflicts_with_all = ["rows", "columns", "shape", "bad_every"])]
    traps: bool,
    /// Byte between two cells: , ; | ^ tab or backquote
    #[arg(long, value_name = "C", default_value = ",", value_parser = delimiter)]
    delimiter: u8,
    /// End of each row; line breaks inside cells are LF in any case
    #[arg(long, value_enum, default_value = "lf", value_name = "ENDING")]
    line_ending: LineEndingChoice,
    /// Begin with a byte order mark
    #[arg(long)]
    bom: bool,
}

/// Objects that rows are made for.
#[derive(Debug, Clone, Copy, ValueEnum)]
#[value(rename_all = "PascalCase")]
enum ObjectChoice {
    /// Companies
    Account,
    /// People at the accounts of the same seed
    Contact,
}

/// Shapes by name.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum ShapeChoice {
    /// Every row its own
    Plain,
    /// A third of the rows equal an earlier one, and no column is unique
    Duplicates,
    /// Every column holds numbers, the name too
    Numeric,
    /// The key is a number (`External_No__c`)
    NumericKey,
    /// Two keys each (`Case_Key__c`) differ in letter case only
    CaseKeys,
}

/// Line ends by name.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum LineEndingChoice {
    /// Line feed
    Lf,
    /// Carriage return and line feed
    Crlf,
}

/// Reads a delimiter that a job may have.
fn delimiter(text: &str) -> Result<u8, String> {
    let byte = match text.as_bytes() {
        b"tab" | b"\\t" => b'\t',
        b"backquote" => b'`',
        &[byte] => byte,
        _ => return Err("one of , ; | ^ tab backquote".to_owned()),
    };
    ColumnDelimiter::from_byte(byte)
        .map(ColumnDelimiter::byte)
        .ok_or_else(|| "one of , ; | ^ tab backquote".to_owned())
}

pub(super) fn run(args: GenerateArgs, context: &Context) -> Result<Exit, CliError> {
    let recipe = recipe(&args)?;
    if args.out.is_none() && context.global.json {
        return Err(CliError::refused(
            "usage",
            "--json needs --out: the rows go to standard output",
        )
        .hint("Name a file with --out."));
    }
    let Some(path) = &args.out else {
        return match recipe.write(&mut io::stdout().lock(), &mut |_| {}) {
            // Whoever reads has had enough (`| head`).
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(Exit::Success),
            Err(error) => Err(failed("standard output", &error)),
            Ok(_) => Ok(Exit::Success),
        };
    };
    let mut file = create(path, args.force)?;
    let bytes = recipe
        .write(&mut file, &mut |_| {})
        .map_err(|error| failed(&path.display().to_string(), &error))?;
    let told = if context.global.json {
        let report = serde_json::json!({ "path": path, "rows": recipe.rows(), "bytes": bytes });
        writeln!(io::stdout(), "{report}")
    } else if context.global.quiet {
        Ok(())
    } else {
        let (rows, path) = (recipe.rows(), path.display());
        writeln!(io::stderr(), "wrote {rows} rows, {bytes} bytes, to {path}")
    };
    // The file is there whether or not anyone hears of it.
    drop(told);
    Ok(Exit::Success)
}

/// What is to be written.
fn recipe(args: &GenerateArgs) -> Result<Recipe, CliError> {
    let format = Format {
        delimiter: args.delimiter,
        line_ending: match args.line_ending {
            LineEndingChoice::Lf => LineEnding::Lf,
            LineEndingChoice::Crlf => LineEnding::Crlf,
        },
        bom: args.bom,
    };
    let object = match args.object {
        ObjectChoice::Account => SampleObject::Account,
        ObjectChoice::Contact => SampleObject::Contact,
    };
    let mut recipe = if args.traps {
        if object != SampleObject::Account {
            return Err(CliError::refused("usage", "there are traps for Account only"));
        }
        Recipe::of_traps().seed(args.seed)
    } else {
        let rows = args.rows.unwrap_or_default();
        chosen(args, Recipe::new(object, rows).seed(args.seed)).map_err(|error| {
            let names: Vec<&str> = columns(object).iter().map(|column| column.name).collect();
            CliError::refused("usage", error_chain(&error)).hint(format!(
                "The columns of {}: {}.",
                object.name(),
                names.join(", ")
            ))
        })?
    };
    recipe.format = format;
    Ok(recipe)
}

/// Applies the choices of shape, columns and traps.
fn chosen(args: &GenerateArgs, recipe: Recipe) -> Result<Recipe, crate::generator::RecipeError> {
    let shape = match args.shape {
        ShapeChoice::Plain => Shape::Plain,
        ShapeChoice::Duplicates => Shape::Duplicates,
        ShapeChoice::Numeric => Shape::Numeric,
        ShapeChoice::NumericKey => Shape::NumericKey,
        ShapeChoice::CaseKeys => Shape::CaseKeys,
    };
    let set = match args.columns.as_slice() {
        [word] if word == "default" => Some(ColumnSet::Default),
        [word] if word == "common" => Some(ColumnSet::Common),
        [word] if word == "all" => Some(ColumnSet::All),
        _ => None,
    };
    let mut recipe = recipe.shape(shape, set.unwrap_or(ColumnSet::Default))?;
    if set.is_none() {
        recipe = recipe.columns(&args.columns)?;
    }
    match args.bad_every {
        Some(every) => recipe.bad_every(every),
        None => Ok(recipe),
    }
}

/// Creates the file, never over another one unless told so.
fn create(path: &Path, force: bool) -> Result<File, CliError> {
    let created = if force { File::create(path) } else { File::create_new(path) };
    created.map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => {
            CliError::refused("output_exists", format!("{} exists", path.display()))
                .hint("Name another file with --out, or overwrite this one with --force.")
        }
        _ => CliError::refused(
            "output",
            format!("{} can't be written: {}", path.display(), error_chain(&error)),
        ),
    })
}

/// Says that writing broke off.
fn failed(what: &str, error: &io::Error) -> CliError {
    CliError::repair("output", format!("writing to {what} broke off: {}", error_chain(error)))
        .hint("What was written so far is not complete; free some space and run it again.")
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::super::{Cli, Command};
    use super::*;
    use crate::generator::{cell, column};

    /// Runs a command line of this command, given without the program's name.
    fn run_line(words: &[&str]) -> Result<Exit, CliError> {
        let line = ["bulkhaul", "--quiet", "generate"].iter().chain(words);
        let cli = Cli::try_parse_from(line)
            .map_err(|error| CliError::refused("usage", error.to_string()))?;
        let context = Context::new(cli.global)?;
        match cli.command {
            Command::Generate(args) => run(args, &context),
            _ => panic!("another command"),
        }
    }

    #[test]
    fn a_file_is_written_once_and_over_itself_only_by_force() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("accounts.csv");
        let out = path.to_str().unwrap();
        let line = ["--object", "Account", "--rows", "2", "--columns", "Name,Phone", "--out", out];
        assert_eq!(run_line(&line).unwrap(), Exit::Success);
        let object = SampleObject::Account;
        let of = |row, name| cell(DEFAULT_SEED, row, column(object, name).unwrap());
        let expected = format!(
            "Name,Phone\n{},{}\n{},{}\n",
            of(1, "Name"),
            of(1, "Phone"),
            of(2, "Name"),
            of(2, "Phone")
        );
        assert_eq!(std::fs::read_to_string(&path).unwrap(), expected);

        let refused = run_line(&line).unwrap_err();
        assert_eq!((refused.exit, refused.code), (Exit::Refused, "output_exists"));
        assert!(refused.hint.unwrap().contains("--force"));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), expected);

        let line = ["--object", "contact", "--rows", "0", "--out", out, "--force"];
        assert_eq!(run_line(&line).unwrap(), Exit::Success);
        assert!(std::fs::read_to_string(&path).unwrap().starts_with("Legacy_Id__c,FirstName,"));
    }

    #[test]
    fn a_spreadsheets_way_of_writing_can_be_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("excel.csv");
        let out = path.to_str().unwrap();
        run_line(&[
            "--object",
            "Account",
            "--rows",
            "200",
            "--line-ending",
            "crlf",
            "--bom",
            "--delimiter",
            ";",
            "--out",
            out,
        ])
        .unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("\u{feff}Legacy_Id__c;Name;"));
        assert!(text.ends_with("\r\n"));
        // A line break in a cell stays LF.
        assert!(text.replace("\r\n", "").contains('\n'));
    }

    #[test]
    fn mistakes_are_refused_before_a_file_is_made() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("none.csv");
        let out = path.to_str().unwrap();
        let wrong: [&[&str]; 6] = [
            &["--object", "Account", "--rows", "1", "--columns", "Nmae", "--out", out],
            &["--object", "Contact", "--rows", "1", "--shape", "numeric", "--out", out],
            &["--object", "Contact", "--traps", "--out", out],
            &["--object", "Account", "--out", out],
            &["--object", "Account", "--rows", "1", "--delimiter", "x", "--out", out],
            &["--object", "Account", "--rows", "1", "--bad-every", "0", "--out", out],
        ];
        for line in wrong {
            assert_eq!(run_line(line).unwrap_err().exit, Exit::Refused, "{line:?}");
        }
        assert!(!path.exists());
        let error = run_line(wrong[0]).unwrap_err();
        assert_eq!(error.message, "Account has no sample column `Nmae`");
        assert!(error.hint.unwrap().contains("Legacy_Id__c, Name"));
    }
}
