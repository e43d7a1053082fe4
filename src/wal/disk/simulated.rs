//! A simulated disk with fault injection: in a crash, writes and names that were not synced are lost or torn.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::files::{Files, LogFile};

/// Bytes that a disk writes atomically.
const SECTOR: usize = 512;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Call {
    Lock,
    List,
    Create,
    Open,
    Read,
    Write,
    Sync,
    Rename,
    Remove,
    SyncDirectory,
}

/// Which writes and names that were not synced survive a crash.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Survives {
    Nothing,
    All,
    /// Each sector and each name with probability 1/2, by this seed.
    Some(u64),
}

#[derive(Debug, Clone)]
enum NameChange {
    Create(String, usize),
    Rename(String, String),
    Remove(String),
}

#[derive(Debug, Default, Clone)]
struct Inode {
    view: Vec<u8>,
    durable: Vec<u8>,
    pending: Vec<(usize, Vec<u8>)>,
}

#[derive(Debug, Default, Clone)]
struct State {
    inodes: Vec<Inode>,
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    pending_names: Vec<NameChange>,
    is_locked: bool,
    /// Every call since the last `fail_at`.
    calls: Vec<Call>,
    plan: Option<(usize, i32)>,
    /// The limit of the bytes of all files.
    capacity: Option<usize>,
    /// Whether a sync succeeds without effect.
    skips_syncs: bool,
}

/// A handle of a disk. Clones share the disk.
#[derive(Debug, Clone, Default)]
pub(crate) struct Disk(Arc<Mutex<State>>);

impl Disk {
    /// An independent copy.
    pub(crate) fn fork(&self) -> Self {
        let mut state = self.0.lock().clone();
        state.is_locked = false;
        Self(Arc::new(Mutex::new(state)))
    }

    /// Makes the call of this number fail, counted from now and from 0.
    pub(crate) fn fail_at(&self, call: usize, code: i32) {
        let mut state = self.0.lock();
        state.calls.clear();
        state.plan = Some((call, code));
    }

    /// The calls since `fail_at`. No later call fails.
    pub(crate) fn calls(&self) -> Vec<Call> {
        let mut state = self.0.lock();
        state.plan = None;
        std::mem::take(&mut state.calls)
    }

    pub(crate) fn set_capacity(&self, bytes: Option<usize>) {
        self.0.lock().capacity = bytes;
    }

    /// From now on, syncs succeed without effect.
    pub(crate) fn skip_syncs(&self) {
        self.0.lock().skips_syncs = true;
    }

    pub(crate) fn used(&self) -> usize {
        self.0.lock().used()
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.0.lock().names.keys().cloned().collect()
    }

    pub(crate) fn bytes(&self, name: &str) -> Vec<u8> {
        let state = self.0.lock();
        state.inodes[state.names[name]].view.clone()
    }

    /// Changes a file, durably, without a call of the log.
    pub(crate) fn change(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let state = &mut *self.0.lock();
        let inode = &mut state.inodes[state.names[name]];
        change(&mut inode.view);
        inode.durable = inode.view.clone();
        inode.pending.clear();
    }

    pub(crate) fn put(&self, name: &str, bytes: Vec<u8>) {
        let state = &mut *self.0.lock();
        state.inodes.push(Inode { view: bytes.clone(), durable: bytes, pending: Vec::new() });
        state.names.insert(name.to_owned(), state.inodes.len() - 1);
        state.durable_names = state.names.clone();
    }

    pub(crate) fn remove_file(&self, name: &str) {
        let state = &mut *self.0.lock();
        state.names.remove(name).expect("the file exists");
        state.durable_names = state.names.clone();
    }

    /// Simulates a power failure and a restart.
    pub(crate) fn crash(&self, survives: Survives) {
        let state = &mut *self.0.lock();
        let mut rng = StdRng::seed_from_u64(if let Survives::Some(seed) = survives { seed } else { 0 });
        let mut survived = || match survives {
            Survives::Nothing => false,
            Survives::All => true,
            Survives::Some(_) => rng.random_bool(0.5),
        };
        for inode in &mut state.inodes {
            for (offset, bytes) in std::mem::take(&mut inode.pending) {
                for (at, sector) in sectors(offset, &bytes) {
                    if survived() {
                        put(&mut inode.durable, at, sector);
                    }
                }
            }
            inode.view = inode.durable.clone();
        }
        for change in std::mem::take(&mut state.pending_names) {
            if survived() {
                apply(&mut state.durable_names, change);
            }
        }
        state.names = state.durable_names.clone();
        state.is_locked = false;
        state.plan = None;
    }

    fn call(&self, call: Call) -> io::Result<()> {
        self.0.lock().call(call)
    }
}

impl State {
    fn call(&mut self, call: Call) -> io::Result<()> {
        self.calls.push(call);
        match self.plan {
            Some((number, code)) if self.calls.len() - 1 == number => Err(io::Error::from_raw_os_error(code)),
            _ => Ok(()),
        }
    }

    fn used(&self) -> usize {
        self.names.values().map(|&inode| self.inodes[inode].view.len()).sum()
    }

    fn inode_of(&self, name: &str) -> io::Result<usize> {
        self.names.get(name).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn change_names(&mut self, change: NameChange) {
        apply(&mut self.names, change.clone());
        self.pending_names.push(change);
    }
}

fn apply(names: &mut BTreeMap<String, usize>, change: NameChange) {
    match change {
        NameChange::Create(name, inode) => {
            names.insert(name, inode);
        }
        NameChange::Rename(from, to) => {
            if let Some(inode) = names.remove(&from) {
                names.insert(to, inode);
            }
        }
        NameChange::Remove(name) => {
            names.remove(&name);
        }
    }
}

fn put(bytes: &mut Vec<u8>, at: usize, written: &[u8]) {
    let end = at + written.len();
    if bytes.len() < end {
        bytes.resize(end, 0);
    }
    bytes[at..end].copy_from_slice(written);
}

/// The parts of a write that survive a crash independently.
fn sectors(offset: usize, bytes: &[u8]) -> Vec<(usize, &[u8])> {
    let (mut parts, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        let end = bytes.len().min(at + SECTOR - (offset + at) % SECTOR);
        parts.push((offset + at, &bytes[at..end]));
        at = end;
    }
    parts
}

struct Guard(Disk);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.0.lock().is_locked = false;
    }
}

impl Files for Disk {
    fn directory(&self) -> &Path {
        Path::new("disk")
    }

    fn lock(&self, _shared: bool) -> io::Result<Option<Box<dyn Send>>> {
        self.call(Call::Lock)?;
        let was_locked = std::mem::replace(&mut self.0.lock().is_locked, true);
        Ok((!was_locked).then(|| Box::new(Guard(self.clone())) as Box<dyn Send>))
    }

    fn list(&self) -> io::Result<Vec<(String, u64)>> {
        self.call(Call::List)?;
        let state = self.0.lock();
        let files = state.names.iter();
        Ok(files.map(|(name, &inode)| (name.clone(), state.inodes[inode].view.len() as u64)).collect())
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn LogFile>> {
        self.call(Call::Create)?;
        let state = &mut *self.0.lock();
        if state.names.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        state.inodes.push(Inode::default());
        let inode = state.inodes.len() - 1;
        state.change_names(NameChange::Create(name.to_owned(), inode));
        Ok(Box::new(OpenFile { disk: self.clone(), inode, is_writable: true }))
    }

    fn open(&self, name: &str, is_writable: bool) -> io::Result<Box<dyn LogFile>> {
        self.call(Call::Open)?;
        let inode = self.0.lock().inode_of(name)?;
        Ok(Box::new(OpenFile { disk: self.clone(), inode, is_writable }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.call(Call::Rename)?;
        let state = &mut *self.0.lock();
        state.inode_of(from)?;
        assert!(!state.names.contains_key(to), "{to} would be replaced");
        state.change_names(NameChange::Rename(from.to_owned(), to.to_owned()));
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.call(Call::Remove)?;
        let state = &mut *self.0.lock();
        state.inode_of(name)?;
        state.change_names(NameChange::Remove(name.to_owned()));
        Ok(())
    }

    fn sync_directory(&self) -> io::Result<()> {
        self.call(Call::SyncDirectory)?;
        let state = &mut *self.0.lock();
        state.pending_names.clear();
        state.durable_names = state.names.clone();
        Ok(())
    }
}

struct OpenFile {
    disk: Disk,
    inode: usize,
    is_writable: bool,
}

impl LogFile for OpenFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.disk.call(Call::Read)?;
        let state = self.disk.0.lock();
        let view = &state.inodes[self.inode].view;
        let start = view.len().min(offset as usize);
        let count = buffer.len().min(view.len() - start);
        buffer[..count].copy_from_slice(&view[start..start + count]);
        Ok(count)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        assert!(self.is_writable, "a file that was opened for reading is written");
        let called = self.disk.call(Call::Write);
        let state = &mut *self.disk.0.lock();
        let end = offset as usize + bytes.len();
        let grows = end.saturating_sub(state.inodes[self.inode].view.len());
        if state.capacity.is_some_and(|capacity| grows > 0 && state.used() + grows > capacity) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        // A write that fails may have written a part.
        let bytes = if called.is_ok() { bytes } else { &bytes[..bytes.len() / 2] };
        let inode = &mut state.inodes[self.inode];
        put(&mut inode.view, offset as usize, bytes);
        inode.pending.push((offset as usize, bytes.to_vec()));
        called
    }

    fn sync(&self) -> io::Result<()> {
        let called = self.disk.call(Call::Sync);
        let state = &mut *self.disk.0.lock();
        if state.skips_syncs {
            return called;
        }
        let inode = &mut state.inodes[self.inode];
        let pending = std::mem::take(&mut inode.pending);
        // After a failed sync, the page cache has writes that no later sync makes durable.
        called?;
        for (offset, bytes) in pending {
            put(&mut inode.durable, offset, &bytes);
        }
        Ok(())
    }
}
