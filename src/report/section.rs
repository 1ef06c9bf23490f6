//! A section of the report. Few rows stand on the first page. Many rows stand on pages of their own, and the first page
//! shows how they start.

use std::io;

use super::formats::{Formats, Table};
use super::links::{PageName, Place, Target};
use super::page::{Page, PageFolder};

/// The most bytes of one section on the first page.
const FIRST_PAGE_BYTES: usize = 48 * 1024;
/// The most bytes of a page. Only a row that is larger makes a page larger.
const PAGE_BYTES: usize = 256 * 1024;

/// The place of a row: the number of its chunk (0: the batch itself), and the number of its receipt.
pub(super) type RowKey = (u64, u64);

/// A section that is being written.
pub(super) struct Section<'a> {
    folder: &'a PageFolder,
    name: PageName,
    table: Table,
    is_table_open: bool,
    first_page: Formats,
    /// The same rows as page 1 shows them, until it is written.
    page_one: Formats,
    page: Option<Page>,
    /// The key of the first row of each page.
    starts: Vec<RowKey>,
    rows: u64,
    rows_on_first_page: u64,
}

/// A section that is complete.
#[derive(Debug)]
pub(super) struct FinishedSection {
    pub(super) name: PageName,
    /// What the first page shows.
    pub(super) first_page: Formats,
    /// The number of pages; 0 if everything is on the first page.
    pub(super) pages: usize,
    pub(super) rows: u64,
    pub(super) rows_on_first_page: u64,
    /// The name of the folder of pages.
    pub(super) folder: String,
    starts: Vec<RowKey>,
}

impl<'a> Section<'a> {
    /// A section without rows. Its pages are named after `file`.
    pub(super) fn new(folder: &'a PageFolder, file: &'static str, title: &'static str, table: Table) -> Self {
        Section {
            folder,
            name: PageName { file, title, number: 1 },
            table,
            is_table_open: false,
            first_page: Formats::default(),
            page_one: Formats::default(),
            page: None,
            starts: Vec::new(),
            rows: 0,
            rows_on_first_page: 0,
        }
    }

    /// Adds a row to the table.
    pub(super) fn row(&mut self, key: RowKey, render: impl Fn(Place) -> Formats) -> io::Result<()> {
        self.rows += 1;
        let row = render(Place::Page);
        if self.page.is_none() {
            let first = render(Place::FirstPage);
            let open = if self.is_table_open { 0 } else { self.table.open.len() };
            if self.first_page.len() + open + first.len() <= FIRST_PAGE_BYTES {
                self.open_table()?;
                self.first_page.push(&first);
                self.page_one.push(&row);
                self.rows_on_first_page += 1;
                if self.starts.is_empty() {
                    self.starts.push(key);
                }
                return Ok(());
            }
            self.start_pages(key)?;
        } else if self.page.as_ref().is_some_and(|page| page.len + row.len() > PAGE_BYTES) {
            self.start_next_page(key)?;
        }
        self.open_table()?;
        self.write(&row)
    }

    /// Ends the table with this text below it; the next row starts another table.
    pub(super) fn next_table(&mut self, below: &Formats, next: Table) -> io::Result<()> {
        self.close_table()?;
        self.write(below)?;
        self.table = next;
        Ok(())
    }

    /// Ends the section.
    pub(super) fn finish(mut self) -> io::Result<FinishedSection> {
        self.close_table()?;
        let pages = if self.page.is_some() { self.name.number } else { 0 };
        if let Some(page) = self.page.take() {
            page.finish(false)?;
        }
        Ok(FinishedSection {
            name: self.name,
            first_page: self.first_page,
            pages,
            rows: self.rows,
            rows_on_first_page: self.rows_on_first_page,
            folder: self.folder.name.clone(),
            starts: self.starts,
        })
    }

    /// Moves what the first page shows to page 1 as well; all further rows go to pages.
    fn start_pages(&mut self, key: RowKey) -> io::Result<()> {
        if self.is_table_open {
            self.first_page.push(&self.table.close);
        }
        let mut page = Page::create(self.folder, self.name)?;
        page.write(&std::mem::take(&mut self.page_one))?;
        self.page = Some(page);
        if self.starts.is_empty() {
            self.starts.push(key);
        }
        Ok(())
    }

    fn start_next_page(&mut self, key: RowKey) -> io::Result<()> {
        self.close_table()?;
        if let Some(page) = self.page.take() {
            page.finish(true)?;
        }
        self.name.number += 1;
        self.page = Some(Page::create(self.folder, self.name)?);
        self.starts.push(key);
        Ok(())
    }

    fn open_table(&mut self) -> io::Result<()> {
        if self.is_table_open {
            return Ok(());
        }
        self.is_table_open = true;
        self.write(&self.table.open.clone())
    }

    fn close_table(&mut self) -> io::Result<()> {
        if !self.is_table_open {
            return Ok(());
        }
        self.is_table_open = false;
        self.write(&self.table.close.clone())
    }

    fn write(&mut self, text: &Formats) -> io::Result<()> {
        if let Some(page) = &mut self.page {
            return page.write(text);
        }
        self.first_page.push(text);
        self.page_one.push(text);
        Ok(())
    }
}

impl FinishedSection {
    /// The link from `place` to the row with this key, or to the heading above it.
    pub(super) fn link(&self, place: Place, key: RowKey, anchor: String) -> Target {
        let number = self.starts.partition_point(|start| *start <= key).max(1);
        let stem = PageName { number, ..self.name }.stem();
        let file = match (self.pages, place) {
            (0, Place::FirstPage) => None,
            (0, Place::Page) => Some("../report".to_owned()),
            (_, Place::FirstPage) => Some(format!("{}/{stem}", self.folder)),
            (_, Place::Page) => Some(stem),
        };
        Target { file, anchor }
    }
}
