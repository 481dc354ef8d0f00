//! ISO base media file format (ISO/IEC 14496-12): the few boxes a CMAF track is made of.
//!
//! Reads what ffmpeg and other muxers write into plain samples, and writes one canonical form of
//! init segment, fragment and segment index, so that every stored byte is ours and known.

pub mod boxes;
pub mod fragment;
pub mod index;
pub mod movie;
pub mod protection;
