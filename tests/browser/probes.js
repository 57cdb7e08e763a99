// What a page shows, measured in the page. The functions in the upper part return
// sentences about what is wrong: none, and all is well.

globalThis.probes = (() => {
  const shown = (element) =>
    element.getClientRects().length > 0 &&
    element.checkVisibility({ opacityProperty: true, visibilityProperty: true });

  const named = (element) => {
    const classes = [...element.classList].slice(0, 3).map((name) => "." + name);
    return element.tagName.toLowerCase() + (element.id ? "#" + element.id : "") + classes.join("");
  };

  // Colors, as [red, green, blue, opacity]

  const pixel = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const known = new Map();
  const color = (css) => {
    if (!known.has(css)) {
      pixel.clearRect(0, 0, 1, 1);
      pixel.fillStyle = css;
      pixel.fillRect(0, 0, 1, 1);
      const [red, green, blue, alpha] = pixel.getImageData(0, 0, 1, 1).data;
      known.set(css, [red, green, blue, alpha / 255]);
    }
    return known.get(css);
  };

  const over = ([r, g, b, a], back) =>
    [r, g, b].map((part, i) => part * a + back[i] * (1 - a)).concat(1);

  const luminance = (rgb) => {
    const [r, g, b] = rgb.map((part) => {
      const share = part / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };

  const contrast = (one, other) => {
    const [low, high] = [luminance(one), luminance(other)].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
  };

  const hex = (rgb) =>
    "#" + rgb.slice(0, 3).map((part) => Math.round(part).toString(16).padStart(2, "0")).join("");

  // Paper is white, whatever the page's background: browsers do not print it.
  const background = (element) => {
    const layers = [];
    for (let at = element; at; at = at.parentElement) {
      const layer = color(getComputedStyle(at).backgroundColor);
      layers.unshift(layer);
      if (layer[3] === 1) break;
    }
    return (matchMedia("print").matches ? [] : layers).reduce(
      (back, layer) => over(layer, back), [255, 255, 255, 1]);
  };

  const opacity = (element) => {
    let product = 1;
    for (let at = element; at; at = at.parentElement) product *= getComputedStyle(at).opacity;
    return product;
  };

  const paint = (element, kind) => {
    const style = getComputedStyle(element);
    if (style[kind] === "none") return null;
    if (kind === "stroke" && !(parseFloat(style.strokeWidth) > 0)) return null;
    const [r, g, b, a] = color(style[kind]);
    const seen = a * style[kind + "Opacity"] * opacity(element);
    return seen > 0 ? [r, g, b, seen] : null;
  };

  // Charts

  const drawings = () =>
    [...document.querySelectorAll(".chart")].flatMap((chart, number) =>
      [...chart.querySelectorAll(".chart-picture svg")]
        .filter(shown)
        .map((svg) => ({ svg, name: `chart ${number + 1}` })));

  const texts = (svg) =>
    [...svg.querySelectorAll("text")].filter((text) => text.textContent.trim() && shown(text));

  const MARKS = ".role-mark:not(.mark-group, .mark-text) :is(path, rect, circle, line)";

  const inside = ({ left, right, top, bottom }, x, y) =>
    x >= left && x <= right && y >= top && y <= bottom;

  // Vega cuts the marks of a plot at its frame: a rectangle, in the coordinates of the clipped group.
  const frame = (shape) => {
    const clipped = shape.closest("[clip-path]");
    const id = clipped?.getAttribute("clip-path").match(/#([^)"]+)/)?.[1];
    const cut = id && document.getElementById(id)?.firstElementChild.getBBox();
    if (!cut) return null;
    const toScreen = clipped.getScreenCTM();
    const start = new DOMPoint(cut.x, cut.y).matrixTransform(toScreen);
    const end = new DOMPoint(cut.x + cut.width, cut.y + cut.height).matrixTransform(toScreen);
    return { left: start.x, right: end.x, top: start.y, bottom: end.y };
  };

  const holds = (shape, box, x, y) => {
    if (!inside(box, x, y)) return false;
    const cut = frame(shape);
    if (cut && !inside(cut, x, y)) return false;
    return shape.isPointInFill(new DOMPoint(x, y).matrixTransform(shape.getScreenCTM().inverse()));
  };

  // What lies behind three points of a text: the page, and the filled marks drawn before it.
  const behind = (text, back, shapes) => {
    const { left, right, top, bottom } = text.getBoundingClientRect();
    const below = shapes.filter(({ shape }) =>
      shape.compareDocumentPosition(text) & Node.DOCUMENT_POSITION_FOLLOWING);
    return [0.1, 0.5, 0.9].map((share) =>
      below
        .filter(({ shape, box }) =>
          holds(shape, box, left + share * (right - left), (top + bottom) / 2))
        .reduce((under, { fill }) => over(fill, under), back));
  };

  // One sentence for all that fail alike.
  const grouped = (failures) => {
    const groups = new Map();
    for (const { where, what, why } of failures) {
      const key = where + why;
      groups.set(key, groups.get(key) ?? { where, why, whats: [] });
      groups.get(key).whats.push(what);
    }
    return [...groups.values()].map(({ where, why, whats }) =>
      `${where}: ${[...new Set(whats)].slice(0, 3).join(", ")} (${whats.length}): ${why}`);
  };

  const faintTexts = () =>
    grouped(drawings().flatMap(({ svg, name }) => {
      const back = background(svg);
      const shapes = [...svg.querySelectorAll(MARKS)]
        .map((shape) => ({ shape, fill: paint(shape, "fill"), box: shape.getBoundingClientRect() }))
        .filter(({ fill }) => fill);
      return texts(svg).flatMap((text) => {
        const ink = paint(text, "fill");
        if (!ink) return [];
        const style = getComputedStyle(text);
        const size = parseFloat(style.fontSize);
        const needed = size >= 24 || (size >= 18.66 && style.fontWeight >= 700) ? 3 : 4.5;
        const worst = behind(text, back, shapes)
          .map((under) => ({ under, ratio: contrast(over(ink, under), under) }))
          .sort((one, other) => one.ratio - other.ratio)[0];
        if (worst.ratio >= needed) return [];
        const why = `text ${hex(over(ink, worst.under))} on ${hex(worst.under)} has a contrast of ` +
          `${worst.ratio.toFixed(2)}, not ${needed}`;
        return [{ where: name, what: `"${text.textContent}"`, why }];
      });
    }));

  // Not judged: bands and shadows behind the line that says the same, fainter than half; and maps,
  // whose many colors are a scale that begins near the page's own.
  const CONTEXT = 0.5;
  const SCALE = 5;
  const isMap = (group) =>
    group.matches(".mark-rect") &&
    new Set([...group.children].map((cell) => cell.getAttribute("fill"))).size >= SCALE;

  const faintMarks = () =>
    grouped(drawings().flatMap(({ svg, name }) => {
      const back = background(svg);
      return [...svg.querySelectorAll(MARKS)].flatMap((shape) => {
        const group = shape.closest(".role-mark");
        if (isMap(group)) return [];
        const best = [paint(shape, "stroke"), paint(shape, "fill")]
          .filter((ink) => ink?.[3] >= CONTEXT)
          .map((ink) => ({ seen: over(ink, back), ratio: contrast(over(ink, back), back) }))
          .sort((one, other) => other.ratio - one.ratio)[0];
        if (!best || best.ratio >= 3) return [];
        const why = `${hex(best.seen)} on ${hex(back)} has a contrast of ` +
          `${best.ratio.toFixed(2)}, not 3`;
        return [{ where: name, what: group.classList[0], why }];
      });
    }));

  const cutTexts = () =>
    grouped(drawings().flatMap(({ svg, name }) => {
      const frame = svg.getBoundingClientRect();
      return texts(svg).flatMap((text) => {
        const box = text.getBoundingClientRect();
        const out = Math.max(frame.left - box.left, box.right - frame.right,
          frame.top - box.top, box.bottom - frame.bottom);
        if (out <= 1.5) return [];
        return [{ where: name, what: `"${text.textContent}"`, why: `cut off by ${out.toFixed(0)} px` }];
      });
    }));

  const collidingTexts = () =>
    grouped(drawings().flatMap(({ svg, name }) => {
      const boxes = texts(svg).map((text) => ({ text, box: text.getBoundingClientRect() }));
      return boxes.flatMap(({ text, box }, i) =>
        boxes.slice(i + 1).flatMap((other) => {
          const wide = Math.min(box.right, other.box.right) - Math.max(box.left, other.box.left);
          const high = Math.min(box.bottom, other.box.bottom) - Math.max(box.top, other.box.top);
          if (wide <= 2 || high <= 4) return [];
          return [{ where: name, what: `"${text.textContent}" and "${other.text.textContent}"`,
            why: "texts over each other" }];
        }));
    }));

  // Boxes

  const scrolls = (element) => /auto|scroll|hidden|clip/.test(getComputedStyle(element).overflowX);

  // Elements over the window's edge that no scroll box holds: the outermost of each.
  const stickingOut = () => {
    const edge = document.documentElement.clientWidth;
    const out = [];
    const walk = (element) => {
      for (const child of element.children) {
        if (!shown(child)) continue;
        const { left, right, width } = child.getBoundingClientRect();
        if (width > 1 && (right > edge + 1 || left < -1))
          out.push(`${named(child)} reaches from ${left.toFixed(0)} to ${right.toFixed(0)} px in a ` +
            `window of ${edge} px`);
        else if (!scrolls(child) && child.tagName !== "svg") walk(child);
      }
    };
    walk(document.body);
    return out;
  };

  // Boxes that hide a part of what they hold, so that it can't be read at all. On paper no box
  // scrolls, so there every box that would is one.
  const cutContents = () => {
    const cutting = matchMedia("print").matches ? /hidden|clip|auto|scroll/ : /hidden|clip/;
    return [...document.querySelectorAll("main *")].flatMap((element) => {
      if (element.closest("svg, math, mjx-container, span.math") || !shown(element)) return [];
      if (element.clientWidth <= 1) return []; // words for screen readers only
      const style = getComputedStyle(element);
      const lost = [
        cutting.test(style.overflowX) ? element.scrollWidth - element.clientWidth : 0,
        cutting.test(style.overflowY) ? element.scrollHeight - element.clientHeight : 0,
      ];
      if (Math.max(...lost) <= 2) return [];
      return [`${named(element)} hides ${lost[0]} px across and ${lost[1]} px down of ` +
        `"${element.textContent.trim().slice(0, 40)}"`];
    });
  };

  // Tools

  const settled = () =>
    Promise.all(document.getAnimations()
      .filter((one) => Number.isFinite(one.effect.getComputedTiming().endTime))
      .map((one) => one.finished.catch(() => null)));

  const openAll = () => {
    for (const box of document.querySelectorAll("details")) box.open = true;
    for (const button of document.querySelectorAll(".toggle-hidden .toggle-button"))
      button.click();
    return settled().then(() => null);
  };

  // Code and formulas in the text repeat a few kinds of elements thousands of times, and a check of
  // each takes minutes: leave one of each kind on each background, and of the others only the text.
  const thinOut = () => {
    const seen = new Set();
    for (const part of document.querySelectorAll("pre span, span.math > math")) {
      const kind = hex(background(part)) + part.tagName + part.className;
      if (seen.has(kind)) part.replaceWith(part.textContent);
      seen.add(kind);
    }
  };

  const ink = (selector) => {
    const element = document.querySelector(selector);
    return element && getComputedStyle(element).fill;
  };

  return {
    faintTexts, faintMarks, cutTexts, collidingTexts, stickingOut, cutContents,
    settled, openAll, thinOut, ink,
  };
})();
