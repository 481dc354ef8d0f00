//! See `headwater_fuzzing::proxy`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    headwater_fuzzing::proxy(bytes);
});
