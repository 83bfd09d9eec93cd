//! The same of an nginx.conf: any text is answered, with a configuration or with errors that stand
//! where they say.

#![no_main]

use libfuzzer_sys::fuzz_target;
use wayhold::config::Format;
use wayhold_fuzz::places::load_and_check;

fuzz_target!(|data: &[u8]| load_and_check(data, Format::Nginx));
