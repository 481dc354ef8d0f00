//! See `headwater_fuzzing::propagate`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    headwater_fuzzing::propagate(bytes);
});
