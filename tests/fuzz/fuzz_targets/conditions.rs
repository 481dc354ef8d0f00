//! See `headwater_fuzzing::conditions`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    headwater_fuzzing::conditions(bytes);
});
