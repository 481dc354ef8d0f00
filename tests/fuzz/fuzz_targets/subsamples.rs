//! See `headwater_fuzzing::subsamples`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    headwater_fuzzing::subsamples(bytes);
});
