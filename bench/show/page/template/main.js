"use strict";
// Starts each part of each run, and shows the run that the link asks for.

const apply = runs.map((run, number) => {
  const parts = [startBatching, startLayer, startVisits, startCells].map((start) => start(run, number));
  return () => parts.forEach((part) => part());
});
const nav = slot("runs", document);

function show(choice) {
  const compare = !runs.length || (choice === "compare" && runs.length > 1);
  const chosen = compare ? -1 : Math.min(Math.max(Number(choice) || 0, 0), runs.length - 1);
  runs.forEach((run, number) => { run.hidden = number !== chosen; });
  if (comparison) comparison.hidden = !compare;
  for (const button of nav.querySelectorAll("button")) {
    button.setAttribute("aria-pressed", String(button.value === (compare ? "compare" : String(chosen))));
  }
  if (compare) return drawIn(comparison);
  apply[chosen]();
  return drawIn(runs[chosen]);
}

async function follow() {
  readState();
  hide(state.hide ? state.hide.split(",").map((place) => page.kernels[place]).filter(Boolean) : []);
  const drawn = show(state.run ?? 0);
  const target = state.at && document.getElementById(state.at);
  await drawn;
  if (target) target.scrollIntoView();
  document.documentElement.dataset.ready = "yes";
}

document.addEventListener("click", (event) => {
  const link = event.target.closest("a[href^='#']");
  if (!link) return;
  const target = document.getElementById(link.hash.slice(1));
  if (!target) return;
  event.preventDefault();
  target.scrollIntoView();
  target.focus({ preventScroll: true });
  keep({ at: target.id });
});

if (runs.length > 1) {
  nav.hidden = false;
  [...runs.map((run, number) => [page.runs[number].name, number]), ["compare", "compare"]].forEach(([name, value]) => {
    const button = element("button", name, { type: "button", value });
    button.addEventListener("click", () => { keep({ run: value, visits: "", sort: "" }); show(value); });
    nav.append(button);
  });
}
document.querySelectorAll("table.sortable").forEach((table) => sortable(table));
startKeys();
addEventListener("hashchange", follow);
follow();
