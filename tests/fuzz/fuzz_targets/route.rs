//! See `headwater_fuzzing::route`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    headwater_fuzzing::route(bytes);
});
