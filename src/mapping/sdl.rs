//! Maps of Salesforce Data Loader (`.sdl`) made into mapping files.
//!
//! An `.sdl` file is a Java properties file, `Column=Field`: blanks, `:` and
//! `=` in names are escaped, letters beyond Latin-1 as `\uXXXX`. A column may
//! go into several fields (`Column=FieldA, FieldB`), several columns into one
//! (`ColumnA, ColumnB=Field`), and a key in quotes is a constant. A parent is
//! named `Relationship:Object-Field`, in older files `Relationship:Field`.

use std::fmt::Write as _;

use super::draft::toml_text;

/// What differs from Data Loader whatever the map says.
const DIFFERENCES: [&str; 7] = [
    "Booleans: both take yes, no, y, n, on, off, 1, 0, true and false. Other words reject their row \
     here; give them with `boolean = { true = [...], false = [...] }`.",
    "Dates: Data Loader reads several forms, by its setting of European dates and its time zone. Here \
     a value that is not in the org's own form (yyyy-MM-dd) wants `date = \"dd/MM/yyyy\"` or the like.",
    "Times: Data Loader takes a time without a zone in the zone of its settings. Here `datetime` with \
     `timezone` says which one is meant. A date is never shifted by a zone.",
    "Blanks: an empty cell leaves its field as it is. Where Data Loader was set to insert null values, \
     load with `--empty clear`, or give single fields `empty = \"clear\"`.",
    "#N/A: a cell that is #N/A clears its field, as with Data Loader and Bulk API.",
    "Long values: where Data Loader was set to allow field truncation it cut them. Here the org refuses \
     their rows, unless the field has `truncate = true`.",
    "Columns that the map doesn't name are left out, here too.",
];

/// A map made into a mapping file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportedSdl {
    /// The mapping file.
    pub text: String,
    /// What is to be looked at: entries that could not be taken as they are,
    /// and what differs in any case. Names of columns and fields, no values.
    pub notes: Vec<String>,
    /// Fields that the mapping makes.
    pub fields: usize,
}

/// Makes a mapping file of a Data Loader map. `name` is what the map is
/// called in comments, `object` the object it is for.
pub fn import_sdl(bytes: &[u8], name: &str, object: &str) -> ImportedSdl {
    let mut notes = Vec::new();
    // Java reads Latin-1; people save what their editor likes.
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text.strip_prefix('\u{feff}').unwrap_or(text).to_owned(),
        Err(_) => bytes.iter().map(|byte| char::from(*byte)).collect(),
    };
    let mut lines: Vec<Line> = Vec::new();
    for (key, value) in properties(&text) {
        if value.trim().is_empty() {
            lines.push(Line::Unmapped(key));
            continue;
        }
        let origin = Origin::of(&key);
        for field in value.split(',').map(str::trim).filter(|field| !field.is_empty()) {
            match target(field) {
                Some(target) => lines.push(Line::Entry { origin: origin.clone(), target }),
                None => lines.push(Line::Unread { key: key.clone(), field: field.to_owned() }),
            }
        }
    }
    let constants: Vec<String> = lines
        .iter()
        .filter_map(|line| match line {
            Line::Entry { origin: Origin::Constant(_), target } => Some(target.to_lowercase()),
            _ => None,
        })
        .collect();
    let mut body = String::new();
    let mut taken: Vec<String> = Vec::new();
    let mut fields = 0;
    for line in &lines {
        match line {
            Line::Entry { origin, target } => {
                let lower = target.to_lowercase();
                let constant = matches!(origin, Origin::Constant(_));
                // A constant goes over what a column says, as in Data Loader.
                let beaten = !constant && constants.contains(&lower);
                if beaten || taken.contains(&lower) {
                    notes.push(format!(
                        "{target} gets a value more than once; {} is commented out",
                        origin.words()
                    ));
                    let _ = writeln!(body, "# {} = {}", key(target), origin.value());
                    continue;
                }
                if let Origin::Columns(columns) = origin {
                    notes.push(format!(
                        "{target} is made of {} columns, joined by a comma and a blank; see that \
                         this is what your release of Data Loader did",
                        columns.len()
                    ));
                }
                taken.push(lower);
                fields += 1;
                let _ = writeln!(body, "{} = {}", key(target), origin.value());
            }
            Line::Unmapped(column) => {
                let _ = writeln!(body, "# {} has no field in the map", comment(column));
            }
            Line::Unread { key, field } => {
                notes.push(format!("`{field}` is no field's name; its line is commented out"));
                let _ = writeln!(body, "# {} = {}", comment(key), comment(field));
            }
        }
    }
    if fields == 0 {
        notes.push("the map names no field".to_owned());
    }
    let mut text = format!(
        "# Mapping for {}, made of the Data Loader map {}.\n#\n# What differs from Data Loader:\n",
        comment(object),
        comment(name)
    );
    for difference in DIFFERENCES {
        let _ = writeln!(text, "# - {difference}");
    }
    if !notes.is_empty() {
        text.push_str("#\n# To look at:\n");
        for note in &notes {
            let _ = writeln!(text, "# - {}", comment(note));
        }
    }
    text.push_str("\n[fields]\n");
    text.push_str(&body);
    notes.extend(DIFFERENCES.map(str::to_owned));
    ImportedSdl { text, notes, fields }
}

#[derive(Debug, Clone)]
enum Origin {
    Column(String),
    Columns(Vec<String>),
    Constant(String),
}

enum Line {
    Entry { origin: Origin, target: String },
    Unmapped(String),
    Unread { key: String, field: String },
}

impl Origin {
    fn of(key: &str) -> Origin {
        if let Some(inner) = key.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
            return Origin::Constant(inner.to_owned());
        }
        let columns: Vec<String> = key
            .split(',')
            .map(|column| column.trim().to_owned())
            .filter(|column| !column.is_empty())
            .collect();
        if columns.len() > 1 { Origin::Columns(columns) } else { Origin::Column(key.to_owned()) }
    }

    /// As the mapping file has it.
    fn value(&self) -> String {
        match self {
            Origin::Column(column) => toml_text(column),
            Origin::Constant(value) => format!("{{ constant = {} }}", toml_text(value)),
            Origin::Columns(columns) => {
                let columns: Vec<String> = columns.iter().map(|column| toml_text(column)).collect();
                format!("{{ columns = [{}], join = \", \" }}", columns.join(", "))
            }
        }
    }

    /// For notes, without the value of a constant.
    fn words(&self) -> String {
        match self {
            Origin::Column(column) => format!("the column `{column}`"),
            Origin::Columns(columns) => format!("the columns {}", columns.join(", ")),
            Origin::Constant(_) => "a constant".to_owned(),
        }
    }
}

fn comment(text: &str) -> String {
    text.replace(|c: char| c.is_control(), " ")
}

/// A field's name as a key of the mapping file.
fn key(target: &str) -> String {
    if is_name(target) { target.to_owned() } else { toml_text(target) }
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// The name of a field as a header has it; `None` for what is no name.
fn target(field: &str) -> Option<String> {
    if is_name(field) {
        return Some(field.to_owned());
    }
    let (first, rest) = field.split_once([':', '-'])?;
    let made = match rest.split_once('-') {
        // Relationship:Object-Field
        Some((parent, own)) if is_name(parent) && is_name(own) => {
            format!("{parent}:{first}.{own}")
        }
        None if is_name(rest) => format!("{first}.{rest}"),
        _ => return None,
    };
    is_name(first).then_some(made)
}

/// Keys and values of a properties file, in order; of a key that is there
/// twice, the last.
fn properties(text: &str) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = Vec::new();
    let mut lines = text.split(['\n', '\r']);
    while let Some(line) = lines.next() {
        let line = line.trim_start_matches([' ', '\t', '\u{c}']);
        if line.is_empty() || line.starts_with(['#', '!']) {
            continue;
        }
        let mut logical = line.to_owned();
        // An odd number of backslashes at the end: the line goes on.
        while (logical.len() - logical.trim_end_matches('\\').len()) % 2 == 1 {
            logical.pop();
            let Some(mut next) = lines.next() else { break };
            if next.is_empty() {
                // Between CR and LF.
                next = lines.next().unwrap_or_default();
            }
            logical.push_str(next.trim_start_matches([' ', '\t', '\u{c}']));
        }
        let (key, value) = split(&logical);
        let (key, value) = (unescaped(key), unescaped(value));
        found.retain(|(known, _)| *known != key);
        found.push((key, value));
    }
    found
}

/// Key and value of a line: parted by the first `=`, `:` or blank that isn't
/// escaped.
fn split(line: &str) -> (&str, &str) {
    let mut escaped = false;
    let end = line
        .char_indices()
        .find(|(_, letter)| {
            let ends = !escaped && matches!(letter, '=' | ':' | ' ' | '\t' | '\u{c}');
            escaped = !escaped && *letter == '\\';
            ends
        })
        .map_or(line.len(), |(at, _)| at);
    let (key, rest) = line.split_at(end);
    let blank = [' ', '\t', '\u{c}'];
    let rest = rest.trim_start_matches(blank);
    let rest = rest.strip_prefix(['=', ':']).unwrap_or(rest);
    (key, rest.trim_start_matches(blank))
}

fn unescaped(text: &str) -> String {
    let mut units: Vec<u16> = Vec::with_capacity(text.len());
    let mut room = [0; 2];
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        let plain = match letter {
            '\\' => match letters.next() {
                Some('u') => {
                    let digits: String = letters.by_ref().take(4).collect();
                    // Two of these can be one letter.
                    units.push(u16::from_str_radix(&digits, 16).unwrap_or(0xfffd));
                    continue;
                }
                Some('t') => '\t',
                Some('n') => '\n',
                Some('r') => '\r',
                Some('f') => '\u{c}',
                Some(other) => other,
                None => break,
            },
            other => other,
        };
        units.extend_from_slice(plain.encode_utf16(&mut room));
    }
    String::from_utf16_lossy(&units)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_are_read_as_java_does() {
        let text = "#Mapping values\r\n!note\r\nFirst\\ Name=FirstName\r\nOrt\\:Stadt : BillingCity\r\n\
                    Stra\\u00DFe=BillingStreet\r\nlong=Des\\\r\n   cription\r\nempty=\r\nblank Name\r\n\
                    pair\\uD83D\\uDE00=X\r\nFirst\\ Name=Name";
        let pairs = properties(text);
        let expected = [
            ("Ort:Stadt", "BillingCity"),
            ("Straße", "BillingStreet"),
            ("long", "Description"),
            ("empty", ""),
            ("blank", "Name"),
            ("pair😀", "X"),
            ("First Name", "Name"),
        ];
        assert_eq!(pairs, expected.map(|(key, value)| (key.to_owned(), value.to_owned())));
    }

    #[test]
    fn parents_are_named_as_headers_name_them() {
        for (given, made) in [
            ("Name", Some("Name")),
            ("Owner:User-Email", Some("User:Owner.Email")),
            ("Parent:Legacy_Id__c", Some("Parent.Legacy_Id__c")),
            ("Parent__r-Key__c", Some("Parent__r.Key__c")),
            ("a b", None),
            ("a:b:c", None),
        ] {
            assert_eq!(target(given).as_deref(), made, "{given}");
        }
    }

    #[test]
    fn what_cannot_be_taken_is_commented_out_and_told() {
        let sdl =
            "A=Name\nB=Name\nC=no name\nD=\nE=Phone,Fax\nF,G=Description\n\"x\"=Site\nH=Site\n";
        let made = import_sdl(sdl.as_bytes(), "old.sdl", "Account");
        assert_eq!(made.fields, 5);
        for line in [
            "Name = \"A\"",
            "# Name = \"B\"",
            "# C = no name",
            "# D has no field in the map",
            "Phone = \"E\"",
            "Fax = \"E\"",
            "Description = { columns = [\"F\", \"G\"], join = \", \" }",
            "Site = { constant = \"x\" }",
            "# Site = \"H\"",
        ] {
            assert!(made.text.lines().any(|own| own == line), "{line}\n{}", made.text);
        }
        assert_eq!(made.notes.len(), 4 + DIFFERENCES.len());
    }

    #[test]
    fn latin_1_is_read_where_it_is_no_utf_8() {
        let made = import_sdl(b"Stra\xdfe=BillingStreet", "m.sdl", "Account");
        assert!(made.text.contains("BillingStreet = \"Straße\""), "{}", made.text);
    }
}
