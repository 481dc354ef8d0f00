//! See `headwater_fuzzing::pointer`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    headwater_fuzzing::pointer(bytes);
});
