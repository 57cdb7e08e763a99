// Draws each chart of the page when it comes near the window, over its static picture.
// Bundled with Vega (helpers.publishing.drawing.bundle), which brings `vegaEmbed`.
//
// Vega makes the inputs. What the page adds to them stands in the specification, under
// usermeta.controls (helpers.charts.choosing): marks, play, values on a logarithmic scale.

const phone = matchMedia("(max-width: 576px)"); // as in charts.css
const lessMotion = matchMedia("(prefers-reduced-motion: reduce)");

const SWEEP = 7000; // milliseconds from one end of a slider to the other
const LONGEST_STEP = 500;
const REST = 1200; // at an end

const digits = (value, count) => String(Number(Number(value).toPrecision(count)));

const make = (name, className, text = "") => {
  const element = document.createElement(name);
  element.className = className;
  element.textContent = text;
  return element;
};

const button = (className, text, press) => {
  const element = make("button", className, text);
  element.type = "button";
  element.addEventListener("click", press);
  return element;
};

// What the reader may set: every bound signal of a view, its first value, and what is told of it.
class Board {
  constructor(view, names, before) {
    this.view = view;
    this.first = new Map(names.map((name) => [name, view.signal(name)]));
    for (const [name, value] of before) if (this.first.has(name)) view.signal(name, value);
    view.run();
  }
  get values() {
    return new Map([...this.first.keys()].map((name) => [name, this.view.signal(name)]));
  }
  get atStart() {
    return [...this.first].every(([name, value]) => this.view.signal(name) === value);
  }
  set(name, value) {
    return this.view.signal(name, value).runAsync();
  }
  reset() {
    this.first.forEach((value, name) => this.view.signal(name, value));
    return this.view.runAsync();
  }
  whenever(act) {
    this.first.forEach((_, name) => this.view.addSignalListener(name, act));
    act();
  }
}

// A range input: its place as a whole number of steps, its value as readers know it.
class Slider {
  constructor(input, board, { log = false } = {}) {
    Object.assign(this, { input, board, log });
    [this.min, this.max, this.step] = [input.min, input.max, input.step].map(Number);
    this.last = Math.round((this.max - this.min) / this.step);
  }
  get place() {
    return Math.round((this.board.view.signal(this.input.name) - this.min) / this.step);
  }
  go(place) {
    const value = Number((this.min + Math.min(Math.max(place, 0), this.last) * this.step).toFixed(9));
    return this.board.set(this.input.name, value);
  }
  get shown() {
    const value = this.board.view.signal(this.input.name);
    return this.log ? digits(10 ** value, 3) : digits(value, 4);
  }
  fraction(value) {
    return ((this.log ? Math.log10(value) : value) - this.min) / (this.max - this.min);
  }
}

// Runs through a slider's values and back: to its start once, or, if by itself, until stopped.
// Onward, it runs from the first value to the last again and again.
// Stands still while the chart is out of sight.
class Player {
  constructor(chart, slider, { forever, onward, waiting }) {
    Object.assign(this, { slider, forever, onward, waiting, playing: false });
    this.button = button("chart-button", "Play", () => (this.playing ? this.stop() : this.start()));
    this.watch = new IntersectionObserver((entries) => {
      this.seen = entries.at(-1).intersectionRatio >= 0.2;
      if (this.seen && this.waiting) this.start();
    }, { threshold: 0.2 });
    this.watch.observe(chart);
    for (const touch of ["pointerdown", "input"]) {
      slider.input.addEventListener(touch, () => this.stop());
    }
  }
  start() {
    const { last, place } = this.slider;
    Object.assign(this, { waiting: false, playing: true, home: place, turns: 0, due: 0 });
    this.way = this.onward || place < last ? 1 : -1;
    this.button.textContent = "Pause";
    this.pace = Math.min(SWEEP / last, LONGEST_STEP);
    requestAnimationFrame((now) => this.tick(now));
  }
  tick(now) {
    if (!this.playing) return;
    if (this.seen && now >= this.due) {
      const { slider, onward } = this;
      const again = onward && slider.place >= slider.last;
      const place = again ? 0 : slider.place + this.way;
      slider.go(place);
      const atEnd = (place <= 0 && !onward) || place >= slider.last;
      if (atEnd && !onward) {
        this.way = place <= 0 ? 1 : -1;
        this.turns += 1;
      }
      this.due = now + (atEnd ? REST : this.pace);
      if (!this.forever && this.turns >= 2 && place === this.home) return this.stop();
    }
    requestAnimationFrame((next) => this.tick(next));
  }
  stop() {
    Object.assign(this, { waiting: false, playing: false });
    this.button.textContent = "Play";
  }
  end() {
    this.stop();
    this.watch.disconnect();
  }
}

// Buttons under a slider at the values that theory names, in as many rows as keep them apart.
const marksOf = (slider, label, marks, stop) => {
  const box = make("div", "chart-marks");
  const { view } = slider.board;
  const stands = ([, , menus = {}]) =>
    Object.entries(menus).every(([name, value]) => view.signal(name) === value);
  let shown = [];
  const arrange = () => {
    const [width, ends] = [box.clientWidth, []];
    if (!width) return; // not in the page yet
    for (const { place, mark, tick } of shown) {
      const x = place * width;
      const left = Math.min(Math.max(x - mark.offsetWidth / 2, 0), width - mark.offsetWidth);
      let row = ends.findIndex((end) => end <= left);
      if (row < 0) row = ends.length;
      ends[row] = left + mark.offsetWidth;
      mark.style.left = `${left}px`;
      mark.style.setProperty("--row", row);
      tick.style.left = `${x}px`;
      tick.style.setProperty("--row", row);
    }
    box.style.setProperty("--rows", ends.length);
  };
  const fill = () => {
    shown = marks.filter(stands).map(([text, value]) => {
      const place = slider.fraction(value);
      const nearest = Math.round(place * slider.last);
      const mark = button("chart-mark", text, () => {
        stop();
        slider.go(nearest);
      });
      mark.setAttribute("aria-label", `Set ${label} to ${text}: ${digits(value, 3)}`);
      return { place, nearest, mark, tick: make("span", "chart-tick") };
    });
    shown.sort((a, b) => a.place - b.place);
    box.replaceChildren(...shown.map(({ tick }) => tick), ...shown.map(({ mark }) => mark));
    arrange();
  };
  const light = () =>
    shown.forEach(({ mark, nearest }) => {
      if (nearest === slider.place) mark.setAttribute("aria-current", "true");
      else mark.removeAttribute("aria-current");
    });
  const menus = new Set(marks.flatMap(([, , where = {}]) => Object.keys(where)));
  menus.forEach((name) => view.addSignalListener(name, fill));
  new ResizeObserver(arrange).observe(box);
  fill();
  slider.board.whenever(light);
  return box;
};

// Gives the inputs that Vega has made their names and places, and what else belongs to them.
const furnish = (chart, made, view, told, before) => {
  const binds = [...made.querySelectorAll(".vega-bind")];
  const inputs = binds.map((bind) => bind.querySelector("input, select"));
  const board = new Board(view, inputs.map(({ name }) => name), before);
  const players = [];
  const stop = () => players.forEach((player) => player.stop());
  const menus = make("div", "chart-menus");
  const sliders = [];
  binds.forEach((bind, number) => {
    const input = inputs[number];
    const about = told[input.name] ?? {};
    const label = about.label ?? bind.querySelector(".vega-bind-name").textContent.trim();
    input.setAttribute("aria-label", label);
    if (input.type !== "range") {
      menus.append(bind);
      return;
    }
    const slider = new Slider(input, board, about);
    const line = make("div", "chart-slider");
    const value = make("output", "");
    value.setAttribute("aria-live", "off"); // the input says it, to those who move it
    const buttons = make("div", "chart-buttons");
    line.append(make("span", "chart-name", label), input, value, buttons);
    if (about.play) {
      const onward = about.play === "onward";
      const forever = onward || about.play === "at once";
      const waiting = forever && !lessMotion.matches && !before.size;
      const player = new Player(chart, slider, { forever, onward, waiting });
      players.push(player);
      buttons.append(player.button);
    }
    if (about.marks) line.append(marksOf(slider, label, about.marks, stop));
    board.whenever(() => {
      value.textContent = slider.shown;
      input.setAttribute("aria-valuetext", slider.shown);
    });
    sliders.push(line);
  });
  const back = button("chart-button", "Reset", () => {
    stop();
    board.reset();
    inputs[0].focus({ preventScroll: true }); // the button is about to be disabled
  });
  board.whenever(() => (back.disabled = board.atStart));
  (sliders[0]?.querySelector(".chart-buttons") ?? menus).append(back);
  return {
    elements: [...(menus.childElementCount ? [menus] : []), ...sliders],
    board,
    end: () => players.forEach((player) => player.end()),
  };
};

const drawn = new Map(); // chart -> what vega-embed returned, and its controls

const draw = async (chart) => {
  const stored = JSON.parse(chart.querySelector("script").textContent);
  const layout = phone.matches ? stored.narrow : stored.wide;
  const config = { ...layout.config, aria: false }; // one description, not a name for every mark
  const spec = { ...layout, config, datasets: stored.datasets, background: "transparent" };
  const live = document.createElement("div");
  const made = document.createElement("div");
  live.className = "chart-live";
  const result = await vegaEmbed(live, spec, {
    actions: false,
    ast: true, // no eval: the page's content security policy stays strict
    bind: made,
    defaultStyle: false,
    renderer: "svg",
    tooltip: { disableDefaultStyle: true },
  });
  live.querySelector("svg").setAttribute("aria-hidden", "true");
  live.setAttribute("role", "img");
  live.setAttribute("aria-label", layout.description ?? "");
  const old = drawn.get(chart);
  old?.controls?.end();
  const box = chart.querySelector(".chart-controls");
  const told = layout.usermeta?.controls ?? {};
  const before = old?.controls?.board.values ?? new Map();
  const controls = box && furnish(chart, made, result.view, told, before);
  box?.replaceChildren(...controls.elements);
  chart.querySelector(".chart-picture").replaceChildren(live);
  chart.classList.add("chart-drawn");
  old?.result.finalize();
  drawn.set(chart, { result, controls });
};

const tryToDraw = (chart) =>
  draw(chart).catch((error) => console.error("This chart stays a picture:", error));

const nearWindow = new IntersectionObserver((entries) => {
  for (const { isIntersecting, target } of entries) {
    if (!isIntersecting) continue;
    nearWindow.unobserve(target);
    tryToDraw(target);
  }
}, { rootMargin: "300px" });

document.querySelectorAll(".chart").forEach((chart) => nearWindow.observe(chart));
phone.addEventListener("change", () => drawn.forEach((_, chart) => tryToDraw(chart)));
