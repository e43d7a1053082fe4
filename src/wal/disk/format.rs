//! Every byte of a segment: its header, and the frames that follow it. Drawn in docs/storage.md.

/// The version of the format that this program writes, and the newest that it reads. Versions differ in what entries may
/// say, not in the bytes around them: older segments are read as they are.
pub(super) const VERSION: u32 = 2;
/// Bytes of a segment before its first frame; only the first [`HEADER_FIELDS`] of them are not zero.
pub(super) const HEADER_BYTES: u64 = 4096;
/// Bytes that hold the fields of a segment's header, their CRC last. They stay as they are in every version.
pub(super) const HEADER_FIELDS: usize = 64;
/// Bytes of a frame before its payload.
pub(super) const FRAME_HEADER_BYTES: usize = 40;
/// Every frame begins at a multiple of it.
pub(super) const ALIGNMENT: u64 = 8;
/// Bytes of a frame that holds a mark.
pub(super) const MARK_BYTES: u64 = FRAME_HEADER_BYTES as u64 + 8;
/// What entries leave free at the end of a segment: room for a mark of recovery, one of a trim and the seal.
pub(super) const RESERVED_BYTES: u64 = 3 * MARK_BYTES;

const MAGIC: [u8; 8] = *b"JOBSLOG\n";

/// What the header of a segment says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SegmentHeader {
    /// The version of the format.
    pub(super) version: u32,
    /// A number that every segment and frame of one log has in common, drawn at random when it is made.
    pub(super) log_id: u64,
    pub(super) number: u64,
    /// Of the first entry in it. Everything before was on disk when the segment was taken into use.
    pub(super) first_sequence: u64,
    /// The oldest segment that was needed then.
    pub(super) oldest: u64,
    /// Bytes of the file.
    pub(super) bytes: u64,
}

/// Why a header was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HeaderFault {
    /// It does not begin as every segment does.
    Foreign,
    /// Its CRC does not match.
    Damaged,
}

impl SegmentHeader {
    pub(super) fn encode(&self) -> [u8; HEADER_FIELDS] {
        let mut bytes = [0; HEADER_FIELDS];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&self.version.to_le_bytes());
        let fields = [self.log_id, self.number, self.first_sequence, self.oldest, self.bytes];
        for (index, field) in fields.into_iter().enumerate() {
            bytes[16 + 8 * index..24 + 8 * index].copy_from_slice(&field.to_le_bytes());
        }
        let crc = crc32c::crc32c(&bytes[..60]);
        bytes[60..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads a header of this version or a newer one: which of them is for the caller to judge.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, HeaderFault> {
        let Some(bytes) = bytes.first_chunk::<HEADER_FIELDS>() else {
            return Err(HeaderFault::Damaged);
        };
        let crc_matches = crc32c::crc32c(&bytes[..60]) == u32_at(bytes, 60);
        match (bytes[..8] == MAGIC, crc_matches) {
            (true, true) => Ok(Self {
                version: u32_at(bytes, 8),
                log_id: u64_at(bytes, 16),
                number: u64_at(bytes, 24),
                first_sequence: u64_at(bytes, 32),
                oldest: u64_at(bytes, 40),
                bytes: u64_at(bytes, 48),
            }),
            (true, false) => Err(HeaderFault::Damaged),
            (false, _) => Err(HeaderFault::Foreign),
        }
    }
}

/// What a frame is for; its magic number says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FrameKind {
    /// An entry of the caller; has a sequence of its own.
    Entry,
    /// Says that everything before it is on disk, and which segment is the oldest needed. Takes no sequence: its own is
    /// that of the next entry.
    Mark,
    /// A mark that ends a segment: the log goes on in the next one.
    Seal,
}

impl FrameKind {
    fn magic(self) -> u32 {
        u32::from_le_bytes(match self {
            Self::Entry => *b"JSe1",
            Self::Mark => *b"JSm1",
            Self::Seal => *b"JSs1",
        })
    }

    fn of(magic: u32) -> Option<Self> {
        [Self::Entry, Self::Mark, Self::Seal].into_iter().find(|kind| kind.magic() == magic)
    }
}

/// What the header of a frame says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FrameHeader {
    pub(super) kind: FrameKind,
    /// Bytes of the payload.
    pub(super) length: u32,
    /// The segment it was written to: a recycled file holds frames of others.
    pub(super) segment: u64,
    pub(super) sequence: u64,
    /// The sequence up to which everything was known to be on disk when the frame was written.
    pub(super) synced: u64,
    payload_crc: u32,
}

impl FrameHeader {
    /// Reads the header of a frame that was written to this log; `None` for anything else.
    pub(super) fn decode(bytes: &[u8], log_id: u64) -> Option<Self> {
        let bytes = bytes.first_chunk::<FRAME_HEADER_BYTES>()?;
        let kind = FrameKind::of(u32_at(bytes, 0))?;
        if header_crc(log_id, &bytes[..36]) != u32_at(bytes, 36) {
            return None;
        }
        Some(Self {
            kind,
            length: u32_at(bytes, 4),
            segment: u64_at(bytes, 8),
            sequence: u64_at(bytes, 16),
            synced: u64_at(bytes, 24),
            payload_crc: u32_at(bytes, 32),
        })
    }

    /// Whether this is its payload, as it was written.
    pub(super) fn matches(&self, payload: &[u8]) -> bool {
        payload.len() == self.length as usize && crc32c::crc32c(payload) == self.payload_crc
    }

    /// Bytes of the whole frame, with what aligns the next one.
    pub(super) fn frame_bytes(&self) -> u64 {
        frame_bytes(self.length as usize)
    }
}

/// Bytes of the frame of a payload.
pub(super) fn frame_bytes(payload: usize) -> u64 {
    (FRAME_HEADER_BYTES as u64 + payload as u64).next_multiple_of(ALIGNMENT)
}

/// What frames of one batch have in common.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stamp {
    pub(super) log_id: u64,
    pub(super) segment: u64,
    pub(super) synced: u64,
}

impl Stamp {
    /// Appends a frame to `buffer`.
    pub(super) fn encode(&self, buffer: &mut Vec<u8>, kind: FrameKind, sequence: u64, payload: &[u8]) {
        let mut header = [0; FRAME_HEADER_BYTES];
        let length = u32::try_from(payload.len()).expect("entries have a bound below 4 GiB");
        header[..4].copy_from_slice(&kind.magic().to_le_bytes());
        header[4..8].copy_from_slice(&length.to_le_bytes());
        header[8..16].copy_from_slice(&self.segment.to_le_bytes());
        header[16..24].copy_from_slice(&sequence.to_le_bytes());
        header[24..32].copy_from_slice(&self.synced.to_le_bytes());
        header[32..36].copy_from_slice(&crc32c::crc32c(payload).to_le_bytes());
        let crc = header_crc(self.log_id, &header[..36]);
        header[36..].copy_from_slice(&crc.to_le_bytes());
        buffer.extend_from_slice(&header);
        buffer.extend_from_slice(payload);
        buffer.resize(buffer.len().next_multiple_of(ALIGNMENT as usize), 0);
    }
}

/// The log's number goes in first: what a payload holds can be no frame of the log that it was written to, unless its
/// sender knew the number.
fn header_crc(log_id: u64, header: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&log_id.to_le_bytes()), header)
}

pub(super) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut field = [0; 8];
    field.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(field)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut field = [0; 4];
    field.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(field)
}
