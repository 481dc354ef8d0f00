//! See `headwater_fuzzing::fragment`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    headwater_fuzzing::fragment(bytes);
});
