//! The style sheet of the HTML file.

/// The style sheet. It loads nothing from elsewhere.
pub(super) const STYLE: &str = "
:root { color-scheme: light dark; }
body { font: 15px/1.45 system-ui, sans-serif; max-width: 1100px; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .25rem .5rem; border-bottom: 1px solid #8884; }
td { unicode-bidi: isolate; overflow-wrap: anywhere; }
.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.t { white-space: pre-wrap; } .time { white-space: nowrap; font-variant-numeric: tabular-nums; }
tfoot td { font-weight: bold; border-top: 2px solid #8888; }
.bad { color: #c33; } pre { white-space: pre-wrap; overflow-wrap: anywhere; background: #8881; padding: .75rem; }
details { margin: .4rem 0; } summary { cursor: pointer; }
svg { width: 100%; height: auto; font: 11px system-ui, sans-serif; }
svg text { fill: currentColor; } svg text.on { fill: #222; } svg .tick { stroke: #8885; }
footer { margin-top: 2rem; color: #888; }
";
