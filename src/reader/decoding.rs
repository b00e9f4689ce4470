//! Text in other encodings than UTF-8, and its byte order mark.
//!
//! Decoding never guesses: bytes that mean nothing in the encoding come out as
//! [`NO_TEXT`], a byte that no UTF-8 has, so that the splitter finds them and
//! their row is rejected.

use std::io::{self, Read};

use encoding_rs::{DecoderResult, Encoding, UTF_8, UTF_16BE, UTF_16LE};

/// Stands where there was nothing to decode.
pub(super) const NO_TEXT: u8 = 0xFF;

/// Bytes decoded at a time.
const BLOCK: usize = 64 << 10;

/// The encoding of a byte order mark, and how long the mark is.
pub(super) fn of_mark(head: &[u8]) -> Option<(&'static Encoding, usize)> {
    match head {
        [0xEF, 0xBB, 0xBF, ..] => Some((UTF_8, 3)),
        // UTF-32 begins like UTF-16; it is refused elsewhere.
        [0xFF, 0xFE, 0, 0, ..] => None,
        [0xFF, 0xFE, ..] => Some((UTF_16LE, 2)),
        [0xFE, 0xFF, ..] => Some((UTF_16BE, 2)),
        _ => None,
    }
}

/// The encoding of a label (`latin1`, `Shift_JIS`, `cp1252`), by the WHATWG
/// Encoding Standard; it takes ISO-8859-1 for Windows-1252, which has the same
/// letters and more.
pub(super) fn by_label(label: &str) -> Option<&'static Encoding> {
    let found = Encoding::for_label_no_replacement(label.trim().as_bytes())?;
    // For headers of mail and web pages alone.
    (found.name() != "x-user-defined").then_some(found)
}

/// Decodes what another reader yields to UTF-8.
pub(super) struct Decoded<R> {
    read: R,
    decoder: encoding_rs::Decoder,
    input: Vec<u8>,
    at: usize,
    ended: bool,
    flushed: bool,
    output: Vec<u8>,
    out_at: usize,
}

impl<R: Read> Decoded<R> {
    /// A byte order mark of the encoding is dropped.
    pub(super) fn new(read: R, encoding: &'static Encoding) -> Self {
        Decoded {
            read,
            decoder: encoding.new_decoder_with_bom_removal(),
            input: Vec::new(),
            at: 0,
            ended: false,
            flushed: false,
            output: Vec::new(),
            out_at: 0,
        }
    }

    /// Decodes until there is something to hand out, or nothing more comes.
    fn fill(&mut self) -> io::Result<()> {
        self.output.clear();
        self.out_at = 0;
        while self.output.is_empty() && !self.flushed {
            if self.at == self.input.len() && !self.ended {
                self.input.resize(BLOCK, 0);
                let got = loop {
                    match self.read.read(&mut self.input) {
                        Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                        other => break other,
                    }
                };
                self.at = 0;
                match got {
                    Ok(got) => self.input.truncate(got),
                    Err(error) => {
                        self.input.clear();
                        return Err(error);
                    }
                }
                self.ended = self.input.is_empty();
            }
            let input = self.input.get(self.at..).unwrap_or_default();
            // Three bytes are the most that one byte of input becomes.
            self.output.resize(input.len().saturating_mul(3) + 16, 0);
            let (result, read, written) = self.decoder.decode_to_utf8_without_replacement(
                input,
                &mut self.output,
                self.ended,
            );
            self.at += read;
            self.output.truncate(written);
            match result {
                DecoderResult::InputEmpty => self.flushed = self.ended,
                DecoderResult::OutputFull => {}
                DecoderResult::Malformed(..) => self.output.push(NO_TEXT),
            }
        }
        Ok(())
    }
}

impl<R: Read> Read for Decoded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.out_at == self.output.len() {
            self.fill()?;
        }
        let ready = self.output.get(self.out_at..).unwrap_or_default();
        let taken = ready.len().min(buffer.len());
        buffer[..taken].copy_from_slice(&ready[..taken]);
        self.out_at += taken;
        Ok(taken)
    }
}

/// Encodes a text; `None` when a character has no place in the encoding.
#[cfg(test)]
pub(super) fn encoded(text: &str, encoding: &'static Encoding) -> Option<Vec<u8>> {
    if encoding == UTF_16LE {
        return Some(text.encode_utf16().flat_map(u16::to_le_bytes).collect());
    }
    if encoding == UTF_16BE {
        return Some(text.encode_utf16().flat_map(u16::to_be_bytes).collect());
    }
    let mut encoder = encoding.new_encoder();
    let mut out = vec![0; text.len() * 8 + 16];
    let (result, _, written) = encoder.encode_from_utf8_without_replacement(text, &mut out, true);
    out.truncate(written);
    matches!(result, encoding_rs::EncoderResult::InputEmpty).then_some(out)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Yields a few bytes at a time, as pipes do.
    struct Drops<'a>(&'a [u8], usize);

    impl Read for Drops<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let taken = self.1.min(self.0.len()).min(buffer.len());
            buffer[..taken].copy_from_slice(&self.0[..taken]);
            self.0 = &self.0[taken..];
            Ok(taken)
        }
    }

    fn decoded(bytes: &[u8], encoding: &'static Encoding, step: usize) -> Vec<u8> {
        let mut out = Vec::new();
        Decoded::new(Drops(bytes, step), encoding).read_to_end(&mut out).unwrap();
        out
    }

    const LABELS: [&str; 8] = [
        "utf-16le",
        "utf-16be",
        "windows-1252",
        "iso-8859-15",
        "shift_jis",
        "gb18030",
        "euc-jp",
        "koi8-r",
    ];

    proptest! {
        #[test]
        fn what_was_encoded_is_decoded(
            text in "[a-zA-Z0-9,;\"\n\r äöüß€éñ日本語ЖД]{0,60}",
            label in prop::sample::select(LABELS.to_vec()),
            step in 1usize..9,
        ) {
            let encoding = by_label(label).unwrap();
            if let Some(bytes) = encoded(&text, encoding) {
                prop_assert_eq!(decoded(&bytes, encoding, step), text.as_bytes());
            }
        }

        /// Whatever the bytes: every one is text, or marked.
        #[test]
        fn any_bytes_come_out_as_text_or_marked(
            bytes in prop::collection::vec(any::<u8>(), 0..200),
            label in prop::sample::select(LABELS.to_vec()),
            step in 1usize..9,
        ) {
            let encoding = by_label(label).unwrap();
            let (expected, had_errors) = encoding.decode_with_bom_removal(&bytes);
            let found = decoded(&bytes, encoding, step);
            let shown = String::from_utf8_lossy(&found);
            prop_assert_eq!(shown.as_ref(), expected.as_ref());
            prop_assert_eq!(found.contains(&NO_TEXT), had_errors);
        }
    }

    #[test]
    fn marks_and_labels_are_known() {
        assert_eq!(of_mark(b"\xEF\xBB\xBFa"), Some((UTF_8, 3)));
        assert_eq!(of_mark(b"\xFF\xFEa\0"), Some((UTF_16LE, 2)));
        assert_eq!(of_mark(b"\xFE\xFF\0a"), Some((UTF_16BE, 2)));
        assert_eq!(of_mark(b"\xFF\xFE\0\0"), None);
        assert_eq!(of_mark(b"Name"), None);
        for label in ["latin1", "CP1252", " Shift_JIS ", "sjis", "ISO-8859-2", "macintosh"] {
            assert!(by_label(label).is_some(), "{label}");
        }
        for label in ["utf-7", "klingon", "", "x-user-defined", "replacement"] {
            assert!(by_label(label).is_none(), "{label}");
        }
    }
}
