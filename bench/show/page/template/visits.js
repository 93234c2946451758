"use strict";
// Every visit to one cell: those that count, adjusted and as found, and those that were set aside.

function visitsSpec(cell) {
  const rows = [];
  cell.rows.forEach(([pass, seconds, found, waited, counts]) => {
    const told = `pass ${pass}\n${counts ? "counts" : "does not count"}\nwaited for a core ${waited} %`;
    if (seconds !== null) rows.push({ pass, y: seconds, what: "adjusted", said: `${si(seconds, "s")}, adjusted\n${told}` });
    const what = counts ? "as found" : "set aside";
    if (found !== seconds) rows.push({ pass, y: found, what, said: `${si(found, "s")}, ${what}\n${told}` });
  });
  const what = { field: "what", type: "nominal", title: null, legend: { orient: "top", labelColor: "var(--muted)", symbolStrokeColor: "var(--ink)" } };
  const kinds = ["adjusted", "as found", "set aside"];
  return {
    height: 260,
    data: { name: "cells", values: rows },
    mark: { type: "point", size: 50, opacity: 0.9 },
    encoding: {
      x: { field: "pass", type: "quantitative", axis: { title: "pass of the run", tickMinStep: 1 }, scale: { zero: false, nice: true } },
      y: { field: "y", type: "quantitative", scale: { zero: false, nice: true }, axis: { title: "seconds", labelExpr: "format(datum.value, '~s') + 's'" } },
      shape: { ...what, scale: { domain: kinds, range: ["circle", "diamond", "cross"] } },
      stroke: { ...what, scale: { domain: kinds, range: ["var(--ink)", "var(--muted)", "var(--accent)"] } },
      fill: { condition: { test: "datum.what === 'adjusted'", value: "var(--ink)" }, value: null },
      tooltip: { field: "said", type: "nominal" },
      description: { field: "said", type: "nominal" },
    },
  };
}

function showVisits(run, number, index, go = false) {
  const part = slot("pick", run);
  const cell = page.runs[number].visits[index];
  if (!cell) return;
  part.querySelector("select").value = index;
  part.querySelector("[role=status]").textContent = cell.said;
  part.querySelector("tbody").replaceChildren(...cell.rows.map(([pass, seconds, found, waited, counts]) => {
    const row = element("tr");
    row.append(element("th", pass, { scope: "row" }));
    for (const value of [seconds, found]) {
      row.append(value === null ? element("td", "") : element("td", si(value, "s"), { class: "number", "data-value": value }));
    }
    row.append(element("td", `${waited} %`, { class: "number", "data-value": waited }), element("td", counts ? "yes" : "no"));
    return row;
  }));
  draw(part.querySelector(".plot"), visitsSpec(cell), cell.said);
  if (go) {
    keep({ visits: index });
    part.scrollIntoView({ block: "start" });
    part.querySelector("select").focus({ preventScroll: true });
  }
}

function startVisits(run, number) {
  const part = slot("pick", run);
  const select = part.querySelector("select");
  const known = page.runs[number].visits;
  const first = known.findIndex(Boolean);
  if (first < 0) return () => {};
  part.hidden = false;
  known.forEach((cell, i) => { if (cell) select.append(element("option", cell.name, { value: i })); });
  select.addEventListener("change", () => { keep({ visits: select.value }); showVisits(run, number, Number(select.value)); });
  sortable(part.querySelector("table"));
  return () => showVisits(run, number, known[state.visits] ? Number(state.visits) : page.runs[number].headline ?? first);
}
