"use strict";
// Text from the run is data: it reaches the page by textContent alone.

const page = JSON.parse(document.getElementById("page-data").textContent);
const runs = [...document.querySelectorAll("article")];
const comparison = document.querySelector("[data-slot=comparison]");

const slot = (name, inside) => inside.querySelector(`[data-slot=${name}]`);

function element(tag, text, attributes = {}) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

function swatch(kernel) {
  const mine = page.kernels.indexOf(kernel);
  const made = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", `#k${mine}`);
  made.setAttribute("class", `swatch k${mine}`);
  made.setAttribute("aria-hidden", "true");
  made.append(use);
  return made;
}

function kernelCell(kernel) {
  const cell = element("th", undefined, { scope: "row" });
  const name = element("span", undefined, { class: "kernel" });
  name.append(swatch(kernel), kernel);
  cell.append(name);
  return cell;
}

// 12.3456e-6, "s" -> "12.3 µs"; as bench.terminal.units.si says it
function si(value, unit) {
  if (!value) return `0 ${unit}`;
  const [digits, exponent] = value.toExponential(2).split("e").map(Number);
  const power = Math.min(Math.max(Math.floor(exponent / 3) * 3, -12), 15);
  const prefix = "pnµm kMGTP"[power / 3 + 4].trim();
  const places = Math.max(2 - (exponent - power), 0);
  return `${(digits * 10 ** (exponent - power)).toFixed(places)} ${prefix}${unit}`;
}

// The view, in the link's fragment: #run=1&hide=numpy_dot&rows=1000
const state = {};

function readState() {
  for (const name of Object.keys(state)) delete state[name];
  for (const [name, value] of new URLSearchParams(location.hash.slice(1))) state[name] = value;
}

function keep(changes) {
  for (const [name, value] of Object.entries(changes)) {
    if (value === "" || value === undefined || value === null) delete state[name];
    else state[name] = String(value);
  }
  const hash = new URLSearchParams(state).toString();
  history.replaceState(null, "", `#${hash}`);
}
