//! tile_info() (AV1 5.9.15): into how many tiles a frame is cut, and how long their sizes are.

use super::frame::{AT, non_symmetric};
use crate::bits::BitReader;
use crate::error::Error;

/// MAX_TILE_WIDTH, in samples.
const TILE_WIDTH: u32 = 4096;
/// MAX_TILE_AREA, in samples.
const TILE_AREA: u32 = 4096 * 2304;
/// MAX_TILE_COLS, MAX_TILE_ROWS.
const TILES: u32 = 64;

/// How a frame is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tiles {
    /// TileCols times TileRows.
    pub(super) count: u32,
    /// Bits of a tile's number in a tile group.
    pub(super) number_bits: u32,
    /// TileSizeBytes.
    pub(super) size_bytes: usize,
}

/// Reads it for a frame of this size, before it is scaled up.
pub(super) fn tile_info(
    r: &mut BitReader<'_>,
    superblocks_of_128: bool,
    width: u32,
    height: u32,
) -> Result<Tiles, Error> {
    let log2 = if superblocks_of_128 { 7 } else { 6 };
    // MiCols and MiRows count 4 samples and are even.
    let blocks = |samples: u32| (samples.div_ceil(8) * 8).div_ceil(1 << log2);
    let (columns, rows) = (blocks(width), blocks(height));
    let widest = TILE_WIDTH >> log2;
    let largest = TILE_AREA >> (2 * log2);
    let least_columns_log2 = tile_log2(widest, columns);
    let least_log2 = least_columns_log2.max(tile_log2(largest, rows * columns));
    let (columns_log2, rows_log2, count);
    if r.flag() {
        let most = |blocks: u32| tile_log2(1, blocks.min(TILES));
        columns_log2 = increments(r, least_columns_log2, most(columns));
        let least_rows_log2 = least_log2.saturating_sub(columns_log2);
        rows_log2 = increments(r, least_rows_log2, most(rows));
        let tiles = |blocks: u32, log2: u32| {
            let tile = (blocks + (1 << log2) - 1) >> log2;
            blocks.div_ceil(tile)
        };
        count = tiles(columns, columns_log2) * tiles(rows, rows_log2);
    } else {
        let (tile_columns, widest) = sizes(r, columns, widest)?;
        let area =
            if least_log2 > 0 { (rows * columns) >> (least_log2 + 1) } else { rows * columns };
        let (tile_rows, _) = sizes(r, rows, (area / widest).max(1))?;
        columns_log2 = tile_log2(1, tile_columns);
        rows_log2 = tile_log2(1, tile_rows);
        count = tile_columns * tile_rows;
    }
    let number_bits = columns_log2 + rows_log2;
    let mut size_bytes = 4;
    if number_bits > 0 {
        r.skip(number_bits); // context_update_tile_id
        size_bytes = usize::try_from(r.bits(2)).expect("2 bits") + 1;
    }
    r.finish()?;
    Ok(Tiles { count, number_bits, size_bytes })
}

/// increment_tile_cols_log2 and its like.
fn increments(r: &mut BitReader<'_>, from: u32, most: u32) -> u32 {
    let mut log2 = from;
    while log2 < most && r.flag() {
        log2 += 1;
    }
    log2
}

/// Sizes of columns or rows one after the other: how many, and the largest.
fn sizes(r: &mut BitReader<'_>, blocks: u32, most: u32) -> Result<(u32, u32), Error> {
    let (mut start, mut count, mut largest) = (0, 0, 0);
    while start < blocks {
        let size = non_symmetric(r, most.min(blocks - start)) + 1;
        start += size;
        count += 1;
        largest = largest.max(size);
        if count > TILES {
            return Err(Error::damaged(AT, format!("more than {TILES} columns or rows of tiles")));
        }
    }
    Ok((count, largest))
}

/// tile_log2() (5.9.16): the smallest k with `block << k` at least `target`.
fn tile_log2(block: u32, target: u32) -> u32 {
    (0..32).find(|&k| u64::from(block) << k >= u64::from(target)).unwrap_or(32)
}
