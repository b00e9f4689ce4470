//! All that speaks to an org.
