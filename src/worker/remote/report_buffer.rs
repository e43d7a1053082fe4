//! What a worker has to tell its server: reports, numbered and kept until they are acknowledged, and beside them the
//! state of its attempts. The stream of requests is made from it, see [`request`](super::request).

use std::collections::VecDeque;
use std::task::Waker;
use std::time::Duration;

use hashbrown::{HashMap, HashSet};
use parking_lot::Mutex;
use tokio::sync::{Notify, Semaphore};
use tokio::time::Instant;

use crate::error::{Error, ErrorKind, Result};
use crate::job::{AttemptEnd, AttemptUpdate, Failure, FailureReason, LeaseId, Log, Output, Progress, Report};
use crate::proto::v1;
use crate::worker::link::missing_lines;

/// Most bytes of progress, output and logs that are on their way and not acknowledged, for each stream. More output
/// waits, more logs are dropped and counted. Ends always fit: there is one for each slot.
pub(super) const ROOM_BYTES: usize = 8 << 20;

/// The end of an attempt whose lease does not stand: the server drops what it was.
const VOID_END: AttemptEnd = AttemptEnd::Cancelled;

/// The books of one stream of a worker, through all its connections.
pub(in crate::worker) struct Ledger {
    pub(super) state: Mutex<State>,
    /// Bytes of [`ROOM_BYTES`] that are free.
    pub(super) room: Semaphore,
    /// Told when no report is left.
    settled: Notify,
}

pub(super) struct State {
    /// Reports that were not acknowledged, oldest first, with consecutive numbers.
    pub(super) reports: VecDeque<Entry>,
    /// Number of the first of them, or of the next one.
    pub(super) first: u64,
    /// How many of them have gone out on the present stream.
    pub(super) sent: usize,
    /// The attempts that run.
    pub(super) attempts: HashMap<LeaseId, Attempt>,
    /// Which of them have progress that has no number yet.
    pub(super) progressed: Vec<LeaseId>,
    /// Those to be accepted.
    pub(super) accepts: Vec<LeaseId>,
    pub(super) heartbeat_due: bool,
    /// When the last heartbeat left, or the stream began without attempts: leases last from then on.
    pub(super) renewed: Instant,
    /// How many attempts run at a time, at most.
    slots: u32,
    /// What the server was told of it on the present stream.
    pub(super) slots_told: Option<u32>,
    /// Which stream is the present one: earlier ones get nothing more.
    pub(super) stream: u64,
    pub(super) phase: Phase,
    /// Who polls the present stream.
    pub(super) waker: Option<Waker>,
    terms: Terms,
}

/// How far the present stream of requests is.
pub(super) enum Phase {
    /// It is to begin with this.
    Greeting(v1::Hello),
    /// The server has not answered yet.
    Greeted,
    /// Everything goes.
    Open,
    /// What is there goes, then it ends.
    Ending,
}

pub(super) struct Entry {
    pub(super) lease: LeaseId,
    /// Of the room; 0 for what always fits.
    room: u32,
    /// On the wire, at most.
    pub(super) bytes: usize,
    /// `None` once nobody wants to know any more.
    pub(super) news: Option<AttemptUpdate>,
}

#[derive(Default)]
pub(super) struct Attempt {
    /// The newest progress that has no number yet.
    pub(super) progress: Option<Progress>,
    /// Log lines that were dropped since the last one that was not.
    dropped: u32,
    /// The server does not know it any more: all it is told is that the attempt ended, which frees the slot.
    pub(super) is_void: bool,
}

/// The server's terms.
#[derive(Clone, Copy)]
pub(super) struct Terms {
    /// How long a lease lasts after the last heartbeat that named it.
    pub(super) lease: Duration,
    /// Largest result or chunk of output.
    pub(super) payload_bytes_max: usize,
}

impl Ledger {
    pub(super) fn new(slots: u32) -> Self {
        let state = State {
            reports: VecDeque::new(),
            first: 1,
            sent: 0,
            attempts: HashMap::new(),
            progressed: Vec::new(),
            accepts: Vec::new(),
            heartbeat_due: false,
            renewed: Instant::now(),
            slots,
            slots_told: None,
            stream: 0,
            phase: Phase::Ending,
            waker: None,
            terms: Terms { lease: Duration::ZERO, payload_bytes_max: usize::MAX },
        };
        Self { state: Mutex::new(state), room: Semaphore::new(ROOM_BYTES), settled: Notify::new() }
    }

    /// Notes progress; of what is not on its way yet only the newest is kept.
    pub(in crate::worker) fn progress(&self, lease: LeaseId, progress: Progress) {
        let mut state = self.state.lock();
        let Some(attempt) = state.attempts.get_mut(&lease).filter(|attempt| !attempt.is_void) else { return };
        if attempt.progress.replace(progress.bounded()).is_none() {
            state.progressed.push(lease);
        }
        wake(state);
    }

    /// Adds a log line, if there is room; else a later line tells how many are missing.
    pub(in crate::worker) fn log(&self, lease: LeaseId, log: Log) {
        let mut state = self.state.lock();
        let Some(attempt) = state.attempts.get_mut(&lease).filter(|attempt| !attempt.is_void) else { return };
        let news = AttemptUpdate::Report(Report::Log(log.bounded()));
        let Some(room) = self.try_take(news.bytes()) else {
            attempt.dropped = attempt.dropped.saturating_add(1);
            return;
        };
        let note = attempt.take_note();
        // At most one for each line that fits.
        note.into_iter().for_each(|note| state.push(lease, note, 0));
        state.push(lease, news, room);
        wake(state);
    }

    /// Adds a chunk of output, once there is room.
    ///
    /// # Errors
    ///
    /// `PayloadTooLarge` if the server would not take it, `LeaseLost` if the attempt no longer stands.
    pub(in crate::worker) async fn output(&self, lease: LeaseId, output: Output) -> Result<()> {
        let limit = self.state.lock().terms.payload_bytes_max;
        check_size("output", output.payload.bytes.len(), limit)?;
        let news = AttemptUpdate::Report(Report::Output(output.bounded()));
        let room = room_of(news.bytes());
        // The semaphore is never closed.
        let Ok(permit) = self.room.acquire_many(room).await else { return Err(lease_lost()) };
        let mut state = self.state.lock();
        if state.attempts.get(&lease).is_none_or(|attempt| attempt.is_void) {
            return Err(lease_lost());
        }
        permit.forget();
        state.push(lease, news, room);
        wake(state);
        Ok(())
    }

    /// Ends an attempt that runs.
    pub(in crate::worker) fn end(&self, lease: LeaseId, end: AttemptEnd) {
        let mut state = self.state.lock();
        if let Some(mut attempt) = state.attempts.remove(&lease) {
            let progress =
                attempt.progress.take().map(|progress| AttemptUpdate::Report(Report::Progress(progress)));
            let note = attempt.take_note();
            // At most one of each for a slot.
            progress.into_iter().chain(note).for_each(|news| state.push(lease, news, 0));
            state.push_end(lease, if attempt.is_void { VOID_END } else { end });
        }
        wake(state);
    }

    /// Begins an attempt, which accepts it. The caller wakes the stream.
    pub(super) fn begin(&self, lease: LeaseId) {
        let mut state = self.state.lock();
        state.attempts.insert(lease, Attempt::default());
        state.accepts.push(lease);
    }

    /// Adds the ends of attempts that began and ended without a pause. The caller wakes the stream.
    pub(super) fn end_at_once(&self, ends: Vec<(LeaseId, AttemptEnd)>) {
        let mut state = self.state.lock();
        ends.into_iter().for_each(|(lease, end)| state.push_end(lease, end));
    }

    /// Has a heartbeat sent. The caller wakes the stream.
    pub(super) fn beat(&self) {
        self.state.lock().heartbeat_due = true;
    }

    /// Lets go of reports up to this number. The caller wakes the stream.
    pub(super) fn acknowledge(&self, up_to: u64) {
        let mut state = self.state.lock();
        self.forget_until(&mut state, up_to);
    }

    /// Has the stream look what there is to send.
    pub(super) fn wake(&self) {
        wake(self.state.lock());
    }

    /// Runs at most this many attempts at a time from now on.
    pub(super) fn set_slots(&self, slots: u32) {
        let mut state = self.state.lock();
        state.slots = slots;
        wake(state);
    }

    /// Begins a new stream with this greeting, completed by slots and leases; earlier ones end. Answers its number.
    pub(super) fn greet(&self, mut hello: v1::Hello) -> u64 {
        let mut state = self.state.lock();
        hello.slots = state.slots;
        hello.held_lease_ids = state.held().into_iter().map(|lease| lease.to_string()).collect();
        state.slots_told = Some(hello.slots);
        state.sent = 0;
        state.stream += 1;
        state.phase = Phase::Greeting(hello);
        let stream = state.stream;
        wake(state);
        stream
    }

    /// Goes on after the server's answer. Answers the attempts that it does not know any more.
    pub(super) fn welcome(
        &self,
        standing: &HashSet<LeaseId>,
        acknowledged: u64,
        terms: Terms,
    ) -> Vec<LeaseId> {
        let mut state = self.state.lock();
        state.terms = terms;
        let mut lost = Vec::new();
        for (lease, attempt) in &mut state.attempts {
            if !standing.contains(lease) && !attempt.is_void {
                *attempt = Attempt { is_void: true, ..Attempt::default() };
                lost.push(*lease);
            }
        }
        for entry in &mut state.reports {
            if !standing.contains(&entry.lease) {
                entry.make_void();
                self.room.add_permits(std::mem::take(&mut entry.room) as usize);
            }
        }
        self.forget_until(&mut state, acknowledged);
        let open = &mut *state;
        open.progressed.retain(|lease| standing.contains(lease));
        open.accepts = open.running().collect();
        open.heartbeat_due = !open.accepts.is_empty();
        // With nothing at stake, or all of it stopped already, leases begin anew.
        if open.accepts.is_empty() || Instant::now() >= open.fence() {
            open.renewed = Instant::now();
        }
        open.phase = Phase::Open;
        wake(state);
        lost
    }

    /// Ends this stream of requests once what is there was sent.
    pub(super) fn end_stream(&self) {
        let mut state = self.state.lock();
        state.phase = Phase::Ending;
        wake(state);
    }

    /// Ends the present stream at once: nothing that it takes from now on would arrive.
    pub(super) fn cut(&self) {
        let mut state = self.state.lock();
        state.stream += 1;
        wake(state);
    }

    /// When the leases run out unless a heartbeat leaves before.
    pub(super) fn fence(&self) -> Instant {
        self.state.lock().fence()
    }

    /// Waits until every report was acknowledged.
    pub(super) async fn settled(&self) {
        loop {
            let settled = self.settled.notified();
            if self.state.lock().reports.is_empty() {
                return;
            }
            settled.await;
        }
    }

    /// Takes room for this many bytes, if there is any; answers what was taken.
    pub(super) fn try_take(&self, bytes: usize) -> Option<u32> {
        let room = room_of(bytes);
        let permit = self.room.try_acquire_many(room).ok()?;
        permit.forget();
        Some(room)
    }

    fn forget_until(&self, state: &mut State, up_to: u64) {
        while let Some(entry) = state.reports.front()
            && (state.first <= up_to || entry.news.is_none())
        {
            self.room.add_permits(entry.room as usize);
            state.reports.pop_front();
            state.first += 1;
            state.sent = state.sent.saturating_sub(1);
        }
        if state.reports.is_empty() {
            self.settled.notify_waiters();
        }
    }
}

impl State {
    pub(super) fn push(&mut self, lease: LeaseId, news: AttemptUpdate, room: u32) {
        self.reports.push_back(Entry { lease, room, bytes: news.bytes(), news: Some(news) });
    }

    fn push_end(&mut self, lease: LeaseId, end: AttemptEnd) {
        let limit = self.terms.payload_bytes_max;
        let end = match end {
            AttemptEnd::Success(result) => match check_size("result", result.bytes.len(), limit) {
                Ok(()) => AttemptEnd::Success(result),
                Err(error) => {
                    let failure = Failure::new(FailureReason::ResultTooLarge, error.message());
                    AttemptEnd::Failure(failure.permanent(), None)
                }
            },
            AttemptEnd::Failure(failure, retry_after) => AttemptEnd::Failure(failure.bounded(), retry_after),
            other => other,
        };
        self.push(lease, AttemptUpdate::End(end), 0);
    }

    fn fence(&self) -> Instant {
        self.renewed + self.terms.lease
    }

    /// Attempts that run and that the server knows.
    pub(super) fn running(&self) -> impl Iterator<Item = LeaseId> {
        self.attempts.iter().filter(|(_, attempt)| !attempt.is_void).map(|(lease, _)| *lease)
    }

    /// Attempts that run, known to the server or not, or whose end was not acknowledged.
    fn held(&self) -> Vec<LeaseId> {
        let ended = self.reports.iter().filter(|entry| matches!(entry.news, Some(AttemptUpdate::End(_))));
        self.attempts.keys().copied().chain(ended.map(|entry| entry.lease)).collect()
    }

    /// What the server is to know of the slots, if it does not know it. Which of them are taken it counts itself.
    pub(super) fn slots_due(&self) -> Option<u32> {
        (self.slots_told != Some(self.slots)).then_some(self.slots)
    }
}

impl Entry {
    /// Leaves of it what the server still has to know of an attempt whose lease does not stand.
    fn make_void(&mut self) {
        self.news = self
            .news
            .take()
            .filter(|news| matches!(news, AttemptUpdate::End(_)))
            .map(|_| AttemptUpdate::End(VOID_END));
        self.bytes = self.news.as_ref().map_or(0, AttemptUpdate::bytes);
    }
}

impl Attempt {
    /// A line that tells how many were dropped before it.
    fn take_note(&mut self) -> Option<AttemptUpdate> {
        let dropped = std::mem::take(&mut self.dropped);
        (dropped > 0).then(|| AttemptUpdate::Report(Report::Log(missing_lines(dropped))))
    }
}

/// Wakes who polls the stream, after the lock is gone.
fn wake(mut state: parking_lot::MutexGuard<'_, State>) {
    let waker = state.waker.take();
    drop(state);
    if let Some(waker) = waker {
        waker.wake();
    }
}

/// What this many bytes take of the room; the largest chunk takes all of it.
fn room_of(bytes: usize) -> u32 {
    bytes.min(ROOM_BYTES) as u32
}

fn check_size(field: &str, size: usize, limit: usize) -> Result<()> {
    if size <= limit {
        return Ok(());
    }
    let message =
        format!("{field} is {size} bytes, the limit is {limit}: store it elsewhere and return a reference");
    Err(Error::new(ErrorKind::PayloadTooLarge { field: field.to_owned(), size, limit }, message))
}

fn lease_lost() -> Error {
    Error::new(ErrorKind::LeaseLost, "the attempt no longer stands: stop it and drop its result")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::{LogLevel, LogStream};

    fn lease(number: u128) -> LeaseId {
        LeaseId::parse(&format!("{number:032x}")).unwrap()
    }

    const TERMS: Terms = Terms { lease: Duration::from_secs(30), payload_bytes_max: 1 << 20 };

    fn greeting(ledger: &Ledger) -> v1::Hello {
        ledger.greet(v1::Hello::default());
        let Phase::Greeting(hello) = &ledger.state.lock().phase else { panic!("it greets") };
        hello.clone()
    }

    #[tokio::test]
    async fn an_attempt_that_lost_its_lease_is_held_until_its_end_was_told() {
        let ledger = Ledger::new(4);
        ledger.begin(lease(1));
        ledger.begin(lease(2));
        for _ in 0..2 {
            let hello = greeting(&ledger);
            assert_eq!((hello.slots, hello.held_lease_ids.len()), (4, 2));
            ledger.welcome(&[lease(2)].into_iter().collect(), 0, TERMS);
        }
        ledger.end(lease(1), AttemptEnd::Success(crate::job::Payload::text("stale")));
        assert_eq!(greeting(&ledger).held_lease_ids.len(), 2);
        ledger.welcome(&[lease(2)].into_iter().collect(), 0, TERMS);
        let told: Vec<_> = ledger.state.lock().reports.iter().map(|entry| entry.news.clone()).collect();
        assert_eq!(told, [Some(AttemptUpdate::End(VOID_END))]);
        ledger.acknowledge(1);
        assert_eq!(greeting(&ledger).held_lease_ids, [lease(2).to_string()]);
    }

    #[tokio::test]
    async fn what_is_dropped_or_acknowledged_gives_its_room_back() {
        let ledger = Ledger::new(4);
        for number in [1, 2] {
            ledger.begin(lease(number));
            ledger
                .log(lease(number), Log { level: LogLevel::Info, text: "x".into(), stream: LogStream::Log });
        }
        assert!(ledger.room.available_permits() < ROOM_BYTES);
        ledger.greet(v1::Hello::default());
        ledger.welcome(&[lease(1)].into_iter().collect(), 0, TERMS);
        ledger.acknowledge(1);
        assert_eq!(ledger.room.available_permits(), ROOM_BYTES);
        ledger.settled().await;
    }

    #[tokio::test]
    async fn output_of_an_attempt_that_lost_its_lease_is_refused() {
        let ledger = Ledger::new(4);
        ledger.begin(lease(1));
        ledger.greet(v1::Hello::default());
        ledger.welcome(&HashSet::new(), 0, TERMS);
        let output = Output { payload: crate::job::Payload::text("x"), channel: "".into() };
        let error = ledger.output(lease(1), output).await.unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::LeaseLost);
        assert_eq!(ledger.room.available_permits(), ROOM_BYTES);
    }
}
