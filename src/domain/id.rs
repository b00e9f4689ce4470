//! Record ids: 15 characters that tell letter case apart, or 18 with a checksum.

/// An 18-character record id with a right checksum.
///
/// "Record IDs", Object Reference: the last three characters encode which of
/// the first fifteen are upper case, so an id whose case was lost (by a
/// spreadsheet, say) can be restored.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RecordId([u8; 18]);

/// Why a text is no record id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RecordIdError {
    /// Neither 15 nor 18 characters long.
    #[error("an id has 15 or 18 characters, this has {0}")]
    Length(usize),
    /// A character other than an ASCII letter or digit.
    #[error("an id holds letters and digits only")]
    Character,
    /// The last three characters can't belong to any id.
    #[error("the checksum of the id is wrong")]
    Checksum,
}

const CHECKSUM: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ012345";

impl RecordId {
    /// Reads an id of 15 or 18 characters. The case of an 18-character one is
    /// restored from its checksum.
    ///
    /// # Errors
    /// [`RecordIdError`] when the text has another length, a character that no
    /// id holds, or a checksum that contradicts it.
    pub fn parse(text: &[u8]) -> Result<Self, RecordIdError> {
        if text.len() != 15 && text.len() != 18 {
            return Err(RecordIdError::Length(text.len()));
        }
        if !text.iter().all(u8::is_ascii_alphanumeric) {
            return Err(RecordIdError::Character);
        }
        let mut id = [0u8; 18];
        id[..15].copy_from_slice(&text[..15]);
        if text.len() == 18 {
            for group in 0..3 {
                let code = text[15 + group].to_ascii_uppercase();
                let bits =
                    CHECKSUM.iter().position(|&c| c == code).ok_or(RecordIdError::Checksum)?;
                for bit in 0..5 {
                    let at = group * 5 + bit;
                    if bits >> bit & 1 == 1 {
                        if !id[at].is_ascii_alphabetic() {
                            return Err(RecordIdError::Checksum);
                        }
                        id[at].make_ascii_uppercase();
                    } else {
                        id[at].make_ascii_lowercase();
                    }
                }
            }
        }
        for group in 0..3 {
            let mut bits = 0usize;
            for bit in 0..5 {
                if id[group * 5 + bit].is_ascii_uppercase() {
                    bits |= 1 << bit;
                }
            }
            id[15 + group] = CHECKSUM[bits];
        }
        Ok(RecordId(id))
    }

    /// The id as its 18 bytes of ASCII.
    pub const fn as_bytes(&self) -> &[u8; 18] {
        &self.0
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        // Only ASCII letters and digits ever get in.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// The first three characters, which name the object.
    pub fn key_prefix(&self) -> &str {
        &self.as_str()[..3]
    }
}

impl std::fmt::Display for RecordId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::fmt::Debug for RecordId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for RecordId {
    type Err = RecordIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        RecordId::parse(text.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fifteen_characters_get_their_checksum() {
        let id: RecordId = "0017Q00000AbCde".parse().unwrap();
        assert_eq!(id.as_str(), "0017Q00000AbCdeQAF");
    }

    #[test]
    fn lost_case_is_restored() {
        let id: RecordId = "0017q00000abcdeqaf".parse().unwrap();
        assert_eq!(id.as_str(), "0017Q00000AbCdeQAF");
    }

    #[test]
    fn a_checksum_that_points_at_a_digit_is_refused() {
        assert_eq!("0017Q00000AbCde5AF".parse::<RecordId>(), Err(RecordIdError::Checksum));
        assert_eq!("short".parse::<RecordId>(), Err(RecordIdError::Length(5)));
        assert_eq!("0017Q00000AbCd!".parse::<RecordId>(), Err(RecordIdError::Character));
    }
}
