//! What is drawn, at the sizes that people have, and what keys lead to.

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::style::Color;

use super::act::Order;
use super::app::{App, Ask, View, Want};
use super::batches::OpenBatch;
use super::board::{Board, Change, ChunkRow, Head, ReceiptRow, Update, Worker};
use super::keys::Key;
use super::screen::draw;
use super::style::Theme;
use crate::model::batch::{BatchStatus, Counts};
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
        counts: Counts { total: 50, done, failed, skipped: 0 },
        changed: number,
    }
}

fn worker(number: u64, sign: i64) -> Worker {
    Worker {
        name: format!("run-77-{number}"),
        chunk: number,
        item: Some(format!("mail/2025/{number:02}/the-next-one.eml")),
        since: at(-95),
        sign: at(sign),
        lost: false,
    }
}

fn receipt(chunk: u64, number: u64, outcome: &'static str, text: &str) -> ReceiptRow {
    ReceiptRow {
        at: at(-60 + number.cast_signed()),
        chunk,
        number,
        outcome: Some(outcome),
        text: text.to_owned(),
    }
}

fn head(status: BatchStatus, chunks: &[ChunkRow]) -> Head {
    let sum = |of: fn(&Counts) -> u64| chunks.iter().map(|chunk| of(&chunk.counts)).sum();
    Head {
        id: id("k3m9p0q1r2s3"),
        title: "File the mail of 2025".into(),
        status,
        step: "classify".into(),
        step_number: 1,
        steps: 2,
        paused: None,
        counts: Counts {
            total: sum(|counts| counts.total),
            done: sum(|counts| counts.done),
            failed: sum(|counts| counts.failed),
            skipped: 0,
        },
        in_doubt: 0,
        categories: vec![("fyi".into(), 143), ("archive".into(), 31), ("task".into(), 12)],
        chunks: chunks.len() as u64,
        per_minute: Some(98.4),
        seconds_left: Some(252),
        runner: None,
        now: at(0),
    }
}

fn at_work() -> Update {
    let mut chunks: Vec<_> = (1..=3).map(|number| chunk(number, Status::Done, 50, 0)).collect();
    chunks.extend((4..=8).map(|number| chunk(number, Status::InProgress, number * 4, 0)));
    chunks.extend((9..=12).map(|number| chunk(number, Status::Active, 0, 0)));
    Update {
        head: head(BatchStatus::Running, &chunks),
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
    let head = Head { per_minute: None, seconds_left: None, ..head(BatchStatus::Waiting, &chunks) };
    Update { head, chunks, workers: Vec::new(), receipts: at_work().receipts }
}

fn after_failure() -> Update {
    let mut chunks: Vec<_> = (1..=11).map(|number| chunk(number, Status::Done, 50, 0)).collect();
    chunks.push(chunk(12, Status::Failed, 20, 7));
    let mut receipts = at_work().receipts;
    receipts.push(receipt(12, 40, "failed", "exit code 3: no such folder"));
    let head = Head {
        seconds_left: None,
        runner: Some("runner 4242 on atlas, profile claude, for 3 min 20 s: waits for its turn".into()),
        ..head(BatchStatus::Failed, &chunks)
    };
    Update { head, chunks, workers: Vec::new(), receipts }
}

fn app(update: Update) -> App {
    let mut app = App::new(View::Batch);
    app.board = Some(Board::new(update));
    app
}

fn drawn(app: &mut App, columns: u16, rows: u16, theme: Theme) -> Terminal<TestBackend> {
    let mut terminal = Terminal::new(TestBackend::new(columns, rows)).unwrap();
    terminal.draw(|frame| draw(frame, app, theme)).unwrap();
    terminal
}

fn shown(app: &mut App, columns: u16, rows: u16) -> String {
    drawn(app, columns, rows, Theme::new(true)).backend().to_string()
}

/// Compares a screen at the two sizes with what it looked like.
macro_rules! assert_screens {
    ($name:literal, $app:expr) => {
        let mut app = $app;
        insta::assert_snapshot!(concat!($name, "_80x24"), shown(&mut app, 80, 24));
        insta::assert_snapshot!(concat!($name, "_200x50"), shown(&mut app, 200, 50));
    };
}

#[test]
fn a_batch_at_work() {
    assert_screens!("at_work", app(at_work()));
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
fn the_open_batches() {
    let mut app = App::new(View::Batches);
    let open = |id: &str, status, in_review, stuck| OpenBatch {
        id: self::id(id),
        title: "File the mail of 2025, all of it, with care".into(),
        status,
        processed: 186,
        total: 600,
        in_review,
        stuck,
    };
    app.open = vec![
        open("k3m9p0q1r2s3", BatchStatus::Running, 0, 0),
        open("0a1b2c3d4e5f", BatchStatus::Waiting, 3, 1),
    ];
    assert_screens!("open_batches", app);
}

#[test]
fn the_help_fits_the_smaller_screen() {
    let mut app = app(at_work());
    assert_eq!(app.press(Key::Help), None);
    insta::assert_snapshot!("help_80x24", shown(&mut app, 80, 24));
}

#[test]
fn a_screen_that_is_too_small_says_so_and_any_size_is_survived() {
    let mut app = app(after_failure());
    app.ask =
        Some(Ask::Note { chunk: id("k.1"), decision: Decision::Redo, text: "no\u{301}te 日本".repeat(30) });
    assert!(shown(&mut app, 39, 24).contains("needs 40×10, this is 39×24"));
    for columns in [1, 2, 5, 39, 40, 41, 60, 119, 120, 121, 300] {
        for rows in [1, 2, 9, 10, 11, 14, 24, 100] {
            shown(&mut app, columns, rows);
        }
    }
}

#[test]
fn without_colour_no_cell_has_any_and_the_words_are_the_same() {
    for update in [at_work, at_checkpoint, after_failure] {
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
fn ten_thousand_chunks_are_drawn_where_the_reader_is() {
    let chunks: Vec<_> = (1..=10_000).map(|number| chunk(number, Status::Active, 0, 0)).collect();
    let mut app = app(Update {
        head: head(BatchStatus::Running, &chunks),
        chunks,
        workers: Vec::new(),
        receipts: Vec::new(),
    });
    assert!(shown(&mut app, 80, 24).contains("▸ 00001 "));
    app.press(Key::Last);
    assert!(shown(&mut app, 80, 24).contains("▸ 10000 "));
    app.press(Key::PageUp);
    let a_page_up = format!("▸ {:05} ", 10_000 - app.page);
    assert!(shown(&mut app, 80, 24).contains(&a_page_up), "{a_page_up}");
}

#[test]
fn a_later_look_changes_what_it_found_and_tells_what_changed_status() {
    let mut board = Board::new(at_work());
    let chunks = vec![
        chunk(4, Status::Review, 50, 0),
        chunk(5, Status::InProgress, 21, 0),
        chunk(13, Status::Active, 0, 0),
    ];
    let receipts =
        vec![receipt(5, 30, "done", "- Archived: letter 30"), receipt(4, 31, "done", "- Archived: new")];
    let head = Head { status: BatchStatus::Waiting, ..board.head.clone() };
    let before = board.receipts.len();
    let changes = board.apply(Update { head, chunks, workers: Vec::new(), receipts });
    assert_eq!(changes, [Change::Chunk(4), Change::Batch]);
    assert_eq!((board.chunks.len(), board.chunks[4].counts.done), (13, 21));
    assert_eq!(board.receipts.back().map(|receipt| receipt.text.as_str()), Some("- Archived: new"));
    assert!(board.receipts.len() <= before + 2);
}

fn review(chunk: &str, decision: Decision, note: Option<&str>) -> Option<Want> {
    let note = note.map(str::to_owned);
    Some(Want::Do(Order::Review { chunk: Some(id(chunk)), decision, note }))
}

fn type_in(app: &mut App, text: &str) {
    for c in text.chars() {
        assert_eq!(app.press(Key::Letter(c)), None);
    }
}

#[test]
fn decisions_are_on_the_selected_chunk_and_a_no_needs_its_reason() {
    let mut app = app(at_checkpoint());
    assert_eq!(app.press(Key::Approve), review("k3m9p0q1r2s3.01", Decision::Approve, None));
    app.press(Key::Down);
    assert_eq!(app.press(Key::Reject), None);
    assert_eq!(app.press(Key::Yes), None, "without a reason nothing is decided");
    type_in(&mut app, "wrongg");
    app.press(Key::Erase);
    assert_eq!(app.press(Key::Yes), review("k3m9p0q1r2s3.02", Decision::Reject, Some("wrong")));
    app.press(Key::Redo);
    type_in(&mut app, "x");
    assert_eq!(app.press(Key::No), None);
    assert!(app.ask.is_none(), "left");
    let all = Order::Review { chunk: None, decision: Decision::Approve, note: None };
    assert_eq!(app.press(Key::ApproveAll), Some(Want::Do(all)));
}

#[test]
fn a_batch_is_cancelled_by_a_yes_alone() {
    let mut app = app(at_work());
    for (answer, wanted) in [(Key::No, None), (Key::Yes, Some(Want::Do(Order::Control("cancel"))))] {
        assert_eq!(app.press(Key::Cancel), None);
        assert_eq!(app.press(answer), wanted);
    }
}

#[test]
fn pause_is_its_own_opposite() {
    let mut app = app(at_work());
    assert_eq!(app.press(Key::Pause), Some(Want::Do(Order::Control("pause"))));
    app.board.as_mut().unwrap().head.status = BatchStatus::Paused;
    assert_eq!(app.press(Key::Pause), Some(Want::Do(Order::Control("resume"))));
}

#[test]
fn what_waits_for_a_person_is_found_and_listed_alone() {
    let mut app = app(after_failure());
    app.press(Key::Next);
    assert_eq!(app.selected, 12);
    assert_eq!(app.press(Key::Retry), Some(Want::Do(Order::Retry(Some(id("k3m9p0q1r2s3.12"))))));
    app.press(Key::OnlyOpen);
    assert_eq!(app.listed(), [11]);
}

#[test]
fn back_leads_out_the_way_one_came() {
    let mut app = App::new(View::Batches);
    assert_eq!(app.press(Key::Open), None, "nothing to open");
    app.views.push(View::Batch);
    app.board = Some(Board::new(at_work()));
    app.press(Key::Open);
    app.press(Key::Log);
    assert!(matches!(app.views.as_slice(), [View::Batches, View::Batch, View::Log(_)]));
    assert_eq!((app.press(Key::Back), app.press(Key::Back)), (None, None));
    assert!(app.board.is_none());
    assert_eq!(app.press(Key::Back), Some(Want::Quit));
}
