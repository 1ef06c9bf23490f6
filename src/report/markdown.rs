//! The report as one Markdown file; tables and `<details>` are as GitHub reads them.

use std::io::{self, Write};

use super::escape::{Fenced, HtmlLine, Markdown};
use super::facts::{Checks, Fold, Opening, Part, Row};
use super::timeline::{MOST_BARS, Timeline};
use crate::model::receipt::Receipt;

/// Writes a part.
pub(super) fn put(out: &mut dyn Write, part: &Part<'_>) -> io::Result<()> {
    match part {
        Part::Opening(opening) => head(out, opening),
        Part::Timeline(timeline) => runs(out, timeline),
        Part::ChunksBegin => writeln!(
            out,
            "## Chunks\n\n| chunk | title | status | items | done | failed | skipped | open | claims | last worker | categories |\n\
             |---:|---|---|---:|---:|---:|---:|---:|---:|---|---|"
        ),
        Part::Chunk(row) => chunk(out, row, &row.attempts.to_string()),
        Part::ChunksEnd(sum) => {
            chunk(out, sum, "")?;
            writeln!(out)
        }
        Part::FailuresBegin => {
            writeln!(out, "## Failures\n\n| chunk | item | category | reason |\n|---:|---|---|---|")
        }
        Part::Failure(failure) => writeln!(
            out,
            "| {} | {} | {} | {} |",
            failure.chunk,
            Markdown(failure.item.as_deref().unwrap_or("(the chunk itself)")),
            Markdown(failure.category.as_deref().unwrap_or_default()),
            Markdown(&failure.reason)
        ),
        Part::FailuresEnd(0) => writeln!(out, "\nNone.\n"),
        Part::FailuresEnd(count) => writeln!(out, "\n{count} in all.\n"),
        Part::ReceiptsBegin => writeln!(out, "## Receipts\n"),
        Part::FoldBegin(fold) => fold_begin(out, fold),
        Part::Receipt(receipt) => line(out, receipt),
        Part::FoldEnd { head, whole } => {
            let state = if *whole { "whole" } else { "**broken**" };
            writeln!(out, "\nHash chain {state}; its head is `{head}`\n\n</details>\n")
        }
        Part::End(checks) => end(out, checks),
    }
}

fn head(out: &mut dyn Write, opening: &Opening) -> io::Result<()> {
    let batch = &opening.batch;
    writeln!(
        out,
        "# Report: {}\n\nBatch `{}` is **{}**: {} of {} items processed, {} done, {} failed, {} skipped.\n\n\
         ## Plan\n\n| | |\n|---|---|",
        Markdown(&batch.title),
        batch.id,
        batch.status,
        batch.processed,
        batch.total,
        opening.counts.done,
        opening.counts.failed,
        opening.counts.skipped
    )?;
    for (name, value) in opening.plan() {
        writeln!(out, "| {name} | {} |", Markdown(&value))?;
    }
    writeln!(
        out,
        "\n<details><summary>What every worker was told</summary>\n\n{}\n\n</details>\n",
        Fenced(&opening.instructions)
    )
}

/// Pictures in Markdown come from elsewhere, so the timeline is a table here.
fn runs(out: &mut dyn Write, timeline: &Timeline) -> io::Result<()> {
    writeln!(out, "## Timeline\n")?;
    let Some((from, to)) = timeline.span() else {
        return writeln!(out, "Nobody wrote a receipt yet.\n");
    };
    writeln!(
        out,
        "Who worked on which chunk when, by the receipts, from {from} to {to}.\n\n\
         | chunk | worker | from | to | receipts |\n|---:|---|---|---|---:|"
    )?;
    for bar in &timeline.bars {
        let (chunk, worker) = (bar.chunk, Markdown(&bar.worker));
        writeln!(out, "| {chunk} | {worker} | {} | {} | {} |", bar.from, bar.to, bar.receipts)?;
    }
    if timeline.cut {
        writeln!(out, "\nThe first {MOST_BARS} runs of receipts; there were more.")?;
    }
    writeln!(out)
}

fn chunk(out: &mut dyn Write, row: &Row, attempts: &str) -> io::Result<()> {
    let counts = &row.counts;
    let categories: Vec<String> =
        row.categories.iter().map(|(name, count)| format!("{} {count}", Markdown(name))).collect();
    writeln!(
        out,
        "| {} | {} | {} | {} | {} | {} | {} | {} | {attempts} | {} | {} |",
        row.name,
        Markdown(&row.title),
        row.status,
        counts.total,
        counts.done,
        counts.failed,
        counts.skipped,
        counts.total - counts.processed(),
        Markdown(row.worker.as_deref().unwrap_or_default()),
        categories.join(", ")
    )
}

fn fold_begin(out: &mut dyn Write, fold: &Fold) -> io::Result<()> {
    let name = match &fold.chunk {
        Some(number) => format!("Chunk {number}: "),
        None => "The batch itself: ".to_owned(),
    };
    writeln!(
        out,
        "<details><summary>{name}{} ({} receipts)</summary>\n\n| no. | time | author | item | outcome | category | receipt |\n|---:|---|---|---|---|---|---|",
        HtmlLine(&fold.title),
        fold.receipts
    )
}

fn line(out: &mut dyn Write, receipt: &Receipt) -> io::Result<()> {
    let outcome = receipt.outcome.map_or("", crate::model::status::ItemReport::as_str);
    let late = if receipt.late { " **late, not counted**" } else { "" };
    writeln!(
        out,
        "| {} | {} | {} | {} | {outcome}{late} | {} | {} |",
        receipt.number,
        receipt.at,
        Markdown(&receipt.author),
        Markdown(receipt.item.as_deref().unwrap_or_default()),
        Markdown(receipt.category.as_deref().unwrap_or_default()),
        Markdown(&receipt.text)
    )
}

fn end(out: &mut dyn Write, checks: &Checks) -> io::Result<()> {
    writeln!(out, "## Checks\n")?;
    for (sentence, holds) in checks.sentences() {
        writeln!(out, "- {}: {}", if holds { "yes" } else { "**NO**" }, Markdown(&sentence))?;
    }
    writeln!(out, "\nWritten by tasktally {}.", env!("CARGO_PKG_VERSION"))
}
