use std::path::Path;
use std::time::{Duration, SystemTime};

use super::log_files::{HEADER_BYTES, files_of};
use super::*;
use crate::model::id::TaskId;

/// What a reader returns, with `<n>` for n omitted bytes.
fn read(reader: &mut LogReader) -> String {
    let mut text = String::new();
    reader
        .read(&mut |part| {
            match part {
                LogPart::Bytes(bytes) => text.push_str(&String::from_utf8_lossy(bytes)),
                LogPart::Omitted(count) => text.push_str(&format!("<{count}>")),
            }
            Ok(())
        })
        .unwrap();
    text
}

fn chunk(id: &str) -> TaskId {
    id.parse().unwrap()
}

#[test]
fn head_and_tail_are_kept_and_the_omitted_bytes_are_counted() {
    #[track_caller]
    fn check(writes: &[&str], kept: &str) {
        let folder = tempfile::tempdir().unwrap();
        let path = log_path(folder.path(), &chunk("b.01"), 1, Stream::Out);
        let mut writer = LogWriter::open(&path, 16).unwrap();
        for bytes in writes {
            writer.write(bytes.as_bytes()).unwrap();
        }
        assert_eq!(read(&mut LogReader::new(&path)), kept, "{writes:?}");
    }
    check(&[], "");
    check(&["abcdefgh"], "abcdefgh");
    check(&["abcdefghijkl"], "abcdefghijkl");
    check(&["abcdefgh", "ijkl", "mnop"], "abcdefghijklmnop");
    check(&["abcdefgh", "ijkl", "mnop", "q"], "abcdefgh<4>mnopq");
    check(&["abcdefghijklmnopqrstuvwxyz"], "abcdefgh<10>stuvwxyz");
    check(&["a", "bcdefghijklmnopq", "rstuvwxyz"], "abcdefgh<10>stuvwxyz");
}

#[test]
fn a_new_writer_continues_where_the_last_one_ended() {
    let folder = tempfile::tempdir().unwrap();
    let path = log_path(folder.path(), &chunk("b.01"), 1, Stream::Out);
    for letter in "abcdefghijklmnopqrstu".chars() {
        LogWriter::open(&path, 16).unwrap().write(letter.to_string().as_bytes()).unwrap();
    }
    assert_eq!(LogWriter::open(&path, 16).unwrap().position(), 21);
    assert_eq!(read(&mut LogReader::new(&path)), "abcdefgh<8>qrstu");
}

#[test]
fn a_fast_reader_misses_nothing_and_a_slow_one_learns_how_much() {
    let folder = tempfile::tempdir().unwrap();
    let path = log_path(folder.path(), &chunk("b.01"), 1, Stream::Err);
    let (mut fast, mut slow) = (LogReader::new(&path), LogReader::new(&path));
    assert_eq!(read(&mut fast), "", "before the log exists");
    let mut writer = LogWriter::open(&path, 16).unwrap();
    let mut followed = String::new();
    for letter in 'a'..='z' {
        writer.write(letter.to_string().as_bytes()).unwrap();
        followed.push_str(&read(&mut fast));
        if letter == 'c' {
            assert_eq!(read(&mut slow), "abc");
        }
    }
    assert_eq!(followed, ('a'..='z').collect::<String>());
    assert_eq!(read(&mut slow), "defgh<12>uvwxyz");
    assert_eq!(read(&mut slow), "");
}

#[test]
fn a_log_never_takes_more_than_its_limit() {
    let folder = tempfile::tempdir().unwrap();
    let path = log_path(folder.path(), &chunk("b.01"), 1, Stream::Out);
    let limit = 256 * 1024;
    let mut writer = LogWriter::open(&path, limit).unwrap();
    let block = vec![b'x'; 64 * 1024];
    for _ in 0..1024 {
        writer.write(&block).unwrap();
        let files = std::fs::read_dir(logs_folder(folder.path())).unwrap();
        let taken: u64 = files.map(|file| file.unwrap().metadata().unwrap().len()).sum();
        assert!(taken <= limit + 2 * HEADER_BYTES as u64, "{taken}");
    }
    assert_eq!(writer.position(), 64 * 1024 * 1024);
}

#[cfg(unix)]
#[test]
fn only_the_owner_can_read_a_log() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = log_path(folder.path(), &chunk("b.01"), 1, Stream::Out);
    LogWriter::open(&path, 8).unwrap().write(b"0123456789").unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&logs_folder(folder.path())), 0o700);
    assert_eq!((mode(&path), mode(&files_of(&path)[1])), (0o600, 0o600));
}

#[test]
fn attempts_of_other_chunks_are_not_listed() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(attempts_of(folder.path(), &chunk("b.1")).unwrap(), Vec::<u64>::new());
    for (id, attempt) in [("b.1", 2), ("b.1", 10), ("b.10", 7), ("b", 1), ("x.b.1", 4)] {
        for stream in Stream::ALL {
            LogWriter::open(&log_path(folder.path(), &chunk(id), attempt, *stream), 8).unwrap();
        }
    }
    assert_eq!(attempts_of(folder.path(), &chunk("b.1")).unwrap(), [2, 10]);
    assert_eq!(attempts_of(folder.path(), &chunk("b")).unwrap(), [1]);
}

#[test]
fn the_oldest_logs_are_removed_first_and_those_in_use_stay() {
    let folder = tempfile::tempdir().unwrap();
    for (age, id) in [(40, "b.1"), (30, "b.2"), (20, "b.3"), (10, "b.4")] {
        let path = log_path(folder.path(), &chunk(id), 1, Stream::Out);
        LogWriter::open(&path, 1000).unwrap().write(&[b'x'; 100]).unwrap();
        let written = SystemTime::now() - Duration::from_secs(age);
        std::fs::File::options().append(true).open(&path).unwrap().set_modified(written).unwrap();
    }
    let removed = remove_oldest(folder.path(), 250, &|chunk, _| chunk == "b.1").unwrap();
    assert_eq!(removed, RemovedLogs { attempts: 2, bytes: 200 });
    let left = |id: &str| log_path(folder.path(), &chunk(id), 1, Stream::Out).exists();
    assert_eq!([left("b.1"), left("b.2"), left("b.3"), left("b.4")], [true, false, false, true]);
    assert_eq!(remove_oldest(folder.path(), 250, &|_, _| false).unwrap(), RemovedLogs::default());
}
