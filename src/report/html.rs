//! The report as one HTML file without scripts, which loads nothing from elsewhere.

use std::io::{self, Write};

use super::escape::Html;
use super::html_style::STYLE;
use super::parts::{Checks, ChunkLine, FailureLine, ReceiptsHeading, ReportPart, Summary};
use super::svg;
use super::timeline::{MOST_BARS, Timeline};
use crate::model::batch::ItemCounts;
use crate::model::receipt::Receipt;

/// Writes a part.
pub(super) fn write_part(out: &mut dyn Write, part: &ReportPart<'_>) -> io::Result<()> {
    match part {
        ReportPart::Summary(summary) => write_summary(out, summary),
        ReportPart::Timeline(timeline) => write_timeline(out, timeline),
        ReportPart::ChunksStart => writeln!(
            out,
            "<h2>Chunks</h2>\n<table>\n<thead><tr><th class=\"n\">chunk</th><th>title</th><th>status</th>\
             <th class=\"n\">items</th><th class=\"n\">done</th><th class=\"n\">failed</th><th class=\"n\">skipped</th>\
             <th class=\"n\">open</th><th class=\"n\">claims</th><th>last worker</th><th>categories</th></tr></thead>\n<tbody>"
        ),
        ReportPart::Chunk(line) => write_chunk(out, line),
        ReportPart::ChunksEnd(sums) => {
            writeln!(
                out,
                "</tbody>\n<tfoot><tr><td></td><td>{}</td><td>{}</td>{}<td></td><td></td><td>{}</td></tr></tfoot>\n</table>",
                Html(&sums.title),
                Html(&sums.status),
                count_cells(&sums.counts),
                categories(&sums.categories)
            )
        }
        ReportPart::FailuresStart => writeln!(
            out,
            "<h2>Failures</h2>\n<table>\n<thead><tr><th class=\"n\">chunk</th><th>item</th><th>category</th><th>reason</th></tr></thead>\n<tbody>"
        ),
        ReportPart::Failure(failure) => write_failure(out, failure),
        ReportPart::FailuresEnd(0) => writeln!(out, "</tbody>\n</table>\n<p>None.</p>"),
        ReportPart::FailuresEnd(count) => writeln!(out, "</tbody>\n</table>\n<p>{count} in all.</p>"),
        ReportPart::ReceiptsStart => writeln!(out, "<h2>Receipts</h2>"),
        ReportPart::ReceiptsHeading(heading) => write_receipts_heading(out, heading),
        ReportPart::Receipt(receipt) => write_receipt(out, receipt),
        ReportPart::ReceiptsEnd { head, is_intact } => {
            let state = if *is_intact { "intact" } else { "<strong class=\"bad\">broken</strong>" };
            writeln!(
                out,
                "</tbody>\n</table>\n<p>Hash chain {state}; last hash <code>{head}</code></p>\n</details>"
            )
        }
        ReportPart::End(checks) => write_checks(out, checks),
    }
}

fn write_summary(out: &mut dyn Write, summary: &Summary) -> io::Result<()> {
    let batch = &summary.batch;
    let title = Html(&batch.title);
    writeln!(
        out,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}: report</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n\
         <p>Batch <code>{}</code> is <strong>{}</strong>: {} of {} items processed, {} done, {} failed, {} skipped.</p>",
        Html(&batch.id),
        Html(&batch.status),
        batch.processed,
        batch.total,
        summary.counts.done,
        summary.counts.failed,
        summary.counts.skipped
    )?;
    writeln!(out, "<h2>Plan</h2>\n<table>\n<tbody>")?;
    for (name, value) in summary.plan() {
        writeln!(out, "<tr><th>{name}</th><td>{}</td></tr>", Html(&value))?;
    }
    writeln!(
        out,
        "</tbody>\n</table>\n<details><summary>Instructions for the workers</summary>\n<pre>{}</pre>\n</details>",
        Html(&summary.instructions)
    )
}

fn write_timeline(out: &mut dyn Write, timeline: &Timeline) -> io::Result<()> {
    writeln!(out, "<h2>Timeline</h2>")?;
    match timeline.span() {
        None => writeln!(out, "<p>There are no receipts yet.</p>"),
        Some((from, to)) => {
            writeln!(
                out,
                "<p>Which worker worked on which chunk when, according to the receipts, from {from} to {to}. A bar stands for consecutive receipts of one author in one chunk.</p>"
            )?;
            svg::draw(out, timeline)?;
            if timeline.is_truncated {
                writeln!(out, "<p>Only the first {MOST_BARS} bars are drawn.</p>")?;
            }
            Ok(())
        }
    }
}

/// The cells with the counts of a line.
fn count_cells(counts: &ItemCounts) -> String {
    let open = counts.total - counts.processed();
    [counts.total, counts.done, counts.failed, counts.skipped, open]
        .map(|count| format!("<td class=\"n\">{count}</td>"))
        .concat()
}

fn categories(categories: &[(String, u64)]) -> String {
    categories.iter().map(|(name, count)| format!("{} {count}", Html(name))).collect::<Vec<_>>().join(", ")
}

fn write_chunk(out: &mut dyn Write, line: &ChunkLine) -> io::Result<()> {
    writeln!(
        out,
        "<tr><td class=\"n\"><a href=\"#chunk-{0}\">{0}</a></td><td>{1}</td><td>{2}</td>{3}<td class=\"n\">{4}</td><td>{5}</td><td>{6}</td></tr>",
        line.name,
        Html(&line.title),
        Html(&line.status),
        count_cells(&line.counts),
        line.attempts,
        Html(line.worker.as_deref().unwrap_or_default()),
        categories(&line.categories)
    )
}

fn write_failure(out: &mut dyn Write, failure: &FailureLine) -> io::Result<()> {
    let item = failure.item.as_deref().unwrap_or("(the chunk itself)");
    writeln!(
        out,
        "<tr><td class=\"n\">{}</td><td>{}</td><td>{}</td><td class=\"t\">{}</td></tr>",
        failure.chunk,
        Html(item),
        Html(failure.category.as_deref().unwrap_or_default()),
        Html(&failure.reason)
    )
}

fn write_receipts_heading(out: &mut dyn Write, heading: &ReceiptsHeading) -> io::Result<()> {
    let (id, name) = match &heading.chunk {
        Some(number) => (format!("chunk-{number}"), format!("Chunk {number}: ")),
        None => ("batch".to_owned(), "The batch itself: ".to_owned()),
    };
    writeln!(
        out,
        "<details id=\"{id}\"><summary>{name}{} ({} receipts)</summary>\n<table>\n<thead><tr><th class=\"n\">no.</th><th>time</th><th>author</th><th>item</th><th>outcome</th><th>category</th><th>receipt</th></tr></thead>\n<tbody>",
        Html(&heading.title),
        heading.receipts
    )
}

fn write_receipt(out: &mut dyn Write, receipt: &Receipt) -> io::Result<()> {
    let outcome = receipt.outcome.map_or("", crate::model::status::ItemReport::as_str);
    let late = if receipt.late { " <strong class=\"bad\">late, not counted</strong>" } else { "" };
    writeln!(
        out,
        "<tr><td class=\"n\">{}</td><td class=\"time\">{}</td><td>{}</td><td>{}</td><td>{outcome}{late}</td><td>{}</td><td class=\"t\">{}</td></tr>",
        receipt.number,
        receipt.at,
        Html(&receipt.author),
        Html(receipt.item.as_deref().unwrap_or_default()),
        Html(receipt.category.as_deref().unwrap_or_default()),
        Html(&receipt.text)
    )
}

fn write_checks(out: &mut dyn Write, checks: &Checks) -> io::Result<()> {
    writeln!(out, "<h2>Checks</h2>\n<ul>")?;
    for (sentence, passes) in checks.sentences() {
        let (class, mark) = if passes { ("", "yes") } else { (" class=\"bad\"", "NO") };
        writeln!(out, "<li{class}>{mark}: {}</li>", Html(&sentence))?;
    }
    writeln!(
        out,
        "</ul>\n<footer>Written by tasktally {}.</footer>\n</body>\n</html>",
        env!("CARGO_PKG_VERSION")
    )
}
