//! The process: builds the first generation, binds, runs until it is told to stop.
