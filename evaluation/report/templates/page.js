const narrow = window.innerWidth < 640;
// On a narrow screen panels stand one below the other, as wide as the screen, with the legend below them.
function fitted(spec) {
  if (!narrow) return spec;
  const alone = (spec.mark || spec.layer) && typeof spec.height === "number";  // else labels come on top of the width
  const room = window.innerWidth - (alone ? 55 : 190);
  const shrink = (part) => { if (typeof part?.width === "number") part.width = Math.min(part.width, room); };
  if (alone) spec.autosize = { type: "fit-x", contains: "padding" };
  if (spec.columns) spec.columns = 1;
  shrink(spec); shrink(spec.spec);
  for (const part of [...(spec.hconcat ?? []), ...(spec.vconcat ?? []), ...(spec.concat ?? [])]) shrink(part);
  if (spec.hconcat) { spec.vconcat = spec.hconcat; delete spec.hconcat; }
  spec.config.legend = { ...spec.config.legend, orient: "bottom", columns: 2 };
  return spec;
}
// `ast` interprets the expressions of a chart: the page's content security policy allows no code made from text.
for (const source of document.querySelectorAll("script[data-chart]")) {
  const place = document.getElementById(source.dataset.chart);
  vegaEmbed(place, fitted(JSON.parse(source.textContent)), { renderer: "svg", actions: false, ast: true })
    .catch((error) => { place.textContent = `This chart failed: ${error}`; });
}
// On paper nothing can be opened: what is folded is printed too, but for the longest tables, and folded again afterwards.
const folded = [];
addEventListener("beforeprint", () => {
  for (const part of document.querySelectorAll("details:not([open]):not(.long)")) { part.open = true; folded.push(part); }
});
addEventListener("afterprint", () => { for (const part of folded.splice(0)) part.open = false; });
const links = new Map([...document.querySelectorAll(".contents a")].map((link) => [link.hash.slice(1), link]));
const watcher = new IntersectionObserver((seen) => {
  for (const { target, isIntersecting } of seen) {
    links.get(target.id)?.[isIntersecting ? "setAttribute" : "removeAttribute"]("aria-current", "true");
  }
}, { rootMargin: "-15% 0px -75% 0px" });
links.forEach((_, id) => { const part = document.getElementById(id); if (part) watcher.observe(part); });
