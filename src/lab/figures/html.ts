import type { Table } from "./figure.ts";

/** Text as it may stand in HTML, in attributes too. */
export function escapeHtml(text: string): string {
  return text
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;");
}

/** A table whose first row is its head and whose first column names the rows. */
export function tableHtml({ title, rows: [head = [], ...body] }: Table): string {
  const cells = (row: readonly string[], tag: "th" | "td") =>
    row
      .map((cell, at) =>
        at === 0 ? `<th scope="row">${escapeHtml(cell)}</th>` : `<${tag}>${marked(cell)}</${tag}>`,
      )
      .join("");
  return [
    `<table><caption>${escapeHtml(title)}</caption>`,
    `<thead><tr>${cells(head, "th")}</tr></thead>`,
    `<tbody>${body.map((row) => `<tr>${cells(row, "td")}</tr>`).join("\n")}</tbody></table>`,
  ].join("\n");
}

/** An image that is part of the page: identifiers inside cannot meet those of another. */
export function svgHtml(svg: string, description: string): string {
  const data = Buffer.from(svg).toString("base64");
  return `<img alt="${escapeHtml(description)}" src="data:image/svg+xml;base64,${data}">`;
}

/** A page that needs nothing but itself. */
export function pageHtml(title: string, body: string): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(title)}</title>
<style>${style}</style>
</head>
<body>
${body}
</body>
</html>
`;
}

function marked(cell: string): string {
  const text = escapeHtml(cell);
  if (/failed|MISSED/.test(cell)) return `<span class="bad">${text}</span>`;
  return cell === "met" ? `<span class="good">${text}</span>` : text;
}

const style = `
:root { color-scheme: light; }
body { font: 15px/1.5 Helvetica, Arial, "DejaVu Sans", sans-serif; color: #222; background: #fff;
  max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; margin-bottom: .2rem; }
h2 { font-size: 1.15rem; margin: 2.6rem 0 .4rem; border-top: 1px solid #ddd; padding-top: 1.2rem; }
p { margin: .5rem 0; max-width: 48rem; }
.expected { color: #666; }
.verdict { font-weight: bold; }
.bad { color: #b3261e; font-weight: bold; }
.good { color: #1b6e3c; font-weight: bold; }
img { max-width: 100%; height: auto; display: block; margin: .8rem 0; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: 13px; margin: .8rem 0; font-variant-numeric: tabular-nums; }
caption { text-align: left; font-weight: bold; padding-bottom: .3rem; }
th, td { padding: .2rem .7rem .2rem 0; text-align: right; vertical-align: top; border-bottom: 1px solid #eee; }
th { font-weight: normal; color: #555; }
th:first-child, td:first-child { text-align: left; color: #222; }
tbody th { white-space: nowrap; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .1rem 1rem; font-size: 14px; }
dt { color: #666; } dd { margin: 0; }
details { margin: .6rem 0; } summary { cursor: pointer; color: #555; }
code { font-size: 12px; overflow-wrap: anywhere; }
`;
