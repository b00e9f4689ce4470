//! What a text is not, by its first bytes.

/// The byte order mark of UTF-8, which is dropped: the service would take it
/// for a part of the first column's name.
pub(super) const BOM: &[u8] = b"\xEF\xBB\xBF";

/// The first bytes of a Parquet file, and of one whose footer is encrypted.
pub(super) const PARQUET: [&[u8]; 2] = [b"PAR1", b"PARE"];

/// Kinds of file that open with fixed bytes, and what to say of each.
const MAGIC: [(&[u8], &str); 15] = [
    (b"\xFF\xFE\0\0", "this is UTF-32 text, which nobody else writes either; save it as UTF-8"),
    (b"\0\0\xFE\xFF", "this is UTF-32 text, which nobody else writes either; save it as UTF-8"),
    (b"\x1F\x8B", "this is a gzip file inside another packed one; unpack it once"),
    (b"\x28\xB5\x2F\xFD", "this is a Zstandard file inside another packed one; unpack it once"),
    (b"BZh", "this is a bzip2 file; unpack it, or pack it with gzip or zstd"),
    (b"\xFD7zXZ\0", "this is an xz file; unpack it, or pack it with gzip or zstd"),
    (b"7z\xBC\xAF\x27\x1C", "this is a 7-Zip archive; unpack it first"),
    (b"PAR1", "this is a packed Parquet file; unpack it first, its pages are packed already"),
    (
        b"PK\x03\x04",
        "this is a ZIP archive or an Excel workbook, not CSV; unpack it or save it as CSV in UTF-8",
    ),
    (
        b"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1",
        "this is a workbook of an old Excel, not CSV; save it as CSV in UTF-8",
    ),
    (b"ORC", "this is an ORC file, which is not read; write it as Parquet"),
    (b"Obj\x01", "this is an Avro file, which is not read; write it as Parquet"),
    (b"ARROW1\0\0", "this is an Arrow file, which is not read; write it as Parquet"),
    (b"SQLite format 3\0", "this is an SQLite database; export its table as CSV"),
    (b"%PDF-", "this is a PDF document, not CSV"),
];

/// Why a file that begins like this is no CSV text, if so. `is_encoded` says
/// that its encoding is known, so that zero bytes in it are no wonder.
pub(super) fn refusal(head: &[u8], is_encoded: bool) -> Option<&'static str> {
    if let Some((_, reason)) = MAGIC.iter().find(|(magic, _)| head.starts_with(magic)) {
        return Some(reason);
    }
    // UTF-16 without a mark: ASCII letters with a zero byte each.
    match head {
        _ if is_encoded => None,
        [0, a, 0, b, ..] if *a != 0 && *b != 0 => Some(
            "this looks like UTF-16 text without a byte order mark; --encoding utf-16be reads it",
        ),
        [a, 0, b, 0, ..] if *a != 0 && *b != 0 => Some(
            "this looks like UTF-16 text without a byte order mark; --encoding utf-16le reads it",
        ),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_not_taken_for_anything_else() {
        for text in ["", "a", "Name,Phone\n", "PAR,1", "Bz", "\u{feff}Name\n", "P", "ÿþ", "OR,C"]
        {
            assert_eq!(refusal(text.as_bytes(), false), None, "{text:?}");
        }
        assert_eq!(refusal(b"N\0a\0", true), None);
    }

    #[test]
    fn what_is_not_text_is_named() {
        for (head, word) in [
            (b"N\0a\0m\0".as_slice(), "utf-16le"),
            (b"\0N\0a\0m", "utf-16be"),
            (b"\xFF\xFE\0\0", "UTF-32"),
            (b"\x1F\x8B\x08\0", "gzip"),
            (b"\x28\xB5\x2F\xFD\0", "Zstandard"),
            (b"PAR1\x15\x04", "Parquet"),
            (b"PK\x03\x04\x14", "Excel"),
            (b"ORC\x0a", "ORC"),
        ] {
            assert!(refusal(head, false).is_some_and(|reason| reason.contains(word)), "{head:?}");
        }
    }
}
