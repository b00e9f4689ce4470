//! The multipart create (protocol notes, section 2.3): a part `job` with the
//! create JSON and a part `content` with the CSV.

use std::ops::Range;

/// Takes a `multipart/form-data` body apart: where the contents of the parts
/// `job` and `content` stand. `None` when the body isn't one, or lacks a part.
pub(crate) fn parts(content_type: &str, body: &[u8]) -> Option<(Range<usize>, Range<usize>)> {
    let boundary = content_type
        .split(';')
        .skip(1)
        .filter_map(|parameter| parameter.trim().split_once('='))
        .find(|(name, _)| name.eq_ignore_ascii_case("boundary"))
        .map(|(_, value)| value.trim_matches('"'))
        .filter(|value| !value.is_empty())?;
    let delimiter = format!("--{boundary}");
    let starts: Vec<usize> = memchr::memmem::find_iter(body, delimiter.as_bytes())
        // At the start of a line only.
        .filter(|at| *at == 0 || body.get(at - 1) == Some(&b'\n'))
        .collect();
    let (mut job, mut content) = (None, None);
    for pair in starts.windows(2) {
        let &[start, end] = pair else { continue };
        let start = start + delimiter.len();
        let part = body.get(start..end)?;
        let (head, text) = split_head(part)?;
        let text_start = start + text;
        let text_end = end - trailing_line_end(part);
        let head = String::from_utf8_lossy(head).to_ascii_lowercase();
        let disposition =
            head.lines().find(|line| line.trim_start().starts_with("content-disposition:"))?;
        let named = |name: &str| {
            disposition.split(';').map(str::trim).any(|parameter| {
                parameter.strip_prefix("name=").is_some_and(|value| value.trim_matches('"') == name)
            })
        };
        let range = text_start..text_end.max(text_start);
        if named("job") {
            job = Some(range);
        } else if named("content") {
            content = Some(range);
        }
    }
    Some((job?, content?))
}

/// The head of a part, and where its text begins.
fn split_head(part: &[u8]) -> Option<(&[u8], usize)> {
    let find = |blank: &[u8]| memchr::memmem::find(part, blank).map(|at| (at, at + blank.len()));
    let (head, text) = match (find(b"\r\n\r\n"), find(b"\n\n")) {
        (Some(crlf), Some(lf)) => crlf.min(lf),
        (Some(only), None) | (None, Some(only)) => only,
        (None, None) => return None,
    };
    Some((part.get(..head)?, text))
}

/// The line end before a boundary is the boundary's.
fn trailing_line_end(part: &[u8]) -> usize {
    if part.ends_with(b"\r\n") { 2 } else { usize::from(part.ends_with(b"\n")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TYPE: &str = "multipart/form-data; boundary=\"XX\"";

    fn texts(content_type: &str, body: &str) -> Option<(String, String)> {
        let (job, content) = parts(content_type, body.as_bytes())?;
        Some((body[job].to_owned(), body[content].to_owned()))
    }

    #[test]
    fn both_parts_are_found_with_either_line_end() {
        let body = "--XX\r\nContent-Type: application/json\r\n\
                    Content-Disposition: form-data; name=\"job\"\r\n\r\n{\"a\":1}\r\n--XX\r\n\
                    Content-Disposition: form-data; name=\"content\"; filename=\"content\"\r\n\
                    Content-Type: text/csv\r\n\r\nName\nA --XX\n\r\n--XX--\r\n";
        let expected = ("{\"a\":1}".to_owned(), "Name\nA --XX\n".to_owned());
        assert_eq!(texts(TYPE, body), Some(expected));
        let body = body.replace("\r\n", "\n");
        assert_eq!(texts(TYPE, &body), Some(("{\"a\":1}".to_owned(), "Name\nA --XX\n".to_owned())));
    }

    #[test]
    fn what_lacks_a_part_is_none() {
        assert_eq!(texts("multipart/form-data", "--XX"), None);
        assert_eq!(texts(TYPE, ""), None);
        assert_eq!(
            texts(TYPE, "--XX\r\nContent-Disposition: form-data; name=\"job\"\r\n\r\n{}\r\n--XX--"),
            None
        );
    }
}
