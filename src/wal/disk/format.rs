//! The format of a segment: its header and the frames after it. `docs/storage.md` has a diagram.

/// The version of the format that this program writes, and the newest that it reads. Versions differ in the content of entries
/// only: older segments are read unchanged.
pub(super) const VERSION: u32 = 2;
/// Bytes of a segment before its first frame; only the first [`HEADER_FIELDS`] of them are not zero.
pub(super) const HEADER_BYTES: u64 = 4096;
/// Bytes of the fields of a segment's header, with their CRC at the end; the same in every version.
pub(super) const HEADER_FIELDS: usize = 64;
/// Bytes of a frame before its payload.
pub(super) const FRAME_HEADER_BYTES: usize = 40;
/// The offset of every frame is a multiple of this.
pub(super) const ALIGNMENT: u64 = 8;
/// Bytes of the frame of a mark.
pub(super) const MARK_BYTES: u64 = FRAME_HEADER_BYTES as u64 + 8;
/// Bytes at the end of a segment that are reserved for a mark of recovery, one of a trim and the seal.
pub(super) const RESERVED_BYTES: u64 = 3 * MARK_BYTES;

const MAGIC: [u8; 8] = *b"JOBSLOG\n";

/// The header of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SegmentHeader {
    /// The version of the format.
    pub(super) version: u32,
    /// The random id of the log, in every segment and frame.
    pub(super) log_id: u64,
    pub(super) number: u64,
    /// The sequence of its first entry. All earlier entries were durable when the segment was created.
    pub(super) first_sequence: u64,
    /// The oldest segment that was not trimmed then.
    pub(super) oldest: u64,
    /// Bytes of the file.
    pub(super) bytes: u64,
}

/// Why a header cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HeaderFault {
    /// It has no magic number.
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

    /// Reads a header of any version: the caller checks the version.
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

/// The type of a frame, by its magic number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FrameKind {
    /// An entry with a sequence of its own.
    Entry,
    /// Everything before it is durable, and its payload is the oldest segment that is not trimmed. It has the sequence of the
    /// next entry.
    Mark,
    /// A mark at the end of a segment: the log continues in the next one.
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

/// The header of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FrameHeader {
    pub(super) kind: FrameKind,
    /// Bytes of the payload.
    pub(super) length: u32,
    /// The segment of the frame: a reused file has frames of other segments.
    pub(super) segment: u64,
    pub(super) sequence: u64,
    /// The sequence up to which everything was durable when the frame was written.
    pub(super) synced: u64,
    payload_crc: u32,
}

impl FrameHeader {
    /// Reads the header of a frame of this log; `None` for anything else.
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

    /// Whether this is the intact payload of the frame.
    pub(super) fn matches(&self, payload: &[u8]) -> bool {
        payload.len() == self.length as usize && crc32c::crc32c(payload) == self.payload_crc
    }

    /// Bytes of the whole frame, with its padding.
    pub(super) fn frame_bytes(&self) -> u64 {
        frame_bytes(self.length as usize)
    }
}

/// Bytes of the frame of a payload.
pub(super) fn frame_bytes(payload: usize) -> u64 {
    (FRAME_HEADER_BYTES as u64 + payload as u64).next_multiple_of(ALIGNMENT)
}

/// The header fields that the frames of a batch share.
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

/// The CRC includes the log id: bytes in a payload are no frame of the log unless the sender knew the id.
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
