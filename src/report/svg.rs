//! The timeline as a picture: a lane a worker, a bar a chunk.

use std::io::{self, Write};

use super::escape::Html;
use super::lanes::lanes;
use super::timeline::Timeline;
use crate::model::field::visible;

const WIDTH: f64 = 1_000.0;
/// Where the bars begin, right of the names.
const LEFT: f64 = 190.0;
const LANE: usize = 20;
const TICKS: u32 = 5;

/// Draws it; nothing where there is nothing to draw.
pub(super) fn draw(out: &mut dyn Write, timeline: &Timeline) -> io::Result<()> {
    let Some((from, to)) = timeline.span() else { return Ok(()) };
    let lanes = lanes(timeline);
    let bottom = lanes.len() * LANE;
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
    for (row, lane) in lanes.iter().enumerate() {
        let top = row * LANE;
        if lane.first {
            let name = visible(lane.worker, 26);
            writeln!(out, r#"<text x="0" y="{}">{}</text>"#, top + 14, Html(&name))?;
        }
        for bar in &lane.bars {
            let (start, end) = (x(bar.from.millis()), x(bar.to.millis()));
            let width = (end - start).max(3.0);
            // Neighbouring numbers get hues far from each other.
            let hue = bar.chunk.wrapping_mul(137) % 360;
            write!(
                out,
                r#"<g><title>chunk {}, {}: {} to {}, {} receipts</title><rect x="{start:.1}" y="{}" width="{width:.1}" height="16" rx="2" fill="hsl({hue},55%,72%)"/>"#,
                bar.chunk,
                Html(&visible(&bar.worker, 200)),
                bar.from,
                bar.to,
                bar.receipts,
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

/// A time since the beginning, in the unit that suits it.
fn elapsed(millis: f64) -> String {
    match millis / 1_000.0 {
        seconds if seconds < 120.0 => format!("+{seconds:.1} s"),
        seconds if seconds < 7_200.0 => format!("+{:.1} min", seconds / 60.0),
        seconds if seconds < 172_800.0 => format!("+{:.1} h", seconds / 3_600.0),
        seconds => format!("+{:.1} d", seconds / 86_400.0),
    }
}
