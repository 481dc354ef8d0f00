//! See `headwater_fuzzing::cpix`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    headwater_fuzzing::cpix(bytes);
});
