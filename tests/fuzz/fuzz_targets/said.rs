//! See `headwater_fuzzing::said`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    headwater_fuzzing::said(bytes);
});
