//! See `headwater_fuzzing::probe`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    headwater_fuzzing::probe(bytes);
});
