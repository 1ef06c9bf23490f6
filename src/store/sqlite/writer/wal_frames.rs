//! What a recovery would find in a write-ahead log: the frames up to the first that doesn't fit the ones before
//! it (<https://www.sqlite.org/fileformat2.html#walformat>).

/// The length of the log's header.
const HEADER: usize = 32;
/// The length of a frame's own header.
const FRAME_HEADER: usize = 24;

/// Follows the frames of a log that comes in pieces.
#[derive(Default)]
pub(in crate::store::sqlite) struct Frames {
    begun: Vec<u8>,
    log: Option<Wal>,
    ended: bool,
    /// How many frames follow each other.
    pub(in crate::store::sqlite) count: u64,
}

/// What the log's header says, and the checksum so far.
struct Wal {
    big_endian: bool,
    page: usize,
    salt: [u8; 8],
    sum: (u32, u32),
}

impl Frames {
    /// Takes the next piece.
    pub(in crate::store::sqlite) fn take(&mut self, piece: &[u8]) {
        if self.ended {
            return;
        }
        self.begun.extend_from_slice(piece);
        let mut at = 0;
        loop {
            let rest = &self.begun[at..];
            let length = self.log.as_ref().map_or(HEADER, |log| FRAME_HEADER + log.page);
            if rest.len() < length {
                break;
            }
            let sound = match &mut self.log {
                None => {
                    self.log = Wal::begin(&rest[..length]);
                    self.log.is_some()
                }
                Some(log) => {
                    let follows = log.follow(&rest[..length]);
                    self.count += u64::from(follows);
                    follows
                }
            };
            if !sound {
                self.ended = true;
                break;
            }
            at += length;
        }
        self.begun.drain(..at);
    }
}

impl Wal {
    fn begin(header: &[u8]) -> Option<Self> {
        let big_endian = match word(header, 0, true) {
            0x377f_0682 => false,
            0x377f_0683 => true,
            _ => return None,
        };
        let page = usize::try_from(word(header, 8, true)).ok().filter(|page| page.is_power_of_two())?;
        let mut log = Wal { big_endian, page, salt: [0; 8], sum: (0, 0) };
        log.salt.copy_from_slice(&header[16..24]);
        log.add(&header[..24]);
        (log.sum == (word(header, 24, true), word(header, 28, true))).then_some(log)
    }

    /// Whether a frame is the next one.
    fn follow(&mut self, frame: &[u8]) -> bool {
        if frame[8..16] != self.salt || word(frame, 0, true) == 0 {
            return false;
        }
        self.add(&frame[..8]);
        self.add(&frame[FRAME_HEADER..]);
        self.sum == (word(frame, 16, true), word(frame, 20, true))
    }

    fn add(&mut self, bytes: &[u8]) {
        let (mut first, mut second) = self.sum;
        for pair in bytes.chunks_exact(8) {
            first = first.wrapping_add(word(pair, 0, self.big_endian)).wrapping_add(second);
            second = second.wrapping_add(word(pair, 4, self.big_endian)).wrapping_add(first);
        }
        self.sum = (first, second);
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

    fn count(log: &[u8], piece: usize) -> u64 {
        let mut frames = Frames::default();
        log.chunks(piece).for_each(|piece| frames.take(piece));
        frames.count
    }

    #[test]
    fn frames_are_followed_as_far_as_sqlite_would() {
        let folder = tempfile::tempdir().unwrap();
        let sql = Connection::open(folder.path().join("s.db")).unwrap();
        sql.execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE t (x);").unwrap();
        for number in 0..20 {
            sql.execute("INSERT INTO t VALUES (zeroblob(?1))", [number * 700]).unwrap();
        }
        let told =
            |sql: &Connection| sql.query_row("PRAGMA wal_checkpoint(NOOP)", [], |row| row.get::<_, u64>(1));
        let all = told(&sql).unwrap();
        let log = std::fs::read(folder.path().join("s.db-wal")).unwrap();
        for piece in [1, 31, 4096, 1 << 20] {
            assert_eq!(count(&log, piece), all, "in pieces of {piece}");
        }
        let frame = 4096 + FRAME_HEADER;
        for lost in [3, all - 1] {
            let mut torn = log.clone();
            torn[HEADER + usize::try_from(lost).unwrap() * frame + 600] ^= 1;
            assert_eq!(count(&torn, 1000), lost);
        }
        assert_eq!(count(&log[..log.len() - 1], 4096), all - 1);
        // Begun anew: what is left of before does not follow.
        sql.query_row("PRAGMA wal_checkpoint(RESTART)", [], |_| Ok(())).unwrap();
        sql.execute("INSERT INTO t VALUES (1)", []).unwrap();
        let log = std::fs::read(folder.path().join("s.db-wal")).unwrap();
        assert_eq!(count(&log, 4096), told(&sql).unwrap());
        assert_eq!(count(b"", 1), 0);
        assert_eq!(count(&[7; 40_000], 4096), 0);
    }
}
