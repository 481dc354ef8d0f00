//! See `headwater_fuzzing::heads`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    headwater_fuzzing::heads(bytes);
});
