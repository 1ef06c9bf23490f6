//! The style sheet of the HTML file.

/// The style sheet. It loads nothing from elsewhere.
pub(super) const STYLE: &str = r#"
:root { color-scheme: light dark; }
body { font: 15px/1.45 system-ui, sans-serif; max-width: 1100px; margin: 2rem auto; padding: 0 1rem;
  overflow-wrap: anywhere; background: #fff; color: #222; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; } h3 { font-size: 1rem; }
h1, h2, h3, p, td, pre { unicode-bidi: isolate; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .25rem .5rem; border-bottom: 1px solid #8884; }
thead th { overflow-wrap: normal; }
.n { text-align: right; font-variant-numeric: tabular-nums; overflow-wrap: normal; }
.t { white-space: pre-wrap; } .time { white-space: nowrap; font-variant-numeric: tabular-nums; }
.sum td { font-weight: bold; border-top: 2px solid #8888; }
.bad { color: #c33; } pre { white-space: pre-wrap; background: #8881; padding: .75rem; }
svg { width: 100%; height: auto; font: 11px system-ui, sans-serif; }
svg text { fill: currentColor; } svg text.on { fill: #222; } svg .tick { stroke: #8885; }
nav { margin: 1rem 0; } footer { margin-top: 2rem; color: #777; }
@media (prefers-color-scheme: dark) {
  body { background: #16181b; color: #e4e4e4; } a { color: #8ab4f8; } a:visited { color: #c0a5f0; }
  .bad { color: #f08080; } footer { color: #999; }
}
@media (max-width: 760px) {
  body { padding: 0 .5rem; }
  table, tbody, tr, th, td { display: block; } thead { display: none; }
  tr { border-bottom: 1px solid #8886; padding: .4rem 0; }
  th, td { border: 0; padding: .05rem 0; } td:empty { display: none; }
  .n { text-align: left; } .time { white-space: normal; }
  td::before { color: #888; }
  .failures td:nth-child(1)::before, .items td:nth-child(1)::before, .decisions td:nth-child(1)::before, .chunks td:nth-child(1)::before { content: "chunk "; }
  .failures td:nth-child(2)::before, .items td:nth-child(2)::before, .receipts td:nth-child(4)::before { content: "item "; }
  .failures td:nth-child(3)::before, .receipts td:nth-child(6)::before { content: "category "; }
  .decisions td:nth-child(3)::before, .receipts td:nth-child(3)::before { content: "by "; }
  .cost td:nth-child(3)::before { content: "cost "; } .cost td:nth-child(4)::before { content: "tokens in "; }
  .cost td:nth-child(5)::before { content: "tokens out "; } .categories td:nth-child(2)::before { content: "items "; }
  .chunks td:nth-child(4)::before { content: "items "; } .chunks td:nth-child(5)::before { content: "done "; }
  .chunks td:nth-child(6)::before { content: "failed "; } .chunks td:nth-child(7)::before { content: "skipped "; }
  .chunks td:nth-child(8)::before { content: "open "; } .chunks td:nth-child(9)::before { content: "claims "; }
  .chunks td:nth-child(10)::before { content: "last worker "; } .chunks td:nth-child(11)::before { content: "categories "; }
  .chunks td:nth-child(n+4):nth-child(-n+9) { display: inline-block; margin-right: .8rem; }
  .chunks td:nth-child(9):empty { display: none; }
  .receipts td:nth-child(1)::before { content: "no. "; } .receipts td:nth-child(5)::before { content: "outcome "; }
  .items td:nth-child(3)::before { content: "outcome "; } .items td:nth-child(4)::before { content: "category "; }
}
"#;
