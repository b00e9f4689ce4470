//! Partition columns from the folders of a file (`.../country=DE/year=2026/`).

use std::path::{Component, Path};

/// What Hive and its kin call the folder of rows whose partition is null.
const NULL_PARTITION: &str = "__HIVE_DEFAULT_PARTITION__";

/// The partitions of a file below a root folder, outermost first: the name of
/// each column and its value, `None` for null. Folders that are not called
/// `name=value` count for nothing.
///
/// # Errors
/// A sentence, when the file is not below the root, a folder's name is not
/// UTF-8 or badly encoded, or a column occurs twice.
pub fn partitions_of(root: &Path, file: &Path) -> Result<Vec<(String, Option<String>)>, String> {
    let Ok(below) = file.strip_prefix(root) else {
        return Err(format!("{} is not below {}", file.display(), root.display()));
    };
    let mut partitions: Vec<(String, Option<String>)> = Vec::new();
    let folders = below.parent().unwrap_or(Path::new(""));
    for part in folders.components() {
        let Component::Normal(part) = part else { continue };
        let Some(part) = part.to_str() else {
            return Err(format!("a folder in the path of {} is not UTF-8", file.display()));
        };
        let Some((name, value)) = part.split_once('=') else { continue };
        if name.is_empty() {
            continue;
        }
        let wrong = || {
            format!(
                "the folder {part} in the path of {} is not percent-encoded UTF-8",
                file.display()
            )
        };
        let name = decoded(name).ok_or_else(wrong)?;
        let value = match value {
            NULL_PARTITION => None,
            value => Some(decoded(value).ok_or_else(wrong)?),
        };
        if partitions.iter().any(|(known, _)| *known == name) {
            return Err(format!(
                "the partition column {name} occurs twice in the path of {}",
                file.display()
            ));
        }
        partitions.push((name, value));
    }
    Ok(partitions)
}

/// Text without its percent-encoding. A percent sign that begins no code
/// stands for itself, since not every writer encodes it.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, behind @ ..] = rest {
        let code = (*first == b'%')
            .then(|| behind.get(..2))
            .flatten()
            .filter(|code| code.iter().all(u8::is_ascii_hexdigit))
            .and_then(|code| std::str::from_utf8(code).ok())
            .and_then(|code| u8::from_str_radix(code, 16).ok());
        match code {
            Some(byte) => {
                bytes.push(byte);
                rest = &behind[2..];
            }
            None => {
                bytes.push(*first);
                rest = behind;
            }
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn found(file: &str, expected: &[(&str, Option<&str>)]) {
        let found = partitions_of(Path::new("/data/a=b"), Path::new(file)).unwrap();
        let found: Vec<(&str, Option<&str>)> =
            found.iter().map(|(name, value)| (name.as_str(), value.as_deref())).collect();
        assert_eq!(found, expected, "{file}");
    }

    #[test]
    fn folders_below_the_root_name_columns_and_values() {
        found("/data/a=b/x.parquet", &[]);
        found("/data/a=b/country=DE/x=1.parquet", &[("country", Some("DE"))]);
        found(
            "/data/a=b/Country__c=DE/part/year=2026/x.parquet",
            &[("Country__c", Some("DE")), ("year", Some("2026"))],
        );
        found("/data/a=b/k=a=b/x", &[("k", Some("a=b"))]);
        found("/data/a=b/k=/x", &[("k", Some(""))]);
        found("/data/a=b/=v/x", &[]);
    }

    #[test]
    fn nulls_and_encoded_letters_are_understood() {
        found("/data/a=b/k=__HIVE_DEFAULT_PARTITION__/x", &[("k", None)]);
        found("/data/a=b/at=2026-01-15%2008%3A30%3a12/x", &[("at", Some("2026-01-15 08:30:12"))]);
        found("/data/a=b/a%20b=M%C3%BCller%2FS%C3%B6hne/x", &[("a b", Some("Müller/Söhne"))]);
        found("/data/a=b/k=100%/x", &[("k", Some("100%"))]);
        found("/data/a=b/k=%zz/x", &[("k", Some("%zz"))]);
    }

    #[test]
    fn what_can_not_be_told_is_refused() {
        for (file, word) in [
            ("/other/k=v/x", "not below"),
            ("/data/a=b/k=1/k=2/x", "twice"),
            ("/data/a=b/k=%FF/x", "UTF-8"),
        ] {
            let reason = partitions_of(Path::new("/data/a=b"), Path::new(file)).unwrap_err();
            assert!(reason.contains(word), "{reason}");
        }
    }
}
