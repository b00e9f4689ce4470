//! Which org: from `--org` and the environment to a connected org.
