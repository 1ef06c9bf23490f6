//! All sections of one report: those with rows, which may go to pages, in both formats.

use std::io;

use super::formats::{Formats, Table};
use super::links::{Place, Target};
use super::page::PageFolder;
use super::report_rows::{ChunkLine, CostLine, DecisionLine, FailureLine, ItemLine};
use super::section::{FinishedSection, RowKey, Section};
use super::{html, markdown};
use crate::model::receipt::Receipt;

/// The most bytes of one piece of the instructions.
const PIECE: usize = 16 * 1024;
/// The most characters of a reason or a decision: its receipt has all of it.
const REASON: usize = 600;

/// The receipts, task by task.
pub(super) struct Receipts<'a>(Section<'a>);

impl<'a> Receipts<'a> {
    pub(super) fn new(folder: &'a PageFolder) -> Self {
        Receipts(Section::new(folder, "receipts", "Receipts", Table::blocks()))
    }

    /// Starts the receipts of a task. `chunk` is 0 for the batch itself.
    pub(super) fn start_task(&mut self, chunk: u64, heading: &str) -> io::Result<()> {
        let heading = Formats {
            html: html::receipts_heading(&anchor((chunk, 0)), heading),
            markdown: markdown::receipts_heading(heading),
        };
        let columns = ["no.#", "time", "author", "item", "outcome", "category", "receipt"];
        self.0.next_table(&Formats::default(), Table::new("receipts", &columns).below(&heading))
    }

    pub(super) fn row(&mut self, chunk: u64, receipt: &Receipt) -> io::Result<()> {
        let key = (chunk, receipt.number);
        let row =
            Formats { html: html::receipt(&anchor(key), receipt), markdown: markdown::receipt(receipt) };
        self.0.row(key, |_| row.clone())
    }

    /// Ends the receipts of a task with the state of its hash chain.
    pub(super) fn end_task(&mut self, head: &str, is_intact: bool) -> io::Result<()> {
        let below =
            Formats { html: html::chain(head, is_intact), markdown: markdown::chain(head, is_intact) };
        self.0.next_table(&below, Table::blocks())
    }

    pub(super) fn finish(self) -> io::Result<FinishedSection> {
        self.0.finish()
    }
}

/// The id of a receipt's row, or of the heading above the receipts of a task if the number is 0.
fn anchor((chunk, receipt): RowKey) -> String {
    if receipt == 0 { format!("chunk-{chunk}") } else { format!("receipt-{chunk}-{receipt}") }
}

fn receipt_link(receipts: &FinishedSection, place: Place, key: RowKey) -> Target {
    receipts.link(place, key, anchor(key))
}

pub(super) fn failures(folder: &PageFolder) -> Section<'_> {
    let columns = ["chunk#", "item", "category", "reason"];
    Section::new(folder, "failures", "Failures", Table::new("failures", &columns))
}

/// Adds a failure of the chunk with this number.
pub(super) fn add_failure(
    section: &mut Section<'_>,
    receipts: &FinishedSection,
    chunk: u64,
    mut line: FailureLine,
) -> io::Result<()> {
    line.reason = shorten(line.reason, line.receipt);
    let key = (chunk, line.receipt);
    section.row(key, |place| {
        let link = (line.receipt > 0).then(|| receipt_link(receipts, place, key));
        Formats {
            html: html::failure(&line, link.as_ref()),
            markdown: markdown::failure(&line, link.as_ref()),
        }
    })
}

pub(super) fn items(folder: &PageFolder) -> Section<'_> {
    let columns = ["chunk#", "item", "outcome", "category", "receipt"];
    Section::new(folder, "items", "Items", Table::new("items", &columns))
}

/// Adds an item of the chunk with this number.
pub(super) fn add_item(
    section: &mut Section<'_>,
    receipts: &FinishedSection,
    chunk: u64,
    mut line: ItemLine,
) -> io::Result<()> {
    line.text = shorten(line.text, line.receipt);
    let key = (chunk, line.receipt);
    section.row(key, |place| {
        let link = (line.receipt > 0).then(|| receipt_link(receipts, place, key));
        Formats { html: html::item(&line, link.as_ref()), markdown: markdown::item(&line, link.as_ref()) }
    })
}

pub(super) fn decisions(folder: &PageFolder) -> Section<'_> {
    let columns = ["chunk#", "time", "author", "decision or note"];
    Section::new(folder, "decisions", "Decisions", Table::new("decisions", &columns))
}

/// Adds a decision that receipt number `receipt` records; 0 if it is still to come.
pub(super) fn add_decision(
    section: &mut Section<'_>,
    receipt: u64,
    mut line: DecisionLine,
) -> io::Result<()> {
    line.text = shorten(line.text, receipt);
    let row = Formats { html: html::decision(&line), markdown: markdown::decision(&line) };
    section.row((0, 0), |_| row.clone())
}

pub(super) fn costs(folder: &PageFolder) -> Section<'_> {
    let columns = ["sum of", "name", "cost#", "tokens in#", "tokens out#"];
    Section::new(folder, "cost", "Cost", Table::new("cost", &columns))
}

pub(super) fn add_cost(section: &mut Section<'_>, line: &CostLine) -> io::Result<()> {
    let row = Formats { html: html::cost(line), markdown: markdown::cost(line) };
    section.row((0, 0), |_| row.clone())
}

pub(super) fn categories(folder: &PageFolder) -> Section<'_> {
    Section::new(folder, "categories", "Categories", Table::new("categories", &["category", "items#"]))
}

pub(super) fn add_category(section: &mut Section<'_>, name: &str, count: u64) -> io::Result<()> {
    let row = Formats { html: html::category(name, count), markdown: markdown::category(name, count) };
    section.row((0, 0), |_| row.clone())
}

pub(super) fn chunks(folder: &PageFolder) -> Section<'_> {
    let columns = [
        "chunk#",
        "title",
        "status",
        "items#",
        "done#",
        "failed#",
        "skipped#",
        "open#",
        "claims#",
        "last worker",
        "categories",
    ];
    Section::new(folder, "chunks", "Chunks", Table::new("chunks", &columns))
}

/// Adds the line of the chunk with this number, or of the sums if it is 0.
pub(super) fn add_chunk(
    section: &mut Section<'_>,
    receipts: &FinishedSection,
    chunk: u64,
    has_receipts: bool,
    line: &ChunkLine,
) -> io::Result<()> {
    section.row((chunk, 0), |place| {
        let link = has_receipts.then(|| {
            // The page of its first receipt, above which the heading stands.
            receipts.link(place, (chunk, 1), anchor((chunk, 0)))
        });
        Formats { html: html::chunk(line, link.as_ref()), markdown: markdown::chunk(line, link.as_ref()) }
    })
}

/// The instructions for the workers, in pieces.
pub(super) fn instructions(folder: &PageFolder, text: &str) -> io::Result<FinishedSection> {
    let mut section = Section::new(folder, "instructions", "Instructions for the workers", Table::blocks());
    for piece in pieces(text) {
        let row = Formats { html: html::instructions(piece), markdown: markdown::instructions(piece) };
        section.row((0, 0), |_| row.clone())?;
    }
    section.finish()
}

/// The text in pieces of bounded size, split at the end of a line where there is one.
fn pieces(mut text: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    while text.len() > PIECE {
        let end = text.floor_char_boundary(PIECE);
        let end = text[..end].rfind('\n').map_or(end, |line| line + 1);
        let (piece, rest) = text.split_at(end);
        pieces.push(piece);
        text = rest;
    }
    pieces.push(text);
    pieces
}

/// The beginning of a text, if it is long, and where all of it stands.
pub(super) fn shorten(text: String, receipt: u64) -> String {
    match text.char_indices().nth(REASON) {
        Some((end, _)) => format!("{} … (receipt {receipt} has all of it)", &text[..end]),
        None => text,
    }
}
