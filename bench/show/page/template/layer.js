"use strict";
// "Your layer": the cost model of bench.stats.prediction, whose fit the page holds.

function terms({ n_in, n_units, batch }) {
  const outputs = batch * n_units;
  return [2 * outputs * n_in + outputs, n_in * n_units, outputs, n_units, batch, batch * n_in, 1];
}

function predicted(model, layer) {
  const place = [layer.n_in, layer.n_units, layer.batch].map(Math.log2);
  const costs = terms(layer).map((count, i) => count * model.each[i]);
  const sum = costs.reduce((a, b) => a + b, 0);
  const away = model.places.map((other) => Math.hypot(...other.map((at, i) => at - place[i])));
  const pull = away.reduce((total, d, i) => total + model.pulls[i] * Math.exp(-d / page.reach), 0);
  const seconds = sum * Math.exp(pull);
  const nearest = Math.min(...away);
  const wide = model.factor === null ? null : model.factor * Math.sqrt(page.nugget + nearest / page.reach);
  const parts = { overhead: 0, arithmetic: 0, memory: 0 };
  page.parts.forEach((part, i) => { parts[part] += costs[i] / sum; });
  const axes = place.map((at, axis) => model.places.map((other) => other[axis]));
  const inside = place.every((at, axis) => at >= Math.min(...axes[axis]) && at <= Math.max(...axes[axis]));
  return { seconds, low: seconds / Math.exp(wide), high: seconds * Math.exp(wide), known: wide !== null, parts, inside };
}

function startLayer(run, number) {
  const { models } = page.runs[number];
  const part = slot("layer", run);
  if (!models.length) return () => {};
  part.hidden = false;
  const form = part.querySelector("form");
  for (const [i, known] of page.layers.entries()) form.known.append(element("option", known.name, { value: i }));

  function show() {
    const layer = {};
    for (const name of ["n_in", "n_units", "batch"]) layer[name] = Number(form[name].value);
    const said = slot("layer-said", part);
    const body = slot("layer-table", part).tBodies[0];
    if (!form.checkValidity() || !Object.values(layer).every(Number.isInteger)) {
      said.textContent = "Give whole numbers from 1 to 1,048,576.";
      body.replaceChildren();
      return;
    }
    const answers = models.map((model) => ({ model, ...predicted(model, layer) })).sort((a, b) => a.seconds - b.seconds);
    const outside = answers.filter((answer) => !answer.inside).length;
    said.textContent = outside === 0
      ? "This layer lies within what was measured here."
      : `Outside what was measured for ${outside} of ${answers.length} kernels: theirs is an extrapolation, and may be far off.`;
    body.replaceChildren(...answers.map(({ model, seconds, low, high, known, parts, inside }) => {
      const row = element("tr", undefined, { "data-kernel": model.kernel });
      row.hidden = hidden.has(model.kernel);
      const head = kernelCell(model.kernel);
      if (model.device !== "cpu") head.append(element("small", model.device));
      const here = model.seconds[model.sizes.findIndex((size) => size.join() === Object.values(layer).join())];
      const split = Object.entries(parts).map(([name, share]) => `${name} ${Math.round(100 * share)} %`).join(", ");
      row.append(head, element("td", si(seconds, "s"), { class: "number", "data-value": seconds }),
        element("td", here ? si(here, "s") : ""),
        element("td", known ? `${si(low, "s")} to ${si(high, "s")}${inside ? "" : " (extrapolated)"}` : "too few cells"),
        element("td", split), element("td", model.error));
      return row;
    }));
  }

  form.addEventListener("input", (event) => {
    const known = page.layers[form.known.value];
    if (event.target === form.known && known) {
      for (const name of ["n_in", "n_units", "batch"]) form[name].value = known[name];
    } else if (event.target !== form.known) {
      form.known.value = "";
    }
    show();
    keep({ layer: [form.n_in.value, form.n_units.value, form.batch.value].join("x") });
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  return () => {
    const sizes = /^(\d+)x(\d+)x(\d+)$/.exec(state.layer ?? "");
    if (sizes) [form.n_in.value, form.n_units.value, form.batch.value] = sizes.slice(1);
    show();
  };
}
