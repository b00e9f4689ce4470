//! API versions: which ones this release knows, and which one to use.

use std::fmt;
use std::str::FromStr;

/// An API version of the platform, such as 66.0. They are whole numbers with
/// `.0` behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ApiVersion(u16);

impl ApiVersion {
    /// The newest version this release knows (Spring '26).
    pub const NEWEST: ApiVersion = ApiVersion(66);
    /// The oldest version this release speaks: `resultPages` came with 58.0.
    pub const OLDEST: ApiVersion = ApiVersion(58);

    /// Whether this release speaks the version.
    pub fn is_known(self) -> bool {
        (ApiVersion::OLDEST..=ApiVersion::NEWEST).contains(&self)
    }
}

/// A text that is no API version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no API version, they look like 66.0")]
pub struct InvalidVersion(String);

impl FromStr for ApiVersion {
    type Err = InvalidVersion;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bare = text.strip_prefix(['v', 'V']).unwrap_or(text);
        let whole = bare.strip_suffix(".0").unwrap_or(bare);
        let digits = whole.bytes().all(|byte| byte.is_ascii_digit());
        match whole.parse() {
            Ok(number) if digits => Ok(ApiVersion(number)),
            _ => Err(InvalidVersion(text.chars().take(20).collect())),
        }
    }
}

impl fmt::Display for ApiVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.0", self.0)
    }
}

/// The version to use with an org that offers these: the one wished for, else
/// the newest that both sides know.
///
/// # Errors
/// One line on why there is none.
pub(super) fn choose(wish: Option<&str>, offered: &[ApiVersion]) -> Result<ApiVersion, String> {
    let (oldest, newest) = (ApiVersion::OLDEST, ApiVersion::NEWEST);
    let reach = match (offered.iter().min(), offered.iter().max()) {
        (Some(from), Some(to)) => format!("the org offers {from} to {to}"),
        _ => "the org offers none".to_owned(),
    };
    let Some(wish) = wish else {
        return offered
            .iter()
            .copied()
            .filter(|version| version.is_known())
            .max()
            .ok_or_else(|| format!("this release speaks {oldest} to {newest} and {reach}"));
    };
    let version: ApiVersion = wish.parse().map_err(|error: InvalidVersion| error.to_string())?;
    if !version.is_known() {
        return Err(format!("this release speaks {oldest} to {newest}, not {version}"));
    }
    if !offered.contains(&version) {
        return Err(format!("{reach}, not {version}"));
    }
    Ok(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offered(numbers: &[u16]) -> Vec<ApiVersion> {
        numbers.iter().copied().map(ApiVersion).collect()
    }

    #[test]
    fn the_newest_known_to_both_is_taken() {
        assert_eq!(choose(None, &offered(&[60, 66, 64, 70])).unwrap(), ApiVersion(66));
        assert_eq!(choose(None, &offered(&[31, 62])).unwrap(), ApiVersion(62));
        let why = choose(None, &offered(&[68, 70])).unwrap_err();
        assert_eq!(why, "this release speaks 58.0 to 66.0 and the org offers 68.0 to 70.0");
    }

    #[test]
    fn a_wish_must_be_known_to_both() {
        assert_eq!(choose(Some("v62.0"), &offered(&[62, 66])).unwrap(), ApiVersion(62));
        assert_eq!(choose(Some("62"), &offered(&[62])).unwrap(), ApiVersion(62));
        for wish in ["63.0", "57.0", "67.0", "62.5", "", "v", "+62", "latest"] {
            assert!(choose(Some(wish), &offered(&[57, 62, 66, 67])).is_err(), "{wish}");
        }
    }
}
