"use strict";
// The grid of all images, the drawer, filters, links, keyboard and export.
// Data come from memoTf.put; they are shown as text only (textContent), never
// as markup. Nothing is loaded but files beside this page.
(() => {
const KINDS = {u1: Uint8Array, u2: Uint16Array, i4: Int32Array, f4: Float32Array};
const values = window.memoTf.values;
const byId = (id) => document.getElementById(id);
let meta, examples, tests, grid, rows;
let order = new Int32Array(0);  // ids that pass the filters, sorted
let at = 0;  // position of the active tile
const chosen = new Set();
const columns = new Map();  // unpacked arrays
const charts = new Map();  // Bokeh documents by name
const DEFAULTS = {group: "", sort: "low", up: "", q: "", label: "", said: "", planted: "", shape: "", only: "", from: "", to: "", open: ""};
let state = {...DEFAULTS};

// ---- data ------------------------------------------------------------------

function unpack(key, text) {
  // "f4:<base64>" to a typed array, kept under `key`.
  if (text == null) return null;
  if (!columns.has(key)) {
    const raw = atob(text.slice(3));
    const bytes = new Uint8Array(raw.length);
    for (let i = 0; i < raw.length; i++) bytes[i] = raw.charCodeAt(i);
    columns.set(key, new KINDS[text.slice(0, 2)](bytes.buffer));
  }
  return columns.get(key);
}
const example = (name) => unpack(`examples/${name}`, examples[name]);
const own = (g, name) => unpack(`${g}/${name}`, values[`group:${g}`][name]);
const isRead = (g) => `group:${g}` in values;

function whenRead(name, call) {
  // Calls once the data of that name are there, and reads their file if needed.
  if (name in values) return call();
  const first = !(name in window.memoTf.waiting);
  (window.memoTf.waiting[name] ||= []).push(call);
  if (!first) return;
  const script = document.createElement("script");
  script.src = values.beside.late[name];
  script.onerror = () => say(`${script.src} cannot be read: keep the folder data/ beside this page.`);
  document.body.append(script);
}
const withGroups = (indices, call) => {
  const next = indices.find((g) => !isRead(g));
  if (next === undefined) return call();
  whenRead(`group:${next}`, () => withGroups(indices, call));
};
let current = 0;  // the group that is shown: its data are read
const group = () => current;
const wanted = () => state.group === "" ? meta.primary : Number(state.group);
const className = (k) => k >= 0 && k < meta.classes.length ? meta.classes[k] : "?";
const sourceOf = (n) => examples.source ? examples.source[n] : "";
const nameOf = (n) => sourceOf(n) || `image ${n}`;

let offsets = new Map();
function answers(g, n) {
  // [[class, runs], …] of the runs that held example n out, most runs first.
  if (!offsets.has(g)) {
    const lengths = own(g, "answers"), starts = new Int32Array(lengths.length + 1);
    for (let i = 0; i < lengths.length; i++) starts[i + 1] = starts[i] + lengths[i];
    offsets.set(g, starts);
  }
  const starts = offsets.get(g), found = [];
  for (let i = starts[n]; i < starts[n + 1]; i++) found.push([own(g, "answer")[i], own(g, "answerRuns")[i]]);
  return found;
}
function firstAnswers(g) {
  // The most frequent held-out answer of every example; -1 without any.
  const key = `${g}/first`;
  if (!columns.has(key)) {
    const found = new Int32Array(meta.num).fill(-1);
    answers(g, 0);
    const starts = offsets.get(g), classes = own(g, "answer");
    for (let n = 0; n < meta.num; n++) if (starts[n] < starts[n + 1]) found[n] = classes[starts[n]];
    columns.set(key, found);
  }
  return columns.get(key);
}
const ladderOf = (g) => values.sizes.findIndex((s) => s.groups.includes(g));
const ladder = (k, name) => unpack(`sizes:${k}/${name}`, values.sizes[k][name]);
const pairsOf = (g) => values.influence.findIndex((p) => p.group === g);
const pair = (k, name) => unpack(`influence:${k}/${name}`, values.influence[k][name]);

// ---- elements --------------------------------------------------------------

function h(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "class") node.className = value;
    else if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value);
  }
  node.append(...children.filter((c) => c !== null && c !== undefined && c !== ""));
  return node;
}
function svg(tag, attributes, text) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  if (text !== undefined) node.textContent = text;
  return node;
}
const number = (value, digits = 2) => Number.isFinite(value) ? value.toFixed(digits).replace("-", "−") : "–";
const signed = (value) => (value > 0 ? "+" : "") + number(value);
const counted = (count, noun) => `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;
const say = (text) => { byId("count").textContent = text; };

function paint(node, slot, width) {
  // Shows the image of a slot in a node of this width in pixels.
  const cell = meta.cell;
  const scale = width / Math.max(cell.width, cell.height);
  node.style.width = `${width}px`;
  node.style.height = `${width}px`;
  if (!cell.shown || slot < 0) { node.classList.add("none"); return; }
  const sheet = Math.floor(slot / cell.cells), place = slot % cell.cells;
  const [w, t] = [cell.width * scale, cell.height * scale];
  node.style.width = `${w}px`;
  node.style.height = `${t}px`;
  node.style.margin = `${(width - t) / 2}px ${(width - w) / 2}px`;
  node.style.backgroundImage = `url("${values.beside.sheets[sheet]}")`;
  node.style.backgroundSize = `${cell.columns * w}px ${cell.rows * t}px`;
  node.style.backgroundPosition = `${-(place % cell.columns) * w}px ${-Math.floor(place / cell.columns) * t}px`;
}
const slotOf = (kind, n) => kind === "test" ? tests[n].slot : example("slot")[n];
function sprite(kind, n, width) {
  const node = h("span", {class: "sprite", "aria-hidden": "true"});
  paint(node, slotOf(kind, n), width);
  return node;
}
function paintPlaced() {
  // All widths are read before anything is written: one layout, not hundreds.
  const nodes = [...document.querySelectorAll("[data-sprite]")];
  const widths = nodes.map((node) => node.clientWidth);
  for (const [i, node] of nodes.entries()) {
    const [kind, n] = node.dataset.sprite.split(":"), width = widths[i];
    if (!width || (kind === "test" && !tests[n])) continue;
    const inner = h("span", {class: "sprite"});
    paint(inner, slotOf(kind, Number(n)), width);
    node.replaceChildren(inner);
  }
}

// ---- view: filters, order, address ------------------------------------------

const sorted = new Map();
function keyOf(sort) {
  const g = group();
  if (sort === "id") return Float32Array.from({length: meta.num}, (_, n) => -n);
  if (sort === "change") { const k = ladderOf(g); return k < 0 ? own(g, "score") : ladder(k, "change"); }
  if (sort === "conflict") return Float32Array.from(example("issue"), (v, n) => (v & 2 ? 2 : 0) + (v & 1 ? 1 : 0) + own(g, "score")[n] / 4);
  if (sort === "influence") {
    const found = new Float32Array(meta.num), k = pairsOf(g);
    if (k >= 0) pair(k, "train").forEach((n, i) => { found[n] = Math.max(found[n], pair(k, "value")[i]); });
    return found;
  }
  if (sort.startsWith("proxy:")) {
    const k = Number(sort.slice(6)), proxy = values.proxies[k];
    const raw = unpack(`proxy:${k}`, proxy.values);
    return proxy.sign < 0 ? raw.map((v) => -v) : raw;
  }
  if (sort === "margin") return own(g, "margin") || own(g, "score");
  return own(g, sort === "score" ? "score" : "low");
}
function sortedIds() {
  // All ids by the chosen key, largest first; ties by score, then by the label's
  // held-out probability; what has no value is last in both directions.
  const key = `${group()}/${state.sort}/${state.up}`;
  if (!sorted.has(key)) {
    const main = keyOf(state.sort), score = own(group(), "score"), prob = own(group(), "outProb");
    const sign = state.up ? -1 : 1;
    const ids = Int32Array.from({length: meta.num}, (_, n) => n);
    ids.sort((a, b) => {
      const x = main[a], y = main[b];
      if (x !== x || y !== y) return (x !== x) - (y !== y) || a - b;
      return sign * (y - x) || score[b] - score[a] || prob[a] - prob[b] || a - b;
    });
    if (sorted.size > 12) sorted.clear();
    sorted.set(key, ids);
  }
  return sorted.get(key);
}
let lowered = null, pending = 0;
function matches(text) {
  const query = text.trim().toLowerCase();
  if (!query) return null;
  const id = /^#?\d+$/.test(query) ? Number(query.replace("#", "")) : -1;
  if (examples.source) lowered ||= examples.source.map((s) => s.toLowerCase());
  return (n) => n === id || (lowered !== null && lowered[n].includes(query));
}
function refilter() {
  const g = group(), score = own(g, "score"), low = own(g, "low");
  const tests_ = [], add = (use, test) => { if (use) tests_.push(test); };
  const label = example("label"), issue = example("issue"), kind = example("kind");
  const query = matches(state.q), k = ladderOf(g);
  add(query, query);
  add(state.label !== "", (n) => label[n] === Number(state.label));
  if (state.said !== "") { const first = firstAnswers(g); add(true, (n) => first[n] === Number(state.said)); }
  add(kind && state.planted !== "", (n) => state.planted === "any" ? kind[n] > 0 : kind[n] === Number(state.planted));
  if (state.shape !== "" && k >= 0) { const shape = ladder(k, "shape"); add(true, (n) => shape[n] === Number(state.shape)); }
  add(state.only === "certain", (n) => low[n] > meta.memorized);
  add(state.only === "label", (n) => issue[n] & 1);
  add(state.only === "conflict", (n) => issue[n] & 2);
  add(state.only === "chosen", (n) => chosen.has(n));
  const from = state.from === "" ? -Infinity : Number(state.from), to = state.to === "" ? Infinity : Number(state.to);
  const ranged = state.from !== "" || state.to !== "";
  const ids = sortedIds(), found = new Int32Array(ids.length);
  let count = 0;
  const inBins = histogramCounts();
  // A score at the end of a range, rounded to float32, is in the range.
  const nearly = 1e-6;
  for (const n of ids) {
    let passes = true;
    for (const test of tests_) if (!test(n)) { passes = false; break; }
    if (!passes) continue;
    if (inBins) inBins.add(score[n]);
    if (ranged && !(score[n] >= from - nearly && score[n] <= to + nearly)) continue;
    found[count++] = n;
  }
  order = found.slice(0, count);
  if (inBins) { clearTimeout(pending); pending = setTimeout(inBins.show, 60); }
  say(count === meta.num ? `${counted(count, "image")}, all of them` : `${counted(count, "image")} of ${meta.num.toLocaleString("en")}`);
  byId("nothing").hidden = count > 0;
  byId("rows").hidden = count === 0;
  sayExport();
}
function show({keep = false} = {}) {
  // Filters, sorts and draws anew; `keep` the active image where it passes.
  const g = wanted();
  withGroups([g], () => {
    if (g !== wanted()) return;
    const turned = g !== current, active = order[at];
    current = g;
    refilter();
    at = keep ? Math.max(0, order.indexOf(active)) : 0;
    if (!keep) grid.scrollTop = 0;
    layOut();
    if (turned && state.open) fillDrawer();
  });
}
function writeAddress(push) {
  const parts = new URLSearchParams();
  for (const [name, value] of Object.entries(state)) if (value !== DEFAULTS[name]) parts.set(name, value);
  const text = `#${parts}`;
  if (text === location.hash || (text === "#" && !location.hash)) return;
  try { history[push ? "pushState" : "replaceState"](null, "", text); } catch { location.hash = text; }
}
function readAddress() {
  // True if the address names a view, not a section of the page.
  const text = location.hash.slice(1);
  if (text && !text.includes("=")) return false;
  const parts = new URLSearchParams(text);
  state = {...DEFAULTS};
  for (const name of Object.keys(DEFAULTS)) if (parts.has(name)) state[name] = parts.get(name);
  if (!/^\d+$/.test(state.group) || Number(state.group) >= meta.groups.length) state.group = "";
  if (![...byId("sort").options].some((o) => o.value === state.sort)) state.sort = "low";
  return true;
}
function change(fields, options) {
  Object.assign(state, fields);
  fillControls();
  writeAddress(false);
  show(options);
}

// ---- grid ------------------------------------------------------------------

let cell = 96, across = 1, rowHeight = 1, gap = 0;
const tiles = new Map();
function layOut() {
  cell = Number(byId("tile").value);
  const width = rows.clientWidth || grid.clientWidth;
  across = Math.max(1, Math.floor(width / (cell + 14)));
  gap = (width - across * (cell + 12)) / across;
  rowHeight = cell + 62;
  rows.style.height = `${Math.ceil(order.length / across) * rowHeight}px`;
  for (const node of tiles.values()) node.remove();
  tiles.clear();
  draw();
}
function draw() {
  const from = Math.max(0, Math.floor(grid.scrollTop / rowHeight) - 1) * across;
  const to = Math.min(order.length, (Math.ceil((grid.scrollTop + grid.clientHeight) / rowHeight) + 1) * across);
  for (const [position, node] of tiles) if (position < from || position >= to) { node.remove(); tiles.delete(position); }
  const added = document.createDocumentFragment();
  for (let position = from; position < to; position++) if (!tiles.has(position)) {
    const node = tile(position);
    tiles.set(position, node);
    added.append(node);
  }
  rows.append(added);
  mark();
}
function tile(position) {
  const n = order[position], g = group();
  const label = example("label")[n], first = firstAnswers(g)[n], kind = example("kind");
  const differs = first >= 0 && first !== label;
  const node = h("div", {
    class: "tile", role: "option", id: `tile-${position}`, "aria-selected": String(chosen.has(n)),
    "aria-posinset": position + 1, "aria-setsize": order.length,
    title: `${nameOf(n)}\nlabelled ${className(label)}${first >= 0 ? `, held-out models say ${className(first)}` : ""}`,
  });
  node.dataset.position = position;
  node.dataset.id = n;
  node.style.width = `${cell + 12}px`;
  node.style.height = `${rowHeight - 4}px`;
  node.style.left = `${(position % across) * (cell + 12 + gap) + gap / 2}px`;
  node.style.top = `${Math.floor(position / across) * rowHeight + 2}px`;
  node.append(sprite("train", n, cell), meter(g, n));
  node.append(h("div", {class: "line"}, h("b", {}, className(label)), h("span", {class: "soft num"}, number(own(g, "score")[n]))));
  const name = sourceOf(n) ? sourceOf(n).split("/").pop() : `id ${n}`;
  node.append(h("div", {class: "line"}, differs ? h("span", {class: "no"}, `or ${className(first)}?`) : h("span", {class: "soft"}, name)));
  if (kind && kind[n]) node.append(h("span", {class: "corner", title: `planted: ${meta.kinds[kind[n] - 1]}`}, "P"));
  return node;
}
function meter(g, n) {
  // The score (a mark) on its 95 % interval (a bar), from 0 to 1.
  const clip = (v) => 100 * Math.min(1, Math.max(0, v));
  const [low, high, score] = [own(g, "low")[n], own(g, "high")[n], own(g, "score")[n]];
  const node = h("div", {class: "meter", "aria-hidden": "true"});
  if (!Number.isFinite(score)) return node;
  const bar = h("i"), point = h("b");
  bar.style.left = `${clip(low)}%`;
  bar.style.right = `${100 - clip(high)}%`;
  point.style.left = `${clip(score)}%`;
  node.append(bar, point);
  return node;
}
function mark() {
  for (const [position, node] of tiles) node.classList.toggle("at", position === at);
  if (tiles.has(at)) grid.setAttribute("aria-activedescendant", `tile-${at}`);
  else grid.removeAttribute("aria-activedescendant");
}
function moveTo(position) {
  if (!order.length) return;
  at = Math.min(order.length - 1, Math.max(0, position));
  const top = Math.floor(at / across) * rowHeight;
  if (top < grid.scrollTop) grid.scrollTop = top;
  if (top + rowHeight > grid.scrollTop + grid.clientHeight) grid.scrollTop = top + rowHeight - grid.clientHeight;
  draw();
}
function choose(position) {
  const n = order[position];
  if (n === undefined) return;
  if (!chosen.delete(n)) chosen.add(n);
  if (tiles.has(position)) tiles.get(position).setAttribute("aria-selected", String(chosen.has(n)));
  sayExport();
}
function onGridKey(event) {
  const page = across * Math.max(1, Math.floor(grid.clientHeight / rowHeight));
  const moves = {ArrowRight: 1, ArrowLeft: -1, ArrowDown: across, ArrowUp: -across, PageDown: page, PageUp: -page, Home: -at, End: order.length};
  if (event.key in moves) moveTo(at + moves[event.key]);
  else if (event.key === "Enter" && order.length) openImage(`train:${order[at]}`);
  else if (event.key === " ") choose(at);
  else return;
  event.preventDefault();
}

// ---- drawer ----------------------------------------------------------------

let opener = null;
function openImage(what) {
  if (!opener) opener = document.activeElement;
  state.open = what;
  writeAddress(true);
  fillDrawer();
  byId("drawer-close").focus();
}
function closeDrawer() {
  state.open = "";
  writeAddress(false);
  fillDrawer();
  if (opener && document.contains(opener)) opener.focus();
  opener = null;
}
function fillDrawer() {
  const drawer = byId("drawer"), [kind, id] = state.open.split(":");
  const n = Number(id);
  const exists = /^\d+$/.test(id || "") && (kind === "train" ? n < meta.num : kind === "test" && id in tests);
  drawer.hidden = !exists;
  if (!exists) return;
  // Elements are made anew, so the focus goes to the one of the same label.
  const held = drawer.contains(document.activeElement) && (document.activeElement.getAttribute("aria-label") || "Close");
  const name = kind === "train" ? nameOf(n) : tests[n].source || `test image ${n}`;
  const top = h("div", {class: "drawer-top"}, h("h2", {id: "drawer-title"}, name));
  if (kind === "train") for (const [text, label, step] of [["‹", "Previous image", -1], ["›", "Next image", 1]])
    top.append(h("button", {type: "button", "aria-label": label, title: label, onclick: () => stepImage(step)}, text));
  top.append(h("button", {type: "button", id: "drawer-close", "aria-label": "Close", title: "Close (Esc)", onclick: closeDrawer}, "✕"));
  const image = h("div", {class: "drawer-image"}, sprite(kind, n, 256));
  drawer.replaceChildren(top, image, ...(kind === "train" ? aboutTrain(n) : aboutTest(n)));
  drawer.scrollTop = 0;
  if (held) [...drawer.querySelectorAll("button")].find((b) => b.getAttribute("aria-label") === held)?.focus();
  // The other models' scores may be in files that are not read yet.
  const all = meta.groups.map((_, g) => g);
  if (kind === "train" && !all.every(isRead)) withGroups(all, () => { if (state.open === `train:${n}`) fillDrawer(); });
}
function stepImage(step) {
  const n = Number(state.open.split(":")[1]), position = order.indexOf(n);
  if (!order.length) return;
  moveTo(position < 0 ? at : position + step);
  state.open = `train:${order[at]}`;
  writeAddress(false);
  fillDrawer();
}
function facts(pairs) {
  const list = h("dl", {class: "facts"});
  for (const [name, ...value] of pairs) list.append(h("dt", {}, name), h("dd", {}, ...value));
  return list;
}
function aboutTrain(n) {
  const g = group(), kind = example("kind"), label = example("label")[n], parts = [];
  const value = (name) => own(g, name)[n];
  parts.push(h("div", {class: "score"}, h("b", {}, number(value("score"))), h("span", {}, `memorization, 95 % interval ${number(value("low"))} to ${number(value("high"))}`)));
  parts.push(h("p", {}, verdict(n, g)));
  const rows_ = [["given label", className(label)]];
  if (kind && kind[n]) {
    rows_.push(["planted", meta.kinds[kind[n] - 1]]);
    if (example("clean")[n] !== label) rows_.push(["label before", className(example("clean")[n])]);
  }
  rows_.push(["trained on it", `${value("inRight")} of ${value("inAll")} models are right`]);
  rows_.push(["held it out", `${value("outRight")} of ${value("outAll")} models are right`]);
  if (values[`group:${g}`].margin) rows_.push(["by margin", `${number(value("margin"))} (${number(value("marginLow"))} to ${number(value("marginHigh"))})`]);
  if (sourceOf(n)) rows_.push(["file", sourceOf(n)]);
  rows_.push(["id", String(n)], ["model", meta.groups[g].title]);
  parts.push(facts(rows_));
  parts.push(h("button", {type: "button", onclick: (event) => { toggleChosen(n); event.target.textContent = chosen.has(n) ? "Chosen ✓" : "Choose"; }}, chosen.has(n) ? "Chosen ✓" : "Choose"));
  parts.push(h("h3", {}, "What models that never saw it say"), bars(answers(g, n), label));
  parts.push(...trajectory(n, g), ...overTraining(n, g), ...otherModels(n, g), ...twins(n), ...influenced(n, g), ...proxyRows(n));
  return parts;
}
function verdict(n, g) {
  const low = own(g, "low")[n], issue = example("issue")[n], said = [];
  if (!Number.isFinite(own(g, "score")[n])) said.push("It was never held out or never trained on, so it has no score.");
  else if (low > meta.memorized) said.push("Memorized for certain: the lower end of the interval is above 0.5.");
  else if (own(g, "high")[n] < meta.memorized) said.push("Not memorized: the upper end of the interval is under 0.5.");
  else said.push("These runs cannot tell whether it is memorized: the interval includes 0.5.");
  if (issue & 1) said.push(`The label is suspected to be wrong (${meta.groups[meta.primary].title}).`);
  if (issue & 2) said.push("A duplicate has another label.");
  return said.join(" ");
}
function toggleChosen(n) {
  if (!chosen.delete(n)) chosen.add(n);
  layOut();
  sayExport();
}
function bars(list, label, all) {
  if (!list.length) return h("p", {}, "No model held it out.");
  const box = h("div", {class: "answers"}), total = all || list.reduce((sum, [, runs]) => sum + runs, 0);
  const listed = list.filter(([k], i) => i < 8 || k === label);
  for (const [k, runs] of listed) {
    const bar = h("i", {class: k === label ? "own" : ""});
    bar.style.width = `${100 * runs / total}%`;
    box.append(h("span", {class: k === label ? "own-name" : ""}, className(k) + (k === label ? " (label)" : "")), bar, h("span", {}, `${runs}/${total}`));
  }
  const rest = total - listed.reduce((sum, [, runs]) => sum + runs, 0);
  if (rest) box.append(h("span", {}, "other classes"), h("span"), h("span", {}, `${rest}/${total}`));
  return box;
}
function trajectory(n, g) {
  // Memorization over the sizes of this group's recipe and subsets.
  const k = ladderOf(g);
  const members = (k >= 0 ? values.sizes[k].groups : []).filter(isRead);
  if (members.length < 2) return [];
  const get = (name) => members.map((m) => own(m, name)[n]);
  const root = curve("Memorization by size", members.map((m) => meta.groups[m].model), get("score"), get("low"), get("high"));
  if (!root) return [];
  const q = ladder(k, "q")[n], delta = ladder(k, "change")[n];
  const said = isNamed(q)
    ? `${delta > 0 ? "Rises" : "Falls"} from the smallest to the largest size: ${signed(delta)} (${signed(ladder(k, "low")[n])} to ${signed(ladder(k, "high")[n])}), ${qWords(q)}.`
    : `No change over sizes is shown for this image (${qWords(q)}).`;
  return [h("h3", {}, "Over model sizes"), root, h("p", {class: "hint"}, `${said} Band: 95 % intervals.`)];
}
function overTraining(n, g) {
  // Memorization after chosen epochs of this group's runs.
  const epochs = values[`group:${g}`].epochs;
  if (!epochs) return [];
  const get = (name) => epochs.map((_, e) => own(g, name)[e * meta.num + n]);
  const [score, low, high] = [get("epochScore"), get("epochLow"), get("epochHigh")];
  const root = curve("Memorization by epoch", epochs.map((e) => `epoch ${e}`), score, low, high);
  if (!root) return [];
  const from = (list) => {  // as in analysis/epochs.py
    let k = list.length;
    while (k && list[k - 1] >= meta.memorized - 1e-6) k--;
    return k;
  };
  const [earliest, latest] = [from(high), from(low)], last = epochs.length;
  const by = (k) => k < last ? `epoch ${epochs[k]}` : "after the last";
  const said = earliest < latest ? `These runs cannot tell by which epoch it is memorized: ${by(earliest)} to ${by(latest)}.`
    : latest < last ? `Memorized by ${by(latest)}, and from then on.` : "Not memorized by the last epoch.";
  return [h("h3", {}, "Over training"), root, h("p", {class: "hint"}, `${said} Band: 95 % intervals.`)];
}
function curve(title, labels, score, low, high) {
  // Scores with their intervals, evenly spaced; null if one is unknown.
  if (!score.every(Number.isFinite)) return null;
  const [width, height, left, bottom] = [380, 150, 34, 40], last = labels.length - 1, step = (width - left - 40) / Math.max(last, 1);
  const x = (i) => left + 20 + i * step, y = (v) => 8 + (1 - Math.max(-0.25, Math.min(1, v))) / 1.25 * (height - bottom);
  const text = labels.map((label, i) => `${label} ${number(score[i])}`).join(", ");
  const root = svg("svg", {viewBox: `0 0 ${width} ${height + 8}`, class: "trajectory", role: "img", "aria-label": `${title}: ${text}`});
  for (const v of [0, 0.5, 1]) root.append(svg("line", {class: "rule", x1: left, x2: width, y1: y(v), y2: y(v)}), svg("text", {x: 0, y: y(v) + 4}, number(v, 1)));
  const up = high.map((v, i) => `${x(i)},${y(v)}`), down = low.map((v, i) => `${x(i)},${y(v)}`).reverse();
  root.append(svg("polygon", {class: "band", points: [...up, ...down].join(" ")}));
  root.append(svg("polyline", {class: "path", points: score.map((v, i) => `${x(i)},${y(v)}`).join(" ")}));
  labels.forEach((label, i) => root.append(svg("circle", {cx: x(i), cy: y(score[i]), r: 4}), svg("text", {x: i === 0 ? left : i === last ? width : x(i), y: height - (i % 2 && labels.length > 4 ? 4 : 18) + 8, "text-anchor": i === 0 ? "start" : i === last ? "end" : "middle"}, label)));
  return root;
}
const isNamed = (q) => q <= Math.fround(meta.maxQ);  // as q is: in float32
const qWords = (q) => !Number.isFinite(q) ? "no q-value" : `q = ${q.toFixed(3)}: ${isNamed(q) ? "unlikely to be chance" : "may be chance"}`;
function otherModels(n, g) {
  if (meta.groups.length < 2) return [];
  const body = h("tbody");
  meta.groups.forEach((about, m) => {
    const cells = isRead(m) ? [`${number(own(m, "score")[n])} [${number(own(m, "low")[n])}, ${number(own(m, "high")[n])}]`, `${own(m, "inRight")[n]}/${own(m, "inAll")[n]}`, `${own(m, "outRight")[n]}/${own(m, "outAll")[n]}`] : ["…", "", ""];
    body.append(h("tr", {class: m === g ? "current" : ""}, h("th", {scope: "row"}, about.title), ...cells.map((c) => h("td", {}, c))));
  });
  const head = h("thead", {}, h("tr", {}, ...["model", "score", "in", "out"].map((t) => h("th", {scope: "col"}, t))));
  return [h("h3", {}, "By model and recipe"), h("table", {}, head, body)];
}
function small(kind, n, ...lines) {
  const label = kind === "test" ? tests[n].label : example("label")[n];
  return h("button", {type: "button", class: "card", onclick: () => openImage(`${kind}:${n}`)}, sprite(kind, n, 72),
    h("span", {class: "given"}, className(label)), ...lines.filter(Boolean).map((line) => h("span", {class: "file"}, line)));
}
function twins(n) {
  const box = h("div", {class: "small-cards"}), seen = new Set();
  for (const [column, about] of Object.entries(examples.twins)) {
    const id = unpack(`twins/${column}`, about.ids)[n];
    if (id < 0 || seen.has(`${about.split}${id}`) || (about.split === "test" && !tests[id])) continue;
    seen.add(`${about.split}${id}`);
    box.append(small(about.split, id, about.words, about.split === "test" ? `test image ${id}` : nameOf(id)));
  }
  return box.children.length ? [h("h3", {}, "Duplicates"), box] : [];
}
function pairCards(g, side, id) {
  // Cards of the other images of the pairs of one image, strongest first.
  const k = pairsOf(g);
  if (k < 0) return [];
  const mine = pair(k, side), other = side === "train" ? "test" : "train", found = [];
  for (let i = 0; i < mine.length && found.length < 24; i++) if (mine[i] === id) {
    const o = pair(k, other)[i];
    const margin = pair(k, "marginQ");
    found.push(small(other, o, `${signed(pair(k, "value")[i])} ± ${number(pair(k, "error")[i])}`, qWords(pair(k, "q")[i]), margin && `by margin ${qWords(margin[i])}`));
  }
  return found;
}
function influenced(n, g) {
  const k = pairsOf(g);
  if (k < 0) return [];
  const cards = pairCards(g, "train", n), title = h("h3", {}, "Test images that it helps");
  if (cards.length) return [title, h("div", {class: "small-cards"}, ...cards)];
  return [title, h("p", {}, "None is shown: no pair of this image has a q-value of at most 0.05.")];
}
function proxyRows(n) {
  if (!values.proxies.length) return [];
  const body = h("tbody");
  values.proxies.forEach((proxy, k) => body.append(h("tr", {}, h("th", {scope: "row"}, proxy.name), h("td", {}, number(unpack(`proxy:${k}`, proxy.values)[n], 3)))));
  return [h("h3", {}, `Proxies (${meta.groups[meta.primary].title})`), h("table", {}, body)];
}
function aboutTest(t) {
  const g = group(), about = tests[t], list = about.answers[g] || [];
  const total = meta.groups[g].runs, right = (list.find(([k]) => k === about.label) || [0, 0])[1];
  const cards = pairCards(g, "test", t);
  return [
    facts([["test image", String(t)], ["label", className(about.label)], ["models", `${right} of ${total} are right (${meta.groups[g].title})`], ...(about.source ? [["file", about.source]] : [])]),
    h("h3", {}, "What the models say"), bars(list, about.label, total),
    h("h3", {}, "Training images that help with it"),
    cards.length ? h("div", {class: "small-cards"}, ...cards) : h("p", {}, "None is shown: no pair of this image has a q-value of at most 0.05."),
  ];
}

// ---- export ----------------------------------------------------------------

const exported = () => chosen.size ? Int32Array.from(chosen).sort() : order;
function sayExport() {
  byId("export-what").textContent = chosen.size ? `Export ${counted(chosen.size, "chosen image")}:` : `Export ${counted(order.length, "shown image")}:`;
  byId("unchoose").hidden = !chosen.size;
}
const quoted = (value) => /[",\n\r]/.test(String(value)) ? `"${String(value).replaceAll('"', '""')}"` : String(value);
function exportAs(kind) {
  const g = group(), ids = exported(), label = example("label");
  let lines, file;
  if (kind === "ids") {
    const head = ["example_id", ...(examples.source ? ["source"] : []), "label", "memorization", "ci_low", "ci_high"];
    lines = [head, ...Array.from(ids, (n) => [n, ...(examples.source ? [sourceOf(n)] : []), className(label[n]), number5(own(g, "score")[n]), number5(own(g, "low")[n]), number5(own(g, "high")[n])])];
    file = "ids.csv";
  } else if (kind === "cleanlab") {
    // The columns of cleanlab's Datalab.get_issues("label"), with the id first.
    const first = firstAnswers(g);
    lines = [["example_id", "is_label_issue", "label_score", "given_label", "predicted_label"], ...Array.from(ids, (n) => [n, example("issue")[n] & 1 ? "True" : "False", number5(own(g, "outProb")[n]), className(label[n]), first[n] < 0 ? "" : className(first[n])])];
    file = "label_issues.csv";
  } else {
    lines = Array.from(ids, (n) => [nameOf(n)]);
    file = "files.txt";
  }
  const text = lines.map((line) => kind === "files" ? line[0] : line.map(quoted).join(",")).join("\n") + "\n";
  const link = h("a", {href: URL.createObjectURL(new Blob([text], {type: "text/plain"})), download: `${meta.folder || "study"}-${file}`});
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}
const number5 = (value) => Number.isFinite(value) ? String(Number(value.toFixed(5))) : "";

// ---- charts ----------------------------------------------------------------

function histogramCounts() {
  const source = charts.has("histogram") && charts.get("histogram").get_model_by_name("histogram-source");
  if (!source) return null;
  const left = source.data.left, start = left[0], counts = new Array(left.length).fill(0), all = new Array(left.length).fill(0);
  const score = own(group(), "score");
  const bin = (v) => Math.max(0, Math.min(left.length - 1, Math.floor((v - start) / meta.bin + 1e-6)));
  return {
    add(v) { if (v === v) counts[bin(v)]++; },
    show() {
      for (const v of score) if (v === v) all[bin(v)]++;
      const top = (list) => list.map((c) => Math.max(c, 0.5));
      source.data = {...source.data, all: top(all), count: all, shown: top(counts), shown_count: counts};
    },
  };
}
function embed(node) {
  const name = node.dataset.chart, item = values.charts[name];
  if (!item || charts.has(name) || !window.Bokeh) return;
  charts.set(name, null);
  const before = new Set(Bokeh.documents);
  Bokeh.embed.embed_item({...item, target_id: node.id}, node.id).then(() => {
    const doc = Bokeh.documents.find((d) => !before.has(d) && ![...charts.values()].includes(d));
    charts.set(name, doc);
    node.dataset.drawn = "true";
    color(doc);
    connect(doc);
  });
}
function connect(doc) {
  const plot = doc.roots()[0];
  if (doc.get_model_by_name("histogram-source")) {
    plot.on_event("selectiongeometry", (event) => {
      if (!event.final || event.geometry.type !== "rect") return;
      const edge = (v) => String(Math.max(-1, Math.min(1, Math.round(v / meta.bin) * meta.bin)).toFixed(2));
      change({from: edge(event.geometry.x0), to: edge(event.geometry.x1)});
    });
    show({keep: true});
  }
  const points = doc.get_model_by_name("opens-image"), cells = doc.get_model_by_name("filters-cell");
  const onPick = (source, call) => source.selected.properties.indices.change.connect(() => {
    const [index] = source.selected.indices;
    if (index !== undefined) call(index);
  });
  if (points) onPick(points, (index) => openImage(`train:${points.data.id[index]}`));
  if (cells) onPick(cells, (index) => { change({...DEFAULTS, group: state.group, label: String(cells.data.y[index]), said: String(cells.data.x[index])}); byId("explorer").scrollIntoView(); });
}
function color(doc) {
  // Text and lines of a chart in the colours of the page.
  if (!doc) return;
  const style = getComputedStyle(document.documentElement), of = (name) => style.getPropertyValue(name).trim();
  const [text, soft, line] = [of("--text"), of("--soft"), of("--line")];
  for (const plot of doc.roots()) for (const part of [...plot.above, ...plot.below, ...plot.left, ...plot.right, ...plot.center]) {
    if (part.type.endsWith("Axis")) part.setv({axis_label_text_color: soft, major_label_text_color: soft, axis_line_color: line, major_tick_line_color: line});
    if (part.type === "CategoricalAxis") part.setv({group_text_color: soft});
    if (part.type === "Grid") part.setv({grid_line_color: line});
    if (part.type === "Legend") part.setv({label_text_color: text, ncols: innerWidth < 640 ? 1 : 3});
  }
}
function drawCharts() {
  const nodes = document.querySelectorAll("[data-chart]");
  const seen = new IntersectionObserver((entries) => {
    for (const entry of entries) if (entry.isIntersecting) { seen.unobserve(entry.target); embed(entry.target); }
  }, {rootMargin: "300px"});
  for (const node of nodes) seen.observe(node);
}

// ---- controls --------------------------------------------------------------

function option(value, text) { return h("option", {value}, text); }
function makeControls() {
  const classes = () => meta.classes.map((name, k) => option(String(k), name));
  byId("group").append(...meta.groups.map((about, g) => option(g === meta.primary ? "" : String(g), about.title)));
  byId("label").append(option("", "any"), ...classes());
  byId("said").append(option("", "anything"), ...classes());
  byId("planted").append(option("", "or not"), option("0", "not planted"), option("any", "planted"), ...meta.kinds.map((name, k) => option(String(k + 1), name)));
  byId("planted-box").hidden = !meta.kinds.length;
  byId("shape").append(option("", "any"), ...meta.shapes.map((name, k) => option(String(k), name)));
  byId("shape-box").hidden = !values.sizes.length;
  const sorts = [["low", "lower end of the interval"], ["score", "score"]];
  if (values[`group:${meta.primary}`].margin) sorts.push(["margin", "score by margin"]);
  if (values.sizes.length) sorts.push(["change", "change with size"]);
  if (values.influence.some((p) => p.train.length > 3)) sorts.push(["influence", "influence"]);
  sorts.push(["conflict", "duplicates in conflict, suspected labels"]);
  values.proxies.forEach((proxy, k) => sorts.push([`proxy:${k}`, `proxy: ${proxy.name}`]));
  sorts.push(["id", "file name or id"]);
  byId("sort").append(...sorts.map(([value, text]) => option(value, text)));
}
const CONTROLS = {group: "group", sort: "sort", q: "search", label: "label", said: "said", planted: "planted", shape: "shape", only: "only", from: "from", to: "to"};
function fillControls() {
  for (const [name, id] of Object.entries(CONTROLS)) if (byId(id).value !== state[name]) byId(id).value = state[name];
  byId("direction").textContent = state.up ? "↑" : "↓";
}
function listen() {
  for (const [name, id] of Object.entries(CONTROLS)) byId(id).addEventListener(byId(id).type === "search" ? "input" : "change", (event) => change({[name]: event.target.value}));
  byId("direction").addEventListener("click", () => change({up: state.up ? "" : "1"}));
  byId("reset").addEventListener("click", reset);
  for (const node of document.querySelectorAll("[data-reset]")) node.addEventListener("click", reset);
  byId("tile").addEventListener("input", () => { const first = order[at]; layOut(); moveTo(Math.max(0, order.indexOf(first))); });
  byId("unchoose").addEventListener("click", () => { chosen.clear(); show({keep: true}); });
  grid.addEventListener("scroll", () => requestAnimationFrame(draw), {passive: true});
  grid.addEventListener("keydown", onGridKey);
  grid.addEventListener("click", (event) => {
    const node = event.target.closest(".tile");
    if (!node) return;
    at = Number(node.dataset.position);
    mark();
    if (event.ctrlKey || event.metaKey || event.shiftKey) choose(at);
    else { opener = grid; openImage(`train:${order[at]}`); }
  });
  for (const node of document.querySelectorAll("[data-export]")) node.addEventListener("click", () => exportAs(node.dataset.export));
  document.addEventListener("click", (event) => {
    const card = event.target.closest("[data-open]");
    if (card) { opener = card; openImage(card.dataset.open); }
  });
  window.addEventListener("hashchange", onAddress);
  window.addEventListener("popstate", onAddress);
  window.addEventListener("resize", () => { layOut(); paintPlaced(); });
}
const reset = () => change({...DEFAULTS, group: state.group, sort: state.sort, up: state.up, open: state.open});
function onAddress() {
  if (!readAddress()) return;
  const jumps = !state.open && location.hash.length > 1;
  fillControls();
  show();
  fillDrawer();
  if (jumps) byId("explorer").scrollIntoView();
}
function listenAlways() {
  byId("theme").addEventListener("click", () => {
    const root = document.documentElement;
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
    for (const doc of charts.values()) color(doc);
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { for (const doc of charts.values()) color(doc); });
  for (const node of document.querySelectorAll("[data-copy]")) node.addEventListener("click", () => {
    const range = document.createRange();
    range.selectNodeContents(byId(node.dataset.copy));
    getSelection().removeAllRanges();
    getSelection().addRange(range);
    try { document.execCommand("copy"); node.textContent = "Copied"; } catch { node.textContent = "Selected"; }
  });
  document.addEventListener("keydown", (event) => {
    const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName);
    if (event.key === "Escape" && state.open) closeDrawer();
    else if (event.key === "/" && !typing && grid) { byId("search").focus(); event.preventDefault(); }
    else if (state.open.startsWith("train:") && !typing && event.target.closest("#drawer") && (event.key === "ArrowLeft" || event.key === "ArrowRight")) stepImage(event.key === "ArrowLeft" ? -1 : 1);
  });
  for (const node of document.querySelectorAll("details")) node.addEventListener("toggle", paintPlaced);
  window.addEventListener("beforeprint", () => {
    if (grid) grid.scrollTop = 0;
    for (const node of document.querySelectorAll("details:not(.filters)")) node.open = true;
    for (const node of document.querySelectorAll("[data-chart]")) embed(node);
  });
}
function start() {
  ({meta, examples, tests} = values);
  current = meta.primary;
  listenAlways();
  if (meta.groups.length) {
    [grid, rows] = [byId("grid"), byId("rows")];
    if (matchMedia("(max-width: 40rem)").matches) { document.querySelector(".filters").open = false; byId("tile").value = 72; }
    makeControls();
    listen();
    const named = readAddress();
    fillControls();
    show();
    requestAnimationFrame(paintPlaced);
    if (named && state.open) fillDrawer();
    else if (named && location.hash.length > 1) byId("explorer").scrollIntoView();
  }
  drawCharts();
  document.documentElement.dataset.ready = "true";
  performance.mark("ready");
}
document.addEventListener("DOMContentLoaded", start);
})();
