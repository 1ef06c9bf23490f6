//! The report as one HTML file that needs nothing else: no script, nothing fetched.

use std::io::{self, Write};

use super::escape::Html;
use super::facts::{Checks, Failure, Fold, Opening, Part, Row};
use super::html_style::STYLE;
use super::svg;
use super::timeline::{MOST_BARS, Timeline};
use crate::model::batch::Counts;
use crate::model::receipt::Receipt;

/// Writes a part.
pub(super) fn put(out: &mut dyn Write, part: &Part<'_>) -> io::Result<()> {
    match part {
        Part::Opening(opening) => head(out, opening),
        Part::Timeline(timeline) => picture(out, timeline),
        Part::ChunksBegin => writeln!(
            out,
            "<h2>Chunks</h2>\n<table>\n<thead><tr><th class=\"n\">chunk</th><th>title</th><th>status</th>\
             <th class=\"n\">items</th><th class=\"n\">done</th><th class=\"n\">failed</th><th class=\"n\">skipped</th>\
             <th class=\"n\">open</th><th class=\"n\">claims</th><th>last worker</th><th>categories</th></tr></thead>\n<tbody>"
        ),
        Part::Chunk(row) => chunk(out, row),
        Part::ChunksEnd(sum) => {
            writeln!(
                out,
                "</tbody>\n<tfoot><tr><td></td><td>{}</td><td>{}</td>{}<td></td><td></td><td>{}</td></tr></tfoot>\n</table>",
                Html(&sum.title),
                Html(&sum.status),
                counts(&sum.counts),
                categories(&sum.categories)
            )
        }
        Part::FailuresBegin => writeln!(
            out,
            "<h2>Failures</h2>\n<table>\n<thead><tr><th class=\"n\">chunk</th><th>item</th><th>category</th><th>reason</th></tr></thead>\n<tbody>"
        ),
        Part::Failure(failure) => failed(out, failure),
        Part::FailuresEnd(0) => writeln!(out, "</tbody>\n</table>\n<p>None.</p>"),
        Part::FailuresEnd(count) => writeln!(out, "</tbody>\n</table>\n<p>{count} in all.</p>"),
        Part::ReceiptsBegin => writeln!(out, "<h2>Receipts</h2>"),
        Part::FoldBegin(fold) => fold_begin(out, fold),
        Part::Receipt(receipt) => line(out, receipt),
        Part::FoldEnd { head, whole } => {
            let state = if *whole { "whole" } else { "<strong class=\"bad\">broken</strong>" };
            writeln!(
                out,
                "</tbody>\n</table>\n<p>Hash chain {state}; its head is <code>{head}</code></p>\n</details>"
            )
        }
        Part::End(checks) => end(out, checks),
    }
}

fn head(out: &mut dyn Write, opening: &Opening) -> io::Result<()> {
    let batch = &opening.batch;
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
        opening.counts.done,
        opening.counts.failed,
        opening.counts.skipped
    )?;
    writeln!(out, "<h2>Plan</h2>\n<table>\n<tbody>")?;
    for (name, value) in opening.plan() {
        writeln!(out, "<tr><th>{name}</th><td>{}</td></tr>", Html(&value))?;
    }
    writeln!(
        out,
        "</tbody>\n</table>\n<details><summary>What every worker was told</summary>\n<pre>{}</pre>\n</details>",
        Html(&opening.instructions)
    )
}

fn picture(out: &mut dyn Write, timeline: &Timeline) -> io::Result<()> {
    writeln!(out, "<h2>Timeline</h2>")?;
    match timeline.span() {
        None => writeln!(out, "<p>Nobody wrote a receipt yet.</p>"),
        Some((from, to)) => {
            writeln!(
                out,
                "<p>Who worked on which chunk when, by the receipts, from {from} to {to}. A bar is a run of one author's receipts in one chunk.</p>"
            )?;
            svg::draw(out, timeline)?;
            if timeline.cut {
                writeln!(out, "<p>The first {MOST_BARS} bars are drawn; there were more.</p>")?;
            }
            Ok(())
        }
    }
}

fn counts(counts: &Counts) -> String {
    let open = counts.total - counts.processed();
    [counts.total, counts.done, counts.failed, counts.skipped, open]
        .map(|count| format!("<td class=\"n\">{count}</td>"))
        .concat()
}

fn categories(categories: &[(String, u64)]) -> String {
    categories.iter().map(|(name, count)| format!("{} {count}", Html(name))).collect::<Vec<_>>().join(", ")
}

fn chunk(out: &mut dyn Write, row: &Row) -> io::Result<()> {
    writeln!(
        out,
        "<tr><td class=\"n\"><a href=\"#chunk-{0}\">{0}</a></td><td>{1}</td><td>{2}</td>{3}<td class=\"n\">{4}</td><td>{5}</td><td>{6}</td></tr>",
        row.name,
        Html(&row.title),
        Html(&row.status),
        counts(&row.counts),
        row.attempts,
        Html(row.worker.as_deref().unwrap_or_default()),
        categories(&row.categories)
    )
}

fn failed(out: &mut dyn Write, failure: &Failure) -> io::Result<()> {
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

fn fold_begin(out: &mut dyn Write, fold: &Fold) -> io::Result<()> {
    let (id, name) = match &fold.chunk {
        Some(number) => (format!("chunk-{number}"), format!("Chunk {number}: ")),
        None => ("batch".to_owned(), "The batch itself: ".to_owned()),
    };
    writeln!(
        out,
        "<details id=\"{id}\"><summary>{name}{} ({} receipts)</summary>\n<table>\n<thead><tr><th class=\"n\">no.</th><th>time</th><th>author</th><th>item</th><th>outcome</th><th>category</th><th>receipt</th></tr></thead>\n<tbody>",
        Html(&fold.title),
        fold.receipts
    )
}

fn line(out: &mut dyn Write, receipt: &Receipt) -> io::Result<()> {
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

fn end(out: &mut dyn Write, checks: &Checks) -> io::Result<()> {
    writeln!(out, "<h2>Checks</h2>\n<ul>")?;
    for (sentence, holds) in checks.sentences() {
        let (class, mark) = if holds { ("", "yes") } else { (" class=\"bad\"", "NO") };
        writeln!(out, "<li{class}>{mark}: {}</li>", Html(&sentence))?;
    }
    writeln!(
        out,
        "</ul>\n<footer>Written by tasktally {}.</footer>\n</body>\n</html>",
        env!("CARGO_PKG_VERSION")
    )
}
