//! Protected media: from a clear segment's source bytes to encrypted ones (ISO/IEC 23001-7, and
//! AES-128 of HLS, which encrypts segments whole).
//!
//! The lengths of everything are known from heads alone. A segment's bytes are made in two passes:
//! the first finds what is encrypted and writes new moofs, the second encrypts the payload where it
//! lies, all samples of the segment together.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::bmff::fragment::{self, MDAT_HEADER_BYTES};
use crate::bmff::movie::Defaults;
use crate::bmff::protection::{self, Aux, AuxShape, Encryption, Subsample};
pub use crate::encrypt::SIDE_BY_SIDE;
use crate::encrypt::{self, BLOCK_BYTES, Chain, Cipher, ContentKey, Counted, Whole};
use crate::error::Error;
use crate::heads::Row;
use crate::ids::{KeyId, TrackId, VersionId};
use crate::subsample::{Finder, Tail};
use crate::title::Track;
use crate::wire::BoxWriter;

/// Encrypted and skipped blocks of a video sample's pattern under cbcs (23001-7 10.4.2).
const PATTERN: (u8, u8) = (1, 9);

/// How samples are encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scheme {
    /// AES-CTR of all slice data, an IV for each sample (10.1).
    Cenc,
    /// AES-CBC of one block in ten of slice data, one IV for the track (10.4).
    Cbcs,
    /// AES-CBC of init and media segments whole, each with an IV of its own and padded (8216bis
    /// 4.4.4.4): HLS alone. Boxes and samples stay as they are inside.
    Aes128,
}

impl Scheme {
    /// scheme_type of schm; for whole segments a name that no box has.
    pub fn fourcc(self) -> [u8; 4] {
        match self {
            Self::Cenc => *b"cenc",
            Self::Cbcs => *b"cbcs",
            Self::Aes128 => *b"a128",
        }
    }

    fn aux(self, is_video: bool) -> AuxShape {
        AuxShape { ivs: self == Self::Cenc, maps: is_video }
    }

    fn tail(self) -> Tail {
        match self {
            Self::Cenc => Tail::Aligned,
            Self::Cbcs | Self::Aes128 => Tail::Left,
        }
    }

    /// Bytes that a fragment's moof grows by; the payload keeps its length.
    pub fn added_bytes(self, is_video: bool, row: Row) -> u64 {
        match self {
            Self::Aes128 => 0,
            Self::Cenc | Self::Cbcs => {
                self.aux(is_video).added_bytes(row.samples.into(), row.map_entries.into()) as u64
            }
        }
    }
}

/// What leaves the origin: the stored bytes as they are, or encrypted ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Form {
    /// As stored.
    #[default]
    Clear,
    /// Under a scheme.
    Protected(Scheme),
}

impl Form {
    /// Bytes of a segment whose fragments are this long together.
    pub fn segment_bytes(self, fragments_bytes: u64) -> u64 {
        match self {
            Self::Protected(Scheme::Aes128) => {
                fragments_bytes + u64::from(padding(fragments_bytes % BLOCK_BYTES as u64))
            }
            Self::Clear | Self::Protected(_) => fragments_bytes,
        }
    }

    /// Whether a fragment's first sample can be read out of its segment by its range alone. What
    /// is encrypted whole can only be decrypted from its beginning.
    pub fn has_ranges(self) -> bool {
        self != Self::Protected(Scheme::Aes128)
    }

    /// Bytes of a fragment.
    pub fn fragment_bytes(self, is_video: bool, row: Row) -> u64 {
        u64::from(row.size_bytes) + self.added_bytes(is_video, row)
    }

    /// Bytes from a fragment's first to the end of its first sample: what it takes to show that
    /// sample alone.
    pub fn first_sample_end(self, is_video: bool, row: Row) -> u64 {
        row.first_sample_end() + self.added_bytes(is_video, row)
    }

    /// Bytes that a fragment's moof grows by.
    pub fn added_bytes(self, is_video: bool, row: Row) -> u64 {
        match self {
            Self::Clear => 0,
            Self::Protected(scheme) => scheme.added_bytes(is_video, row),
        }
    }
}

/// A key of one track, ready to encrypt with.
#[derive(Debug)]
pub struct Protector {
    scheme: Scheme,
    key_id: KeyId,
    is_video: bool,
    /// Of the track, whatever the key.
    finder: Arc<Finder>,
    cipher: Cipher,
    iv: [u8; BLOCK_BYTES],
}

impl Protector {
    /// A protector of `track` of `version` under `key`. Its IVs follow from these alone, so every
    /// node and every restart makes the same bytes, and no other track or version under the same
    /// key meets them (but by a chance of 2^-64).
    pub fn new(
        scheme: Scheme,
        key: &ContentKey,
        key_id: KeyId,
        version: VersionId,
        track: &Track,
    ) -> Result<Self, Error> {
        let finder = Arc::new(Finder::new(protection::sample_entry(track.init())?)?);
        let cipher = Cipher::new(key);
        let iv = derived_iv(scheme, key, version, track.id());
        Ok(Self { scheme, key_id, is_video: track.is_video(), finder, cipher, iv })
    }

    /// The same of the track under another key.
    #[must_use]
    pub fn under(
        &self,
        key: &ContentKey,
        key_id: KeyId,
        version: VersionId,
        track: &TrackId,
    ) -> Self {
        Self {
            scheme: self.scheme,
            key_id,
            is_video: self.is_video,
            finder: Arc::clone(&self.finder),
            cipher: Cipher::new(key),
            iv: derived_iv(self.scheme, key, version, track),
        }
    }

    /// Whether it encrypts segments whole, so that [`wholes_together`] may take them.
    pub fn is_whole(&self) -> bool {
        self.scheme == Scheme::Aes128
    }

    /// The key's id.
    pub fn key_id(&self) -> KeyId {
        self.key_id
    }

    /// The IV of every sample, where the scheme has one for the whole track.
    pub fn constant_iv(&self) -> Option<[u8; BLOCK_BYTES]> {
        (self.scheme == Scheme::Cbcs).then_some(self.iv)
    }

    /// The IV of segment `number`, or of the init segment as number 0, where each has its own.
    pub fn segment_iv(&self, number: u32) -> Option<[u8; BLOCK_BYTES]> {
        (self.scheme == Scheme::Aes128).then(|| self.whole_iv(number))
    }

    /// One block under the key: as unforeseeable as the key is, and never the same twice.
    fn whole_iv(&self, number: u32) -> [u8; BLOCK_BYTES] {
        let mut iv = self.iv;
        iv.iter_mut().rev().zip(number.to_le_bytes()).for_each(|(byte, n)| *byte ^= n);
        let block = Chain { start: 0, blocks: 1, stride_bytes: BLOCK_BYTES };
        self.cipher.cbc([0; BLOCK_BYTES], &mut iv, [block].into_iter());
        iv
    }

    /// A segment as it leaves under a scheme that encrypts it whole: number 0 is the init segment.
    fn whole(&self, number: u32, mut bytes: BytesMut) -> Bytes {
        wholes_together([(self, number, &mut bytes)]);
        bytes.freeze()
    }

    /// The init segment; `pssh` are whole boxes.
    pub fn init(&self, track: &Track, pssh: &[u8]) -> Result<Bytes, Error> {
        if self.scheme == Scheme::Aes128 {
            return Ok(self.whole(0, BytesMut::from(&track.init()[..])));
        }
        let patterned = self.scheme == Scheme::Cbcs && self.is_video;
        let encryption = Encryption {
            scheme: self.scheme.fourcc(),
            key_id: self.key_id.0,
            pattern: if patterned { PATTERN } else { (0, 0) },
            constant_iv: self.constant_iv(),
        };
        protection::init(track.init(), &encryption, pssh).map(Bytes::from)
    }

    /// Encrypts segment `number` of `track`, which begins with fragment `first` and whose checked
    /// bytes are `clear`.
    ///
    /// An error means that heads and media contradict each other.
    pub fn segment(
        &self,
        track: &Track,
        number: u32,
        first: u32,
        clear: BytesMut,
    ) -> Result<Vec<Bytes>, Error> {
        match self.scheme {
            Scheme::Aes128 => Ok(vec![self.whole(number, clear)]),
            Scheme::Cenc | Scheme::Cbcs => self.fragments(track, first, clear),
        }
    }

    /// Encrypts consecutive fragments of `track` from `first` on, whose checked bytes are `clear`,
    /// and gives them as slices in order: each a moof with the mdat's header, then a payload.
    ///
    /// An error means that heads and media contradict each other.
    pub fn fragments(
        &self,
        track: &Track,
        first: u32,
        mut clear: BytesMut,
    ) -> Result<Vec<Bytes>, Error> {
        let mut segment = Segment::new(self, track.position(first).samples);
        let mut at = 0;
        let mut fragment = first;
        while at < clear.len() && fragment < track.fragments() {
            let row = track.row(fragment);
            let end = at + usize::try_from(row.size_bytes).expect("u32 fits");
            let whole = clear.get(at..end).ok_or_else(|| {
                let left = clear.len() - at;
                Error::damaged(
                    "segment",
                    format!("{left} bytes of fragment {fragment}: expected {}", row.size_bytes),
                )
            })?;
            segment.fragment(whole, at, row).map_err(|e| e.within(&format!("{fragment}")))?;
            at = end;
            fragment += 1;
        }
        segment.encrypt(&mut clear);
        Ok(segment.slices(clear))
    }
}

/// Encrypts segments of their tracks whole, each under its own key and as the scheme `aes-128` has
/// it, but [`SIDE_BY_SIDE`] of them at a time: one chain alone leaves the processor's AES unit idle
/// for most of its time. Each is a protector of that scheme, the segment's number and its checked
/// bytes, which grow by their padding.
pub fn wholes_together<'a>(
    segments: impl IntoIterator<Item = (&'a Protector, u32, &'a mut BytesMut)>,
) {
    let wholes = segments.into_iter().map(|(by, number, bytes)| {
        let padding = padding((bytes.len() % BLOCK_BYTES) as u64);
        bytes.extend(std::iter::repeat_n(padding, padding.into()));
        Whole { cipher: &by.cipher, iv: by.whole_iv(number), buffer: bytes }
    });
    encrypt::side_by_side(wholes.collect());
}

/// PKCS #7 (RFC 5652 6.3): 1 to 16 bytes, each of that value, behind what fills its last block so
/// far with `over_bytes`.
fn padding(over_bytes: u64) -> u8 {
    let bytes = BLOCK_BYTES as u64 - over_bytes;
    u8::try_from(bytes).expect("at most a block")
}

/// 16 bytes that belong to a key, scheme, version and track, and to nothing else.
fn derived_iv(
    scheme: Scheme,
    key: &ContentKey,
    version: VersionId,
    track: &TrackId,
) -> [u8; BLOCK_BYTES] {
    let mut prf =
        Hmac::<Sha256>::new_from_slice(key.expose()).expect("a key of any length is taken");
    prf.update(b"headwater iv/1");
    prf.update(&scheme.fourcc());
    prf.update(&version.as_u128().to_be_bytes());
    // The last part, so its length need not stand before it.
    prf.update(track.as_str().as_bytes());
    let digest = prf.finalize().into_bytes();
    std::array::from_fn(|i| digest[i])
}

/// A segment between the two passes.
struct Segment<'a> {
    by: &'a Protector,
    /// Which sample of the track comes next.
    sample: u32,
    heads: BoxWriter,
    map: Vec<Subsample>,
    work: Work,
    fragments: Vec<Made>,
}

/// What the second pass does.
enum Work {
    Cbc(Vec<Chain>),
    Ctr(Vec<Counted>),
}

/// A fragment's lengths and places.
struct Made {
    head_bytes: usize,
    clear_head_bytes: usize,
    payload_bytes: usize,
}

impl<'a> Segment<'a> {
    fn new(by: &'a Protector, sample: u32) -> Self {
        let work = match by.scheme {
            Scheme::Cbcs | Scheme::Aes128 => Work::Cbc(Vec::new()),
            Scheme::Cenc => Work::Ctr(Vec::new()),
        };
        let (map, fragments) = (Vec::new(), Vec::new());
        Self { by, sample, heads: BoxWriter::default(), map, work, fragments }
    }

    /// The first pass over one fragment, which starts at `at` of the segment's clear bytes.
    fn fragment(&mut self, whole: &[u8], at: usize, row: Row) -> Result<(), Error> {
        let moof_bytes = usize::from(row.moof_bytes);
        let header_bytes = usize::try_from(MDAT_HEADER_BYTES).expect("a constant");
        let clear_head_bytes = moof_bytes + header_bytes;
        let (moof, mdat) = whole.split_at_checked(moof_bytes).unwrap_or((whole, &[]));
        let payload = mdat.get(header_bytes..).unwrap_or(&[]);
        // tfhd and trun of our own form need no defaults from trex.
        let parsed = fragment::parse(moof, Defaults::default())?;
        let sizes = || parsed.samples.iter().map(|sample| sample.size_bytes);
        if parsed.payload_bytes() != payload.len() as u64
            || parsed.samples.len() != usize::from(row.samples)
        {
            return Err(Error::damaged(
                "moof",
                format!(
                    "{} samples of {} bytes in all: expected {} of {}",
                    parsed.samples.len(),
                    parsed.payload_bytes(),
                    row.samples,
                    payload.len()
                ),
            ));
        }
        let maps_from = self.map.len();
        let mut ends = Vec::with_capacity(parsed.samples.len());
        let mut start = 0;
        let mut finder = self.by.finder.fragment();
        for (number, size) in (self.sample..).zip(sizes()) {
            let end = start + usize::try_from(size).expect("u32 fits");
            let map_from = self.map.len();
            finder.map(&payload[start..end], self.by.scheme.tail(), &mut self.map)?;
            let place = at + clear_head_bytes + start;
            self.work.add(place, end - start, number, self.by.is_video, &self.map[map_from..]);
            ends.push(self.map.len());
            start = end;
        }
        if self.map.len() - maps_from != usize::from(row.map_entries) {
            return Err(Error::damaged(
                "rows",
                format!(
                    "{} entries of encryption maps: expected {}",
                    row.map_entries,
                    self.map.len() - maps_from
                ),
            ));
        }
        let head_from = self.heads.len_bytes();
        let shape = self.by.scheme.aux(self.by.is_video);
        let (map, salt, first) = (&self.map, self.by.iv, self.sample);
        let aux = ends.iter().enumerate().map(|(i, &end)| Aux {
            iv: sample_iv(salt, first.saturating_add(u32::try_from(i).expect("16 bits"))),
            map: &map[if i == 0 { maps_from } else { ends[i - 1] }..end],
        });
        protection::moof(&mut self.heads, moof, shape, &aux)?;
        self.heads.slice(&mdat[..header_bytes]);
        self.sample = self.sample.saturating_add(row.samples.into());
        self.fragments.push(Made {
            head_bytes: self.heads.len_bytes() - head_from,
            clear_head_bytes,
            payload_bytes: payload.len(),
        });
        Ok(())
    }

    /// The second pass.
    fn encrypt(&mut self, bytes: &mut [u8]) {
        let Protector { cipher, iv, .. } = self.by;
        match &self.work {
            Work::Cbc(chains) => cipher.cbc(*iv, bytes, chains.iter().copied()),
            Work::Ctr(ranges) => cipher.ctr(salt(*iv), bytes, ranges.iter().copied()),
        }
    }

    fn slices(self, bytes: BytesMut) -> Vec<Bytes> {
        let mut heads = Bytes::from(self.heads.into_bytes());
        let mut bytes = bytes.freeze();
        let mut slices = Vec::with_capacity(2 * self.fragments.len());
        for made in self.fragments {
            slices.push(heads.split_to(made.head_bytes));
            bytes = bytes.slice(made.clear_head_bytes..);
            slices.push(bytes.split_to(made.payload_bytes));
        }
        slices
    }
}

/// The first half of a track's IV is that of every counter block.
fn salt(iv: [u8; BLOCK_BYTES]) -> u64 {
    u64::from_be_bytes(std::array::from_fn(|i| iv[i]))
}

/// A sample's IV under cenc: salt, the sample's number, then 32 bits that count blocks. A sample
/// has fewer than 2^32 blocks, so no two samples' counters meet.
fn sample_iv(iv: [u8; BLOCK_BYTES], sample: u32) -> [u8; BLOCK_BYTES] {
    (u128::from(salt(iv)) << 64 | u128::from(sample) << 32).to_be_bytes()
}

impl Work {
    /// Adds a sample of `len` bytes at `start`, encrypted by its map or whole.
    fn add(&mut self, start: usize, len: usize, number: u32, mapped: bool, map: &[Subsample]) {
        let mut counter = u64::from(number) << 32;
        let mut range = |start, len_bytes: usize, stride: usize| match self {
            Self::Cbc(chains) => chains.push(Chain {
                start,
                blocks: (len_bytes / BLOCK_BYTES).div_ceil(stride),
                stride_bytes: stride * BLOCK_BYTES,
            }),
            Self::Ctr(ranges) => {
                ranges.push(Counted { start, len_bytes, counter });
                counter += (len_bytes / BLOCK_BYTES) as u64;
            }
        };
        if !mapped {
            return range(start, len, 1);
        }
        let stride = usize::from(PATTERN.0 + PATTERN.1);
        let mut at = start;
        for entry in map {
            at += usize::from(entry.clear_bytes);
            let protected = usize::try_from(entry.protected_bytes).expect("u32 fits");
            if protected > 0 {
                range(at, protected, stride);
            }
            at += protected;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits;
    use proptest::prelude::*;

    /// A sample of a fragment: encrypted whole, or by a map of clear and protected bytes.
    #[derive(Clone, Debug)]
    enum Shape {
        Whole(usize),
        Mapped(Vec<(u16, u32)>),
    }

    fn shape() -> impl Strategy<Value = Shape> {
        let most = usize::try_from(limits::FRAGMENT_BYTES).unwrap();
        let blocks = limits::FRAGMENT_BYTES / 16 / 39;
        let entry = (any::<u16>(), prop_oneof![0..40u32, 0..blocks]);
        let entry = entry.prop_map(|(clear, blocks)| (clear, blocks * 16));
        prop_oneof![
            prop_oneof![0..70usize, 0..most].prop_map(Shape::Whole),
            prop::collection::vec(entry, 1..=crate::subsample::ENTRIES).prop_map(Shape::Mapped),
        ]
    }

    proptest! {
        /// Under one salt no counter is used twice, whatever samples a track has: each sample's lie
        /// in 2^32 of its own, from its IV on and one after the other.
        #[test]
        fn counters_of_samples_never_meet(
            shapes in prop::collection::vec(shape(), 1..40),
            first in prop_oneof![Just(0), any::<u32>(), Just(u32::MAX - 40)],
            iv: [u8; BLOCK_BYTES],
        ) {
            let first = first.min(u32::MAX - 40);
            let mut free = 0u64;
            for (number, shape) in (first..).zip(shapes) {
                let mut work = Work::Ctr(Vec::new());
                match shape {
                    Shape::Whole(len) => work.add(0, len, number, false, &[]),
                    Shape::Mapped(map) => {
                        let entry = |(clear_bytes, protected_bytes)| {
                            Subsample { clear_bytes, protected_bytes }
                        };
                        let map: Vec<_> = map.into_iter().map(entry).collect();
                        work.add(0, 0, number, true, &map);
                    }
                }
                let Work::Ctr(ranges) = work else { panic!("counted") };
                let own = u64::from(number) << 32;
                let said = u128::from_be_bytes(sample_iv(iv, number));
                prop_assert_eq!(said, u128::from(salt(iv)) << 64 | u128::from(own));
                let mut next = own;
                for range in ranges {
                    prop_assert_eq!(range.counter, next);
                    prop_assert!(range.counter >= free, "{} was used", range.counter);
                    next += range.len_bytes.div_ceil(BLOCK_BYTES) as u64;
                }
                prop_assert!(next - own < 1 << 32, "{next:x}");
                free = next;
            }
        }
    }
}
