//! The table, and the few statistics in it.

/// Prints rows as they come, under a heading each section.
#[derive(Default)]
pub struct Table;

impl Table {
    /// Begins a section.
    pub fn section(&mut self, title: &str, ours: &str, other: &str) {
        println!("\n{title}");
        println!("  {:<52} {ours:>12} {other:>12} {:>8}   spread", "", "ratio");
    }

    /// A row: two values already written out, and the ratio of each block.
    pub fn row(&mut self, name: &str, ours: &str, other: &str, ratios: &[f64]) {
        let mut sorted = ratios.to_vec();
        sorted.sort_by(f64::total_cmp);
        let least = sorted.first().copied().unwrap_or(f64::NAN);
        let most = sorted.last().copied().unwrap_or(f64::NAN);
        println!(
            "  {name:<52} {ours:>12} {other:>12} {:>8.2}   {least:.2} – {most:.2}",
            quantile(&sorted, 0.5)
        );
    }

    /// A line without a ratio.
    pub fn note(&mut self, text: &str) {
        println!("  {text}");
    }
}

/// The value that this share of the values lies at or below.
pub fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().saturating_sub(1);
    sorted.get((last as f64 * share).round() as usize).copied().unwrap_or(f64::NAN)
}

/// What one thing took, in milliseconds, block by block.
#[derive(Default, Clone)]
pub struct Samples(Vec<Vec<f64>>);

impl Samples {
    /// Adds a measurement to a block.
    pub fn add(&mut self, block: usize, milliseconds: f64) {
        if self.0.len() <= block {
            self.0.resize(block + 1, Vec::new());
        }
        if let Some(values) = self.0.get_mut(block) {
            values.push(milliseconds);
        }
    }

    /// A quantile over all blocks.
    pub fn quantile(&self, share: f64) -> f64 {
        quantile(&self.0.concat(), share)
    }

    /// This quantile against that of another, block by block.
    pub fn ratios(&self, other: &Samples, share: f64) -> Vec<f64> {
        let pairs = self.0.iter().zip(&other.0);
        pairs.map(|(ours, theirs)| quantile(ours, share) / quantile(theirs, share)).collect()
    }
}
