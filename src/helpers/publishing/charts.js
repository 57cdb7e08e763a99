// Draws each chart of the page when it comes near the window, over its static picture.
// Bundled with Vega (helpers.publishing.charts.bundle), which brings `vegaEmbed`.

const readable = (value) => String(Number(Number(value).toPrecision(4)));

// Vega makes the controls; here they get the value in words that can be read, and a name.
const finish = (bind, view) => {
  const input = bind.querySelector("input, select");
  const name = bind.querySelector(".vega-bind-name").textContent;
  input.setAttribute("aria-label", name);
  if (input.type !== "range") return;
  const raw = input.nextElementSibling;
  const value = document.createElement("output");
  const show = () => {
    value.textContent = readable(view.signal(input.name));
    input.setAttribute("aria-valuetext", value.textContent);
  };
  raw.replaceWith(value);
  bind.classList.add("vega-bind-range");
  view.addSignalListener(input.name, show);
  show();
};

// On a phone the picture shrinks and its words must not: they are made larger beforehand.
const SIZES = {
  axis: { labelFontSize: 10, titleFontSize: 11 },
  header: { labelFontSize: 10, titleFontSize: 11 },
  legend: { labelFontSize: 10, titleFontSize: 11 },
  text: { fontSize: 11 },
  title: { fontSize: 13, subtitleFontSize: 11 },
};
const enlarge = (part, factor) => {
  if (Array.isArray(part)) return part.map((item) => enlarge(item, factor));
  if (part === null || typeof part !== "object") return part;
  return Object.fromEntries(Object.entries(part).map(([key, value]) => {
    if (key === "data" || key === "datasets") return [key, value];
    const size = typeof value === "number" && /fontSize$/i.test(key);
    return [key, size ? Math.round(value * factor) : enlarge(value, factor)];
  }));
};
const readableAt = (spec, factor) => {
  const config = { ...spec.config };
  for (const [part, sizes] of Object.entries(SIZES)) config[part] = { ...sizes, ...config[part] };
  return enlarge({ ...spec, config }, factor);
};

const draw = async (chart) => {
  const picture = chart.querySelector(".chart-picture");
  const shrunk = chart.style.getPropertyValue("--width") / picture.clientWidth;
  const stored = JSON.parse(chart.querySelector("script").textContent);
  const spec = shrunk > 1.2 ? readableAt(stored, Math.min(shrunk, 1.9)) : stored;
  const controls = chart.querySelector(".chart-controls");
  const live = document.createElement("div");
  live.className = "chart-live";
  const { view } = await vegaEmbed(live, { ...spec, background: "transparent" }, {
    actions: false,
    ast: true, // no eval: the page's content security policy stays strict
    bind: controls ?? undefined,
    defaultStyle: false,
    renderer: "svg",
    tooltip: { disableDefaultStyle: true },
  });
  controls?.querySelectorAll(".vega-bind").forEach((bind) => finish(bind, view));
  picture.replaceChildren(live);
  chart.classList.add("chart-drawn");
};

const drawing = new IntersectionObserver((entries) => {
  for (const { isIntersecting, target } of entries) {
    if (!isIntersecting) continue;
    drawing.unobserve(target);
    draw(target).catch((error) => console.error("This chart stays as it was printed:", error));
  }
}, { rootMargin: "300px" });

document.querySelectorAll(".chart").forEach((chart) => drawing.observe(chart));
