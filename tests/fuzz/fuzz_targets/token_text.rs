//! See `headwater_fuzzing::token_text`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    headwater_fuzzing::token_text(bytes);
});
