//! Bodies that something happens to on their way, in the middle or at the end.

use std::io;
use std::time::Duration;

use axum::body::{Body, BodyDataStream, Bytes};
use futures_util::{StreamExt as _, stream};

use super::draw::part;
use super::spec::Act;
use super::wire::{End, Handle};

/// What happens to a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Happens {
    /// Something to the connection.
    Act(Act),
    /// It ends as if that were all.
    Ends,
}

/// Where in a body it happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Where {
    /// Somewhere in it, by a number drawn.
    Within(u64),
    /// Behind its last byte.
    Behind,
}

/// Pieces that pass unharmed at most before something happens within a body.
const PIECES: u64 = 4;

/// Lets something happen to a body. `replying`: it goes out, and what went
/// before is to arrive.
pub(super) fn disturbed(
    body: Body,
    happens: Happens,
    place: Where,
    handle: Handle,
    replying: bool,
) -> Body {
    let pieces = if let Where::Within(number) = place { number % PIECES } else { 0 };
    let body = body.into_data_stream();
    let (held, rest) = (None, None);
    let phase = Phase::Passing;
    let ended = false;
    let state =
        Disturbed { body, ended, held, rest, phase, pieces, happens, place, handle, replying };
    Body::from_stream(stream::unfold(state, async |mut state| {
        let next = state.next().await?;
        Some((next, state))
    }))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Before it happened.
    Passing,
    /// It is due.
    Due,
    /// It is over, and the body goes on.
    Resting,
    /// Nothing more comes.
    Over,
}

struct Disturbed {
    body: BodyDataStream,
    /// It has no more, and must not be asked again.
    ended: bool,
    /// A piece that came and wasn't passed on: only the next one tells
    /// whether it is the last.
    held: Option<Bytes>,
    /// The part of a piece behind the place where it happens.
    rest: Option<Bytes>,
    phase: Phase,
    pieces: u64,
    happens: Happens,
    place: Where,
    handle: Handle,
    replying: bool,
}

impl Disturbed {
    async fn next(&mut self) -> Option<io::Result<Bytes>> {
        loop {
            match self.phase {
                Phase::Over => return None,
                Phase::Passing => {
                    if let Some(passed) = self.pass().await {
                        return Some(passed);
                    }
                }
                Phase::Due => {
                    if let Some(broken) = self.happen().await {
                        return Some(Err(broken));
                    }
                }
                Phase::Resting => {
                    if let Some(bytes) = self.rest.take().or_else(|| self.held.take()) {
                        return Some(Ok(bytes));
                    }
                    if self.ended {
                        return None;
                    }
                    return Some(self.body.next().await?.map_err(io::Error::other));
                }
            }
        }
    }

    /// The next piece of what comes before; `None`: none, look at the phase.
    async fn pass(&mut self) -> Option<io::Result<Bytes>> {
        match self.body.next().await {
            Some(Err(error)) => {
                self.phase = Phase::Over;
                Some(Err(io::Error::other(error)))
            }
            Some(Ok(bytes)) if bytes.is_empty() => None,
            Some(Ok(bytes)) => {
                let held = self.held.replace(bytes)?;
                match self.place {
                    Where::Within(number) if self.pieces == 0 => Some(Ok(self.split(held, number))),
                    _ => {
                        self.pieces = self.pieces.saturating_sub(1);
                        Some(Ok(held))
                    }
                }
            }
            None => {
                self.ended = true;
                self.phase = Phase::Due;
                let held = self.held.take()?;
                match self.place {
                    Where::Within(number) => Some(Ok(self.split(held, number))),
                    Where::Behind => Some(Ok(held)),
                }
            }
        }
    }

    /// Passes on a part of a piece, and keeps the rest.
    fn split(&mut self, mut piece: Bytes, number: u64) -> Bytes {
        self.phase = Phase::Due;
        let at = (part(number) * piece.len() as f64) as usize;
        let first = piece.split_to(at.clamp(1, piece.len().max(2) - 1).min(piece.len()));
        self.rest = Some(piece).filter(|rest| !rest.is_empty());
        first
    }

    /// Lets it happen; gives the error that breaks the body, if it does.
    async fn happen(&mut self) -> Option<io::Error> {
        self.phase = Phase::Over;
        let Happens::Act(act) = self.happens else { return None };
        match act {
            Act::Stall(ms) => {
                tokio::time::sleep(Duration::from_millis(ms)).await;
                self.phase = Phase::Resting;
                return None;
            }
            Act::StallReset(ms) => tokio::time::sleep(Duration::from_millis(ms)).await,
            Act::Reset | Act::Hangup if self.replying => self.handle.flushed().await,
            Act::Reset | Act::Hangup => {}
        }
        self.handle.end(if act == Act::Hangup { End::Close } else { End::Reset });
        Some(io::ErrorKind::ConnectionReset.into())
    }
}

/// Ends a CSV body early, between two records or `within` one, so that at
/// least a part of a record is missing and the header is not. `strikes` is
/// asked once, when there is something to cut.
pub(super) fn cut(
    body: Body,
    within: bool,
    number: u64,
    strikes: impl FnOnce() -> bool + Send + 'static,
) -> Body {
    let state = Cutting {
        body: body.into_data_stream(),
        held: None,
        quoted: false,
        at_border: false,
        pieces: number % PIECES,
        within,
        number,
        strikes: Some(strikes),
        over: false,
    };
    Body::from_stream(stream::unfold(state, async |mut state| {
        let next = state.next().await?;
        Some((next, state))
    }))
}

struct Cutting<F> {
    body: BodyDataStream,
    held: Option<Bytes>,
    /// The last piece ended within quotes.
    quoted: bool,
    /// The last piece ended between two records.
    at_border: bool,
    pieces: u64,
    within: bool,
    number: u64,
    /// Gone once it was asked.
    strikes: Option<F>,
    over: bool,
}

impl<F: FnOnce() -> bool> Cutting<F> {
    async fn next(&mut self) -> Option<io::Result<Bytes>> {
        loop {
            if self.over {
                return None;
            }
            let (piece, last) = match self.body.next().await {
                Some(Err(error)) => return Some(Err(io::Error::other(error))),
                Some(Ok(bytes)) => match self.held.replace(bytes) {
                    Some(held) => (held, false),
                    None => continue,
                },
                None => {
                    self.over = true;
                    (self.held.take()?, true)
                }
            };
            let end = self.end_of(&piece, last);
            if let Some(end) = end
                && self.strikes.take().is_some_and(|strikes| strikes())
            {
                self.over = true;
                return Some(Ok(piece.slice(..end)));
            }
            return Some(Ok(piece));
        }
    }

    /// Where to cut this piece, if it is its turn and there is a place.
    fn end_of(&mut self, piece: &Bytes, last: bool) -> Option<usize> {
        let mut borders = Vec::new();
        for (at, byte) in piece.iter().enumerate() {
            match byte {
                b'"' => self.quoted = !self.quoted,
                b'\n' if !self.quoted => borders.push(at + 1),
                _ => {}
            }
        }
        // The border that the last piece ended at is one of this one, too.
        let mut places: Vec<usize> = self.at_border.then_some(0).into_iter().collect();
        places.extend(&borders);
        self.at_border = borders.last() == Some(&piece.len());
        if self.pieces > 0 && !last {
            self.pieces -= 1;
            return None;
        }
        if self.at_border && (last || self.within) {
            places.pop();
        }
        let place = (part(self.number) * places.len() as f64) as usize;
        let from = *places.get(place)?;
        if !self.within {
            return Some(from);
        }
        let to = borders.iter().find(|border| **border > from).copied().unwrap_or(piece.len());
        Some(from + ((to - from) / 2).max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SET: &str = "\"sf__Id\",Name\n\"1\",\"a\"\n\"2\",\"b\nb\"\n\"3\",\"c\"\n";

    fn pieces(size: usize) -> Body {
        // One that panics when it is asked again after its end.
        Body::from_stream(stream::unfold(SET.as_bytes(), move |rest| async move {
            let (piece, rest) = rest.split_at(size.min(rest.len()));
            let bytes = Ok::<_, io::Error>(Bytes::from_static(piece));
            (!piece.is_empty()).then_some((bytes, rest))
        }))
    }

    async fn text(body: Body) -> String {
        let bytes = axum::body::to_bytes(body, 10_000).await.unwrap();
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    #[tokio::test]
    async fn cuts_leave_the_header_and_lose_at_least_a_record() {
        let whole = ["\"sf__Id\",Name\n", "\"1\",\"a\"\n", "\"2\",\"b\nb\"\n", "\"3\",\"c\"\n"];
        let borders: Vec<String> = (1..=3).map(|count| whole[..count].concat()).collect();
        for number in (0..200).map(|n| super::super::draw::number(n, "place", [0, 0])) {
            for size in [1_000, 30, 7, 1] {
                let found = text(cut(pieces(size), false, number, || true)).await;
                assert!(borders.contains(&found), "{size}: {found:?}");
                let found = text(cut(pieces(size), true, number, || true)).await;
                assert!(SET.starts_with(&found) && found.len() > borders[0].len(), "{found:?}");
                assert!(!borders.contains(&found) && found.len() < SET.len(), "{size}: {found:?}");
            }
            assert_eq!(text(cut(pieces(9), false, number, || false)).await, SET);
        }
    }

    #[tokio::test]
    async fn a_set_without_rows_is_not_cut() {
        for within in [false, true] {
            let body = Body::from("\"sf__Id\",Name\n");
            let found = text(cut(body, within, 5, || panic!("there is nothing to cut"))).await;
            assert_eq!(found, "\"sf__Id\",Name\n");
        }
    }

    #[tokio::test]
    async fn a_stalled_body_arrives_whole_and_an_ended_one_does_not() {
        for number in 0..50_u64 {
            let place = Where::Within(number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
            let stalls = Happens::Act(Act::Stall(1));
            let body = disturbed(pieces(9), stalls, place, Handle::default(), false);
            assert_eq!(text(body).await, SET);
            let body = disturbed(pieces(9), Happens::Ends, place, Handle::default(), false);
            let found = text(body).await;
            assert!(SET.starts_with(&found) && !found.is_empty() && found.len() < SET.len());
        }
        let breaks = Happens::Act(Act::Reset);
        let body = disturbed(pieces(9), breaks, Where::Behind, Handle::default(), false);
        assert!(axum::body::to_bytes(body, 10_000).await.is_err());
    }
}
