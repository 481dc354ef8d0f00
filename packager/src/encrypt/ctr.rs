//! CTR (NIST SP 800-38A 6.5) with the counter in the low 64 bits (ISO/IEC 23001-7 9.1), over many
//! ranges at once.

use aes::Block;
use aes::cipher::array::Array;
use aes::cipher::consts::U16;
use aes::cipher::typenum::Unsigned;
use aes::cipher::{
    BlockCipherEncBackend, BlockCipherEncClosure, BlockCipherEncrypt, BlockSizeUser, ParBlocks,
};

use super::{BLOCK_BYTES, Cipher, mixed};

/// A range of a buffer that is encrypted with consecutive counters. A range that goes on where
/// another ended, in a sample's next subsample, says so by its first counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counted {
    /// Where the range starts, in bytes of the buffer.
    pub start: usize,
    /// Its length; the last block may be a part of one.
    pub len_bytes: usize,
    /// The counter of its first block.
    pub counter: u64,
}

impl Cipher {
    /// Encrypts `ranges` in place; a counter block is `salt` and the range's counter. No two ranges
    /// overlap, and each lies inside `buffer`.
    pub fn ctr(&self, salt: u64, buffer: &mut [u8], ranges: impl Iterator<Item = Counted>) {
        self.0.encrypt_with_backend(Batches { salt, buffer, ranges });
    }
}

struct Batches<'a, I> {
    salt: u64,
    buffer: &'a mut [u8],
    ranges: I,
}

impl<I> BlockSizeUser for Batches<'_, I> {
    type BlockSize = U16;
}

impl<I: Iterator<Item = Counted>> BlockCipherEncClosure for Batches<'_, I> {
    #[inline(always)]
    fn call<B: BlockCipherEncBackend<BlockSize = U16>>(self, backend: &B) {
        let Self { salt, buffer, ranges } = self;
        let mut batch = Batch::<B>::new();
        for Counted { start, len_bytes, mut counter } in ranges {
            let (mut at, end) = (start, start + len_bytes);
            while at < end {
                if batch.held == 0 && end - at >= Batch::<B>::BYTES {
                    // A whole batch of one range needs no book of what lies where.
                    for block in &mut batch.blocks {
                        *block = counter_block(salt, counter);
                        counter = counter.wrapping_add(1);
                    }
                    backend.encrypt_par_blocks_inplace(&mut batch.blocks);
                    mix(&mut buffer[at..at + Batch::<B>::BYTES], batch.blocks.as_flattened());
                    at += Batch::<B>::BYTES;
                } else {
                    let len_bytes = BLOCK_BYTES.min(end - at);
                    batch.add(counter_block(salt, counter), Place { at, len_bytes });
                    counter = counter.wrapping_add(1);
                    at += len_bytes;
                    if batch.held == Batch::<B>::BLOCKS {
                        batch.flush(backend, buffer);
                    }
                }
            }
        }
        batch.flush(backend, buffer);
    }
}

/// Counter blocks of whatever ranges come, and where their key stream belongs.
struct Batch<B: BlockCipherEncBackend<BlockSize = U16>> {
    blocks: ParBlocks<B>,
    places: Array<Place, B::ParBlocksSize>,
    held: usize,
}

#[derive(Clone, Copy, Debug, Default)]
struct Place {
    at: usize,
    len_bytes: usize,
}

impl<B: BlockCipherEncBackend<BlockSize = U16>> Batch<B> {
    const BLOCKS: usize = B::ParBlocksSize::USIZE;
    const BYTES: usize = Self::BLOCKS * BLOCK_BYTES;

    fn new() -> Self {
        Self { blocks: ParBlocks::<B>::default(), places: Array::default(), held: 0 }
    }

    #[inline(always)]
    fn add(&mut self, block: Block, place: Place) {
        self.blocks[self.held] = block;
        self.places[self.held] = place;
        self.held += 1;
    }

    #[inline(always)]
    fn flush(&mut self, backend: &B, buffer: &mut [u8]) {
        backend.encrypt_par_blocks_inplace(&mut self.blocks);
        for (block, place) in self.blocks.iter().zip(&self.places).take(self.held) {
            let bytes = &mut buffer[place.at..place.at + place.len_bytes];
            match bytes.first_chunk_mut::<BLOCK_BYTES>() {
                Some(whole) => *whole = mixed(block, whole).into(),
                None => mix(bytes, block),
            }
        }
        self.held = 0;
    }
}

#[inline(always)]
fn counter_block(salt: u64, counter: u64) -> Block {
    ((u128::from(salt) << 64) | u128::from(counter)).to_be_bytes().into()
}

/// Mixes a key stream into as many bytes as it or they have.
#[inline(always)]
fn mix(bytes: &mut [u8], key_stream: &[u8]) {
    for (byte, key) in bytes.iter_mut().zip(key_stream) {
        *byte ^= key;
    }
}
