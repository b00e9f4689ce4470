//! Arguments that say how a source is to be read, shared by the commands that
//! read one.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};

use clap::Args;

use super::CliError;
use crate::pipeline::SpooledInput;
use crate::reader::{Nulls, ParquetOptions, SourceOptions};

/// How the files of a source are to be read.
#[derive(Debug, Clone, Args)]
pub(super) struct SourceArgs {
    /// CSV: the delimiter, a character or `tab`; default: found out
    #[arg(long, value_name = "C", value_parser = parse_delimiter)]
    delimiter: Option<u8>,
    /// CSV: the quote, a character or `none`; default: found out
    #[arg(long, value_name = "C", value_parser = parse_quote)]
    quote: Option<u8>,
    /// CSV: the encoding of the text, such as windows-1252, utf-16le or
    /// `shift_jis`; default: UTF-8, or what a byte order mark says
    #[arg(long, value_name = "NAME")]
    encoding: Option<String>,
    /// Parquet: what a null becomes, an empty cell or `#N/A`, which clears
    #[arg(long, value_enum, default_value = "empty", value_name = "WHAT")]
    nulls: NullsAs,
    /// Parquet: the time zone of timestamps that have none, such as
    /// Europe/Berlin; default: UTC
    #[arg(long, value_name = "ZONE")]
    timezone: Option<String>,
    /// Parquet: take columns of plain bytes for text; default: Base64
    #[arg(long)]
    bytes_as_text: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum NullsAs {
    /// An empty cell, which leaves its field alone
    Empty,
    /// `#N/A`, which clears its field
    Clear,
}

impl SourceArgs {
    /// As the reader takes them.
    pub(super) fn options(&self) -> SourceOptions {
        SourceOptions {
            delimiter: self.delimiter,
            quote: self.quote,
            encoding: self.encoding.clone(),
            parquet: ParquetOptions {
                nulls: match self.nulls {
                    NullsAs::Empty => Nulls::Empty,
                    NullsAs::Clear => Nulls::Clear,
                },
                time_zone: self.timezone.clone(),
                bytes_as_text: self.bytes_as_text,
            },
        }
    }
}

/// Keeps the standard input in a file, if it is the source.
pub(super) fn standard_input(
    sources: &[PathBuf],
    runs_dir: &Path,
) -> Result<Option<SpooledInput>, CliError> {
    if !sources.iter().any(|source| source.as_os_str() == "-") {
        return Ok(None);
    }
    if sources.len() > 1 {
        return Err(CliError::refused("usage", "the standard input goes with no other source")
            .hint("Pipe all rows through it, or name files only."));
    }
    let stdin = std::io::stdin();
    if stdin.is_terminal() {
        return Err(CliError::refused("usage", "the standard input is a terminal")
            .hint("Pipe rows into it, such as `zcat rows.csv.gz | bulkhaul load - …`."));
    }
    SpooledInput::keep(&mut stdin.lock(), runs_dir).map(Some).map_err(|(path, error)| {
        let what = format!("the standard input can't be kept in {}: {error}", path.display());
        CliError::refused("source", format!("{what}; nothing was sent")).hint(
            "It is kept on the disk of --runs-dir, because a run must be able to read its rows \
             again; free space there or name another place.",
        )
    })
}

fn parse_delimiter(text: &str) -> Result<u8, String> {
    match text {
        "tab" | "\\t" | "\t" => Ok(b'\t'),
        _ => match text.as_bytes() {
            [byte]
                if byte.is_ascii()
                    && !byte.is_ascii_alphanumeric()
                    && !b"\"\r\n ".contains(byte) =>
            {
                Ok(*byte)
            }
            _ => Err(
                "a delimiter is one character that is no letter, digit, blank or quote, or `tab`"
                    .to_owned(),
            ),
        },
    }
}

fn parse_quote(text: &str) -> Result<u8, String> {
    match text.as_bytes() {
        b"none" => Ok(0),
        [byte] if byte.is_ascii_punctuation() && !b",;\t|^`\r\n".contains(byte) => Ok(*byte),
        _ => {
            Err("a quote is one character that delimits nothing, such as ' or \", or `none`"
                .to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delimiters_and_quotes_are_single_characters() {
        assert_eq!(parse_delimiter("tab"), Ok(b'\t'));
        assert_eq!(parse_delimiter(";"), Ok(b';'));
        assert!(parse_delimiter("\"").is_err());
        assert!(parse_delimiter("ab").is_err());
        assert_eq!(parse_quote("'"), Ok(b'\''));
        assert_eq!(parse_quote("none"), Ok(0));
        assert!(parse_quote(",").is_err());
        assert!(parse_quote("x").is_err());
    }
}
