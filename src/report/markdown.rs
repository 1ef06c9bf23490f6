//! The report as one Markdown file, with tables and `<details>` as GitHub renders them.

use std::io::{self, Write};

use super::escape::{Fenced, HtmlLine, Markdown};
use super::parts::{Checks, ChunkLine, ReceiptsHeading, ReportPart, Summary};
use super::timeline::{MOST_BARS, Timeline};
use crate::model::receipt::Receipt;

/// Writes a part.
pub(super) fn write_part(out: &mut dyn Write, part: &ReportPart<'_>) -> io::Result<()> {
    match part {
        ReportPart::Summary(summary) => write_summary(out, summary),
        ReportPart::Timeline(timeline) => write_timeline(out, timeline),
        ReportPart::ChunksStart => writeln!(
            out,
            "## Chunks\n\n| chunk | title | status | items | done | failed | skipped | open | claims | last worker | categories |\n\
             |---:|---|---|---:|---:|---:|---:|---:|---:|---|---|"
        ),
        ReportPart::Chunk(line) => write_chunk(out, line, &line.attempts.to_string()),
        ReportPart::ChunksEnd(sums) => {
            write_chunk(out, sums, "")?;
            writeln!(out)
        }
        ReportPart::FailuresStart => {
            writeln!(out, "## Failures\n\n| chunk | item | category | reason |\n|---:|---|---|---|")
        }
        ReportPart::Failure(failure) => writeln!(
            out,
            "| {} | {} | {} | {} |",
            failure.chunk,
            Markdown(failure.item.as_deref().unwrap_or("(the chunk itself)")),
            Markdown(failure.category.as_deref().unwrap_or_default()),
            Markdown(&failure.reason)
        ),
        ReportPart::FailuresEnd(0) => writeln!(out, "\nNone.\n"),
        ReportPart::FailuresEnd(count) => writeln!(out, "\n{count} in all.\n"),
        ReportPart::ReceiptsStart => writeln!(out, "## Receipts\n"),
        ReportPart::ReceiptsHeading(heading) => write_receipts_heading(out, heading),
        ReportPart::Receipt(receipt) => write_receipt(out, receipt),
        ReportPart::ReceiptsEnd { head, is_intact } => {
            let state = if *is_intact { "intact" } else { "**broken**" };
            writeln!(out, "\nHash chain {state}; last hash `{head}`\n\n</details>\n")
        }
        ReportPart::End(checks) => write_checks(out, checks),
    }
}

fn write_summary(out: &mut dyn Write, summary: &Summary) -> io::Result<()> {
    let batch = &summary.batch;
    writeln!(
        out,
        "# Report: {}\n\nBatch `{}` is **{}**: {} of {} items processed, {} done, {} failed, {} skipped.\n\n\
         ## Plan\n\n| | |\n|---|---|",
        Markdown(&batch.title),
        batch.id,
        batch.status,
        batch.processed,
        batch.total,
        summary.counts.done,
        summary.counts.failed,
        summary.counts.skipped
    )?;
    for (name, value) in summary.plan() {
        writeln!(out, "| {name} | {} |", Markdown(&value))?;
    }
    writeln!(
        out,
        "\n<details><summary>Instructions for the workers</summary>\n\n{}\n\n</details>\n",
        Fenced(&summary.instructions)
    )
}

/// The timeline as a table: a chart would have to be a separate file.
fn write_timeline(out: &mut dyn Write, timeline: &Timeline) -> io::Result<()> {
    writeln!(out, "## Timeline\n")?;
    let Some((from, to)) = timeline.span() else {
        return writeln!(out, "There are no receipts yet.\n");
    };
    writeln!(
        out,
        "Which worker worked on which chunk when, according to the receipts, from {from} to {to}.\n\n\
         | chunk | worker | from | to | receipts |\n|---:|---|---|---|---:|"
    )?;
    for bar in &timeline.bars {
        let (chunk, worker) = (bar.chunk, Markdown(&bar.worker));
        writeln!(out, "| {chunk} | {worker} | {} | {} | {} |", bar.from, bar.to, bar.receipts)?;
    }
    if timeline.is_truncated {
        writeln!(out, "\nOnly the first {MOST_BARS} rows are shown.")?;
    }
    writeln!(out)
}

fn write_chunk(out: &mut dyn Write, line: &ChunkLine, attempts: &str) -> io::Result<()> {
    let counts = &line.counts;
    let categories: Vec<String> =
        line.categories.iter().map(|(name, count)| format!("{} {count}", Markdown(name))).collect();
    writeln!(
        out,
        "| {} | {} | {} | {} | {} | {} | {} | {} | {attempts} | {} | {} |",
        line.name,
        Markdown(&line.title),
        line.status,
        counts.total,
        counts.done,
        counts.failed,
        counts.skipped,
        counts.total - counts.processed(),
        Markdown(line.worker.as_deref().unwrap_or_default()),
        categories.join(", ")
    )
}

fn write_receipts_heading(out: &mut dyn Write, heading: &ReceiptsHeading) -> io::Result<()> {
    let name = match &heading.chunk {
        Some(number) => format!("Chunk {number}: "),
        None => "The batch itself: ".to_owned(),
    };
    writeln!(
        out,
        "<details><summary>{name}{} ({} receipts)</summary>\n\n| no. | time | author | item | outcome | category | receipt |\n|---:|---|---|---|---|---|---|",
        HtmlLine(&heading.title),
        heading.receipts
    )
}

fn write_receipt(out: &mut dyn Write, receipt: &Receipt) -> io::Result<()> {
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

fn write_checks(out: &mut dyn Write, checks: &Checks) -> io::Result<()> {
    writeln!(out, "## Checks\n")?;
    for (sentence, passes) in checks.sentences() {
        writeln!(out, "- {}: {}", if passes { "yes" } else { "**NO**" }, Markdown(&sentence))?;
    }
    writeln!(out, "\nWritten by tasktally {}.", env!("CARGO_PKG_VERSION"))
}
