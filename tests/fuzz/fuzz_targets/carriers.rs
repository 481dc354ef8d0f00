//! See `headwater_fuzzing::carriers`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    headwater_fuzzing::carriers(bytes);
});
