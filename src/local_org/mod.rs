//! The embedded org: its own reading of the protocol, sharing nothing with the client (I10).
