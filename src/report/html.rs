//! The report as HTML files without scripts, which load nothing from elsewhere.

use std::fmt::Write as _;

use super::escape::Html;
use super::html_style::STYLE;
use super::links::{PageName, Target};
use super::report_rows::{
    Checks, ChunkLine, CostLine, DecisionLine, FailureLine, ItemLine, Summary, shortened,
};
use super::svg;
use super::timeline::{MOST_BARS, Timeline};
use crate::model::author::AuthorKind;
use crate::model::batch::ItemCounts;
use crate::model::receipt::Receipt;
use crate::model::status::ItemReport;

/// The end of a table.
pub(super) const TABLE_CLOSE: &str = "</tbody>\n</table>\n";

/// The beginning of a table with these columns; a name with a trailing `#` is a column of numbers.
pub(super) fn table_open(class: &str, columns: &[&str]) -> String {
    let mut text = format!("<table class=\"{class}\">\n<thead><tr>");
    for column in columns {
        let number = if column.ends_with('#') { " class=\"n\"" } else { "" };
        text += &format!("<th{number}>{}</th>", column.trim_end_matches('#'));
    }
    text + "</tr></thead>\n<tbody>\n"
}

/// The first lines of a file, up to its heading.
fn file_head(title: &str) -> String {
    let title = Html(title);
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n"
    )
}

/// The head of a page of a section.
pub(super) fn page_head(title: &str, page: PageName) -> String {
    let heading = format!("{title}: {}, page {}", page.title, page.number);
    file_head(&heading) + &navigation(page, false)
}

/// The end of a page of a section.
pub(super) fn page_end(page: PageName, has_next: bool) -> String {
    format!("{}</body>\n</html>\n", navigation(page, has_next))
}

fn navigation(page: PageName, has_next: bool) -> String {
    let mut text = "<nav><a href=\"../report.html\">The report</a>".to_owned();
    if let Some(previous) = page.neighbour(-1) {
        text += &format!(" · <a href=\"{}.html\">Previous page</a>", previous.stem());
    }
    if let Some(next) = page.neighbour(1).filter(|_| has_next) {
        text += &format!(" · <a href=\"{}.html\">Next page</a>", next.stem());
    }
    text + "</nav>\n"
}

/// The heading of a section.
pub(super) fn heading(title: &str) -> String {
    format!("<h2>{title}</h2>\n")
}

/// A paragraph of plain text.
pub(super) fn paragraph(text: &str) -> String {
    format!("<p>{}</p>\n", Html(text))
}

/// Links to pages, each with its text.
pub(super) fn page_links(before: &str, links: &[(String, String)]) -> String {
    let links: Vec<String> =
        links.iter().map(|(file, text)| format!("<a href=\"{file}.html\">{}</a>", Html(text))).collect();
    format!("<p class=\"pages\">{} {}</p>\n", Html(before), links.join(" · "))
}

/// A text that leads to `target`.
fn link(text: &str, target: Option<&Target>) -> String {
    match target {
        Some(Target { file, anchor }) => {
            let file = file.as_ref().map(|file| format!("{file}.html")).unwrap_or_default();
            format!("<a href=\"{file}#{anchor}\">{}</a>", Html(text))
        }
        None => Html(text).to_string(),
    }
}

/// The beginning of the first page.
pub(super) fn summary(summary: &Summary, checks: &Checks) -> String {
    let batch = &summary.batch;
    let mut text = file_head(&format!("{}: report", batch.title));
    text += &format!(
        "<p>Batch <code>{}</code> is <strong>{}</strong>: {} of {} items processed, {} done, {}, {} skipped.</p>\n",
        Html(&batch.id),
        Html(&batch.status),
        batch.processed,
        batch.total,
        summary.counts.done,
        summary.failed(),
        summary.counts.skipped
    );
    for sentence in summary.more_results() {
        text += &paragraph(&sentence);
    }
    if !checks.pass() {
        text += "<p class=\"bad\"><strong>The numbers in the store are inconsistent: see <a href=\"#checks\">Checks</a>.</strong></p>\n";
    }
    text
}

/// The plan, without the instructions.
pub(super) fn plan(summary: &Summary) -> String {
    let mut text = "<table class=\"plan\">\n<tbody>\n".to_owned();
    for (name, value) in summary.plan() {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "<tr><th>{name}</th><td>{}</td></tr>", Html(&value));
    }
    text + TABLE_CLOSE
}

/// A piece of the instructions.
pub(super) fn instructions(piece: &str) -> String {
    format!("<pre>{}</pre>\n", Html(piece))
}

/// The timeline as a chart.
pub(super) fn timeline(timeline: &Timeline) -> String {
    let Some((from, to)) = timeline.span() else { return paragraph("There are no receipts yet.") };
    let mut text = paragraph(&format!(
        "Which worker worked on which chunk when, according to the receipts, from {from} to {to}. A bar stands for consecutive receipts of one author in one chunk."
    ));
    text += &svg::draw(timeline);
    if timeline.is_truncated {
        text += &paragraph(&format!("Only the first {MOST_BARS} bars are drawn."));
    }
    text
}

/// The cells with the counts of a line.
fn count_cells(counts: &ItemCounts) -> String {
    let open = counts.total - counts.processed();
    [counts.total, counts.done, counts.failed, counts.skipped, open]
        .map(|count| format!("<td class=\"n\">{count}</td>"))
        .concat()
}

fn categories(categories: &[(String, u64)]) -> String {
    let shown = shortened(categories);
    shown.iter().map(|(name, count)| format!("{} {count}", Html(name))).collect::<Vec<_>>().join(", ")
}

/// A row of the chunks.
pub(super) fn chunk(line: &ChunkLine, receipts: Option<&Target>) -> String {
    format!(
        "<tr{}><td class=\"n\">{}</td><td>{}</td><td>{}</td>{}<td class=\"n\">{}</td><td>{}</td><td>{}</td></tr>\n",
        if line.attempts.is_none() { " class=\"sum\"" } else { "" },
        link(&line.name, receipts),
        Html(&line.title),
        Html(&line.status),
        count_cells(&line.counts),
        line.attempts.map(|attempts| attempts.to_string()).unwrap_or_default(),
        Html(line.worker.as_deref().unwrap_or_default()),
        categories(&line.categories)
    )
}

/// A row of the failures.
pub(super) fn failure(failure: &FailureLine, receipt: Option<&Target>) -> String {
    let item = failure.item.as_deref().unwrap_or("(the chunk itself)");
    format!(
        "<tr><td class=\"n\">{}</td><td>{}</td><td>{}</td><td class=\"t\">{}</td></tr>\n",
        link(&failure.chunk, receipt),
        Html(item),
        Html(failure.category.as_deref().unwrap_or_default()),
        Html(&failure.reason)
    )
}

/// A row of the items.
pub(super) fn item(line: &ItemLine, receipt: Option<&Target>) -> String {
    format!(
        "<tr><td class=\"n\">{}</td><td>{}</td><td>{}</td><td>{}</td><td class=\"t\">{}</td></tr>\n",
        link(&line.chunk, receipt),
        Html(&line.item),
        line.outcome,
        Html(line.category.as_deref().unwrap_or_default()),
        Html(&line.text)
    )
}

/// A row of the decisions.
pub(super) fn decision(decision: &DecisionLine) -> String {
    format!(
        "<tr><td class=\"n\">{}</td><td class=\"time\">{}</td><td>{}{}</td><td class=\"t\">{}</td></tr>\n",
        decision.chunk.as_deref().unwrap_or_default(),
        decision.at.map(|at| at.to_string()).unwrap_or_default(),
        Html(&decision.author),
        kind(decision.author_kind),
        Html(&decision.text)
    )
}

/// A row of the costs.
pub(super) fn cost(CostLine { kind, name, sum }: &CostLine) -> String {
    format!(
        "<tr><td>{kind}</td><td>{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td></tr>\n",
        Html(name),
        sum.cost,
        sum.tokens_in,
        sum.tokens_out
    )
}

/// A row of the categories.
pub(super) fn category(name: &str, count: u64) -> String {
    format!("<tr><td>{}</td><td class=\"n\">{count}</td></tr>\n", Html(name))
}

/// The heading above the receipts of one task.
pub(super) fn receipts_heading(anchor: &str, text: &str) -> String {
    format!("<h3 id=\"{anchor}\">{}</h3>\n", Html(text))
}

/// The kind of an author behind its name, smaller; nothing if the store does not know it.
fn kind(kind: Option<AuthorKind>) -> String {
    kind.map(|kind| format!(" <small>({kind})</small>")).unwrap_or_default()
}

/// A row of the receipts.
pub(super) fn receipt(anchor: &str, receipt: &Receipt) -> String {
    let outcome = receipt.outcome.map_or("", ItemReport::as_str);
    let late = if receipt.late { " <strong class=\"bad\">late, not counted</strong>" } else { "" };
    format!(
        "<tr id=\"{anchor}\"><td class=\"n\">{}</td><td class=\"time\">{}</td><td>{}{}</td><td>{}</td><td>{outcome}{late}</td><td>{}</td><td class=\"t\">{}</td></tr>\n",
        receipt.number,
        receipt.at,
        Html(&receipt.author),
        kind(receipt.author_kind),
        Html(receipt.item.as_deref().unwrap_or_default()),
        Html(receipt.category.as_deref().unwrap_or_default()),
        Html(&receipt.text)
    )
}

/// The state of the hash chain below the receipts of one task.
pub(super) fn chain(head: &str, is_intact: bool) -> String {
    let state = if is_intact { "intact" } else { "<strong class=\"bad\">broken</strong>" };
    format!("<p>Hash chain {state}; last hash <code>{head}</code></p>\n")
}

/// The checks, and the end of the first page.
pub(super) fn checks(checks: &Checks) -> String {
    let mut text = "<h2 id=\"checks\">Checks</h2>\n<ul>\n".to_owned();
    for (sentence, passes) in checks.sentences() {
        let (class, mark) = if passes { ("", "yes") } else { (" class=\"bad\"", "NO") };
        text += &format!("<li{class}>{mark}: {}</li>\n", Html(&sentence));
    }
    text + &format!(
        "</ul>\n<footer>Written by tasktally {}.</footer>\n</body>\n</html>\n",
        env!("CARGO_PKG_VERSION")
    )
}
