//! The table of results and its statistics.

/// Prints rows as they are measured, with a heading per section.
#[derive(Default)]
pub struct Table;

impl Table {
    /// Starts a section.
    pub fn section(&mut self, title: &str, ours: &str, other: &str) {
        println!("\n{title}");
        println!("  {:<52} {ours:>12} {other:>12} {:>8}   spread", "", "ratio");
    }

    /// Prints a row: two formatted values and the ratio in each block.
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

    /// Prints a line without a ratio.
    pub fn note(&mut self, text: &str) {
        println!("  {text}");
    }
}

/// The quantile of the values.
pub fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().saturating_sub(1);
    sorted.get((last as f64 * share).round() as usize).copied().unwrap_or(f64::NAN)
}

/// The times of one operation in milliseconds, by block.
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

    /// A quantile of all blocks.
    pub fn quantile(&self, share: f64) -> f64 {
        quantile(&self.0.concat(), share)
    }

    /// The ratio of this quantile to that of other times, by block.
    pub fn ratios(&self, other: &Samples, share: f64) -> Vec<f64> {
        let pairs = self.0.iter().zip(&other.0);
        pairs.map(|(ours, theirs)| quantile(ours, share) / quantile(theirs, share)).collect()
    }
}
