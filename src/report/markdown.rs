//! The report as Markdown files, with tables as GitHub renders them.

use super::escape::Fenced;
use super::links::{PageName, Target};
use super::report_rows::{
    Checks, ChunkLine, CostLine, DecisionLine, FailureLine, ItemLine, Summary, shortened,
};
use super::timeline::{MOST_BARS, Timeline};
use crate::model::author::name_with_kind;
use crate::model::markdown::Markdown;
use crate::model::receipt::Receipt;
use crate::model::status::ItemReport;

/// The beginning of a table with these columns; a name with a trailing `#` is a column of numbers.
pub(super) fn table_open(columns: &[&str]) -> String {
    let names: Vec<&str> = columns.iter().map(|column| column.trim_end_matches('#')).collect();
    let rules = columns.iter().map(|column| if column.ends_with('#') { "---:|" } else { "---|" });
    format!("| {} |\n|{}\n", names.join(" | "), rules.collect::<String>())
}

/// The head of a page of a section.
pub(super) fn page_head(title: &str, page: PageName) -> String {
    let heading = format!("{title}: {}, page {}", page.title, page.number);
    format!("# Report: {}\n\n{}", Markdown(&heading), navigation(page, false))
}

/// The end of a page of a section.
pub(super) fn page_end(page: PageName, has_next: bool) -> String {
    format!("\n{}", navigation(page, has_next))
}

fn navigation(page: PageName, has_next: bool) -> String {
    let mut text = "[The report](../report.md)".to_owned();
    if let Some(previous) = page.neighbour(-1) {
        text += &format!(" · [Previous page]({}.md)", previous.stem());
    }
    if let Some(next) = page.neighbour(1).filter(|_| has_next) {
        text += &format!(" · [Next page]({}.md)", next.stem());
    }
    text + "\n\n"
}

/// The heading of a section.
pub(super) fn heading(title: &str) -> String {
    format!("## {title}\n\n")
}

/// A paragraph of plain text.
pub(super) fn paragraph(text: &str) -> String {
    format!("{}\n\n", Markdown(text))
}

/// Links to pages, each with its text.
pub(super) fn page_links(before: &str, links: &[(String, String)]) -> String {
    let links: Vec<String> =
        links.iter().map(|(file, text)| format!("[{}]({file}.md)", Markdown(text))).collect();
    format!("{} {}\n\n", Markdown(before), links.join(" · "))
}

/// A text that leads to the file of `target`, if that is another file.
fn link(text: &str, target: Option<&Target>) -> String {
    match target.and_then(|target| target.file.as_ref()) {
        Some(file) => format!("[{}]({file}.md)", Markdown(text)),
        None => Markdown(text).to_string(),
    }
}

/// The beginning of the first page.
pub(super) fn summary(summary: &Summary, checks: &Checks) -> String {
    let batch = &summary.batch;
    let mut text = format!(
        "# Report: {}\n\nBatch `{}` is **{}**: {} of {} items processed, {} done, {}, {} skipped.\n\n",
        Markdown(&batch.title),
        batch.id,
        batch.status,
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
        text += "**The numbers in the store are inconsistent: see Checks.**\n\n";
    }
    text
}

/// The plan, without the instructions.
pub(super) fn plan(summary: &Summary) -> String {
    let rows = summary.plan().into_iter().map(|(name, value)| format!("| {name} | {} |\n", Markdown(&value)));
    format!("| | |\n|---|---|\n{}\n", rows.collect::<String>())
}

/// A piece of the instructions.
pub(super) fn instructions(piece: &str) -> String {
    format!("{}\n\n", Fenced(piece))
}

/// The timeline as a table: a chart would have to be a separate file.
pub(super) fn timeline(timeline: &Timeline) -> String {
    let Some((from, to)) = timeline.span() else { return paragraph("There are no receipts yet.") };
    let mut text = format!(
        "Which worker worked on which chunk when, according to the receipts, from {from} to {to}.\n\n\
         | chunk | worker | from | to | receipts |\n|---:|---|---|---|---:|\n"
    );
    for bar in &timeline.bars {
        let (chunk, worker) = (bar.chunk, Markdown(&bar.worker));
        text += &format!("| {chunk} | {worker} | {} | {} | {} |\n", bar.from, bar.to, bar.receipts);
    }
    text.push('\n');
    if timeline.is_truncated {
        text += &format!("Only the first {MOST_BARS} rows are shown.\n\n");
    }
    text
}

/// A row of the chunks.
pub(super) fn chunk(line: &ChunkLine, receipts: Option<&Target>) -> String {
    let counts = &line.counts;
    let categories: Vec<String> = shortened(&line.categories)
        .iter()
        .map(|(name, count)| format!("{} {count}", Markdown(name)))
        .collect();
    format!(
        "| {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |\n",
        link(&line.name, receipts),
        Markdown(&line.title),
        line.status,
        counts.total,
        counts.done,
        counts.failed,
        counts.skipped,
        counts.total - counts.processed(),
        line.attempts.map(|attempts| attempts.to_string()).unwrap_or_default(),
        Markdown(line.worker.as_deref().unwrap_or_default()),
        categories.join(", ")
    )
}

/// A row of the failures.
pub(super) fn failure(failure: &FailureLine, receipt: Option<&Target>) -> String {
    format!(
        "| {} | {} | {} | {} |\n",
        link(&failure.chunk, receipt),
        Markdown(failure.item.as_deref().unwrap_or("(the chunk itself)")),
        Markdown(failure.category.as_deref().unwrap_or_default()),
        Markdown(&failure.reason)
    )
}

/// A row of the items.
pub(super) fn item(line: &ItemLine, receipt: Option<&Target>) -> String {
    format!(
        "| {} | {} | {} | {} | {} |\n",
        link(&line.chunk, receipt),
        Markdown(&line.item),
        line.outcome,
        Markdown(line.category.as_deref().unwrap_or_default()),
        Markdown(&line.text)
    )
}

/// A row of the decisions.
pub(super) fn decision(decision: &DecisionLine) -> String {
    format!(
        "| {} | {} | {} | {} |\n",
        decision.chunk.as_deref().unwrap_or_default(),
        decision.at.map(|at| at.to_string()).unwrap_or_default(),
        Markdown(&name_with_kind(&decision.author, decision.author_kind)),
        Markdown(&decision.text)
    )
}

/// A row of the costs.
pub(super) fn cost(CostLine { kind, name, sum }: &CostLine) -> String {
    format!("| {kind} | {} | {} | {} | {} |\n", Markdown(name), sum.cost, sum.tokens_in, sum.tokens_out)
}

/// A row of the categories.
pub(super) fn category(name: &str, count: u64) -> String {
    format!("| {} | {count} |\n", Markdown(name))
}

/// The heading above the receipts of one task.
pub(super) fn receipts_heading(text: &str) -> String {
    // A heading is one line.
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    format!("### {}\n\n", Markdown(&line))
}

/// A row of the receipts.
pub(super) fn receipt(receipt: &Receipt) -> String {
    let outcome = receipt.outcome.map_or("", ItemReport::as_str);
    let late = if receipt.late { " **late, not counted**" } else { "" };
    format!(
        "| {} | {} | {} | {} | {outcome}{late} | {} | {} |\n",
        receipt.number,
        receipt.at,
        Markdown(&name_with_kind(&receipt.author, receipt.author_kind)),
        Markdown(receipt.item.as_deref().unwrap_or_default()),
        Markdown(receipt.category.as_deref().unwrap_or_default()),
        Markdown(&receipt.text)
    )
}

/// The state of the hash chain below the receipts of one task.
pub(super) fn chain(head: &str, is_intact: bool) -> String {
    let state = if is_intact { "intact" } else { "**broken**" };
    format!("Hash chain {state}; last hash `{head}`\n\n")
}

/// The checks, and the end of the first page.
pub(super) fn checks(checks: &Checks) -> String {
    let mut text = heading("Checks");
    for (sentence, passes) in checks.sentences() {
        text += &format!("- {}: {}\n", if passes { "yes" } else { "**NO**" }, Markdown(&sentence));
    }
    text + &format!("\nWritten by tasktally {}.\n", env!("CARGO_PKG_VERSION"))
}
