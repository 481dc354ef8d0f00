//! Boxes of Common Encryption (ISO/IEC 23001-7 7, 8): sinf, schm and tenc in an init segment; senc,
//! saiz and saio in a fragment.
//!
//! Whatever else stands in an init segment or a moof stays byte for byte: sample entries keep colr,
//! pasp and boxes that are unknown here.

use super::boxes::{self, Boxed, Kind};
use crate::error::Error;
use crate::wire::BoxWriter;

/// Bytes of a `senc` before its samples: box header, version and flags, sample_count.
const SENC_BYTES: usize = 16;
/// Bytes of a `saiz` before its table: box header, version and flags, default size, count.
const SAIZ_BYTES: usize = 17;
/// Bytes of a `saio` with one offset.
const SAIO_BYTES: usize = 20;
/// Bytes of an entry of a sample's map.
const ENTRY_BYTES: usize = 6;
/// trun's data-offset-present (14496-12 8.8.8.1): set in every trun of ours.
const DATA_OFFSET: u32 = 1;
/// senc flag: maps follow the IVs (23001-7 7.2.2).
const HAS_MAPS: u32 = 2;

/// The one sample entry of an init segment, a whole box.
pub fn sample_entry(init: &[u8]) -> Result<&[u8], Error> {
    const PATH: [(&Kind, &str); 6] = [
        (b"moov", "init"),
        (b"trak", "moov"),
        (b"mdia", "moov/trak"),
        (b"minf", "moov/trak/mdia"),
        (b"stbl", "moov/trak/mdia/minf"),
        (b"stsd", "moov/trak/mdia/minf/stbl"),
    ];
    let mut inside = init;
    for (kind, parent) in PATH {
        inside = boxes::need(inside, kind, parent)?.payload;
    }
    let list = inside.get(8..).unwrap_or(&[]);
    let entry = boxes::children(list).next();
    Ok(entry.ok_or_else(|| Error::damaged("stsd", "no sample entry"))??.whole)
}

/// What `schm` and `tenc` say of a track.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Encryption {
    /// scheme_type: `cenc`, `cbcs`.
    pub scheme: Kind,
    /// default_KID.
    pub key_id: [u8; 16],
    /// Encrypted and skipped blocks of a pattern, 0 and 0 without one.
    pub pattern: (u8, u8),
    /// The IV of every sample; without one each sample has its own of 16 bytes.
    pub constant_iv: Option<[u8; 16]>,
}

/// An init segment whose sample entries are encrypted; `pssh` are whole boxes, put at the end of
/// moov.
pub fn init(clear: &[u8], encryption: &Encryption, pssh: &[u8]) -> Result<Vec<u8>, Error> {
    const TO_STSD: [&Kind; 5] = [b"trak", b"mdia", b"minf", b"stbl", b"stsd"];
    let mut w = BoxWriter::with_capacity(clear.len() + pssh.len() + 128);
    for part in boxes::children(clear) {
        let part = part?;
        if &part.kind != b"moov" {
            w.slice(part.whole);
            continue;
        }
        let mut done = Ok(());
        w.boxed(b"moov", |w| {
            done = rewrite(w, part.payload, &TO_STSD, encryption);
            w.slice(pssh);
        });
        done.map_err(|e| e.within("moov"))?;
    }
    Ok(w.into_bytes())
}

/// Copies boxes, and on the way down `path` what lies beside it.
fn rewrite(
    w: &mut BoxWriter,
    parent: &[u8],
    path: &[&Kind],
    encryption: &Encryption,
) -> Result<(), Error> {
    let Some((next, below)) = path.split_first() else {
        return entries(w, parent, encryption);
    };
    for child in boxes::children(parent) {
        let child = child?;
        if &child.kind != *next {
            w.slice(child.whole);
            continue;
        }
        let mut done = Ok(());
        w.boxed(next, |w| done = rewrite(w, child.payload, below, encryption));
        done.map_err(|e| e.within(&boxes::name(**next)))?;
    }
    Ok(())
}

/// The payload of an stsd with its entries renamed and a sinf at the end of each (8.12).
fn entries(w: &mut BoxWriter, stsd: &[u8], encryption: &Encryption) -> Result<(), Error> {
    let (fields, list) = stsd
        .split_at_checked(8)
        .ok_or_else(|| Error::damaged("stsd", format!("only {} bytes", stsd.len())))?;
    w.slice(fields);
    for entry in boxes::children(list) {
        let entry = entry?;
        let kind = match &entry.kind {
            b"avc1" | b"hvc1" | b"av01" => b"encv",
            b"mp4a" | b"Opus" | b"ac-3" | b"ec-3" => b"enca",
            other => {
                let detail = format!("sample entry `{}` cannot be encrypted", boxes::name(*other));
                return Err(Error::unsupported("stsd", detail));
            }
        };
        w.boxed(kind, |w| {
            w.slice(entry.payload);
            sinf(w, entry.kind, encryption);
        });
    }
    Ok(())
}

fn sinf(w: &mut BoxWriter, original: Kind, encryption: &Encryption) {
    w.boxed(b"sinf", |w| {
        w.boxed(b"frma", |w| w.slice(&original));
        w.full_box(b"schm", 0, 0, |w| {
            w.slice(&encryption.scheme);
            w.u32(0x0001_0000); // scheme_version 1.0 (23001-7 4.1)
        });
        w.boxed(b"schi", |w| tenc(w, encryption));
    });
}

/// tenc (23001-7 8.2): version 1 where there may be a pattern.
fn tenc(w: &mut BoxWriter, encryption: &Encryption) {
    let (crypt, skip) = encryption.pattern;
    let version = u8::from(encryption.constant_iv.is_some());
    w.full_box(b"tenc", version, 0, |w| {
        w.u8(0);
        w.u8(crypt << 4 | skip);
        w.u8(1); // default_isProtected
        w.u8(if encryption.constant_iv.is_some() { 0 } else { 16 });
        w.slice(&encryption.key_id);
        if let Some(iv) = encryption.constant_iv {
            w.u8(16);
            w.slice(&iv);
        }
    });
}

/// One entry of a sample's map: some bytes in the clear, then some that are encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subsample {
    /// BytesOfClearData.
    pub clear_bytes: u16,
    /// BytesOfProtectedData.
    pub protected_bytes: u32,
}

/// How the auxiliary data of a track's samples look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuxShape {
    /// Whether each sample has an IV of its own, of 16 bytes.
    pub ivs: bool,
    /// Whether each sample has a map.
    pub maps: bool,
}

impl AuxShape {
    /// Bytes that a moof grows by with auxiliary data of `samples` samples whose maps have
    /// `entries` entries in all.
    pub fn added_bytes(self, samples: usize, entries: usize) -> usize {
        if self.is_empty() {
            return SENC_BYTES;
        }
        let table = if self.maps { samples } else { 0 };
        let aux = samples * self.sample_bytes(0) + entries * ENTRY_BYTES;
        SENC_BYTES + aux + SAIZ_BYTES + table + SAIO_BYTES
    }

    /// Whether samples have no auxiliary data at all, as cbcs sound: then there is nothing for
    /// saiz and saio to point at, but a senc all the same, which readers take as the sign that
    /// samples are encrypted (libavformat's mov.c leaves them alone without one).
    fn is_empty(self) -> bool {
        !self.ivs && !self.maps
    }

    /// Bytes of one sample's auxiliary data.
    fn sample_bytes(self, entries: usize) -> usize {
        let iv = if self.ivs { 16 } else { 0 };
        let map = if self.maps { 2 + entries * ENTRY_BYTES } else { 0 };
        iv + map
    }
}

/// One sample's auxiliary data.
#[derive(Clone, Copy, Debug)]
pub struct Aux<'a> {
    /// Its IV, where each sample has one.
    pub iv: [u8; 16],
    /// Its map, where samples have maps.
    pub map: &'a [Subsample],
}

/// Appends a moof of our own form (one traf, one trun) with auxiliary data after its trun.
pub fn moof<'a>(
    w: &mut BoxWriter,
    clear: &[u8],
    shape: AuxShape,
    samples: &(impl ExactSizeIterator<Item = Aux<'a>> + Clone),
) -> Result<(), Error> {
    let clear_bytes = clear.len();
    let payload = boxes::need(clear, b"moof", "fragment")?.payload;
    let moof_at = w.len_bytes();
    let mut aux_at = None;
    let mut patches = None;
    let mut done = Ok(());
    w.boxed(b"moof", |w| {
        for child in boxes::children(payload) {
            match child {
                Ok(child) if &child.kind == b"traf" => w.boxed(b"traf", |w| {
                    match traf(w, child) {
                        Ok(found) => patches = found,
                        Err(error) => done = Err(error),
                    }
                    aux_at = auxiliary(w, shape, samples);
                }),
                Ok(child) => w.slice(child.whole),
                Err(error) => done = Err(error),
            }
        }
    });
    done.map_err(|e| e.within("moof"))?;
    let Some((data_offset_at, data_offset)) = patches else {
        return Err(Error::damaged("moof", "no traf with a trun that says where its data lie"));
    };
    let added = w.len_bytes() - moof_at - clear_bytes;
    let offset = |value: usize| {
        u32::try_from(value).map_err(|_| Error::too_large("moof", format!("{value} bytes")))
    };
    let grown = offset(added)?;
    let moved = data_offset
        .checked_add(grown)
        .ok_or_else(|| Error::damaged("trun", format!("data offset {data_offset}")))?;
    w.patch_u32(data_offset_at, moved);
    if let Some((saio_at, aux_at)) = aux_at {
        w.patch_u32(saio_at, offset(aux_at - moof_at)?);
    }
    Ok(())
}

/// Copies a traf's boxes; where the trun's data offset stands now, and what it was.
fn traf(w: &mut BoxWriter, traf: Boxed<'_>) -> Result<Option<(usize, u32)>, Error> {
    let mut found = None;
    for child in boxes::children(traf.payload) {
        let child = child?;
        if &child.kind == b"trun" {
            let word = |at: usize| {
                let bytes = child.payload.get(at..).and_then(|rest| rest.first_chunk());
                bytes.map(|bytes| u32::from_be_bytes(*bytes))
            };
            match (word(0), word(8)) {
                (Some(flags), Some(offset)) if flags & DATA_OFFSET != 0 && found.is_none() => {
                    let header = child.whole.len() - child.payload.len();
                    found = Some((w.len_bytes() + header + 8, offset));
                }
                _ => return Err(Error::unsupported("traf", "a trun that is not of our form")),
            }
        }
        w.slice(child.whole);
    }
    Ok(found)
}

/// saiz, saio and senc; where saio's offset stands and where the first sample's data do, if samples
/// have data.
fn auxiliary<'a>(
    w: &mut BoxWriter,
    shape: AuxShape,
    samples: &(impl ExactSizeIterator<Item = Aux<'a>> + Clone),
) -> Option<(usize, usize)> {
    let count = u32::try_from(samples.len()).expect("bounded by heads");
    let small = |bytes: usize| u8::try_from(bytes).expect("a map's entries are bounded by this");
    let mut saio_at = None;
    if !shape.is_empty() {
        w.full_box(b"saiz", 0, 0, |w| {
            w.u8(if shape.maps { 0 } else { small(shape.sample_bytes(0)) });
            w.u32(count);
            if shape.maps {
                samples.clone().for_each(|aux| w.u8(small(shape.sample_bytes(aux.map.len()))));
            }
        });
        w.full_box(b"saio", 0, 0, |w| {
            w.u32(1);
            saio_at = Some(w.len_bytes());
            w.u32(0);
        });
    }
    let mut aux_at = 0;
    w.full_box(b"senc", 0, if shape.maps { HAS_MAPS } else { 0 }, |w| {
        w.u32(count);
        aux_at = w.len_bytes();
        for aux in samples.clone() {
            if shape.ivs {
                w.slice(&aux.iv);
            }
            if shape.maps {
                w.u16(u16::try_from(aux.map.len()).expect("bounded by saiz"));
                for entry in aux.map {
                    w.u16(entry.clear_bytes);
                    w.u32(entry.protected_bytes);
                }
            }
        }
    });
    saio_at.map(|saio_at| (saio_at, aux_at))
}
