// Draws each chart of the page when it comes near the window, over its static picture.
// Bundled with Vega (helpers.publishing.drawing.bundle), which brings `vegaEmbed`.

const phone = matchMedia("(max-width: 576px)"); // as in charts.css

const readable = (value) => String(Number(Number(value).toPrecision(4)));

// Vega makes the controls; here they get a name, and a value that can be read.
const finish = (bind, view) => {
  const input = bind.querySelector("input, select");
  input.setAttribute("aria-label", bind.querySelector(".vega-bind-name").textContent.trim());
  if (input.type !== "range") return;
  const value = document.createElement("output");
  const show = () => {
    value.textContent = readable(view.signal(input.name));
    input.setAttribute("aria-valuetext", value.textContent);
  };
  input.nextElementSibling.replaceWith(value);
  bind.classList.add("vega-bind-range");
  view.addSignalListener(input.name, show);
  show();
};

const drawn = new Map(); // chart -> what vega-embed returned

const draw = async (chart) => {
  const stored = JSON.parse(chart.querySelector("script").textContent);
  const layout = phone.matches ? stored.narrow : stored.wide;
  const config = { ...layout.config, aria: false }; // one description, not a name for every mark
  const spec = { ...layout, config, datasets: stored.datasets, background: "transparent" };
  const live = document.createElement("div");
  const controls = document.createElement("div");
  live.className = "chart-live";
  const result = await vegaEmbed(live, spec, {
    actions: false,
    ast: true, // no eval: the page's content security policy stays strict
    bind: controls,
    defaultStyle: false,
    renderer: "svg",
    tooltip: { disableDefaultStyle: true },
  });
  live.querySelector("svg").setAttribute("aria-hidden", "true");
  live.setAttribute("role", "img");
  live.setAttribute("aria-label", layout.description ?? "");
  controls.querySelectorAll(".vega-bind").forEach((bind) => finish(bind, result.view));
  chart.querySelector(".chart-controls")?.replaceChildren(...controls.children);
  chart.querySelector(".chart-picture").replaceChildren(live);
  chart.classList.add("chart-drawn");
  drawn.get(chart)?.finalize();
  drawn.set(chart, result);
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
