//! Files whose lines end with a lone carriage return, as old Macs wrote them.

use std::io::{self, Read};

use memchr::memchr3;

/// Whether the lines of a text end with a lone carriage return: the first line
/// end outside of quotes is one. Elsewhere a lone one is a part of its cell.
pub(super) fn ends_with_returns(sample: &[u8], delimiter: Option<u8>, quote: u8) -> bool {
    let mut state = State::CellStart;
    for (at, &byte) in sample.iter().enumerate() {
        if state != State::Quoted && byte == b'\n' {
            return false;
        }
        if state != State::Quoted && byte == b'\r' {
            return sample.get(at + 1).is_some_and(|&next| next != b'\n');
        }
        state = match delimiter {
            Some(delimiter) => state.after(byte, delimiter, quote),
            None => state.after_any(byte, quote),
        };
    }
    false
}

/// Where in a record a byte stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    CellStart,
    Unquoted,
    Quoted,
    /// Behind a quote in a quoted cell: doubled, or the end of it.
    QuoteInQuoted,
}

impl State {
    const fn after(self, byte: u8, delimiter: u8, quote: u8) -> State {
        match self {
            State::Quoted if byte == quote => State::QuoteInQuoted,
            State::Quoted => State::Quoted,
            State::QuoteInQuoted if byte == quote => State::Quoted,
            State::CellStart if byte == quote => State::Quoted,
            _ if byte == delimiter || byte == b'\r' || byte == b'\n' => State::CellStart,
            _ => State::Unquoted,
        }
    }

    /// While nobody knows the delimiter: what is no letter, digit or blank may
    /// be one.
    const fn after_any(self, byte: u8, quote: u8) -> State {
        let may_delimit = !(byte.is_ascii_alphanumeric() || byte == b' ' || byte == b'_')
            && byte.is_ascii()
            && byte != quote;
        self.after(byte, if may_delimit { byte } else { b'\n' }, quote)
    }
}

/// Gives every line the end LF. Line ends inside quotes stay as they are.
pub(super) struct FedLines<R> {
    read: R,
    delimiter: u8,
    quote: u8,
    state: State,
    /// Whether the last byte handed out was made of a carriage return, so that
    /// a line feed behind it is the rest of one line end.
    after_return: bool,
}

impl<R: Read> FedLines<R> {
    pub(super) fn new(read: R, delimiter: u8, quote: u8) -> Self {
        FedLines { read, delimiter, quote, state: State::CellStart, after_return: false }
    }

    /// Changes a piece of text in place; gives how many bytes are left of it.
    fn change(&mut self, text: &mut [u8]) -> usize {
        let mut kept = 0;
        let mut at = 0;
        while at < text.len() {
            // Nothing but these can change anything inside a plain cell.
            if self.state == State::Unquoted && !self.after_return {
                let rest = &text[at..];
                let stop = memchr3(self.delimiter, b'\r', b'\n', rest).unwrap_or(rest.len());
                text.copy_within(at..at + stop, kept);
                (at, kept) = (at + stop, kept + stop);
                if at == text.len() {
                    break;
                }
            }
            let byte = text[at];
            at += 1;
            if byte == b'\n' && self.after_return && self.state == State::CellStart {
                self.after_return = false;
                continue;
            }
            let ends_line = byte == b'\r' && self.state != State::Quoted;
            self.after_return = ends_line;
            self.state = self.state.after(byte, self.delimiter, self.quote);
            text[kept] = if ends_line { b'\n' } else { byte };
            kept += 1;
        }
        kept
    }
}

impl<R: Read> Read for FedLines<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let got = self.read.read(buffer)?;
            if got == 0 {
                return Ok(0);
            }
            let kept = self.change(&mut buffer[..got]);
            // A lone line feed may have been all there was.
            if kept > 0 || buffer.is_empty() {
                return Ok(kept);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Drops<'a>(&'a [u8], usize);

    impl Read for Drops<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let taken = self.1.min(self.0.len()).min(buffer.len());
            buffer[..taken].copy_from_slice(&self.0[..taken]);
            self.0 = &self.0[taken..];
            Ok(taken)
        }
    }

    #[track_caller]
    fn becomes(text: &str, expected: &str) {
        for step in 1..8 {
            let mut out = String::new();
            let read = Drops(text.as_bytes(), step);
            FedLines::new(read, b',', b'"').read_to_string(&mut out).unwrap();
            assert_eq!(out, expected, "{text:?} by {step}");
        }
    }

    #[test]
    fn every_line_end_outside_of_quotes_becomes_a_line_feed() {
        becomes("a,b\rc,d\r", "a,b\nc,d\n");
        becomes("a,b\r\nc,d\n\re,f", "a,b\nc,d\n\ne,f");
        becomes("a,\"x\ry\"\rb,\"\r\n\"\"\r\"\rc", "a,\"x\ry\"\nb,\"\r\n\"\"\r\"\nc");
        becomes("5\" pipe,x\r6\" pipe,y\r", "5\" pipe,x\n6\" pipe,y\n");
        becomes("\r\r\n\r", "\n\n\n");
    }

    #[test]
    fn only_a_first_line_end_that_is_alone_counts() {
        let returns = |text: &str| ends_with_returns(text.as_bytes(), None, b'"');
        assert!(returns("Name,Phone\rAcme,1\r"));
        assert!(returns("\"Na\nme\",Phone\rAcme,1\r\n"));
        assert!(!returns("Name,Phone\r\nAcme\r"));
        assert!(!returns("Name,Phone\nAcme\rx"));
        assert!(!returns("Name\r"), "half a line end, as far as is known");
        assert!(!returns("\"a\rb\",c\nd\r"));
    }
}
