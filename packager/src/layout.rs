//! Where the channels of a sound track are heard, as its bitstream says.

use serde::{Deserialize, Serialize};

/// A loudspeaker layout, in the words of the codec that has it: how many channels there are does
/// not tell 2.1 from three in front.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChannelLayout {
    /// ChannelConfiguration (ISO/IEC 23091-3 table 1): of AAC and of Opus.
    Cicp(u8),
    /// A bit for each place (ETSI TS 102 366 annex I.1.2), from the highest L, C, R, Ls, Rs, Lc/Rc,
    /// Lrs/Rrs, Cs, Ts, Lsd/Rsd, Lw/Rw, Lvh/Rvh, Cvh; then the two of LFE: of AC-3 and E-AC-3.
    Dolby(u16),
}
