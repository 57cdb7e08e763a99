// Put into every page before its own scripts, the same for both books: notes when the first chart
// is live, scrolls to it as soon as the page's HTML is there, and moves sliders.
(() => {
  const CHART = '.chart, [id^="altair-viz-"]';
  // What stands in a chart once Vega has drawn it: a class in this book; vega-embed's own menu.
  const isLive = (chart) => chart.matches(".chart-drawn") || chart.querySelector(":scope > details");
  const speed = (window.pageSpeed = { live: null });

  const watch = new MutationObserver(() => {
    const first = document.querySelector(CHART);
    if (!first || !isLive(first)) return;
    speed.live = performance.now();
    watch.disconnect();
  });
  watch.observe(document, { attributeFilter: ["class"], childList: true, subtree: true });
  document.addEventListener("DOMContentLoaded", () =>
    document.querySelector(CHART)?.scrollIntoView({ block: "center" }));

  speed.hasChart = () => document.querySelector(CHART) !== null;
  speed.settled = () => [...document.querySelectorAll('[id^="altair-viz-"]')].every(isLive);
  speed.firstPaint = () => performance.getEntriesByName("first-contentful-paint")[0]?.startTime;

  // Resolves after the next frame: what follows the callback is the frame's layout and its paint.
  const frame = (atStart = () => {}) => new Promise((resolve) =>
    requestAnimationFrame(() => {
      atStart();
      const { port1, port2 } = new MessageChannel();
      port1.onmessage = resolve;
      port2.postMessage(null);
    }));
  const idle = () => new Promise((resolve) => requestIdleCallback(resolve));
  const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

  // Notes the last change of what a chart shows: of an SVG's elements, or by a canvas's drawing.
  const onDrawing = (chart, note) => {
    const marks = chart.querySelector("svg.marks");
    if (marks) {
      new MutationObserver(note).observe(
        marks, { attributes: true, characterData: true, childList: true, subtree: true });
      return;
    }
    const { prototype } = CanvasRenderingContext2D;
    for (const name of ["clearRect", "fill", "fillRect", "fillText", "stroke"]) {
      const draw = prototype[name];
      prototype[name] = function (...values) {
        if (this.canvas.matches(".marks") && chart.contains(this.canvas)) note();
        return draw.apply(this, values);
      };
    }
  };

  // Moves the page's first slider step by step, to its end and back, so many times. Returns for
  // each move the milliseconds to the last change of the marks, and to the frame that shows it;
  // null where the page has no slider.
  speed.moveSlider = async (moves) => {
    const chart = [...document.querySelectorAll(CHART)]
      .find((chart) => chart.querySelector(".chart-controls, input[type=range]"));
    if (!chart) return null;
    chart.scrollIntoView({ block: "center" });
    while (!isLive(chart)) await frame();
    const input = chart.querySelector("input[type=range]");
    if (!input) return null;
    let last = null;
    onDrawing(chart, () => { last = performance.now(); });
    const [low, high, step] = ["min", "max", "step"].map((name) => Number(input[name]));
    let direction = 1;
    const times = { drawn: [], shown: [] };
    for (let move = 0; move < moves; move += 1) {
      if (Number(input.value) + direction * step > high + step / 2) direction = -1;
      if (Number(input.value) + direction * step < low - step / 2) direction = 1;
      await pause(30);
      await idle();
      last = null;
      const start = performance.now();
      input.value = Number(input.value) + direction * step;
      input.dispatchEvent(new Event("input", { bubbles: true }));
      let drawn = null;
      while (drawn === null) {
        if (performance.now() > start + 5000) throw new Error(`${input.name} moved no mark`);
        await frame(() => { drawn = last; });
      }
      times.drawn.push(drawn - start);
      times.shown.push(performance.now() - start);
    }
    return times;
  };
})();
