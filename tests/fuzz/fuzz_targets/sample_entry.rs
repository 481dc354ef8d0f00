//! See `headwater_fuzzing::sample_entry`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    headwater_fuzzing::sample_entry(bytes);
});
