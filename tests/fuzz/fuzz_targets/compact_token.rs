//! See `headwater_fuzzing::compact_token`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    headwater_fuzzing::compact_token(bytes);
});
