//! Columns as only old or other writers store them, by the low-level writer.

use std::fs::File;
use std::sync::Arc;

use parquet::data_type::{ByteArray, ByteArrayType, DataType, Int32Type, Int64Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;

use super::*;

/// The words for the type of a file's only column, and its cells.
fn stored<T: DataType>(
    column: &str,
    values: &[T::T],
    definition: Option<&[i16]>,
    repetition: Option<&[i16]>,
) -> (String, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("stored.parquet");
    let schema = Arc::new(parse_message_type(&format!("message schema {{ {column} }}")).unwrap());
    let file = File::create(&path).unwrap();
    let properties = Arc::new(WriterProperties::builder().build());
    let mut writer = SerializedFileWriter::new(file, schema, properties).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<T>().write_batch(values, definition, repetition).unwrap();
    column.close().unwrap();
    group.close().unwrap();
    writer.close().unwrap();
    let file = ParquetFile::open(&path, &ParquetOptions::default()).unwrap();
    (file.types().concat(), cells(&file).concat())
}

fn bytes(values: &[&[u8]]) -> Vec<ByteArray> {
    values.iter().map(|value| ByteArray::from(value.to_vec())).collect()
}

#[test]
fn lists_of_all_old_shapes_are_joined() {
    let values = bytes(&[b"a", b"b", b"c"]);
    let expected = ["a;b", "", "c"].map(str::to_owned).to_vec();
    for (column, levels) in [
        ("optional group Tags (LIST) { repeated binary array (UTF8); }", [2, 2, 0, 2]),
        ("required group Tags (LIST) { repeated binary element (UTF8); }", [1, 1, 0, 1]),
        ("repeated binary Tags (UTF8);", [1, 1, 0, 1]),
        (
            "optional group Tags (LIST) { repeated group bag { optional binary array (ENUM); } }",
            [3, 3, 0, 3],
        ),
        (
            "required group Tags (LIST) { repeated group list { required binary element (UTF8); } }",
            [1, 1, 0, 1],
        ),
    ] {
        let found = stored::<ByteArrayType>(column, &values, Some(&levels), Some(&[0, 1, 0, 0]));
        assert_eq!(found, ("list of text".to_owned(), expected.clone()), "{column}");
    }
}

#[test]
fn decimals_of_any_number_of_bytes_are_exact() {
    let most = [&[0x7F][..], &[0xFF; 31]].concat();
    let least = [&[0x80][..], &[0; 31]].concat();
    let values: [&[u8]; 7] =
        [b"\x01", b"\xFF", b"", b"\xFF\xFF\x00", b"\x00\x00\xFF", &most, &least];
    let (words, found) = stored::<ByteArrayType>(
        "required binary Amount (DECIMAL(76, 3));",
        &bytes(&values),
        None,
        None,
    );
    assert_eq!(words, "decimal(76, 3)");
    let most = "57896044618658097711785492504343953926634992332820282019728792003956564819967";
    let least = "57896044618658097711785492504343953926634992332820282019728792003956564819968";
    let pointed = |text: &str| format!("{}.{}", &text[..74], &text[74..]);
    assert_eq!(
        found,
        [
            "0.001".to_owned(),
            "-0.001".to_owned(),
            "0.000".to_owned(),
            "-0.256".to_owned(),
            "0.255".to_owned(),
            pointed(most),
            format!("-{}", pointed(least)),
        ]
    );
}

#[test]
fn types_that_are_told_in_the_old_way_alone_are_understood() {
    let (words, found) =
        stored::<Int64Type>("required int64 At (TIMESTAMP_MILLIS);", &[-1, 0], None, None);
    assert_eq!(words, "timestamp (milliseconds, UTC)");
    assert_eq!(found, ["1969-12-31T23:59:59.999Z", "1970-01-01T00:00:00.000Z"]);
    let (words, found) = stored::<Int32Type>("required int32 N (UINT_32);", &[-1, 7], None, None);
    assert_eq!(words, "unsigned integer of 32 bits");
    assert_eq!(found, ["4294967295", "7"]);
    let (words, found) = stored::<Int64Type>("required int64 N (UINT_64);", &[-1], None, None);
    assert_eq!(words, "unsigned integer of 64 bits");
    assert_eq!(found, ["18446744073709551615"]);
    let (_, found) = stored::<Int32Type>("required int32 D (DECIMAL(9, 2));", &[-5], None, None);
    assert_eq!(found, ["-0.05"]);
    let (_, found) =
        stored::<Int32Type>("required int32 T (TIME_MILLIS);", &[3_723_004], None, None);
    assert_eq!(found, ["01:02:03.004Z"]);
}

#[test]
fn a_list_of_structs_of_one_text_is_no_list_of_text() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("stored.parquet");
    let schema = parse_message_type(
        "message schema { optional group Tags (LIST) { repeated group array { required binary s \
         (UTF8); } } }",
    )
    .unwrap();
    let properties = Arc::new(WriterProperties::builder().build());
    let file = File::create(&path).unwrap();
    SerializedFileWriter::new(file, Arc::new(schema), properties).unwrap().close().unwrap();
    assert!(refusal(&path).contains("`Tags` (a list of nested values)"));
}
