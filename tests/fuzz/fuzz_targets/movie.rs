//! See `headwater_fuzzing::movie`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    headwater_fuzzing::movie(bytes);
});
