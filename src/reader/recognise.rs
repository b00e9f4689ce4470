//! What a file is, by its first bytes.

/// The byte order mark of UTF-8, which is dropped: the service would take it
/// for a part of the first column's name.
pub(super) const BOM: &[u8] = b"\xEF\xBB\xBF";

/// Kinds of file that open with fixed bytes, and what to say of each.
const MAGIC: [(&[u8], &str); 9] = [
    (b"\xFF\xFE\0\0", "this is UTF-32 text; only UTF-8 is read so far, so save it as UTF-8"),
    (b"\xFF\xFE", "this is UTF-16 text; only UTF-8 is read so far, so save it as UTF-8"),
    (b"\xFE\xFF", "this is UTF-16 text; only UTF-8 is read so far, so save it as UTF-8"),
    (b"\x1F\x8B", "this is a gzip file; compressed files are not read yet, so unpack it first"),
    (
        b"\x28\xB5\x2F\xFD",
        "this is a Zstandard file; compressed files are not read yet, so unpack it first",
    ),
    (b"BZh", "this is a bzip2 file; compressed files are not read yet, so unpack it first"),
    (b"PAR1", "this is a Parquet file, which is not read yet; export it as CSV"),
    (
        b"PK\x03\x04",
        "this is a ZIP archive or an Excel workbook, not CSV; unpack it or save it as CSV in UTF-8",
    ),
    (
        b"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1",
        "this is a workbook of an old Excel, not CSV; save it as CSV in UTF-8",
    ),
];

/// Why a file that begins like this can't be read, if so.
pub(super) fn refusal(head: &[u8]) -> Option<&'static str> {
    if let Some((_, reason)) = MAGIC.iter().find(|(magic, _)| head.starts_with(magic)) {
        return Some(reason);
    }
    // UTF-16 without a mark: ASCII letters with a zero byte each.
    match head {
        [0, a, 0, b, ..] | [a, 0, b, 0, ..] if *a != 0 && *b != 0 => Some(
            "this looks like UTF-16 text without a byte order mark; only UTF-8 is read so far, \
             so save it as UTF-8",
        ),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_not_taken_for_anything_else() {
        for text in ["", "a", "Name,Phone\n", "PAR,1", "Bz", "\u{feff}Name\n", "P", "ÿþ"] {
            assert_eq!(refusal(text.as_bytes()), None, "{text:?}");
        }
    }

    #[test]
    fn what_is_not_text_is_named() {
        for (head, word) in [
            (b"\xFF\xFEN\0a\0".as_slice(), "UTF-16"),
            (b"\xFE\xFF\0N\0a", "UTF-16"),
            (b"N\0a\0m\0", "UTF-16"),
            (b"\0N\0a\0m", "UTF-16"),
            (b"\xFF\xFE\0\0", "UTF-32"),
            (b"\x1F\x8B\x08\0", "gzip"),
            (b"\x28\xB5\x2F\xFD\0", "Zstandard"),
            (b"PAR1\x15\x04", "Parquet"),
            (b"PK\x03\x04\x14", "Excel"),
        ] {
            assert!(refusal(head).is_some_and(|reason| reason.contains(word)), "{head:?}");
        }
    }
}
