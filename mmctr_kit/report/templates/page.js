// What a page can do beyond showing: sort and filter tables, copy commands, show values under the
// pointer, mark the section in view. Without it everything is still there to read.
"use strict";

const FEW_ROWS = 10; // a table with no more rows needs no filter

function all(selector, root = document) {
  return [...root.querySelectorAll(selector)];
}

function make(tag, attributes = {}, text = "") {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.textContent = text;
  return element;
}

// The number that a cell begins with, as in "1,234", "+0.0012 ± 0.0004" or "12.5 %"; else NaN.
function number(text) {
  const match = text.replace(/,/g, "").match(/^[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?/i);
  return match ? Number(match[0]) : NaN;
}

// Cells without a value come last in either direction.
function compare(a, b, down, numeric) {
  const empty = ["", "–"];
  if (empty.includes(a) || empty.includes(b)) return empty.includes(a) - empty.includes(b);
  const [x, y] = [number(a), number(b)];
  if (numeric && isNaN(x) !== isNaN(y)) return isNaN(x) - isNaN(y);
  const order = numeric && !isNaN(x) ? x - y : a.localeCompare(b, "en", { numeric: true });
  return down ? -order : order;
}

function sortable(table) {
  const body = table.tBodies[0];
  const rows = [...body.rows];
  if (rows.length < 2) return;
  const text = (row, column) => row.cells[column].textContent.trim();
  all("thead th", table).forEach((head, column) => {
    const filled = rows.map(row => text(row, column)).filter(cell => !["", "–"].includes(cell));
    const numeric = filled.filter(cell => !isNaN(number(cell))).length > filled.length / 2;
    const button = make("button", { type: "button", class: "sort" }, head.textContent.trim());
    if (!button.textContent) return;
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      // Numbers begin with the highest, text with its beginning; a second click turns the order.
      const before = head.getAttribute("aria-sort");
      const down = before === null ? numeric : before === "ascending";
      all("thead th", table).forEach(other => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      body.append(...[...rows].sort((a, b) =>
        compare(text(a, column), text(b, column), down, numeric)));
    });
  });
}

function filterable(table) {
  const rows = [...table.tBodies[0].rows];
  if (rows.length <= FEW_ROWS) return;
  const field = make("input", {
    type: "search", placeholder: "Filter rows", "aria-label": "Filter the rows of the table below",
  });
  const count = make("span", { "aria-live": "polite" });
  const bar = make("div", { class: "filter" });
  bar.append(field, count);
  table.parentElement.before(bar);
  const contents = rows.map(row => row.textContent.toLowerCase());
  field.addEventListener("input", () => {
    const words = field.value.toLowerCase().split(/\s+/);
    rows.forEach((row, i) => { row.hidden = !words.every(word => contents[i].includes(word)); });
    const shown = rows.filter(row => !row.hidden).length;
    count.textContent = field.value.trim() ? `${shown} of ${rows.length} rows` : "";
  });
}

async function copy(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const area = make("textarea", { class: "aside" }); // where a page has no clipboard of its own
  area.value = text;
  document.body.append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  if (!done) throw new Error("no clipboard");
}

function copyable(block) {
  const button = make("button", { type: "button", class: "copy" }, "Copy");
  block.before(button);
  button.addEventListener("click", async () => {
    try {
      await copy(block.textContent.trim());
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(block);
      button.textContent = "Press Ctrl-C";
    }
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  });
}

function hovering() {
  const tip = make("div", { class: "tip", hidden: "" });
  document.body.append(tip);
  const texts = new Map();
  for (const circle of all("svg .hover circle")) {
    const title = circle.querySelector("title");
    texts.set(circle, title.textContent);
    title.remove(); // or the browser shows it a second time
  }
  const hide = () => { tip.hidden = true; };
  document.addEventListener("pointerover", event => {
    if (!texts.has(event.target)) return hide();
    tip.textContent = texts.get(event.target);
    tip.hidden = false;
    const point = event.target.getBoundingClientRect();
    const left = point.left + point.width / 2 - tip.offsetWidth / 2;
    const room = document.documentElement.clientWidth - tip.offsetWidth - 8;
    const above = point.top - tip.offsetHeight - 4;
    tip.style.left = `${Math.max(8, Math.min(left, room))}px`;
    tip.style.top = `${above < 0 ? point.bottom + 4 : above}px`;
  });
  document.addEventListener("scroll", hide, { passive: true });
}

function contents() {
  const links = new Map(all("nav a").map(link => [link.hash.slice(1), link]));
  const list = document.querySelector("nav ul");
  const sections = [...links.keys()].map(id => document.getElementById(id)).filter(Boolean);
  let current = null;
  const mark = () => {
    const line = list.getBoundingClientRect().bottom + 40;
    const seen = sections.filter(section => section.getBoundingClientRect().top < line).at(-1);
    if (seen === current) return;
    if (current) links.get(current.id).removeAttribute("aria-current");
    current = seen;
    if (!current) return;
    const link = links.get(current.id);
    link.setAttribute("aria-current", "true");
    list.scrollLeft = link.offsetLeft - list.offsetLeft - 40;
  };
  document.addEventListener("scroll", mark, { passive: true });
  mark();
}

all("table").forEach(sortable);
all("table").forEach(filterable);
all("pre").forEach(copyable);
hovering();
contents();
