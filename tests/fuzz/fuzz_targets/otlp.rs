//! See `headwater_fuzzing::otlp`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    headwater_fuzzing::otlp(bytes);
});
