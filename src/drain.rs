//! Pacing of a drain.
