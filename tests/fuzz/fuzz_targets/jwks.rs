//! See `headwater_fuzzing::jwks`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    headwater_fuzzing::jwks(bytes);
});
