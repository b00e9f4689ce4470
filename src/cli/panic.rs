//! What is told of a fault in bulkhaul itself.
//!
//! The message of a panic can be made of anything that was at hand, a value or
//! a secret among it (I8). A message that stands in the program as it is can
//! not; of any other only the place is told.

use std::io::Write as _;
use std::panic::PanicHookInfo;

/// Sets up what is told from here on.
pub(super) fn set_hook() {
    std::panic::set_hook(Box::new(|info| {
        let _ = writeln!(std::io::stderr(), "{}", told(info));
        if std::env::var_os("RUST_BACKTRACE").is_some_and(|value| value != "0") {
            let _ = writeln!(std::io::stderr(), "{}", std::backtrace::Backtrace::force_capture());
        }
    }));
}

fn told(info: &PanicHookInfo<'_>) -> String {
    let place = info
        .location()
        .map_or_else(String::new, |place| format!(" at {}:{}", place.file(), place.line()));
    let words = info.payload().downcast_ref::<&'static str>().map(|text| format!(": {text}"));
    format!(
        "error: a fault in bulkhaul{place}{}\nhint: Please report it with this line. `bulkhaul \
         resume` goes on with a run.",
        words.unwrap_or_default()
    )
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[test]
    fn a_panic_tells_its_place_and_only_words_that_were_always_there() {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&heard);
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            // Other tests may panic at the same time, on threads of theirs.
            if std::thread::current().name() == Some("panicking") {
                sink.lock().unwrap().push(told(info));
            }
        }));
        for secret in [None, Some("hunter2")] {
            let work = move || match secret {
                None => panic!("fixed words"),
                Some(secret) => panic!("made of {secret}"),
            };
            let thread = std::thread::Builder::new().name("panicking".into()).spawn(work);
            assert!(thread.unwrap().join().is_err());
        }
        std::panic::set_hook(before);
        let heard = heard.lock().unwrap();
        assert!(heard[0].contains("fixed words") && heard[0].contains("panic.rs:"), "{heard:?}");
        assert!(heard[1].contains("panic.rs:") && !heard[1].contains("hunter2"), "{heard:?}");
    }
}
