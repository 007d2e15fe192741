"use strict";
// One state for the whole page: which methods are on, which set the curves show, one threshold for curves and errors.
const data = JSON.parse(document.getElementById("data").textContent);
const $ = (id) => document.getElementById(id);
const SVG = "http://www.w3.org/2000/svg";
const methodsOn = () => data.methods.filter((_, at) => $(`method-${at}`).checked);
const threshold = () => Number($("threshold").value);

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

function draw(parent, tag, attributes, text) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text !== undefined) element.textContent = text;
  parent.append(element);
  return element;
}

function look(method) {
  const at = data.methods.indexOf(method);
  const colour = data.colours[at % data.colours.length];
  const dashes = data.dashes[Math.floor(at / data.colours.length) % data.dashes.length];
  return { stroke: colour === "#333333" ? "var(--dark-curve)" : colour, "stroke-dasharray": dashes };
}

// Scores: rows are sorted by what a cell says in data-value, numbers as numbers.
function sortRows(table, header) {
  const up = header.getAttribute("aria-sort") === "none"
    ? header.dataset.first !== "descending"
    : header.getAttribute("aria-sort") !== "ascending";
  const at = [...header.parentNode.children].indexOf(header);
  for (const other of header.parentNode.children) if (other.hasAttribute("aria-sort")) other.setAttribute("aria-sort", "none");
  header.setAttribute("aria-sort", up ? "ascending" : "descending");
  const value = (row) => row.children[at].dataset.value ?? "";
  const numbers = header.dataset.kind === "number";
  const compare = (one, other) => {
    const [a, b] = [value(one), value(other)];
    if (a === "" || b === "") return (a === "") - (b === "");  // what is not known comes last, either way
    const order = numbers ? Number(a) - Number(b) : a.localeCompare(b, undefined, { numeric: true });
    return up ? order : -order;
  };
  const body = table.tBodies[0];
  body.append(...[...body.rows].sort(compare));
}

function filterRows() {
  const words = $("filter").value.trim().toLowerCase();
  const set = $("of-set").value;
  const on = new Set(methodsOn());
  let shown = 0;
  const rows = [...$("scores-table").tBodies[0].rows];
  for (const row of rows) {
    const found = `${row.dataset.set} ${row.dataset.method}`.toLowerCase().includes(words);
    row.hidden = !(found && (set === "" || row.dataset.set === set) && on.has(row.dataset.method));
    shown += !row.hidden;
  }
  $("shown").textContent = shown === rows.length ? `${rows.length} rows` : `${shown} of ${rows.length} rows`;
}

// Curves run from threshold 255 down to 0, as they are computed.
const WIDTH = 400, HEIGHT = 300, LEFT = 40, RIGHT = 16, TOP = 8, BOTTOM = 38;

function chart(svg, lines, axis) {
  svg.replaceChildren();
  svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
  const lowest = Math.min(1, ...lines.flatMap((line) => line.y));
  const low = Math.max(0, Math.floor(lowest * 10) / 10), high = Math.max(1, ...lines.flatMap((line) => line.y));
  const x = (value) => LEFT + (value / axis.high) * (WIDTH - LEFT - RIGHT);
  const y = (value) => HEIGHT - BOTTOM - ((value - low) / (high - low)) * (HEIGHT - TOP - BOTTOM);
  const step = high - low > 0.55 ? 0.2 : 0.1;
  for (let value = Math.ceil(low / step - 1e-9) * step; value <= high + 1e-9; value += step) {
    draw(svg, "line", { class: "rule", x1: LEFT, x2: WIDTH - RIGHT, y1: y(value), y2: y(value) });
    draw(svg, "text", { x: LEFT - 6, y: y(value) + 4, "text-anchor": "end" }, value.toFixed(1));
  }
  for (const value of axis.ticks) {
    draw(svg, "line", { class: "rule", x1: x(value), x2: x(value), y1: TOP, y2: HEIGHT - BOTTOM });
    draw(svg, "text", { x: x(value), y: HEIGHT - BOTTOM + 15, "text-anchor": "middle" }, String(value));
  }
  draw(svg, "text", { x: (LEFT + WIDTH - RIGHT) / 2, y: HEIGHT - 5, "text-anchor": "middle" }, axis.name);
  draw(svg, "rect", { class: "frame", x: LEFT, y: TOP, width: WIDTH - LEFT - RIGHT, height: HEIGHT - TOP - BOTTOM });
  if (axis.cursor !== undefined) {
    draw(svg, "line", { class: "cursor", x1: x(axis.cursor), x2: x(axis.cursor), y1: TOP, y2: HEIGHT - BOTTOM });
  }
  for (const line of lines) {
    const points = line.y.map((value, at) => `${x(line.x[at]).toFixed(2)},${y(value).toFixed(2)}`).join(" ");
    draw(draw(svg, "polyline", { class: "curve", points, ...look(line.method) }), "title", {}, line.method);
    draw(svg, "circle", {
      cx: x(line.x[255 - threshold()]), cy: y(line.y[255 - threshold()]), r: 3.2, fill: look(line.method).stroke,
    });
  }
}

function drawCurves() {
  const set = $("curve-set").value, at = 255 - threshold(), on = new Set(methodsOn());
  const curves = data.curves.filter((curve) => curve.set === set && on.has(curve.method));
  const levels = Array.from({ length: 256 }, (_, place) => 255 - place);
  const against = { name: "Threshold", high: 255, ticks: [0, 51, 102, 153, 204, 255], cursor: threshold() };
  const share = { name: "Recall", high: 1, ticks: [0, 0.2, 0.4, 0.6, 0.8, 1] };
  chart($("chart-pr"), curves.map((c) => ({ method: c.method, x: c.recall, y: c.precision })), share);
  chart($("chart-f"), curves.map((c) => ({ method: c.method, x: levels, y: c.f })), against);
  chart($("chart-e"), curves.map((c) => ({ method: c.method, x: levels, y: c.e })), against);
  const table = $("at-threshold");
  table.caption.textContent = `${set}: means over the pictures at threshold ${threshold()}`;
  table.tBodies[0].replaceChildren(...curves.map((c) => make("tr", {},
    make("th", { scope: "row" }, c.method),
    ...[c.precision, c.recall, c.f, c.e].map((values) => make("td", {}, values[at].toFixed(4))))));
}

function followPointer(svg) {
  svg.addEventListener("pointermove", (event) => {
    const box = svg.getBoundingClientRect();
    const at = ((event.clientX - box.left) / box.width * WIDTH - LEFT) / (WIDTH - LEFT - RIGHT);
    if (at >= 0 && at <= 1) setThreshold(Math.round(at * 255));
  });
}

// Pictures: errors are computed here, from the map and the mask, at the page's threshold.
const loaded = new Map();
function pixels(address, [width, height]) {
  if (!loaded.has(address)) {
    loaded.set(address, new Promise((resolve, reject) => {
      const image = new Image();
      image.onload = () => {
        const canvas = make("canvas", { width, height });
        const context = canvas.getContext("2d", { willReadFrequently: true });
        context.drawImage(image, 0, 0, width, height);
        resolve(context.getImageData(0, 0, width, height).data);
      };
      image.onerror = reject;
      image.src = address;
    }));
  }
  return loaded.get(address);
}

const RIGHT_COLOUR = [0, 158, 115], WRONG_COLOUR = [213, 94, 0], MISSED_COLOUR = [0, 114, 178];
async function paint(canvas, picture, method, view) {
  const [width, height] = picture.size;
  const [map, mask] = await Promise.all([pixels(picture.maps[method], picture.size), pixels(picture.mask, picture.size)]);
  const below = picture.image ? await pixels(picture.image, picture.size) : null;
  const context = canvas.getContext("2d");
  const made = context.createImageData(width, height);
  for (let at = 0; at < map.length; at += 4) {
    const found = map[at] >= threshold(), inside = mask[at] >= 128;
    const colour = found && inside ? RIGHT_COLOUR : found ? WRONG_COLOUR : inside ? MISSED_COLOUR : null;
    const grey = below ? 0.3 * below[at] + 0.59 * below[at + 1] + 0.11 * below[at + 2] : map[at];
    for (let channel = 0; channel < 3; channel++) {
      made.data[at + channel] = view === "map" ? map[at]
        : colour ? 0.35 * grey + 0.65 * colour[channel] : 0.45 * grey + 30;
    }
    made.data[at + 3] = 255;
  }
  context.putImageData(made, 0, 0);
  canvas.dataset.painted = `${view} ${threshold()}`;
}

const score = (picture, method) => `${data.measure} ${picture.values[method].toFixed(4)}`;
const view = () => document.querySelector("input[name=view]:checked").value;
const group = () => document.querySelector("input[name=group]:checked").value;

const shows = new WeakMap();  // canvas: its picture and method
function canvasOf(picture, method, how) {
  const canvas = make("canvas", {
    width: picture.size[0], height: picture.size[1], role: "img",
    "aria-label": `${how === "map" ? "Map" : "Errors"} of ${method}, ${picture.name}`,
  });
  shows.set(canvas, [picture, method]);
  paint(canvas, picture, method, how);
  return canvas;
}

function still(picture, what) {
  return make("img", { src: picture[what], alt: `${what === "image" ? "Picture" : "Mask"} ${picture.name}`,
    width: picture.size[0], height: picture.size[1] });
}

function figure(content, ...words) {
  return make("figure", {}, content, make("figcaption", {}, ...words));
}

function picturesShown() {
  const set = $("picture-set").value;
  const place = { best: -1, worst: 1, disputed: -1 }[group()] * (data.lower ? -1 : 1);
  const mean = (picture) => Object.values(picture.values).reduce((sum, value) => sum + value, 0);
  const apart = (picture) => Math.max(...Object.values(picture.values)) - Math.min(...Object.values(picture.values));
  const order = group() === "disputed" ? (a, b) => apart(b) - apart(a) : (a, b) => place * (mean(a) - mean(b));
  return data.pictures.filter((picture) => picture.set === set && picture.groups.includes(group())).sort(order);
}

function showPictures() {
  if (!$("picture-grid")) return;
  const on = methodsOn(), shown = picturesShown();
  $("error-key").hidden = view() === "map";
  $("picture-grid").replaceChildren(...shown.map((picture) => {
    const open = make("button", { type: "button", "aria-label": `Open ${picture.name}` }, still(picture, picture.image ? "image" : "mask"));
    open.addEventListener("click", () => openViewer(shown.indexOf(picture)));
    const strip = make("div", { class: "strip", role: "group", "aria-label": picture.name },
      figure(open, make("span", { class: "picture-name" }, picture.name)));
    if (picture.image) strip.append(figure(still(picture, "mask"), "mask"));
    for (const method of on) strip.append(figure(canvasOf(picture, method, view()), method, make("br"), score(picture, method)));
    return strip;
  }));
  if (!shown.length) $("picture-grid").append(make("p", { class: "soft" }, "There are none."));
}

let viewed = 0;
function openViewer(at) {
  const shown = picturesShown(), picture = shown[(at + shown.length) % shown.length];
  viewed = (at + shown.length) % shown.length;
  $("viewer-name").textContent = `${picture.name} (${viewed + 1} of ${shown.length}, ${group()})`;
  const big = make("div", { class: "big" });
  if (picture.image) big.append(figure(still(picture, "image"), "picture"));
  big.append(figure(still(picture, "mask"), "mask"));
  for (const method of methodsOn()) {
    big.append(figure(canvasOf(picture, method, "map"), `${method}: map, ${score(picture, method)}`));
    big.append(figure(canvasOf(picture, method, "errors"), `${method}: errors at threshold ${threshold()}`));
  }
  $("viewer-body").replaceChildren(big);
  if (!$("viewer").open) $("viewer").showModal();
}

let waiting = 0;
function setThreshold(value) {
  if (value !== threshold()) $("threshold").value = value;
  for (const id of ["threshold-value", "picture-threshold-value"]) if ($(id)) $(id).textContent = value;
  if ($("picture-threshold")) $("picture-threshold").value = value;
  cancelAnimationFrame(waiting);
  waiting = requestAnimationFrame(() => {
    drawCurves();
    if ($("picture-grid") && view() === "errors") {
      for (const canvas of $("picture-grid").querySelectorAll("canvas")) paint(canvas, ...shows.get(canvas), "errors");
    }
  });
}

function start() {
  for (const button of document.querySelectorAll("thead button")) {
    button.addEventListener("click", () => sortRows(button.closest("table"), button.closest("th")));
  }
  $("filter").addEventListener("input", filterRows);
  $("of-set").addEventListener("change", filterRows);
  $("curve-set").addEventListener("change", drawCurves);
  $("threshold").addEventListener("input", () => setThreshold(threshold()));
  data.methods.forEach((method, at) => {
    $(`method-${at}`).addEventListener("change", () => { filterRows(); drawCurves(); showPictures(); });
    const line = document.createElementNS(SVG, "svg");
    line.setAttribute("class", "swatch");
    line.setAttribute("aria-hidden", "true");
    draw(line, "line", { x1: 0, x2: 26, y1: 5, y2: 5, "stroke-width": 3, ...look(method) });
    $(`method-${at}`).after(line);
  });
  for (const id of ["chart-f", "chart-e"]) followPointer($(id));
  if ($("picture-grid")) {
    $("picture-set").addEventListener("change", () => { loaded.clear(); showPictures(); });
    $("picture-threshold").addEventListener("input", (event) => setThreshold(Number(event.target.value)));
    for (const input of document.querySelectorAll("input[name=view], input[name=group]")) input.addEventListener("change", showPictures);
    $("before").addEventListener("click", () => openViewer(viewed - 1));
    $("after").addEventListener("click", () => openViewer(viewed + 1));
    $("close").addEventListener("click", () => $("viewer").close());
    $("viewer").addEventListener("keydown", (event) => {
      if (event.key === "ArrowLeft") openViewer(viewed - 1);
      if (event.key === "ArrowRight") openViewer(viewed + 1);
    });
  }
  filterRows();
  setThreshold(threshold());
  showPictures();
}
start();
