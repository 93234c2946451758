"use strict";
// Tables that sort by a column, and the table of all cells with its filter and its file.

const valueOf = (cell) => (cell.dataset.value === undefined ? cell.textContent.trim() : Number(cell.dataset.value));

function compared(a, b) {
  const [first, second] = [typeof a === "number", typeof b === "number"];
  if (first && second) return a - b;
  if (first || second) return first ? -1 : 1; // numbers before words
  return a.localeCompare(b);
}

function sortable(table, sorted = () => {}) {
  [...table.tHead.rows[0].cells].forEach((cell, column) => {
    const button = element("button", undefined, { type: "button", class: "sort" });
    button.append(...cell.childNodes);
    cell.append(button);
    button.addEventListener("click", () => {
      const down = cell.getAttribute("aria-sort") === "ascending";
      sortBy(table, column, down);
      sorted(column, down);
    });
  });
}

function sortBy(table, column, down) {
  const cells = [...table.tHead.rows[0].cells];
  cells.forEach((cell) => cell.removeAttribute("aria-sort"));
  cells[column].setAttribute("aria-sort", down ? "descending" : "ascending");
  const rows = [...table.tBodies[0].rows].map((row) => [valueOf(row.cells[column]), row]);
  rows.sort((a, b) => (down ? -1 : 1) * compared(a[0], b[0]));
  table.tBodies[0].append(...rows.map(([, row]) => row));
}

const csv = (rows) => rows.map((row) => row.map(quoted).join(",") + "\n").join("");
const quoted = (text) => (/[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);

function startCells(run, number) {
  const part = slot("cells", run);
  const { header, rows, shown } = page.runs[number];
  const table = part.querySelector("table");
  const [search, every] = part.querySelectorAll("input");
  const said = part.querySelector("[role=status]");
  part.querySelector(".tools").hidden = false;

  function build() {
    const columns = every.checked
      ? header.map((name, i) => ({ title: name, sort: i, text: (row) => rows[row][i] }))
      : shown.titles.map((title, i) => ({ title, sort: shown.sort[i], text: (row) => shown.rows[row][i] }));
    const head = element("tr");
    for (const { title } of columns) head.append(element("th", title, { scope: "col" }));
    if (!every.checked) head.append(element("th", "visits, each", { scope: "col" }));
    table.tHead.replaceChildren(head);
    table.tBodies[0].replaceChildren(...rows.map((row, i) => {
      const made = element("tr");
      columns.forEach(({ sort, text }, column) => {
        const cell = element(column ? "td" : "th", text(i), column ? {} : { scope: "row" });
        const value = row[sort];
        if (value !== "" && Number.isFinite(Number(value))) {
          cell.dataset.value = value;
          cell.className = "number";
        }
        made.append(cell);
      });
      if (!every.checked) {
        const cell = element("td");
        if (page.runs[number].visits[i]) {
          const button = element("button", "see them", { type: "button", "aria-label": `visits to ${row[0]}, row ${i + 1}` });
          button.addEventListener("click", () => showVisits(run, number, i, true));
          cell.append(button);
        }
        made.append(cell);
      }
      return made;
    }));
    sortable(table, (column, down) => keep({ sort: (down ? "-" : "") + column }));
    if (state.sort !== undefined) {
      const column = Math.abs(Number(state.sort));
      if (column < table.tHead.rows[0].cells.length) sortBy(table, column, state.sort.startsWith("-"));
    }
    filter();
  }

  function filter() {
    const wanted = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    for (const row of table.tBodies[0].rows) {
      const words = [...row.cells].map((cell) => cell.textContent.toLowerCase());
      row.hidden = !wanted.every((word) => words.some((text) => (/^\d+$/.test(word) ? text === word : text.includes(word))));
      count += !row.hidden;
    }
    said.textContent = `${count} of ${rows.length} rows`;
  }

  search.addEventListener("input", () => { filter(); keep({ rows: search.value }); });
  every.addEventListener("change", () => { keep({ all: every.checked ? 1 : "", sort: "" }); build(); });
  part.querySelector(".download").addEventListener("click", () => {
    const file = new Blob([csv([header, ...rows])], { type: "text/csv" });
    const link = element("a", "", { href: URL.createObjectURL(file), download: "cells.csv" });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  });
  return () => {
    search.value = state.rows ?? "";
    every.checked = state.all === "1";
    build();
  };
}
