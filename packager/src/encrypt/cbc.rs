//! CBC (NIST SP 800-38A 6.2) over many chains at once: of one key in one buffer, or of a key each in
//! buffers of their own.

use std::cmp::Reverse;
use std::ops::Range;

use aes::Block;
use aes::cipher::consts::U16;
use aes::cipher::{
    BlockCipherEncBackend, BlockCipherEncClosure, BlockCipherEncrypt, BlockSizeUser,
};

use super::{BLOCK_BYTES, Cipher, mixed};

/// Chains that run side by side: as many as fill the AES unit's pipeline of 4 to 10 cycles.
const LANES: usize = 8;

/// Buffers under keys of their own that run side by side.
pub const SIDE_BY_SIDE: usize = 4;

/// One chain: blocks of a buffer, each encrypted after the one before it was mixed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chain {
    /// Where the first block starts, in bytes of the buffer.
    pub start: usize,
    /// How many blocks are encrypted.
    pub blocks: usize,
    /// Bytes from one of them to the next: 16, or 160 for the pattern 1:9.
    pub stride_bytes: usize,
}

impl Cipher {
    /// Encrypts `chains` in place, each begun with `iv`. No two chains overlap, and each lies
    /// inside `buffer`.
    pub fn cbc(
        &self,
        iv: [u8; BLOCK_BYTES],
        buffer: &mut [u8],
        chains: impl Iterator<Item = Chain>,
    ) {
        self.0.encrypt_with_backend(Lanes { iv: iv.into(), buffer, chains });
    }
}

/// A buffer that is one chain under a key of its own.
#[derive(Debug)]
pub struct Whole<'a> {
    /// The key.
    pub cipher: &'a Cipher,
    /// What the first block is mixed with.
    pub iv: [u8; BLOCK_BYTES],
    /// Whole blocks.
    pub buffer: &'a mut [u8],
}

/// Encrypts each buffer in place, [`SIDE_BY_SIDE`] of them at a time. Their keys differ, so there is
/// no backend that they share; the processor looks far enough ahead to have the next buffers' ciphers
/// in flight by itself. Measured when chosen, in s/GB: .83 for one, .39 for four, .29 for eight, which
/// would keep others waiting for longer.
pub fn side_by_side(mut wholes: Vec<Whole<'_>>) {
    // While all go on in step the last ends first.
    wholes.sort_by_key(|whole| Reverse(whole.buffer.len()));
    for lanes in wholes.chunks_mut(SIDE_BY_SIDE) {
        let mut done = 0;
        for live in (1..=lanes.len()).rev() {
            let steps = done..lanes[live - 1].buffer.len() / BLOCK_BYTES;
            done = steps.end;
            match &mut lanes[..live] {
                [a, b, c, d] => in_step([a, b, c, d], steps),
                [a, b, c] => in_step([a, b, c], steps),
                [a, b] => in_step([a, b], steps),
                lanes => lanes.iter_mut().for_each(|lane| lane.alone(steps.clone())),
            }
        }
    }
}

/// So many blocks of each of `N` lanes, one of each in turn.
fn in_step<const N: usize>(mut lanes: [&mut Whole<'_>; N], steps: Range<usize>) {
    let range = steps.start * BLOCK_BYTES..steps.end * BLOCK_BYTES;
    let ciphers = lanes.each_ref().map(|lane| &lane.cipher.0);
    let mut state = lanes.each_ref().map(|lane| Block::from(lane.iv));
    let mut blocks = lanes.each_mut().map(|lane| lane.buffer[range.clone()].as_chunks_mut().0);
    for at in 0..steps.len() {
        for (state, blocks) in state.iter_mut().zip(&blocks) {
            *state = mixed(state, &blocks[at]);
        }
        for (state, cipher) in state.iter_mut().zip(&ciphers) {
            cipher.encrypt_block(state);
        }
        for (state, blocks) in state.iter().zip(&mut blocks) {
            blocks[at] = (*state).into();
        }
    }
    for (lane, state) in lanes.into_iter().zip(state) {
        lane.iv = state.into();
    }
}

impl Whole<'_> {
    /// So many blocks of a lane that has none beside it.
    fn alone(&mut self, steps: Range<usize>) {
        let chain = Chain {
            start: steps.start * BLOCK_BYTES,
            blocks: steps.len(),
            stride_bytes: BLOCK_BYTES,
        };
        self.cipher.cbc(self.iv, self.buffer, [chain].into_iter());
    }
}

struct Lanes<'a, I> {
    iv: Block,
    buffer: &'a mut [u8],
    chains: I,
}

impl<I> BlockSizeUser for Lanes<'_, I> {
    type BlockSize = U16;
}

impl<I: Iterator<Item = Chain>> BlockCipherEncClosure for Lanes<'_, I> {
    #[inline(always)]
    fn call<B: BlockCipherEncBackend<BlockSize = U16>>(self, backend: &B) {
        let Self { iv, buffer, chains } = self;
        let mut chains = chains.filter(|chain| chain.blocks > 0);
        let mut state = [iv; LANES];
        let mut lanes = [Chain { start: 0, blocks: 0, stride_bytes: 0 }; LANES];
        let mut live = 0;
        loop {
            while live < LANES
                && let Some(chain) = chains.next()
            {
                lanes[live] = chain;
                state[live] = iv;
                live += 1;
            }
            // As many steps as the shortest chain has, without a look at who ends.
            let Some(steps) = lanes[..live].iter().map(|lane| lane.blocks).min() else { return };
            if live == 1 {
                alone(backend, buffer, &mut lanes[0], &mut state[0], steps);
            } else if live == LANES {
                for _ in 0..steps {
                    step(backend, buffer, &mut lanes, &mut state);
                }
            } else {
                for _ in 0..steps {
                    step(backend, buffer, &mut lanes[..live], &mut state[..live]);
                }
            }
            let mut lane = 0;
            while lane < live {
                lanes[lane].blocks -= steps;
                if lanes[lane].blocks == 0 {
                    live -= 1;
                    lanes[lane] = lanes[live];
                    state[lane] = state[live];
                    // The one that moved here has not been looked at.
                    continue;
                }
                lane += 1;
            }
        }
    }
}

/// One block of each lane. Loads, ciphers and stores are loops of their own, so that the ciphers
/// of all lanes are in flight together.
#[inline(always)]
fn step<B: BlockCipherEncBackend<BlockSize = U16>>(
    backend: &B,
    buffer: &mut [u8],
    lanes: &mut [Chain],
    state: &mut [Block],
) {
    for (lane, state) in lanes.iter().zip(state.iter_mut()) {
        *state = mixed(state, block_at(buffer, lane.start));
    }
    for state in state.iter_mut() {
        backend.encrypt_block_inplace(state);
    }
    for (lane, state) in lanes.iter_mut().zip(state.iter()) {
        buffer[lane.start..lane.start + BLOCK_BYTES].copy_from_slice(state);
        lane.start += lane.stride_bytes;
    }
}

/// So many blocks of the only lane. Each waits for the one before it, so what is between two ciphers
/// counts: nothing but the block itself, in a register.
#[inline(always)]
fn alone<B: BlockCipherEncBackend<BlockSize = U16>>(
    backend: &B,
    buffer: &mut [u8],
    lane: &mut Chain,
    state: &mut Block,
    steps: usize,
) {
    let mut block = *state;
    for _ in 0..steps {
        block = mixed(&block, block_at(buffer, lane.start));
        backend.encrypt_block_inplace(&mut block);
        *block_at(buffer, lane.start) = block.into();
        lane.start += lane.stride_bytes;
    }
    *state = block;
}

#[inline(always)]
fn block_at(buffer: &mut [u8], start: usize) -> &mut [u8; BLOCK_BYTES] {
    buffer[start..].first_chunk_mut().expect("chains lie inside the buffer")
}
