//! The allocator of the process, and its memory that is free.
//!
//! mimalloc returns freed pages to the system about a second after they were freed, but only when a thread frees another
//! page. On an idle server no thread does: the memory of a hundred thousand watchers that left would stay resident.

use std::hint::black_box;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const PURGE_INTERVAL: Duration = Duration::from_secs(1);
/// Large enough to be a page of its own. It is not written to, so it takes no memory.
const BLOCK_BYTES: usize = 1 << 20;

/// Frees a page once a second, which makes mimalloc return the free pages of all threads. Never ends.
pub(crate) async fn keep_purging() {
    let mut ticks = interval(PURGE_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        drop(black_box(Vec::<u8>::with_capacity(BLOCK_BYTES)));
    }
}
