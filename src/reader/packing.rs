//! Packed files: gzip and Zstandard, told by their first bytes.

use std::io::{self, ErrorKind, Read};

use serde::{Deserialize, Serialize};

/// How the bytes of a file are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Packing {
    /// Not at all.
    None,
    /// gzip, of one member or several.
    Gzip,
    /// Zstandard, of one frame or several.
    Zstd,
}

/// Bytes of packed data read at a time.
const BUFFER: usize = 64 << 10;

impl Packing {
    /// By the first bytes of a file.
    pub(super) fn of(head: &[u8]) -> Packing {
        match head {
            [0x1F, 0x8B, ..] => Packing::Gzip,
            [0x28, 0xB5, 0x2F, 0xFD, ..] => Packing::Zstd,
            _ => Packing::None,
        }
    }

    /// What it is called.
    pub const fn as_str(self) -> &'static str {
        match self {
            Packing::None => "none",
            Packing::Gzip => "gzip",
            Packing::Zstd => "Zstandard",
        }
    }

    /// Unpacks what `read` yields. Data that break off, or are followed by
    /// something else, are an error of a kind that [`damage`] explains.
    pub(super) fn unpack<R: Read + Send + 'static>(
        self,
        read: R,
    ) -> io::Result<Box<dyn Read + Send>> {
        Ok(match self {
            Packing::None => Box::new(read),
            Packing::Gzip => {
                let buffered = io::BufReader::with_capacity(BUFFER, read);
                Box::new(flate2::bufread::MultiGzDecoder::new(buffered))
            }
            Packing::Zstd => Box::new(zstd::stream::read::Decoder::new(read)?),
        })
    }

    /// What an error while unpacking means, if it is one of the data.
    pub(super) fn damage(self, error: &io::Error) -> Option<String> {
        let name = match self {
            Packing::None => return None,
            other => other.as_str(),
        };
        match error.kind() {
            ErrorKind::UnexpectedEof => {
                Some(format!("the {name} data break off; the file was cut short"))
            }
            ErrorKind::InvalidInput | ErrorKind::InvalidData | ErrorKind::Other => {
                Some(format!("the {name} data are damaged"))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn unpacked(packing: Packing, bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        let mut read = packing.unpack(io::Cursor::new(bytes.to_vec()))?;
        read.read_to_end(&mut out).map(|_| out)
    }

    #[test]
    fn members_and_frames_are_read_one_after_another() {
        let zstd = |text: &[u8]| zstd::encode_all(text, 1).unwrap();
        for (packing, one, two) in [
            (Packing::Gzip, gzip(b"Name\nA\n"), gzip(b"B\n")),
            (Packing::Zstd, zstd(b"Name\nA\n"), zstd(b"B\n")),
        ] {
            assert_eq!(Packing::of(&one), packing);
            let both = [one, two].concat();
            assert_eq!(unpacked(packing, &both).unwrap(), b"Name\nA\nB\n");
        }
    }

    #[test]
    fn what_breaks_off_or_is_damaged_is_told() {
        let text: Vec<u8> = (0..100_000u32).flat_map(u32::to_le_bytes).collect();
        let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
        encoder.include_checksum(true).unwrap();
        encoder.write_all(&text).unwrap();
        let zstd = encoder.finish().unwrap();
        for (packing, whole) in [(Packing::Gzip, gzip(&text)), (Packing::Zstd, zstd)] {
            for cut in [whole.len() - 1, whole.len() / 2, 12] {
                let error = unpacked(packing, &whole[..cut]).map(|text| text.len()).unwrap_err();
                let damage = packing.damage(&error).unwrap();
                assert!(damage.contains("break off"), "{packing:?} at {cut}: {damage}");
            }
            let mut changed = whole.clone();
            let middle = changed.len() / 2;
            changed[middle..middle + 8].fill(0xA5);
            let error = unpacked(packing, &changed).map(|text| text.len()).unwrap_err();
            assert!(packing.damage(&error).is_some(), "{packing:?}: {error:?}");
        }
    }
}
