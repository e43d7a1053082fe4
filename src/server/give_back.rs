//! Memory that was freed goes back to the system even when nothing happens afterwards.
//!
//! Allocators give pages back a while after they were freed, when the thread that freed them calls again. The thread of
//! an edge whose clients have all left calls no more, so that the memory of a hundred thousand watches would stay.

use std::hint::black_box;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

const INTERVAL: Duration = Duration::from_secs(1);
/// So many calls later mimalloc looks for pages of the thread that are of no use any more; none of them takes the short way
/// of small blocks.
const CALLS: usize = 1_000;
const BLOCK_BYTES: usize = 4 << 10;
/// More than is kept for the thread: freeing it has mimalloc look for pages that the system can have. It is not written to,
/// so it costs no memory.
const LARGE_BLOCK_BYTES: usize = 1 << 20;

/// Never ends.
pub(super) async fn keep_giving_back() {
    let mut ticks = interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        (0..CALLS).for_each(|_| take_and_free(BLOCK_BYTES));
        take_and_free(LARGE_BLOCK_BYTES);
    }
}

fn take_and_free(bytes: usize) {
    drop(black_box(Vec::<u8>::with_capacity(bytes)));
}
