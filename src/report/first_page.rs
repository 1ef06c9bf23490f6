//! The first page: `report.html` and `report.md`.

use super::formats::Formats;
use super::links::PageName;
use super::report_rows::{Checks, Summary};
use super::section::FinishedSection;
use super::timeline::Timeline;
use super::{html, markdown};

/// The most pages of one section that the first page links to.
const LINKED_PAGES: usize = 60;

/// Everything that the first page is made of. Each part is bounded in size.
pub(super) struct FirstPage {
    pub(super) summary: Summary,
    pub(super) checks: Checks,
    pub(super) timeline: Timeline,
    pub(super) categories: FinishedSection,
    pub(super) failures: FinishedSection,
    pub(super) decisions: FinishedSection,
    pub(super) costs: FinishedSection,
    pub(super) chunks: FinishedSection,
    pub(super) items: FinishedSection,
    pub(super) instructions: FinishedSection,
    pub(super) receipts: FinishedSection,
}

impl FirstPage {
    /// How many pages the report has beside the first one.
    pub(super) fn page_count(&self) -> usize {
        [
            &self.categories,
            &self.failures,
            &self.decisions,
            &self.costs,
            &self.chunks,
            &self.items,
            &self.instructions,
            &self.receipts,
        ]
        .iter()
        .map(|section| section.pages)
        .sum()
    }

    /// The page: results, failures and decisions first, then cost and chunks, then how the batch was planned.
    pub(super) fn render(&self) -> Formats {
        let mut page = Formats {
            html: html::summary(&self.summary, &self.checks),
            markdown: markdown::summary(&self.summary, &self.checks),
        };
        push_section(&mut page, &self.failures, &self.about_failures());
        push_section(
            &mut page,
            &self.decisions,
            "The receipts of the batch itself, the reviews of its chunks, and the chunks that wait for a decision. An author is named as the caller gave it.",
        );
        if self.costs.rows == 0 {
            push_heading(&mut page, self.costs.name.title);
            push_paragraph(&mut page, "No receipt reports a cost.");
        } else {
            push_section(&mut page, &self.costs, "As the receipts report it.");
        }
        if self.categories.rows > 0 {
            push_section(&mut page, &self.categories, "");
        }
        push_section(&mut page, &self.chunks, "");
        push_list(
            &mut page,
            &self.items,
            "Each item with its outcome, and the text of the receipt that gave it.",
        );
        push_heading(&mut page, "Plan");
        page.push(&Formats { html: html::plan(&self.summary), markdown: markdown::plan(&self.summary) });
        push_section(&mut page, &self.instructions, "");
        push_heading(&mut page, "Timeline");
        page.push(&Formats {
            html: html::timeline(&self.timeline),
            markdown: markdown::timeline(&self.timeline),
        });
        push_list(&mut page, &self.receipts, "");
        page.push(&Formats { html: html::checks(&self.checks), markdown: markdown::checks(&self.checks) });
        page
    }

    /// What was decided about the failures, and where more stands than their reasons.
    fn about_failures(&self) -> String {
        let decided = self.summary.failures_sentence();
        let logs = self.summary.has_commands.then(|| {
            let batch = &self.summary.batch.id;
            format!("All that the commands of a chunk printed: tasktally logs {batch}.CHUNK, with the chunk's number.")
        });
        decided.into_iter().chain(logs).collect::<Vec<_>>().join("\n")
    }
}

/// The rows of a section if they are few, else links to their pages.
fn push_list(page: &mut Formats, section: &FinishedSection, introduction: &str) {
    if section.pages == 0 {
        return push_section(page, section, introduction);
    }
    push_heading(page, section.name.title);
    push_links(page, section, format!("{introduction} All {} are on pages:", section.rows).trim_start());
}

/// A section; each line of its introduction is a paragraph.
fn push_section(page: &mut Formats, section: &FinishedSection, introduction: &str) {
    push_heading(page, section.name.title);
    if section.rows == 0 {
        return push_paragraph(page, "None.");
    }
    introduction.lines().for_each(|line| push_paragraph(page, line));
    page.push(&section.first_page);
    if section.pages > 0 {
        let (shown, all) = (section.rows_on_first_page, section.rows);
        push_links(page, section, &format!("The first {shown} of {all}. All of them are on pages:"));
    }
}

fn push_heading(page: &mut Formats, title: &str) {
    page.push(&Formats { html: html::heading(title), markdown: markdown::heading(title) });
}

fn push_paragraph(page: &mut Formats, text: &str) {
    page.push(&Formats { html: html::paragraph(text), markdown: markdown::paragraph(text) });
}

/// Links to the pages of a section: to all of them, or to the first ones and the last.
fn push_links(page: &mut Formats, section: &FinishedSection, before: &str) {
    let link = |number: usize| {
        let stem = PageName { number, ..section.name }.stem();
        (format!("{}/{stem}", section.folder), number.to_string())
    };
    let mut links: Vec<(String, String)> = (1..=section.pages.min(LINKED_PAGES)).map(link).collect();
    if section.pages > LINKED_PAGES {
        links.push(link(section.pages));
    }
    page.push(&Formats {
        html: html::page_links(before, &links),
        markdown: markdown::page_links(before, &links),
    });
}
