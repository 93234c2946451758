"use strict";
// Line and dot charts, drawn by Vega from specifications that are plain data.

const looks = (larger) => ({
  background: null,
  font: "system-ui, sans-serif",
  view: { stroke: null },
  padding: { left: 2, right: 10, top: 8, bottom: 2 },
  axis: {
    labelColor: "var(--muted)", titleColor: "var(--muted)", gridColor: "var(--grid)",
    domainColor: "var(--muted)", tickColor: "var(--muted)", labelFontSize: 12 * larger, titleFontSize: 12 * larger,
    titleFontWeight: "normal", labelOverlap: "greedy", labelSeparation: 5, labelFlush: false,
  },
  axisX: { grid: false },
  axisY: { domain: false, titleAngle: 0, titleAlign: "left", titleAnchor: "end", titleX: 0, titleY: -10,
    titleBaseline: "bottom" },
  text: { fontSize: 12 * larger, lineHeight: 12 * larger },
  line: { strokeWidth: 2 * larger },
  rule: { strokeWidth: 1.5 * larger },
  legend: { labelFontSize: 12 * larger },
});

const views = new Map();
const hidden = new Set();
const tip = document.querySelector(".tip");

function shownValues(spec) {
  return spec.data.values.filter((row) => !hidden.has(row.kernel));
}

function draw(place, spec, label) {
  views.get(place)?.view.finalize();
  const larger = parseFloat(getComputedStyle(document.documentElement).fontSize) / 16;
  const whole = { ...spec, data: { ...spec.data, values: shownValues(spec) } };
  const full = { width: "container", autosize: { type: "fit", contains: "padding" }, ...whole, height: spec.height * larger };
  const compiled = vegaLite.compile({ ...full, description: label }, { config: looks(larger) }).spec;
  const view = new vega.View(vega.parse(compiled, {}, { ast: true }), {
    expr: vega.expressionInterpreter, renderer: "svg", container: place, hover: true,
    logLevel: vega.Error,
    loader: { load: () => Promise.reject(Error("nothing is fetched")), sanitize: () => Promise.reject(Error("no")) },
  });
  view.tooltip((_, event, item, value) => showTip(event, value));
  views.set(place, { view, spec });
  return view.runAsync();
}

function showTip(event, value) {
  tip.hidden = !value;
  if (!value) return;
  tip.replaceChildren(...String(value).split("\n").map((line) => element("div", line)));
  const { clientX, clientY } = event;
  const left = Math.min(clientX + 14, innerWidth - tip.offsetWidth - 8);
  tip.style.left = `${Math.max(left, 4)}px`;
  tip.style.top = `${clientY + 18 + tip.offsetHeight > innerHeight ? clientY - tip.offsetHeight - 10 : clientY + 18}px`;
}

async function drawIn(part) {
  for (const place of part.querySelectorAll(".plot[data-plot]")) {
    if (!views.has(place)) {
      await draw(place, page.plots[place.dataset.plot], place.getAttribute("aria-label"));
      await new Promise((done) => setTimeout(done)); // the reader may scroll meanwhile
    }
  }
}

function hide(names) {
  hidden.clear();
  names.forEach((name) => hidden.add(name));
  for (const { view, spec } of views.values()) {
    view.change("cells", vega.changeset().remove(() => true).insert(shownValues(spec))).run();
  }
  for (const button of document.querySelectorAll(".key button")) {
    button.setAttribute("aria-pressed", String(!hidden.has(button.dataset.kernel)));
  }
  for (const row of document.querySelectorAll("tr[data-kernel]")) row.hidden = hidden.has(row.dataset.kernel);
}

function startKeys() {
  document.addEventListener("click", (event) => {
    const button = event.target.closest(".key button");
    if (!button) return;
    const names = new Set(hidden);
    if (!names.delete(button.dataset.kernel)) names.add(button.dataset.kernel);
    hide(names);
    keep({ hide: [...names].map((name) => page.kernels.indexOf(name)).join(",") });
  });
  document.addEventListener("scroll", () => { tip.hidden = true; }, { passive: true });
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") tip.hidden = true; });
}
