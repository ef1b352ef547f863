// The page of a hunter: it shows what the kernel sent, takes keys, and asks ahead, so that a key needs no answer first.

const SIDE = 63, NO_PIXEL = 255, ROW = 42, AHEAD = 10, KEPT = 80;
const STAMPS = ["science", "template", "difference"];
const KEYS = { s: "SN", n: "not SN", u: "unsure" };
const SIGNS = { SN: "SN", bogus: "bogus", "not SN": "not", unsure: "?" };
const HELP = [
  ["j, ↓", "next"], ["k, ↑", "previous"], ["s", "SN"], ["n", "not SN"], ["u", "unsure"],
  ["b, then 1 to 6 or Enter", "bogus, of a kind or of none"], ["c", "comment"], ["z", "undo"], ["?", "this help"],
];

function h(tag, attributes = {}, ...children) {
  const svg = ["svg", "line", "path", "circle", "rect", "text", "g", "title"].includes(tag);
  const made = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value !== null && value !== false) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

const show = (value, digits = 2, sign = false) =>
  value === null || value === undefined ? "–" : (sign && value > 0 ? "+" : "") + value.toFixed(digits).replace("-", "−");

class Page {
  constructor(model, el) {
    this.model = model;
    this.shown = new Int32Array(0);
    this.rows = {};
    this.judged = new Map();
    this.details = new Map();
    this.asked = new Set();
    this.place = 0;
    this.bogus = false;
    this.history = []; // places of what this page said, to go back to
    this.started = null;
    this.setup = { verdicts: [], kinds: [], colours: {}, bands: {}, mark: "", target: "" };
    this.build(el);
    this.take = (message, buffers) => this[`take_${message.type}`](message, buffers);
    model.on("msg:custom", this.take);
    this.resized = new ResizeObserver(() => { this.paintList(); this.paintCurve(); });
    this.resized.observe(this.root);
    this.send({ do: "hello" });
  }

  send(message) { this.model.send(message); }

  close() {
    this.model.off("msg:custom", this.take);
    this.resized.disconnect();
  }

  get row() { return this.shown[this.place]; }

  // What the kernel says

  take_setup(message) {
    this.setup = message;
    for (const [band, colour] of Object.entries(message.bands)) this.root.style.setProperty(`--band-${band}`, colour);
    this.mark.textContent = message.mark;
    this.mark.hidden = !message.mark;
    this.kinds.replaceChildren(...message.kinds.map((kind, i) => this.button(kind, i + 1, () => this.judge("bogus", kind))));
    this.armBogus(false);
  }

  take_shown(message, buffers) {
    const bytes = buffers[0];
    this.shown = new Int32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
    this.rows = message.rows;
    this.details.clear();
    this.history = [];
    this.asked.clear();
    this.blind = message.blind;
    this.stretch = message.stretch;
    this.space.style.height = `${this.shown.length * ROW}px`;
    this.progress.textContent = message.progress;
    this.go(Math.min(this.place, Math.max(this.shown.length - 1, 0)), false);
  }

  take_place(message) { if (message.place !== this.place) this.go(message.place, false); }

  take_judged(message) {
    for (const [row, said] of Object.entries(message.judged)) said ? this.judged.set(+row, said) : this.judged.delete(+row);
    this.progress.textContent = message.progress;
    this.paintList();
  }

  take_detail(message, buffers) {
    this.asked.delete(message.row);
    if (message.stretch !== this.stretch || message.blind !== this.blind) return;
    const bytes = buffers[0];
    message.pixels = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.details.set(message.row, message);
    if (this.details.size > KEPT) this.details.delete(this.details.keys().next().value);
    if (message.row === this.row && this.painted !== message) this.paintDetail();
  }

  take_undone() {
    this.undoing = false;
    this.measure();
  }

  take_error(message) {
    this.history = [];
    this.say(message.text, true);
    this.take_undone();
  }

  // What the person does

  go(place, tell = true) {
    this.place = Math.max(0, Math.min(place, this.shown.length - 1));
    this.armBogus(false);
    this.since = performance.now();
    const [top, height] = [this.place * ROW, this.list.clientHeight];
    if (top < this.list.scrollTop || top + ROW > this.list.scrollTop + height) this.list.scrollTop = top - height / 3;
    this.paintList();
    this.paintDetail();
    if (tell) this.send({ do: "go", place: this.place });
    this.ask();
  }

  ask() {
    const rows = [];
    for (let place = this.place; place < Math.min(this.place + AHEAD, this.shown.length); place++) {
      const row = this.shown[place];
      if (!this.details.has(row) && !this.asked.has(row) && !rows.includes(row)) rows.push(row);
    }
    rows.forEach((row) => this.asked.add(row));
    if (rows.length) this.send({ do: "want", rows });
  }

  judge(verdict, kind = "") {
    if (!this.painted || this.undoing) return; // nobody judges what she has not seen
    const seconds = (performance.now() - this.since) / 1000;
    this.history.push(this.place);
    this.send({ do: "verdict", place: this.place, row: this.row, verdict, kind, seconds });
    this.say(`${this.rows.object_id[this.row]}: ${verdict}${kind && `, ${kind}`}`);
    this.go(this.place + 1, false);
  }

  armBogus(on) {
    this.bogus = on;
    this.kinds.classList.toggle("armed", on);
    for (const button of this.kinds.children) button.tabIndex = on ? 0 : -1;
    this.kinds.setAttribute("aria-hidden", String(!on));
    this.buttons?.bogus.setAttribute("aria-pressed", String(on));
    if (on) this.say("bogus: 1 to 6 for its kind, Enter for none, Escape to leave it");
  }

  askComment() {
    this.entry.hidden = false;
    this.entry.value = "";
    this.entry.focus();
  }

  endComment(save) {
    const text = this.entry.value.trim();
    this.entry.hidden = true;
    this.root.focus();
    if (save && text) {
      this.history.push(this.place);
      this.send({ do: "comment", place: this.place, row: this.row, text });
      this.say(`commented on ${this.rows.object_id[this.row]}`);
    }
  }

  undo() {
    const known = this.history.length > 0;
    if (known) this.go(this.history.pop(), false);
    else this.undoing = true; // until the kernel says where that leads, no verdict could be meant for what is seen
    this.send({ do: "undo", known });
  }

  askHelp() { this.help.open ? this.help.close() : this.help.showModal(); }

  key(event) {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const { key } = event;
    if (event.target === this.entry) {
      if (key === "Enter" || key === "Escape") this.endComment(key === "Enter");
      event.stopPropagation();
      return;
    }
    if (this.help.open && key !== "?") return;
    const started = event.timeStamp;
    const onButton = event.target.tagName === "BUTTON" || event.target.tagName === "A";
    if (key === "j" || key === "ArrowDown") this.go(this.place + 1);
    else if (key === "k" || key === "ArrowUp") this.go(this.place - 1);
    else if (event.repeat && /^(.|Enter)$/.test(key)) {} // a held key only moves
    else if (this.bogus && /^[1-6]$/.test(key) && +key <= this.setup.kinds.length) this.judge("bogus", this.setup.kinds[key - 1]);
    else if (this.bogus && key === "Enter" && !onButton) this.judge("bogus");
    else if (this.bogus && key === "Escape") this.armBogus(false);
    else if (key in KEYS) this.judge(KEYS[key]);
    else if (key === "b") this.armBogus(true);
    else if (key === "z") this.undo();
    else if (key === "c") this.askComment();
    else if (key === "?") this.askHelp();
    else return;
    event.preventDefault();
    event.stopPropagation();
    this.started = started;
    this.measure();
  }

  // How long it took from a key until what it leads to was painted, in ms, for the benchmark.
  measure() {
    const { started } = this;
    if (started === null || this.undoing || (this.shown.length && !this.painted)) return;
    this.started = null;
    requestAnimationFrame(() => setTimeout(() => { this.root.dataset.paint = performance.now() - started; }));
  }

  // What is seen

  build(el) {
    const stamps = [1, 2].flatMap((alert) => STAMPS.map((name) => this.buildStamp(alert, name)));
    this.canvases = stamps.map((stamp) => stamp.querySelector("canvas"));
    this.space = h("div", { class: "ts-space" });
    this.list = h("div", { class: "ts-list", role: "listbox", tabindex: 0, "aria-label": "candidates", onscroll: () => this.paintList() }, this.space);
    this.name = h("h3", { class: "ts-name" });
    this.mark = h("strong", { class: "ts-mark", hidden: true });
    this.where = h("span", { class: "ts-where" });
    this.answer = h("div", { class: "ts-answer" });
    this.kinds = h("div", { class: "ts-kinds", role: "group", "aria-label": "kind of bogus" });
    this.entry = h("input", { class: "ts-entry", type: "text", hidden: true, "aria-label": "comment", placeholder: "comment; Enter keeps it, Escape drops it" });
    this.status = h("div", { class: "ts-status", role: "status", "aria-live": "polite" });
    this.progress = h("div", { class: "ts-progress" });
    this.curve = h("div", { class: "ts-curve" });
    this.features = h("div", { class: "ts-features", tabindex: 0, role: "region", "aria-label": "metadata" });
    this.links = h("nav", { class: "ts-links", "aria-label": "elsewhere" });
    this.help = h("dialog", { class: "ts-help", "aria-label": "keys" },
      h("table", {}, ...HELP.map(([key, does]) => h("tr", {}, h("th", { scope: "row" }, key), h("td", {}, does)))),
      h("button", { type: "button", onclick: () => this.help.close() }, "close"));
    this.help.addEventListener("close", () => this.root.focus());
    this.buttons = {
      SN: this.button("SN", "s", () => this.judge("SN")),
      "not SN": this.button("not SN", "n", () => this.judge("not SN")),
      unsure: this.button("unsure", "u", () => this.judge("unsure")),
      bogus: this.button("bogus", "b", () => this.armBogus(!this.bogus)),
      comment: this.button("comment", "c", () => this.askComment()),
      undo: this.button("undo", "z", () => this.undo()),
      help: this.button("keys", "?", () => this.askHelp()),
    };
    this.root = h("div", { class: "ts-hunter", tabindex: 0, role: "application", "aria-label": "supernova hunter; ? tells the keys", "data-lm-suppress-shortcuts": "true", onkeydown: (event) => this.key(event) },
      h("div", { class: "ts-grid" },
        h("section", { class: "ts-left", "aria-label": "list" }, this.progress, this.list),
        h("section", { class: "ts-centre", "aria-label": "stamps and verdict" },
          h("header", {}, this.name, this.where, this.mark),
          h("div", { class: "ts-stamps" }, ...stamps),
          h("div", { class: "ts-verdicts", role: "group", "aria-label": "verdict" }, ...Object.values(this.buttons)),
          h("div", { class: "ts-below" }, this.status, this.entry, this.kinds)),
        h("section", { class: "ts-right", "aria-label": "light curve and metadata" }, this.answer, this.curve, this.links, this.features)),
      this.help);
    el.append(this.root);
  }

  button(label, key, does) {
    return h("button", { type: "button", "aria-label": `${label}, key ${key}`, "aria-keyshortcuts": key, onclick: () => does() }, label, h("kbd", { "aria-hidden": "true" }, String(key)));
  }

  buildStamp(alert, name) {
    const line = (x1, y1, x2, y2) => h("line", { x1, y1, x2, y2 });
    return h("figure", { class: "ts-stamp" },
      h("canvas", { width: SIDE, height: SIDE, role: "img", "aria-label": `${name} stamp of alert ${alert}` }),
      h("svg", { viewBox: `0 0 ${SIDE} ${SIDE}`, "aria-hidden": "true" },
        h("g", { class: "ts-cross" }, line(31.5, 19, 31.5, 26.5), line(31.5, 36.5, 31.5, 44), line(19, 31.5, 26.5, 31.5), line(36.5, 31.5, 44, 31.5)),
        h("g", { class: "ts-bar" }, line(3, 59.5, 12.9, 59.5), name === "science" ? h("text", { x: 14.4, y: 61 }, "10″") : null)),
      h("figcaption", {}, `${alert} ${name}`));
  }

  say(text, wrong = false) {
    this.status.textContent = text;
    this.status.classList.toggle("wrong", wrong);
  }

  paintList() {
    const first = Math.max(0, Math.floor(this.list.scrollTop / ROW) - 2);
    const last = Math.min(this.shown.length, first + Math.ceil((this.list.clientHeight || 600) / ROW) + 4);
    const items = [];
    for (let place = first; place < last; place++) items.push(this.listItem(place));
    this.space.replaceChildren(...items);
    this.list.setAttribute("aria-activedescendant", `ts-${this.place}`);
    if (!this.shown.length) this.space.replaceChildren(h("p", { class: "ts-none" }, "no candidate"));
  }

  listItem(place) {
    const row = this.shown[place], of = (name) => this.rows[name]?.[row] ?? null;
    const [verdict, kind] = this.judged.get(row) ?? [null, ""];
    const scores = of("n_alerts") < 2 || of("p_first") === null ? show(of("p")) : `${show(of("p_first"))} → ${show(of("p"))} (${show(of("change"), 2, true)})`;
    const flags = [["near_star", "star"], ["solar_system_match", "Solar System"], ["seen_before", "seen before"]].filter(([name]) => of(name));
    return h("div", {
      id: `ts-${place}`, role: "option", class: "ts-row", style: `top:${place * ROW}px`, "aria-selected": String(place === this.place),
      "aria-setsize": this.shown.length, "aria-posinset": place + 1, onclick: () => { this.go(place); this.root.focus({ preventScroll: true }); },
    },
    h("span", { class: "ts-rank" }, of("rank") === null ? "" : String(of("rank"))),
    h("div", {},
      h("div", { class: "ts-line" }, h("span", { class: "ts-id" }, of("object_id") ?? ""), h("span", { class: "ts-p" }, of("p") === null ? "" : scores)),
      h("div", { class: "ts-line" },
        h("span", { class: "ts-facts" }, `${show(of("age"), 1)} d · ${of("band") ?? ""} ${show(of("mag"), 1)} · ${show(of("rise"), 2, true)} mag/d`),
        h("span", { class: "ts-flags" }, flags.map(([, word]) => word).join(", ")),
        verdict && h("span", { class: "ts-said", title: kind ? `${verdict}, ${kind}` : verdict }, SIGNS[verdict]))));
  }

  paintDetail() {
    const detail = this.details.get(this.row);
    this.painted = detail;
    this.name.textContent = this.rows.object_id?.[this.row] ?? "";
    this.where.textContent = this.shown.length ? `${this.place + 1} of ${this.shown.length}` : "";
    this.root.dataset.row = detail ? this.row : "";
    this.root.classList.toggle("one", detail?.candids.length === 1);
    this.canvases.forEach((canvas, i) => this.paintStamp(canvas, detail?.pixels.subarray(i * SIDE * SIDE, (i + 1) * SIDE * SIDE)));
    if (!detail) return;
    this.paintAnswer(detail);
    this.paintCurve();
    this.features.replaceChildren(this.drawFeatures(detail));
    const links = detail.links.map(([name, href]) => h("a", { href, target: "_blank", rel: "noopener noreferrer" }, name));
    this.measure();
    this.links.replaceChildren(...links, ...(this.setup.mark ? [h("span", {}, "(a simulated object is in none of them)")] : []));
  }

  paintStamp(canvas, pixels) {
    const image = new ImageData(SIDE, SIDE);
    const there = pixels?.some((value) => value !== NO_PIXEL);
    if (there) {
      for (let i = 0; i < SIDE * SIDE; i++) {
        const value = pixels[i], at = 4 * (SIDE * (SIDE - 1 - Math.floor(i / SIDE)) + (i % SIDE)); // rows of FITS go up
        if (value === NO_PIXEL) continue;
        image.data[at] = image.data[at + 1] = image.data[at + 2] = value;
        image.data[at + 3] = 255;
      }
    }
    canvas.getContext("2d").putImageData(image, 0, 0);
    canvas.parentElement.classList.toggle("none", !there);
    canvas.parentElement.dataset.none = pixels ? "no stamp" : "…";
  }

  paintAnswer(detail) {
    if (!detail.answer) { this.answer.replaceChildren(h("p", {}, "blind: scores are hidden")); return; }
    const bars = Object.entries(detail.answer.p).map(([name, p]) => h("div", { class: "ts-class" },
      h("span", {}, name), h("span", { class: "ts-track" }, h("span", { style: `width:${100 * p}%;background:${this.setup.colours[name]}` })), h("span", {}, show(p))));
    const set = detail.answer.conformal;
    this.answer.replaceChildren(...bars, h("p", {}, set === null ? "no conformal set: the model has no calibration" : `conformal set: ${set.replaceAll(",", ", ") || "empty"}`));
  }

  paintCurve() {
    if (this.painted) this.curve.replaceChildren(this.drawCurve(this.painted));
  }

  drawCurve({ curve, alerts, rise }) {
    const [W, H, L, R, T, B] = [Math.max(this.curve.clientWidth, 200), 210, 38, 12, 42, 32];
    const values = curve.mag.map((mag, i) => mag ?? curve.limit[i]);
    const days = [...curve.day, ...alerts], reach = [Math.min(...days), Math.max(...days)];
    const pad = Math.max(0.04 * (reach[1] - reach[0]), 0.2), [d0, d1] = [reach[0] - pad, reach[1] + pad];
    const [m0, m1] = [Math.min(...values) - 0.3, Math.max(...values) + 0.3];
    const x = (day) => L + ((day - d0) / (d1 - d0)) * (W - L - R), y = (mag) => T + ((mag - m0) / (m1 - m0)) * (H - T - B);
    const marks = curve.day.map((day, i) => {
      const band = curve.band[i], cx = x(day), style = `--c:var(--band-${band}, currentColor)`;
      if (curve.mag[i] === null) return h("path", { class: "limit", style, d: `M${cx - 4} ${y(curve.limit[i])}h8l-4 6z` });
      const cy = y(curve.mag[i]), half = ((curve.error[i] ?? 0) / (m1 - m0)) * (H - T - B);
      const shape = { g: h("circle", { cx, cy, r: 4 }), r: h("rect", { x: cx - 3.7, y: cy - 3.7, width: 7.4, height: 7.4 }) }[band] ?? h("path", { d: `M${cx} ${cy - 5}l5 5l-5 5l-5-5z` });
      return h("g", { class: curve.positive[i] ? "seen" : "seen negative", style }, h("line", { x1: cx, x2: cx, y1: cy - half, y2: cy + half }), shape);
    });
    const detections = curve.mag.filter((mag) => mag !== null).length;
    const words = `${count(detections, "detection")}, ${count(curve.mag.length - detections, "limit")}${rise === null ? "" : `, rise ${show(rise, 2, true)} mag/day`}`;
    const step = niceStep((d1 - d0) / 6), stepMag = niceStep((m1 - m0) / 4), axis = [];
    for (let day = Math.ceil(d0 / step) * step; day <= d1; day += step) axis.push(h("line", { x1: x(day), x2: x(day), y1: H - B, y2: H - B + 4 }), h("text", { x: x(day), y: H - B + 14, "text-anchor": "middle" }, show(day, step < 1 ? 1 : 0)));
    for (let mag = Math.ceil(m0 / stepMag) * stepMag; mag <= m1; mag += stepMag) axis.push(h("line", { x1: L - 4, x2: L, y1: y(mag), y2: y(mag) }), h("text", { x: L - 6, y: y(mag) + 3, "text-anchor": "end" }, show(mag, stepMag < 1 ? 1 : 0)));
    return h("svg", { viewBox: `0 0 ${W} ${H}`, role: "img", "aria-label": `light curve: ${words}` },
      h("g", { class: "axis" }, h("path", { d: `M${L} ${T}V${H - B}H${W - R}` }), ...axis, h("text", { x: (L + W - R) / 2, y: H - 3, "text-anchor": "middle" }, "days from the latest alert")),
      ...alerts.map((day, i) => h("g", { class: "alert" }, h("line", { x1: x(day), x2: x(day), y1: T, y2: H - B }), h("text", { x: x(day), y: T - 3, "text-anchor": alerts.length < 2 ? "middle" : i ? "start" : "end" }, String(i + 1)))),
      ...marks,
      h("text", { x: 2, y: 12 }, words),
      h("text", { x: 2, y: 26, class: "legend" }, [...new Set(curve.band)].map((band) => `${{ g: "●", r: "■" }[band] ?? "◆"} ${band}`).join("   ") + "   ▽ limit"));
  }

  drawFeatures({ features }) {
    const write = (value) => (Math.abs(value) >= 1000 ? value.toFixed(0) : String(Math.abs(value) < 1 ? +value.toFixed(3) : +value.toPrecision(4)));
    const cell = (value) => h("td", {}, value === null ? "–" : write(value).replace("-", "−"));
    const percentile = (value) => {
      const far = value !== null && (value < 1 || value > 99);
      return h("td", { class: far ? "far" : "" }, value === null ? "–" : `${value.toFixed(0)}${far ? " !" : ""}`);
    };
    const heads = ["metadata", "alert 1", "%", "alert 2", "%"].map((text) => h("th", { scope: "col", title: text === "%" ? "percentile in the training set; ! where it is among the outermost hundredth" : null }, text));
    return h("table", {}, h("thead", {}, h("tr", {}, ...heads)), h("tbody", {}, ...features.map(([name, v1, v2, p1, p2]) =>
      h("tr", {}, h("th", { scope: "row" }, name), cell(v1), percentile(p1), cell(v2), percentile(p2)))));
  }
}

const count = (n, word) => `${n} ${word}${n === 1 ? "" : "s"}`;

function niceStep(rough) {
  const power = 10 ** Math.floor(Math.log10(rough || 1));
  return [1, 2, 5, 10].find((factor) => factor * power >= rough) * power;
}

export default {
  render({ model, el }) {
    const page = new Page(model, el);
    return () => page.close();
  },
};
