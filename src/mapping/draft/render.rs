//! A draft as a mapping file.

use std::fmt::Write as _;

use super::{Confidence, Draft, DraftSpec, Proposal, SampledColumn};
use crate::domain::Field;

/// Characters of a sample value that are shown.
const SHOWN: usize = 30;

/// Sample values of a column that are shown.
const SAMPLES: usize = 3;

/// A text as a TOML string.
pub(in crate::mapping) fn toml_text(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            letter if letter.is_control() => {
                let _ = write!(out, "\\u{:04X}", u32::from(letter));
            }
            letter => out.push(letter),
        }
    }
    out.push('"');
    out
}

/// A text that may stand in a comment.
fn comment(text: &str) -> String {
    text.replace(|letter: char| letter.is_control(), " ")
}

fn samples(column: &SampledColumn) -> String {
    let mut shown: Vec<String> = Vec::new();
    for value in &column.values {
        let mut cut: String = value.trim().chars().take(SHOWN).collect();
        if value.trim().chars().count() > SHOWN {
            cut.push('…');
        }
        let cut = format!("\"{}\"", comment(&cut));
        if !shown.contains(&cut) {
            shown.push(cut);
        }
        if shown.len() == SAMPLES {
            break;
        }
    }
    shown.join(", ")
}

pub(super) fn described(field: &Field) -> String {
    let word = serde_json::to_value(field.field_type).unwrap_or_default();
    let word = word.as_str().unwrap_or("field").to_owned();
    if field.length > 0 && field.picklist_values.is_empty() {
        format!("{word}({})", field.length)
    } else if field.precision > 0 {
        format!("{word}({}, {})", field.precision, field.scale)
    } else {
        word
    }
}

/// The mapping file.
pub(super) fn file(spec: &DraftSpec<'_>, columns: &[SampledColumn], draft: &Draft) -> String {
    let mut text = format!(
        "# First mapping of {} for {} of {}, made by names, labels and types.\n\
         # Read it through before a load: `sure` and `likely` entries are sent, a `guess` is\n\
         # commented out. docs/mapping.md explains every key.\n\n[fields]\n",
        comment(spec.source),
        spec.operation.as_str(),
        spec.object.name
    );
    let mut maps = String::new();
    for proposal in &draft.proposals {
        let Some(column) = columns.get(proposal.column) else { continue };
        entry(spec, column, proposal, &mut text, &mut maps);
    }
    if !draft.missing.is_empty() {
        text.push_str("\n# Needed, and no column goes there for sure:\n");
        for name in &draft.missing {
            let what = spec.object.field(name).map(described).unwrap_or_default();
            let _ = writeln!(text, "# {name} = \"\"  # {what}");
        }
    }
    if !draft.unmatched.is_empty() {
        text.push_str("\n# Columns that go nowhere:\n");
        for (column, near) in &draft.unmatched {
            let Some(column) = columns.get(*column) else { continue };
            let _ = write!(text, "# - {}", toml_text(&column.name));
            if !near.is_empty() {
                let _ = write!(text, ", perhaps {}", near.join(" or "));
            }
            if spec.samples && !column.values.is_empty() {
                let _ = write!(text, "; such as {}", samples(column));
            }
            text.push('\n');
        }
    }
    text.push_str(&maps);
    text
}

fn entry(
    spec: &DraftSpec<'_>,
    column: &SampledColumn,
    proposal: &Proposal,
    text: &mut String,
    maps: &mut String,
) {
    let _ = write!(
        text,
        "\n# {}: {}; {}",
        proposal.confidence.word(),
        comment(&proposal.why),
        proposal.form
    );
    if spec.samples && !column.values.is_empty() {
        let _ = write!(text, "; such as {}", samples(column));
    }
    text.push('\n');
    for note in &proposal.notes {
        let _ = writeln!(text, "# {}", comment(note));
    }
    let mut settings = proposal.settings.clone();
    let is_guess = proposal.confidence == Confidence::Guess;
    // Values of the source stand in a map; without samples it is left to fill in.
    if !proposal.map.is_empty() && spec.samples {
        settings.push(format!("map = {}, else = \"keep\"", toml_text(&proposal.field)));
        let open = if is_guess { "# " } else { "" };
        let _ = write!(
            maps,
            "\n{open}[maps.{0}.values]\n# Values of {1} that the picklist {0} doesn't have. Those without \
             an entry go to the\n# org as they are, which refuses them.\n",
            proposal.field,
            toml_text(&column.name)
        );
        for (old, new) in &proposal.map {
            let _ = match new {
                Some(new) => writeln!(maps, "{open}{} = {}", toml_text(old), toml_text(new)),
                None => writeln!(maps, "# {} = \"\"", toml_text(old)),
            };
        }
    } else if !proposal.map.is_empty() {
        let count = proposal.map.len();
        let _ = writeln!(text, "# {count} values are not of the picklist; a `map` can change them");
    }
    let name = toml_text(&column.name);
    let value = if settings.is_empty() {
        name
    } else {
        format!("{{ column = {name}, {} }}", settings.join(", "))
    };
    let open = if is_guess { "# " } else { "" };
    let is_plain = proposal.field.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let field = if is_plain { proposal.field.clone() } else { toml_text(&proposal.field) };
    let _ = writeln!(text, "{open}{field} = {value}");
}
