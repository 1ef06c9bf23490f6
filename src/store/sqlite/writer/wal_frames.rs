//! Counts the valid frames of a WAL, as SQLite's recovery would: up to the first frame whose salt or checksum does not
//! continue the frames before it (<https://www.sqlite.org/fileformat2.html#walformat>).

/// The length of the WAL's header.
const HEADER: usize = 32;
/// The length of a frame's header. A page follows it.
const FRAME_HEADER: usize = 24;

/// Reads a WAL in pieces of any length.
#[derive(Default)]
pub(super) struct WalFrames {
    /// Bytes of a header or frame that is not complete yet.
    partial: Vec<u8>,
    /// Known once the WAL's header was read.
    chain: Option<Chain>,
    /// Whether an invalid frame was read.
    ended: bool,
    /// The number of valid frames.
    pub(super) count: u64,
}

/// The WAL header's values, and the running checksum.
struct Chain {
    big_endian: bool,
    page: usize,
    salt: [u8; 8],
    checksum: (u32, u32),
}

impl WalFrames {
    /// Reads the next piece of the WAL.
    pub(super) fn read(&mut self, piece: &[u8]) {
        if self.ended {
            return;
        }
        self.partial.extend_from_slice(piece);
        let mut at = 0;
        loop {
            let unread = &self.partial[at..];
            let length = self.chain.as_ref().map_or(HEADER, |chain| FRAME_HEADER + chain.page);
            if unread.len() < length {
                break;
            }
            let is_valid = match &mut self.chain {
                None => {
                    self.chain = Chain::from_header(&unread[..length]);
                    self.chain.is_some()
                }
                Some(chain) => {
                    let is_next = chain.accept(&unread[..length]);
                    self.count += u64::from(is_next);
                    is_next
                }
            };
            if !is_valid {
                self.ended = true;
                break;
            }
            at += length;
        }
        self.partial.drain(..at);
    }
}

impl Chain {
    fn from_header(header: &[u8]) -> Option<Self> {
        let big_endian = match word(header, 0, true) {
            0x377f_0682 => false,
            0x377f_0683 => true,
            _ => return None,
        };
        let page = usize::try_from(word(header, 8, true)).ok().filter(|page| page.is_power_of_two())?;
        let mut chain = Chain { big_endian, page, salt: [0; 8], checksum: (0, 0) };
        chain.salt.copy_from_slice(&header[16..24]);
        chain.add(&header[..24]);
        (chain.checksum == (word(header, 24, true), word(header, 28, true))).then_some(chain)
    }

    /// Whether a frame continues the chain; if so, its checksum is added.
    fn accept(&mut self, frame: &[u8]) -> bool {
        if frame[8..16] != self.salt || word(frame, 0, true) == 0 {
            return false;
        }
        self.add(&frame[..8]);
        self.add(&frame[FRAME_HEADER..]);
        self.checksum == (word(frame, 16, true), word(frame, 20, true))
    }

    fn add(&mut self, bytes: &[u8]) {
        let (mut first, mut second) = self.checksum;
        for pair in bytes.chunks_exact(8) {
            first = first.wrapping_add(word(pair, 0, self.big_endian)).wrapping_add(second);
            second = second.wrapping_add(word(pair, 4, self.big_endian)).wrapping_add(first);
        }
        self.checksum = (first, second);
    }
}

fn word(bytes: &[u8], at: usize, big_endian: bool) -> u32 {
    let word = [bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]];
    if big_endian { u32::from_be_bytes(word) } else { u32::from_le_bytes(word) }
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;

    fn count(wal: &[u8], piece: usize) -> u64 {
        let mut frames = WalFrames::default();
        wal.chunks(piece).for_each(|piece| frames.read(piece));
        frames.count
    }

    #[test]
    fn valid_frames_are_counted_as_sqlite_counts_them() {
        let folder = tempfile::tempdir().unwrap();
        let sql = Connection::open(folder.path().join("s.db")).unwrap();
        sql.execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE t (x);").unwrap();
        for number in 0..20 {
            sql.execute("INSERT INTO t VALUES (zeroblob(?1))", [number * 700]).unwrap();
        }
        let counted_by_sqlite = |sql: &Connection| {
            sql.query_row("PRAGMA main.wal_checkpoint(NOOP)", [], |row| row.get::<_, u64>(1))
        };
        let all = counted_by_sqlite(&sql).unwrap();
        let wal = std::fs::read(folder.path().join("s.db-wal")).unwrap();
        for piece in [1, 31, 4096, 1 << 20] {
            assert_eq!(count(&wal, piece), all, "in pieces of {piece}");
        }
        let frame = 4096 + FRAME_HEADER;
        for lost in [3, all - 1] {
            let mut torn = wal.clone();
            torn[HEADER + usize::try_from(lost).unwrap() * frame + 600] ^= 1;
            assert_eq!(count(&torn, 1000), lost);
        }
        assert_eq!(count(&wal[..wal.len() - 1], 4096), all - 1);
        // After a reset, the frames of before are not counted.
        sql.query_row("PRAGMA main.wal_checkpoint(RESTART)", [], |_| Ok(())).unwrap();
        sql.execute("INSERT INTO t VALUES (1)", []).unwrap();
        let wal = std::fs::read(folder.path().join("s.db-wal")).unwrap();
        assert_eq!(count(&wal, 4096), counted_by_sqlite(&sql).unwrap());
        assert_eq!(count(b"", 1), 0);
        assert_eq!(count(&[7; 40_000], 4096), 0);
    }
}
