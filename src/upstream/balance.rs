//! Picking a peer; pure.
