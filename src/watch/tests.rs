//! The screen at two sizes, and the effect of keys.

use std::time::{Duration, Instant};

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::style::Color;

use super::app::{Action, App, Dialog, View};
use super::batch_command::BatchCommand;
use super::batch_rows::{BatchRow, only_batch};
use super::board::{BatchHeader, Board, ChunkRow, ReceiptRow, StatusChange, Update, WorkerRow};
use super::keys::Key;
use super::screen::draw;
use super::theme::Theme;
use crate::model::batch::{BatchStatus, ItemCounts};
use crate::model::id::TaskId;
use crate::model::status::Status;
use crate::model::step::Decision;
use crate::model::timestamp::Timestamp;

const NOON: i64 = 1_764_072_000_000;

fn at(second: i64) -> Timestamp {
    Timestamp::from_millis(NOON + second * 1_000)
}

fn id(text: &str) -> TaskId {
    text.parse().unwrap()
}

fn chunk(number: u64, status: Status, done: u64, failed: u64) -> ChunkRow {
    ChunkRow {
        number,
        id: id(&format!("k3m9p0q1r2s3.{number:02}")),
        title: format!("Month {number} of 2025"),
        status,
        step: 0,
        counts: ItemCounts { total: 50, done, failed, skipped: 0 },
        change: number,
    }
}

fn worker(number: u64, last_change: i64) -> WorkerRow {
    WorkerRow {
        name: format!("run-77-{number}"),
        chunk: number,
        item: Some(format!("mail/2025/{number:02}/the-next-one.eml")),
        claimed_at: at(-95),
        last_change: at(last_change),
        is_expired: false,
        has_died: false,
    }
}

fn receipt(chunk: u64, number: u64, outcome: &'static str, text: &str) -> ReceiptRow {
    ReceiptRow {
        author: "worker polecat-1".into(),
        at: at(-60 + number.cast_signed()),
        chunk,
        number,
        outcome: Some(outcome),
        text: text.to_owned(),
    }
}

fn header(status: BatchStatus, chunks: &[ChunkRow]) -> BatchHeader {
    let sum = |of: fn(&ItemCounts) -> u64| chunks.iter().map(|chunk| of(&chunk.counts)).sum();
    BatchHeader {
        id: id("k3m9p0q1r2s3"),
        title: "File the mail of 2025".into(),
        status,
        step: "classify".into(),
        step_number: 1,
        steps: 2,
        paused: None,
        counts: ItemCounts {
            total: sum(|counts| counts.total),
            done: sum(|counts| counts.done),
            failed: sum(|counts| counts.failed),
            skipped: 0,
        },
        in_doubt: 0,
        has_unresolved_failures: sum(|counts| counts.failed) > 0
            || chunks.iter().any(|chunk| matches!(chunk.status, Status::Failed | Status::Blocked)),
        categories: vec![("fyi".into(), 143), ("archive".into(), 31), ("task".into(), 12)],
        chunks: chunks.len() as u64,
        per_minute: Some(98.4),
        seconds_left: Some(252),
        stopped: None,
        runner: None,
        now: at(0),
    }
}

fn in_progress() -> Update {
    let mut chunks: Vec<_> = (1..=3).map(|number| chunk(number, Status::Done, 50, 0)).collect();
    chunks.extend((4..=8).map(|number| chunk(number, Status::InProgress, number * 4, 0)));
    chunks.extend((9..=12).map(|number| chunk(number, Status::Active, 0, 0)));
    Update {
        header: header(BatchStatus::Running, &chunks),
        chunks,
        workers: (4..=8).map(|number| worker(number, if number == 6 { -700 } else { -2 })).collect(),
        receipts: (1..=30)
            .map(|number| receipt(number % 5 + 4, number, "done", &format!("- Archived: letter {number}")))
            .collect(),
    }
}

fn at_checkpoint() -> Update {
    let mut chunks: Vec<_> = (1..=3).map(|number| chunk(number, Status::Review, 50, 0)).collect();
    chunks.extend((4..=12).map(|number| chunk(number, Status::Done, 50, 0)));
    let header =
        BatchHeader { per_minute: None, seconds_left: None, ..header(BatchStatus::Waiting, &chunks) };
    Update { header, chunks, workers: Vec::new(), receipts: in_progress().receipts }
}

fn after_failure() -> Update {
    let mut chunks: Vec<_> = (1..=11).map(|number| chunk(number, Status::Done, 50, 0)).collect();
    chunks.push(chunk(12, Status::Failed, 20, 7));
    let mut receipts = in_progress().receipts;
    receipts.push(receipt(12, 40, "failed", "exit code 3: no such folder"));
    let header = BatchHeader {
        seconds_left: None,
        runner: Some("runner 4242 on atlas, profile claude, for 3 min 20 s: waits for its turn".into()),
        ..header(BatchStatus::Failed, &chunks)
    };
    Update { header, chunks, workers: Vec::new(), receipts }
}

fn app(update: Update) -> App {
    let mut app = App::new(View::Batch, "tasktally");
    app.board = Some(Board::new(update));
    app
}

fn drawn(app: &mut App, columns: u16, rows: u16, theme: Theme) -> Terminal<TestBackend> {
    let mut terminal = Terminal::new(TestBackend::new(columns, rows)).unwrap();
    terminal.draw(|frame| draw(frame, app, theme)).unwrap();
    terminal
}

fn screen_text(app: &mut App, columns: u16, rows: u16) -> String {
    drawn(app, columns, rows, Theme::new(true)).backend().to_string()
}

/// Compares a screen with its snapshots at both sizes.
macro_rules! assert_screens {
    ($name:literal, $app:expr) => {
        let mut app = $app;
        insta::assert_snapshot!(concat!($name, "_80x24"), screen_text(&mut app, 80, 24));
        insta::assert_snapshot!(concat!($name, "_200x50"), screen_text(&mut app, 200, 50));
    };
}

#[test]
fn a_batch_in_progress() {
    assert_screens!("in_progress", app(in_progress()));
}

#[test]
fn a_batch_at_a_checkpoint() {
    assert_screens!("at_checkpoint", app(at_checkpoint()));
}

#[test]
fn a_batch_after_failure() {
    assert_screens!("after_failure", app(after_failure()));
}

#[test]
fn a_batch_whose_workers_died() {
    let mut update = in_progress();
    update.workers[1].has_died = true;
    update.header.stopped = Some(
        "1 worker died; to go on: tasktally --db /home/erika/mail/tasktally.db run --resume k3m9p0q1r2s3"
            .into(),
    );
    let mut app = app(update);
    let shown = screen_text(&mut app, 80, 24);
    assert!(shown.contains("05 for 1 min 35 s") && shown.contains("its process died"), "{shown}");
    assert!(shown.contains("worker died "), "{shown}");
    assert!(shown.contains("\"1 worker died; to go on: tasktally --db"), "{shown}");
    assert!(shown.contains("--resume k3m9p0q1r2s3"), "the command is cut: {shown}");
}

#[test]
fn the_percentage_counts_every_step() {
    fn check(step: usize, processed: u64, status: Status, expected: &str) {
        let mut only = chunk(1, status, processed, 0);
        only.step = step;
        let mut header = header(BatchStatus::Waiting, std::slice::from_ref(&only));
        header.step_number = step + 1;
        let update = Update { header, chunks: vec![only], workers: Vec::new(), receipts: Vec::new() };
        let shown = screen_text(&mut app(update), 80, 24);
        assert!(shown.contains(expected), "{expected}: {shown}");
    }
    check(0, 50, Status::Review, "50 of 50, step 1 of 2  50 %");
    check(1, 0, Status::Active, "0 of 50, step 2 of 2  50 %");
    check(1, 25, Status::InProgress, "25 of 50, step 2 of 2  75 %");
    check(1, 50, Status::Review, "50 of 50, step 2 of 2  100 %");
    check(1, 50, Status::Done, "50 of 50, step 2 of 2  100 %");
}

#[test]
fn the_selection_follows_the_work_until_another_chunk_is_selected() {
    let mut chunks: Vec<_> = (1..=40).map(|number| chunk(number, Status::Done, 50, 0)).collect();
    chunks.extend((41..=46).map(|number| chunk(number, Status::InProgress, 1, 0)));
    chunks.extend((47..=60).map(|number| chunk(number, Status::Active, 0, 0)));
    let header = header(BatchStatus::Running, &chunks);
    let mut app = app(Update { header, chunks, workers: in_progress().workers, receipts: Vec::new() });
    let shown = screen_text(&mut app, 80, 24);
    assert!(shown.contains("▸ 41 ") && shown.contains("  40 ") && shown.contains("  46 "), "{shown}");
    app.press(Key::First);
    let shown = screen_text(&mut app, 80, 24);
    assert!(shown.contains("▸ 01 ") && shown.contains("(w follows the work)"), "{shown}");
    app.press(Key::Follow);
    assert!(screen_text(&mut app, 80, 24).contains("▸ 41 "));
    // A decision is about the chunk that the person saw.
    app.press(Key::Reject);
    app.press(Key::No);
    app.board.as_mut().unwrap().chunks[40].status = Status::Review;
    assert!(screen_text(&mut app, 80, 24).contains("▸ 41 "));
}

#[test]
fn a_message_is_dropped_after_a_while() {
    let mut app = app(in_progress());
    app.show_result(Ok("Paused".into()));
    app.drop_old_message(Instant::now());
    assert!(app.message.is_some());
    app.drop_old_message(Instant::now() + Duration::from_secs(11));
    assert!(app.message.is_none());
}

#[test]
fn the_only_batch_is_shown_at_once() {
    let row = |id: &str, status| BatchRow {
        id: self::id(id),
        title: String::new(),
        status,
        processed: 0,
        total: 1,
        percent: 0,
        in_review: 0,
        stuck: 0,
        failed: 0,
    };
    let (open, ended) = (row("a", BatchStatus::Paused), row("b", BatchStatus::Done));
    assert_eq!(only_batch(&[]), None);
    assert_eq!(only_batch(std::slice::from_ref(&open)), Some(id("a")));
    assert_eq!(only_batch(std::slice::from_ref(&ended)), Some(id("b")));
    assert_eq!(only_batch(&[open.clone(), ended.clone()]), Some(id("a")));
    assert_eq!(only_batch(&[ended.clone(), ended]), None);
    assert_eq!(only_batch(&[open.clone(), open]), None);
}

#[test]
fn the_open_batches() {
    let mut app = App::new(View::Batches, "tasktally");
    let open = |id: &str, status, in_review, stuck| BatchRow {
        id: self::id(id),
        title: "File the mail of 2025, all of it, with care".into(),
        status,
        processed: 186,
        total: 600,
        percent: 31,
        in_review,
        stuck,
        failed: 0,
    };
    app.batches = vec![
        open("k3m9p0q1r2s3", BatchStatus::Running, 0, 0),
        open("0a1b2c3d4e5f", BatchStatus::Waiting, 3, 1),
    ];
    assert_screens!("open_batches", app);
}

#[test]
fn the_help_fits_the_smaller_screen() {
    let mut app = app(in_progress());
    assert_eq!(app.press(Key::Help), None);
    insta::assert_snapshot!("help_80x24", screen_text(&mut app, 80, 24));
}

#[test]
fn every_size_is_drawn_and_a_too_small_screen_is_reported() {
    let mut app = app(after_failure());
    app.dialog = Some(Dialog::Note {
        chunk: id("k.1"),
        decision: Decision::Redo,
        text: "no\u{301}te 日本".repeat(30),
    });
    assert!(screen_text(&mut app, 39, 24).contains("needs 40×10, this is 39×24"));
    for columns in [1, 2, 5, 39, 40, 41, 60, 119, 120, 121, 300] {
        for rows in [1, 2, 9, 10, 11, 14, 24, 100] {
            screen_text(&mut app, columns, rows);
        }
    }
}

#[test]
fn without_colours_the_words_are_the_same() {
    for update in [in_progress, at_checkpoint, after_failure] {
        let plain = drawn(&mut app(update()), 80, 24, Theme::new(false));
        let coloured = drawn(&mut app(update()), 80, 24, Theme::new(true));
        assert_eq!(plain.backend().to_string(), coloured.backend().to_string());
        let colours = |terminal: &Terminal<TestBackend>| {
            let cells = terminal.backend().buffer().content();
            cells.iter().filter(|cell| cell.fg != Color::Reset || cell.bg != Color::Reset).count()
        };
        assert_eq!(colours(&plain), 0);
        assert!(colours(&coloured) > 0);
    }
}

#[test]
fn the_list_is_reached_from_a_batch_that_was_named() {
    let mut app = app(in_progress());
    assert_eq!(app.press(Key::Back), None);
    assert!(matches!(app.views.as_slice(), [View::Batches]));
}

#[test]
fn ten_thousand_chunks_are_drawn_around_the_selected_one() {
    let chunks: Vec<_> = (1..=10_000).map(|number| chunk(number, Status::Active, 0, 0)).collect();
    let mut app = app(Update {
        header: header(BatchStatus::Running, &chunks),
        chunks,
        workers: Vec::new(),
        receipts: Vec::new(),
    });
    assert!(screen_text(&mut app, 80, 24).contains("▸ 00001 "));
    app.press(Key::Last);
    assert!(screen_text(&mut app, 80, 24).contains("▸ 10000 "));
    app.press(Key::PageUp);
    let a_page_up = format!("▸ {:05} ", 10_000 - app.page);
    assert!(screen_text(&mut app, 80, 24).contains(&a_page_up), "{a_page_up}");
}

#[test]
fn an_update_replaces_changed_rows_and_reports_new_statuses() {
    let mut board = Board::new(in_progress());
    let chunks = vec![
        chunk(4, Status::Review, 50, 0),
        chunk(5, Status::InProgress, 21, 0),
        chunk(13, Status::Active, 0, 0),
    ];
    let receipts =
        vec![receipt(5, 30, "done", "- Archived: letter 30"), receipt(4, 31, "done", "- Archived: new")];
    let header = BatchHeader { status: BatchStatus::Waiting, ..board.header.clone() };
    let before = board.receipts.len();
    let changes = board.apply(Update { header, chunks, workers: Vec::new(), receipts });
    assert_eq!(changes, [StatusChange::Chunk(4), StatusChange::Batch]);
    assert_eq!((board.chunks.len(), board.chunks[4].counts.done), (13, 21));
    assert_eq!(board.receipts.back().map(|receipt| receipt.text.as_str()), Some("- Archived: new"));
    assert!(board.receipts.len() <= before + 2);
}

fn review(chunk: &str, decision: Decision, note: Option<&str>) -> Option<Action> {
    let note = note.map(str::to_owned);
    Some(Action::Run(BatchCommand::Review { chunk: Some(id(chunk)), decision, note }))
}

fn type_in(app: &mut App, text: &str) {
    for c in text.chars() {
        assert_eq!(app.press(Key::Letter(c)), None);
    }
}

#[test]
fn decisions_apply_to_the_selected_chunk_and_a_rejection_needs_a_reason() {
    let mut app = app(at_checkpoint());
    assert_eq!(app.press(Key::Approve), review("k3m9p0q1r2s3.01", Decision::Approve, None));
    app.press(Key::Down);
    assert_eq!(app.press(Key::Reject), None);
    assert_eq!(app.press(Key::Yes), None, "no decision without a reason");
    type_in(&mut app, "wrongg");
    app.press(Key::Erase);
    assert_eq!(app.press(Key::Yes), review("k3m9p0q1r2s3.02", Decision::Reject, Some("wrong")));
    app.press(Key::Redo);
    type_in(&mut app, "x");
    assert_eq!(app.press(Key::No), None);
    assert!(app.dialog.is_none(), "the dialog is closed");
    let all = BatchCommand::Review { chunk: None, decision: Decision::Approve, note: None };
    assert_eq!(app.press(Key::ApproveAll), Some(Action::Run(all)));
}

#[test]
fn a_batch_is_cancelled_only_after_yes() {
    let mut app = app(in_progress());
    for (answer, wanted) in [(Key::No, None), (Key::Yes, Some(Action::Run(BatchCommand::Control("cancel"))))]
    {
        assert_eq!(app.press(Key::Cancel), None);
        assert_eq!(app.press(answer), wanted);
    }
}

#[test]
fn the_pause_key_asks_and_resumes_a_paused_batch() {
    let mut app = app(in_progress());
    for (status, action) in [(BatchStatus::Running, "pause"), (BatchStatus::Paused, "resume")] {
        app.board.as_mut().unwrap().header.status = status;
        assert_eq!((app.press(Key::Pause), app.press(Key::No)), (None, None));
        assert_eq!(app.press(Key::Pause), None);
        assert_eq!(app.press(Key::Yes), Some(Action::Run(BatchCommand::Control(action))));
    }
}

#[test]
fn a_batch_that_has_ended_is_not_asked_about() {
    let mut app = app(after_failure());
    for key in [Key::Pause, Key::Cancel] {
        assert_eq!(app.press(key), None);
        assert!(app.dialog.is_none());
        let shown = screen_text(&mut app, 80, 24);
        assert!(shown.contains("has ended and is failed"), "{shown}");
    }
}

#[test]
fn failures_are_accepted_after_yes_once_the_batch_has_ended() {
    let mut app = app(after_failure());
    assert!(screen_text(&mut app, 80, 24).contains("t retry chunk  T retry all  x accept"));
    assert_eq!(app.press(Key::Accept), None);
    assert!(screen_text(&mut app, 80, 24).contains("Accept the failures (7 failed items)?"));
    assert_eq!(app.press(Key::Yes), Some(Action::Run(BatchCommand::AcceptFailures)));
    app.board.as_mut().unwrap().header.status = BatchStatus::Running;
    assert_eq!((app.press(Key::Accept), app.dialog.is_none()), (None, true));
    assert!(!screen_text(&mut app, 80, 24).contains("x accept"));
}

#[test]
fn a_long_message_is_wrapped_above_the_keys() {
    let mut app = app(in_progress());
    let long = "Chunk k3m9p0q1r2s3.01 is done and does not wait for a review; tasktally get-batch k3m9p0q1r2s3 --view review shows the chunks that wait";
    app.show_result(Ok(long.to_owned()));
    let shown = screen_text(&mut app, 80, 24);
    assert!(shown.contains("shows the chunks that wait") && shown.contains("q quit"), "{shown}");
    let words: Vec<&str> = shown.split(['"', ' ', '\n']).filter(|word| !word.is_empty()).collect();
    assert!(words.join(" ").contains(long), "{shown}");
}

#[test]
fn chunks_that_wait_for_a_person_are_selected_and_filtered() {
    let mut app = app(after_failure());
    app.press(Key::Next);
    assert_eq!(app.selected_chunk, 12);
    assert_eq!(app.press(Key::Retry), Some(Action::Run(BatchCommand::Retry(Some(id("k3m9p0q1r2s3.12"))))));
    app.press(Key::OnlyOpen);
    assert_eq!(app.listed_chunks(), [11]);
}

#[test]
fn back_closes_the_views_in_reverse_order() {
    let mut app = App::new(View::Batches, "tasktally");
    assert_eq!(app.press(Key::Open), None, "nothing to open");
    app.views.push(View::Batch);
    app.board = Some(Board::new(in_progress()));
    app.press(Key::Open);
    app.press(Key::Log);
    assert!(matches!(app.views.as_slice(), [View::Batches, View::Batch, View::Log(_)]));
    assert_eq!((app.press(Key::Back), app.press(Key::Back)), (None, None));
    assert!(app.board.is_none());
    assert_eq!(app.press(Key::Back), None);
    assert!(matches!(app.views.as_slice(), [View::Batches]));
    assert_eq!(app.press(Key::Quit), Some(Action::Quit));
}
