//! See `headwater_fuzzing::remux`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    headwater_fuzzing::remux(bytes);
});
