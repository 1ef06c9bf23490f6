//! The timeline as a chart: a row per worker, a bar per chunk.

use std::fmt::{self, Write};

use super::escape::Html;
use super::timeline::Timeline;
use super::timeline_rows::timeline_rows;
use crate::model::field::visible_excerpt;
use crate::model::text::counted;

const WIDTH: f64 = 1_000.0;
/// The x coordinate at which the bars start, right of the names.
const LEFT: f64 = 190.0;
/// The height of a row.
const ROW: usize = 20;
const TICKS: u32 = 5;

/// The chart; empty if the timeline is.
pub(super) fn draw(timeline: &Timeline) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = write_chart(&mut text, timeline);
    text
}

fn write_chart(out: &mut String, timeline: &Timeline) -> fmt::Result {
    let Some((from, to)) = timeline.span() else { return Ok(()) };
    let rows = timeline_rows(timeline);
    let bottom = rows.len() * ROW;
    #[expect(clippy::cast_precision_loss, reason = "milliseconds of a batch stay far below 2^52")]
    let (span, from_ms) = ((to.millis() - from.millis()).max(1) as f64, from.millis());
    #[expect(clippy::cast_precision_loss, reason = "as above")]
    let x = |millis: i64| LEFT + (millis - from_ms) as f64 / span * (WIDTH - LEFT - 10.0);
    writeln!(
        out,
        r#"<svg viewBox="0 0 {WIDTH} {}" role="img" aria-label="Which worker worked on which chunk when">"#,
        bottom + 30
    )?;
    for tick in 0..=TICKS {
        let part = f64::from(tick) / f64::from(TICKS);
        let at = LEFT + part * (WIDTH - LEFT - 10.0);
        let anchor = if tick == TICKS { "end" } else { "middle" };
        writeln!(
            out,
            r#"<line class="tick" x1="{at:.1}" y1="0" x2="{at:.1}" y2="{bottom}"/><text x="{at:.1}" y="{}" text-anchor="{anchor}">{}</text>"#,
            bottom + 18,
            elapsed(part * span)
        )?;
    }
    for (number, row) in rows.iter().enumerate() {
        let top = number * ROW;
        if row.is_first {
            let name = visible_excerpt(row.worker, 26);
            writeln!(out, r#"<text x="0" y="{}">{}</text>"#, top + 14, Html(&name))?;
        }
        for bar in &row.bars {
            let (start, end) = (x(bar.from.millis()), x(bar.to.millis()));
            let width = (end - start).max(3.0);
            // Consecutive numbers get distinct hues.
            let hue = bar.chunk.wrapping_mul(137) % 360;
            write!(
                out,
                r#"<g><title>chunk {}, {}: {} to {}, {}</title><rect x="{start:.1}" y="{}" width="{width:.1}" height="16" rx="2" fill="hsl({hue},55%,72%)"/>"#,
                bar.chunk,
                Html(&visible_excerpt(&bar.worker, 200)),
                bar.from,
                bar.to,
                counted(bar.receipts, "receipt"),
                top + 2
            )?;
            if width > 8.0 + 7.0 * f64::from(bar.chunk.checked_ilog10().unwrap_or(0) + 1) {
                write!(
                    out,
                    r#"<text class="on" x="{:.1}" y="{}">{}</text>"#,
                    start + 4.0,
                    top + 14,
                    bar.chunk
                )?;
            }
            writeln!(out, "</g>")?;
        }
    }
    writeln!(out, "</svg>")
}

/// The time since the start of the timeline.
fn elapsed(millis: f64) -> String {
    match millis / 1_000.0 {
        seconds if seconds < 120.0 => format!("+{seconds:.1} s"),
        seconds if seconds < 7_200.0 => format!("+{:.1} min", seconds / 60.0),
        seconds if seconds < 172_800.0 => format!("+{:.1} h", seconds / 3_600.0),
        seconds => format!("+{:.1} d", seconds / 86_400.0),
    }
}
