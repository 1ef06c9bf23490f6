use std::time::{Duration, SystemTime};

use super::*;

/// What a reader is given: the bytes, with `<n>` where n bytes are left out.
fn read(reader: &mut LogReader) -> String {
    let mut text = String::new();
    reader
        .read(&mut |part| {
            match part {
                Part::Bytes(bytes) => text.push_str(&String::from_utf8_lossy(bytes)),
                Part::LeftOut(count) => text.push_str(&format!("<{count}>")),
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
fn the_head_and_the_tail_are_kept_and_the_middle_is_counted() {
    fn check(writes: &[&str], kept: &str) {
        let folder = tempfile::tempdir().unwrap();
        let path = place(folder.path(), &chunk("b.01"), 1, Stream::Out);
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
fn a_writer_goes_on_where_the_last_one_ended() {
    let folder = tempfile::tempdir().unwrap();
    let path = place(folder.path(), &chunk("b.01"), 1, Stream::Out);
    for letter in "abcdefghijklmnopqrstu".chars() {
        LogWriter::open(&path, 16).unwrap().write(letter.to_string().as_bytes()).unwrap();
    }
    assert_eq!(LogWriter::open(&path, 16).unwrap().position(), 21);
    assert_eq!(read(&mut LogReader::new(&path)), "abcdefgh<8>qrstu");
}

#[test]
fn a_reader_that_keeps_up_misses_nothing_and_one_that_does_not_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = place(folder.path(), &chunk("b.01"), 1, Stream::Err);
    let (mut quick, mut slow) = (LogReader::new(&path), LogReader::new(&path));
    assert_eq!(read(&mut quick), "", "before there is a log");
    let mut writer = LogWriter::open(&path, 16).unwrap();
    let mut followed = String::new();
    for letter in 'a'..='z' {
        writer.write(letter.to_string().as_bytes()).unwrap();
        followed.push_str(&read(&mut quick));
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
    let path = place(folder.path(), &chunk("b.01"), 1, Stream::Out);
    let limit = 256 * 1024;
    let mut writer = LogWriter::open(&path, limit).unwrap();
    let block = vec![b'x'; 64 * 1024];
    for _ in 0..1024 {
        writer.write(&block).unwrap();
        let files = std::fs::read_dir(folder_of(folder.path())).unwrap();
        let taken: u64 = files.map(|file| file.unwrap().metadata().unwrap().len()).sum();
        assert!(taken <= limit + 2 * HEADER as u64, "{taken}");
    }
    assert_eq!(writer.position(), 64 * 1024 * 1024);
}

#[cfg(unix)]
#[test]
fn nobody_else_reads_a_log() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = place(folder.path(), &chunk("b.01"), 1, Stream::Out);
    LogWriter::open(&path, 8).unwrap().write(b"0123456789").unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder_of(folder.path())), 0o700);
    assert_eq!((mode(&path), mode(&files(&path)[1])), (0o600, 0o600));
}

#[test]
fn attempts_are_those_of_the_chunk_itself() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(attempts_of(folder.path(), &chunk("b.1")).unwrap(), Vec::<u64>::new());
    for (id, attempt) in [("b.1", 2), ("b.1", 10), ("b.10", 7), ("b", 1), ("x.b.1", 4)] {
        for stream in Stream::ALL {
            LogWriter::open(&place(folder.path(), &chunk(id), attempt, *stream), 8).unwrap();
        }
    }
    assert_eq!(attempts_of(folder.path(), &chunk("b.1")).unwrap(), [2, 10]);
    assert_eq!(attempts_of(folder.path(), &chunk("b")).unwrap(), [1]);
}

#[test]
fn the_oldest_logs_go_first_and_live_ones_stay() {
    let folder = tempfile::tempdir().unwrap();
    for (age, id) in [(40, "b.1"), (30, "b.2"), (20, "b.3"), (10, "b.4")] {
        let path = place(folder.path(), &chunk(id), 1, Stream::Out);
        LogWriter::open(&path, 1000).unwrap().write(&[b'x'; 100]).unwrap();
        let written = SystemTime::now() - Duration::from_secs(age);
        std::fs::File::options().append(true).open(&path).unwrap().set_modified(written).unwrap();
    }
    let cleared = clear(folder.path(), 250, &|chunk, _| chunk == "b.1").unwrap();
    assert_eq!(cleared, Cleared { attempts: 2, bytes: 200 });
    let left = |id: &str| place(folder.path(), &chunk(id), 1, Stream::Out).exists();
    assert_eq!([left("b.1"), left("b.2"), left("b.3"), left("b.4")], [true, false, false, true]);
    assert_eq!(clear(folder.path(), 250, &|_, _| false).unwrap(), Cleared::default());
}
