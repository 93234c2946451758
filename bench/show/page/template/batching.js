"use strict";
// What each kernel does at a batch: the slider stops at those that were measured.

function startBatching(run, number) {
  const { batches } = page.runs[number];
  const part = slot("slider", run);
  const [input, output] = [part.querySelector("input"), part.querySelector("output")];
  if (batches.length < 2) return () => {};
  part.hidden = false;
  input.max = batches.length - 1;
  function show() {
    const { batch, kernels } = batches[input.value];
    output.textContent = batch;
    input.setAttribute("aria-valuetext", `batch ${batch}`);
    part.querySelector("tbody").replaceChildren(...kernels.map((known) => {
      const row = element("tr", undefined, { "data-kernel": known.kernel });
      row.hidden = hidden.has(known.kernel);
      row.append(kernelCell(known.kernel));
      for (const text of [known.launch, known.each, known.share]) row.append(element("td", text, { class: "number" }));
      const last = element("td", known.unused);
      if (known.used !== null) {
        last.prepend(element("meter", "", { min: 0, max: 100, value: known.used, "aria-label": `used by ${known.kernel}` }));
      }
      row.append(last);
      return row;
    }));
  }
  input.addEventListener("input", () => { show(); keep({ batch: batches[input.value].batch }); });
  return () => {
    const place = batches.findIndex((known) => String(known.batch) === state.batch);
    input.value = Math.max(place, 0);
    show();
  };
}
