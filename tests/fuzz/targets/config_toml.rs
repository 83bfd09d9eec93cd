//! Any text is answered: with a configuration, or with errors that each stand inside a file that was
//! read, at the line and column that they tell; and showing them never fails. The input may have an
//! included file, behind a line that says so.

#![no_main]

use libfuzzer_sys::fuzz_target;
use wayhold::config::Format;
use wayhold_fuzz::places::load_and_check;

fuzz_target!(|data: &[u8]| load_and_check(data, Format::Toml));
