// What every page does by itself, apart from its charts.

// The theme's buttons, which it gives handlers in attributes (see pages.strict).
const actions = {
  toggleFullScreen: () =>
    document.fullscreenElement
      ? document.exitFullscreen()
      : document.documentElement.requestFullscreen?.(),
  "window.print": () => print(),
};
document.addEventListener("click", ({ target }) =>
  actions[target.closest("[data-action]")?.dataset.action]?.(),
);

// Paper is white.
const { dataset } = document.documentElement;
let theme;
addEventListener("beforeprint", () => {
  theme = dataset.theme;
  dataset.theme = "light";
});
addEventListener("afterprint", () => {
  dataset.theme = theme;
});

// A box that scrolls sideways can be reached, and then scrolled, by the keyboard.
const boxes = document.querySelectorAll(".math-body, .cell_output .output, div.highlight pre");
const reach = ({ target }) => {
  if (target.scrollWidth > target.clientWidth + 1) target.tabIndex = 0;
  else target.removeAttribute("tabindex");
};
const watch = new ResizeObserver((entries) => entries.forEach(reach));
boxes.forEach((box) => watch.observe(box));

// The buttons that open solutions say of which one they are.
addEventListener("load", () => {
  for (const button of document.querySelectorAll(".toggle-button")) {
    const title = button.closest(".admonition-title")?.textContent.trim();
    if (title) button.setAttribute("aria-label", `Show or hide: ${title}`);
  }
});
