
"use strict";
// Shows the data of this page. Names are hostile: they become text nodes and nothing else, never HTML.
const data = JSON.parse(document.getElementById("data").textContent);
const at = (id) => document.getElementById(id);
const OUTCOMES = ["done", "unchanged", "stale", "skipped", "rejected", "failed"];
const ROWS_AT_ONCE = 40;

// ---- Small things

function make(tag, properties, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties || {})) {
    if (name in element) element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

function draw(tag, attributes, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

const number = (value) => value.toLocaleString("en");
const sum = (values) => values.reduce((total, value) => total + value, 0);
const megapixels = (source) => (source.width * source.height) / 1e6;

function size(bytes) {
  if (bytes === undefined) return "";
  if (bytes < 1024) return `${bytes} B`;
  const power = Math.min(Math.floor(Math.log2(bytes) / 10), 4);
  const value = bytes / 1024 ** power;
  return `${value.toFixed(value < 10 ? 2 : value < 100 ? 1 : 0)} ${["", "KiB", "MiB", "GiB", "TiB"][power]}`;
}

function time(milliseconds) {
  if (milliseconds < 1000) return `${Math.round(milliseconds)} ms`;
  return milliseconds < 60000 ? `${(milliseconds / 1000).toFixed(milliseconds < 10000 ? 1 : 0)} s` : `${number(Math.round(milliseconds / 6000) / 10)} min`;
}

function percent(share) {
  const [value, far] = [share * 100, Math.abs(share * 100)];
  return `${value.toFixed(far < 10 || (far > 99 && far < 100) ? 1 : 0).replace("-", "−")} %`;
}

// How many bytes fewer than the source, as a share of the source's: negative where it grew.
const saving = (bytes, source) => (source.bytes ? 1 - bytes / source.bytes : undefined);

function change(bytes, of) {
  if (!of) return null;
  const share = bytes / of - 1;
  return make("span", { className: share <= 0 ? "less" : "more" }, `${share > 0 ? "+" : ""}${percent(share)}`);
}

// The nearest rank: a value that was measured, never one between two.
const percentile = (sorted, share) => sorted[Math.max(Math.ceil(share * sorted.length) - 1, 0)];

// ---- What is there

data.sources.forEach((source, index) => {
  source.index = index;
  source.made = (source.renditions || []).filter((rendition) => rendition.bytes !== undefined);
  // What lies in a bucket is shown only where the run was told by which URL.
  source.seen = source.made.filter((rendition) => typeof rendition.href === "string");
  source.looked = `${source.name}\n${source.code || ""}\n${source.message || ""}`.toLowerCase();
});
const made = data.sources.flatMap((source) => source.made);
const timed = data.sources.filter((source) => source.outcome === "done" && source.milliseconds !== undefined && source.width);

const defaults = { text: "", outcome: "", warning: "", of: "", sort: "name", down: "", compare: "", with: "", view: "slider", against: "", full: "" };
const state = { ...defaults };

function readFragment() {
  const asked = new URLSearchParams(location.hash.slice(1));
  for (const name of Object.keys(defaults)) state[name] = asked.get(name) ?? defaults[name];
}

function writeFragment() {
  const said = new URLSearchParams();
  for (const [name, value] of Object.entries(state)) if (value !== defaults[name]) said.set(name, value);
  const fragment = said.toString();
  history.replaceState(null, "", fragment ? `#${fragment}` : location.pathname + location.search);
}

// ---- Totals and plots

function showTotals() {
  const counts = OUTCOMES.map((word) => [word, data.sources.filter((source) => source.outcome === word).length]);
  const sources = data.sources.filter((source) => source.made.length);
  const times = timed.map((source) => source.milliseconds).sort((a, b) => a - b);
  const warned = data.sources.filter((source) => source.warnings).length;
  const tile = (name, value, more) => make("div", {}, make("dt", {}, name), make("dd", {}, value, make("small", {}, more || "")));
  const outcomes = counts.filter(([, count]) => count).map(([word, count]) => `${number(count)} ${word}`);
  at("totals").append(
    tile("Sources", number(data.sources.length), `${number(warned)} with warnings`),
    tile("In need of a look", number(sum(counts.slice(4).map(([, count]) => count))), "rejected or failed"),
    tile("Bytes of sources", size(sum(sources.map((source) => source.bytes))), `${number(sources.length)} with renditions`),
    tile("Bytes of renditions", size(sum(made.map((rendition) => rendition.bytes))), `${number(made.length)} renditions`),
    tile("Time of a picture, p50", times.length ? time(percentile(times, 0.5)) : "–", times.length ? `of ${number(times.length)} measured` : "nothing was made anew"),
    tile("p99", times.length ? time(percentile(times, 0.99)) : "–", times.length ? `${time(sum(times))} for all, one by one` : ""),
  );
  at("lead").textContent = `${outcomes.join(", ")}. ${data.sources.some((source) => source.seen.length) || !made.length ? "Choose a picture to compare it with its renditions." : "The renditions lie in a bucket: --html-base URL says where this page finds them."}`;
  at("version").textContent = data.version;
}

function describe(variant) {
  const box = variant.width || variant.height ? `, ${variant.fit} ${variant.width || "any"} × ${variant.height || "any"}` : "";
  return `${variant.format}${variant.quality ? `, quality ${variant.quality}` : ""}${box}`;
}

function showBytes() {
  const lines = data.variants.map((variant, index) => {
    const pairs = data.sources.flatMap((source) => source.made.filter((r) => r.variant === index).map((r) => [r.bytes, source.bytes]));
    return { name: variant.name, title: describe(variant), count: pairs.length, bytes: sum(pairs.map(([b]) => b)), of: sum(pairs.map(([, b]) => b)) };
  });
  const sources = data.sources.filter((source) => source.made.length);
  const all = sum(sources.map((source) => source.bytes));
  const most = Math.max(all, ...lines.map((line) => line.bytes), 1);
  const row = (line, className) => {
    const bar = make("i", {});
    bar.style.width = `${(line.bytes / most) * 100}%`;
    return make("tr", { className, title: line.title || "" },
      make("th", { scope: "row" }, line.name), make("td", {}, number(line.count)), make("td", {}, size(line.bytes)),
      make("td", {}, line.of ? change(line.bytes, line.of) : ""), make("td", { className: "plot" }, bar));
  };
  const heads = ["", "files", "bytes", "to sources", ""].map((text) => make("th", { scope: "col" }, text));
  at("by-variant").append(make("thead", {}, make("tr", {}, ...heads)),
    make("tbody", {}, row({ name: "sources", count: sources.length, bytes: all }, "source"), ...lines.map((line) => row(line, ""))));
}

// By doublings of the number of pixels: p50 and p99 of pictures of about one size.
function doublings() {
  const groups = new Map();
  for (const source of timed) {
    const group = Math.floor(Math.log2(megapixels(source)));
    if (!groups.has(group)) groups.set(group, []);
    groups.get(group).push(source.milliseconds);
  }
  return [...groups].sort(([a], [b]) => a - b).map(([group, times]) => {
    times.sort((a, b) => a - b);
    return { from: 2 ** group, to: 2 ** (group + 1), count: times.length, p50: percentile(times, 0.5), p99: percentile(times, 0.99) };
  });
}

function showTimes() {
  const place = at("by-size");
  place.replaceChildren();
  if (!timed.length) {
    place.append(make("p", { className: "key" }, "Nothing was made in this run, so nothing was measured."));
    return;
  }
  const groups = doublings();
  const [width, height, left, bottom, top] = [Math.max(place.clientWidth, 240), 240, 56, 36, 8];
  const log = Math.log10;
  const clamp = (milliseconds) => Math.max(milliseconds, 1);
  const sizes = [groups[0].from, groups[groups.length - 1].to].map(log);
  const times = timed.map((source) => log(clamp(source.milliseconds))).sort((a, b) => a - b);
  const [low, high] = [Math.floor(times[0]), Math.ceil(times[times.length - 1] + 0.01)];
  const x = (mp) => left + ((log(mp) - sizes[0]) / (sizes[1] - sizes[0])) * (width - left - 12);
  const y = (milliseconds) => top + (1 - (log(clamp(milliseconds)) - low) / (high - low)) * (height - top - bottom);
  const svg = draw("svg", { class: "time", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": "Time by megapixels; the table below has its figures" });
  for (let power = low; power <= high; power += 1) {
    svg.append(draw("path", { class: "grid", d: `M${left} ${y(10 ** power)}H${width - 12}` }),
      draw("text", { x: left - 6, y: y(10 ** power) + 4, "text-anchor": "end" }, time(10 ** power)));
  }
  const edges = [...new Set(groups.flatMap((group) => [group.from, group.to]))];
  const every = Math.ceil(edges.length / (width / 60));
  edges.forEach((mp, index) => {
    if (index % every) return;
    const text = mp >= 1 ? String(mp) : String(Number(mp.toPrecision(1)));
    svg.append(draw("text", { x: x(mp), y: height - bottom + 16, "text-anchor": "middle" }, text));
  });
  svg.append(draw("text", { x: (left + width) / 2, y: height - 4, "text-anchor": "middle" }, "megapixels of the source"),
    draw("path", { class: "points", d: timed.map((s) => `M${x(megapixels(s)).toFixed(1)} ${y(s.milliseconds).toFixed(1)}h0`).join("") }));
  for (const name of ["p50", "p99"]) {
    svg.append(draw("path", { class: name, d: groups.map((g) => `M${x(g.from).toFixed(1)} ${y(g[name]).toFixed(1)}H${x(g.to).toFixed(1)}`).join("") }));
  }
  const text = (mp) => (mp >= 1 ? number(mp) : String(Number(mp.toPrecision(2))));
  const lines = groups.map((g) => make("tr", {}, make("th", { scope: "row" }, `${text(g.from)} to ${text(g.to)}`),
    ...[number(g.count), time(g.p50), time(g.p99)].map((cell) => make("td", {}, cell))));
  const heads = ["megapixels", "pictures", "p50", "p99"].map((head) => make("th", { scope: "col" }, head));
  const key = make("p", { className: "key" }, make("b", { className: "p50" }, "— p50"), " and ", make("b", { className: "p99" }, "- - p99"),
    " of each doubling of size. Both scales are logarithmic.");
  place.append(svg, key, make("details", {}, make("summary", {}, "As a table"),
    make("table", {}, make("thead", {}, make("tr", {}, ...heads)), make("tbody", {}, ...lines))));
}

// ---- The list

function measured(source) {
  if (!source.made.length) return undefined;
  if (!state.of) return sum(source.made.map((rendition) => rendition.bytes));
  const wanted = source.made.find((rendition) => data.variants[rendition.variant].name === state.of);
  return wanted && wanted.bytes;
}

const SORTED_BY = {
  name: (source) => source.index,
  bytes: measured,
  saving: (source) => (measured(source) === undefined ? undefined : saving(measured(source), source)),
  time: (source) => source.milliseconds,
  source: (source) => source.bytes,
};

let listed = [];

function choose() {
  const text = state.text.toLowerCase();
  const chosen = data.sources.filter((source) =>
    (!state.outcome || source.outcome === state.outcome)
    && (!text || source.looked.includes(text))
    && (!state.warning || (source.warnings || []).some((warning) => state.warning === "any" || warning.code === state.warning)));
  const value = SORTED_BY[state.sort] || SORTED_BY.name;
  const keyed = chosen.map((source) => [value(source), source]);
  // What has no value comes last, whichever way is sorted.
  keyed.sort(([a, one], [b, other]) => (a === undefined) - (b === undefined)
    || (a === undefined ? 0 : state.down ? b - a : a - b) || one.index - other.index);
  return keyed.map(([, source]) => source);
}

// The smallest file that is large enough to look at, and shows it all unless that is too heavy for a thumbnail; where all
// are smaller, the largest picture.
function thumbnail(source) {
  const light = (r) => isWhole(r) && r.bytes <= 65536;
  const enough = source.seen.filter((rendition) => Math.max(rendition.width, rendition.height) >= 140);
  const by = (of) => (a, b) => of(a) - of(b);
  return enough.sort((a, b) => light(b) - light(a) || a.bytes - b.bytes)[0] || [...source.seen].sort(by((r) => -r.width * r.height))[0];
}

function facts(source) {
  const parts = [];
  if (source.format) parts.push(source.format, `${source.width} × ${source.height}`, `${megapixels(source) < 1 ? Number(megapixels(source).toPrecision(1)) : megapixels(source).toFixed(1)} MP`);
  if (source.frames) parts.push(`${source.frames} frames`);
  if (source.bytes !== undefined) parts.push(size(source.bytes));
  if (source.milliseconds !== undefined) parts.push(time(source.milliseconds));
  const bytes = measured(source);
  if (bytes !== undefined) parts.push(make("span", {}, `${state.of || "all renditions"} ${size(bytes)} `, change(bytes, source.bytes)));
  return parts.flatMap((part, index) => (index ? [" · ", part] : [part]));
}

function warnings(source) {
  const lines = new Map();
  for (const { code, detail, variant } of source.warnings || []) {
    const line = `${code}\n${detail}`;
    lines.set(line, { code, detail, variants: [...(lines.get(line)?.variants || []), ...(variant ? [variant] : [])] });
  }
  return [...lines.values()].map(({ code, detail, variants }) =>
    make("li", {}, make("code", {}, code), ` ${variants.length ? `${variants.join(", ")}: ` : ""}${detail}`));
}

function chip(source, rendition) {
  const name = data.variants[rendition.variant].name;
  if (!source.made.includes(rendition)) {
    const why = rendition.skipped || rendition.deferred;
    return make("li", { className: "none" }, `${name}: ${rendition.deferred ? "put off" : "left out"}, ${why}`);
  }
  if (!source.seen.includes(rendition)) return make("li", { className: "none" }, make("b", {}, name), ` ${size(rendition.bytes)} `, change(rendition.bytes, source.bytes));
  return make("li", {}, make("button", { type: "button", title: `${rendition.width} × ${rendition.height}, ${rendition.type}`, onclick: () => open(source, name) },
    make("b", {}, name), ` ${size(rendition.bytes)} `, change(rendition.bytes, source.bytes)));
}

function row(source) {
  const thumb = thumbnail(source);
  const canOpen = source.seen.length > 0;
  const picture = make(canOpen ? "button" : "div", { className: "thumb" });
  if (thumb) {
    // `loading` goes first: an address given before it is fetched at once.
    picture.append(make("img", { loading: "lazy", decoding: "async", alt: "", width: thumb.width, height: thumb.height, src: thumb.href }));
    Object.assign(picture, { type: "button", tabIndex: -1, onclick: () => open(source) });
    picture.setAttribute("aria-hidden", "true");
    if (source.color) picture.style.background = source.color;
  } else {
    picture.append(source.made.length ? "in a bucket" : "no rendition");
  }
  let name = make("span", { className: "name" }, source.name);
  if (canOpen) name = make("button", { type: "button", className: "name", onclick: () => open(source) }, source.name);
  else if (source.href) name = make("a", { className: "name", href: source.href }, source.name);
  const words = make("div", { className: "words" },
    make("div", { className: "title" }, name, make("span", { className: "badge" }, source.outcome)),
    make("p", { className: "facts" }, ...facts(source)),
    canOpen || source.renditions ? make("ul", { className: "renditions" }, ...source.renditions.map((rendition) => chip(source, rendition))) : null,
    source.message ? make("p", { className: "why" }, make("code", {}, source.stage ? `${source.stage}: ${source.code}` : source.code), ` ${source.message}`) : null);
  if (source.warnings) words.append(make("ul", { className: "warnings" }, ...warnings(source)));
  return make("div", { className: `row ${source.outcome}${thumb ? "" : " bare"}`, role: "listitem" }, picture, words);
}

// Rows come into being when they are about to be seen: a long list opens as fast as a short one.
const filler = new IntersectionObserver((seen) => {
  for (const { isIntersecting, target } of seen) if (isIntersecting) fill(target);
}, { rootMargin: "1500px 0px" });

function fill(chunk) {
  filler.unobserve(chunk);
  const from = Number(chunk.dataset.from);
  chunk.append(...listed.slice(from, from + ROWS_AT_ONCE).map(row));
  chunk.style.minHeight = "";
}

function showList() {
  listed = choose();
  filler.disconnect();
  const chunks = [];
  for (let from = 0; from < listed.length; from += ROWS_AT_ONCE) {
    const chunk = make("div", { className: "chunk", role: "presentation" });
    chunk.dataset.from = from;
    chunk.style.minHeight = `${Math.min(ROWS_AT_ONCE, listed.length - from) * 131}px`;
    chunks.push(chunk);
  }
  const list = at("list");
  list.setAttribute("role", "list");
  list.replaceChildren(...chunks);
  if (chunks.length) fill(chunks[0]);
  for (const chunk of chunks.slice(1)) filler.observe(chunk);
  if (!chunks.length) list.append(make("p", { className: "key" }, "Nothing matches these filters."));
  at("count").textContent = `${number(listed.length)} of ${number(data.sources.length)}`;
}

// ---- Filters

function setUpFilters() {
  const option = (value, text) => make("option", { value }, text);
  const codes = [...new Set(data.sources.flatMap((source) => (source.warnings || []).map((warning) => warning.code)))].sort();
  at("warning").append(option("", "any or none"), option("any", "any"), ...codes.map((code) => option(code, code)));
  at("of").append(option("", "all renditions"), ...data.variants.map(({ name }) => option(name, name)));
  for (const word of ["", ...OUTCOMES]) {
    const count = data.sources.filter((source) => !word || source.outcome === word).length;
    if (!count && word) continue;
    const button = make("button", { type: "button", value: word, onclick: () => filter({ outcome: word }) }, `${word || "all"} ${number(count)}`);
    at("outcomes").append(button);
  }
  at("text").oninput = () => filter({ text: at("text").value });
  for (const id of ["warning", "of", "sort"]) at(id).onchange = () => filter({ [id]: at(id).value });
  at("down").onchange = () => filter({ down: at("down").checked ? "1" : "" });
  at("filters").onsubmit = (event) => event.preventDefault();
}

function filter(wanted) {
  Object.assign(state, wanted);
  writeFragment();
  showFilters();
  showList();
}

function showFilters() {
  for (const id of ["warning", "of", "sort"]) at(id).value = state[id];
  if (at("text").value !== state.text) at("text").value = state.text;
  at("down").checked = state.down !== "";
  for (const button of at("outcomes").children) button.setAttribute("aria-pressed", String(button.value === state.outcome));
}

// ---- Compare

const opened = () => data.sources.find((source) => source.name === state.compare && source.seen.length);
const variantOf = (rendition) => data.variants[rendition.variant];
const isWhole = (rendition) => !rendition.part && !rendition.on && !rendition.unplaced;

function open(source, name) {
  state.compare = source.name;
  state.with = name ?? state.with;
  showCompare();
}

// Where the whole source lies in a rendition, in shares of the rendition.
function frame({ part = [0, 0, 1, 1], on = [0, 0, 1, 1] }) {
  const [width, height] = [on[2] / part[2], on[3] / part[3]];
  return { left: on[0] - part[0] * width, top: on[1] - part[1] * height, width, height };
}

// Where another rendition of the same source lies in this one.
function within(rendition, other) {
  const [here, there] = [frame(rendition), frame(other)];
  const [width, height] = [here.width / there.width, here.height / there.height];
  return { left: here.left - there.left * width, top: here.top - there.top * height, width, height };
}

function image(source, picture, box) {
  const whole = box || { left: 0, top: 0, width: 1, height: 1 };
  const element = make("img", { alt: picture === source ? "the source" : variantOf(picture).name, draggable: false, src: picture.href });
  if (picture === source) element.className = "from-source";
  element.onerror = () => note(`The browser can't show ${element.alt}.`);
  for (const side of ["left", "top", "width", "height"]) element.style[side] = `${whole[side] * 100}%`;
  return element;
}

function note(text) {
  at("compare-note").hidden = !text;
  at("compare-note").textContent = text;
}

// A box with the proportions of a picture; at 1:1, of its very pixels.
function box(width, height, most) {
  const element = make("div", { className: "picture" });
  element.style.aspectRatio = `${width} / ${height}`;
  element.style.width = state.full ? `${width / devicePixelRatio}px` : `min(100%, ${most * (width / height)}vh, ${Math.max(width * 3, 320)}px)`;
  return element;
}

function cropBoxes(source, rendition) {
  const svg = draw("svg", { viewBox: "0 0 1 1", preserveAspectRatio: "none" });
  const rect = ([x, y, width, height], kind) => draw("rect", { class: kind, x, y, width, height });
  if (rendition.part) {
    const [x, y, width, height] = rendition.part;
    svg.append(draw("path", { class: "shade", "fill-rule": "evenodd", d: `M0 0H1V1H0ZM${x} ${y}h${width}v${height}h${-width}Z` }));
  }
  for (const other of source.made) if (other.part && other !== rendition) svg.append(rect(other.part, "crop other"));
  if (rendition.part) svg.append(rect(rendition.part, "crop"));
  const marks = [svg];
  const focus = rendition.focus || source.focus;
  if (focus) {
    const mark = make("div", { className: "focus", title: `focus ${focus.join(", ")}` });
    [mark.style.left, mark.style.top] = focus.map((share) => `${share * 100}%`);
    marks.push(mark);
  }
  return marks;
}

function pane(title, picture) {
  return make("div", { className: "pane" }, make("p", {}, title), picture);
}

function showCompare() {
  const source = opened();
  if (!source) return at("compare").close();
  const rendition = source.seen.find((made) => variantOf(made).name === state.with) || source.seen[0];
  const others = source.seen.filter((made) => made !== rendition);
  // What a browser can't show is stood in for by the largest whole rendition.
  const standIn = [...source.seen].filter(isWhole).sort((a, b) => b.width - a.width || b.bytes - a.bytes)[0];
  const canShow = source.href && !source.hidden;
  const against = others.find((made) => variantOf(made).name === state.against) || (canShow ? source : standIn || rendition);
  const unplaced = rendition.unplaced || against.unplaced;
  const view = unplaced ? "side" : state.view;
  const name = (picture) => (picture === source ? "source" : variantOf(picture).name);

  at("compare-name").textContent = source.name;
  at("with").replaceChildren(...source.seen.map((made) => make("button", { type: "button", "aria-pressed": String(made === rendition), onclick: () => show({ with: variantOf(made).name }) },
    make("b", {}, variantOf(made).name), ` ${size(made.bytes)} `, change(made.bytes, source.bytes))));
  at("against").replaceChildren(...(canShow ? [make("option", { value: "" }, "source")] : []),
    ...(canShow ? others : source.seen).map((made) => make("option", { value: variantOf(made).name }, variantOf(made).name)));
  at("against").value = against === source ? "" : variantOf(against).name;
  at("view").textContent = view === "slider" ? "side by side" : "slider";
  at("view").disabled = Boolean(unplaced);
  at("full").checked = state.full !== "";
  at("slider").hidden = view !== "slider";
  let words = "";
  if (!canShow) words = source.href ? `Browsers don't show ${source.format}; ${name(against)} stands in for the source.` : "The source is no file.";
  if (unplaced) words = variantOf(rendition).focus === "entropy"
    ? "The content decided where this crop lies, and that is not recorded: no box is drawn, and there is no slider."
    : "It is not known which part of the source this rendition shows: no box is drawn, and there is no slider.";
  note(words);

  const isNew = !at("compare").open;
  if (isNew) at("compare").showModal();
  const stage = at("stage");
  stage.className = `${view} ${data.unturned ? "unturned" : ""}`;
  if (view === "slider") {
    const picture = box(rendition.width, rendition.height, 62);
    picture.classList.add("sliding");
    const left = make("div", { className: "layer left" }, image(source, against, against === source ? frame(rendition) : within(rendition, against)));
    picture.append(make("div", { className: "layer" }, image(source, rendition)), left, make("div", { className: "handle" }),
      make("span", { className: "tag left" }, name(against)), make("span", { className: "tag right" }, name(rendition)));
    const slide = (event) => {
      const bounds = picture.getBoundingClientRect();
      setSlider(((event.clientX - bounds.left) / bounds.width) * 100);
    };
    picture.onpointerdown = (event) => { picture.setPointerCapture(event.pointerId); slide(event); };
    picture.onpointermove = (event) => { if (event.buttons) slide(event); };
    stage.replaceChildren(picture);
    at("slider").style.width = picture.style.width;
    // At 1:1 the middle is seen first, where the slider is.
    stage.scrollTo((stage.scrollWidth - stage.clientWidth) / 2, (stage.scrollHeight - stage.clientHeight) / 2);
    setSlider(at("slider").value);
  } else {
    const left = against === source ? box(source.width, source.height, 62) : box(against.width, against.height, 62);
    left.append(image(source, against), ...(against === source || isWhole(against) ? cropBoxes(source, rendition) : []));
    const right = box(rendition.width, rendition.height, 62);
    right.append(image(source, rendition));
    stage.replaceChildren(pane(against === source ? `source, ${source.width} × ${source.height}` : name(against), left),
      pane(`${name(rendition)}, ${rendition.width} × ${rendition.height}`, right));
  }
  const variant = variantOf(rendition);
  const focus = source.focus ? `focus point ${source.focus.join(", ")} (given with the picture)` : rendition.focus || rendition.unplaced ? `focus ${variant.focus}` : "";
  const parts = [describe(variant), `${rendition.width} × ${rendition.height}`, size(rendition.bytes), focus].filter(Boolean);
  at("compare-facts").replaceChildren(make("p", {}, "Source: ", ...facts(source)), make("p", {}, `${variant.name}: ${parts.join(" · ")} · `,
    make("a", { href: rendition.href }, "open the file")), make("ul", { className: "warnings" }, ...warnings(source)));
  writeFragment();
  if (isNew) (view === "slider" ? at("slider") : unplaced ? at("close") : at("view")).focus();
}

function setSlider(value) {
  at("slider").value = value;
  at("stage").style.setProperty("--at", `${at("slider").value}%`);
}

function show(wanted) {
  Object.assign(state, wanted);
  showCompare();
}

function step(by) {
  const shown = listed.filter((source) => source.seen.length);
  const next = shown[shown.indexOf(opened()) + by];
  if (next) show({ compare: next.name });
}

function setUpCompare() {
  at("slider").oninput = () => setSlider(at("slider").value);
  at("view").onclick = () => show({ view: state.view === "slider" ? "side" : "slider" });
  at("full").onchange = () => show({ full: at("full").checked ? "1" : "" });
  at("against").onchange = () => show({ against: at("against").value });
  at("before").onclick = () => step(-1);
  at("next").onclick = () => step(1);
  at("close").onclick = () => at("compare").close();
  at("compare").onclose = () => { state.compare = ""; at("stage").replaceChildren(); writeFragment(); };
  document.onkeydown = (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const isTyping = event.target.matches("input[type=search], select");
    if (!at("compare").open) {
      if (event.key === "/" && !isTyping) { event.preventDefault(); at("text").focus(); }
    } else if (!isTyping) {
      const keys = { n: () => step(1), p: () => step(-1), s: () => at("view").click() };
      const rendition = /^[1-9]$/.test(event.key) && opened().seen[Number(event.key) - 1];
      if (rendition) show({ with: variantOf(rendition).name });
      else keys[event.key]?.();
    }
  };
}

// ---- Begin

function showAll() {
  readFragment();
  showFilters();
  showList();
  if (state.compare) showCompare();
}

showTotals();
showBytes();
showTimes();
setUpFilters();
setUpCompare();
showAll();
addEventListener("hashchange", showAll);
addEventListener("resize", showTimes);
