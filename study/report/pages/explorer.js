// Curves to look into: Plotly is unpacked when the first of them comes near the window, so that the page opens at once.
async function unpack() {
  const packed = Uint8Array.from(atob(document.getElementById("plotly").textContent), letter => letter.charCodeAt(0));
  const script = document.createElement("script");
  script.textContent = await new Response(new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
  document.head.append(script);
}
let unpacked;
async function explore(place) {
  await (unpacked ??= unpack());
  const page = getComputedStyle(document.documentElement);
  const text = place.querySelector("script").textContent.replace(/var\((--\w+)\)/g, (_, name) => page.getPropertyValue(name).trim());
  const {data, layout} = JSON.parse(text);
  place.replaceChildren();
  await Plotly.newPlot(place, data, {...layout, font: {color: page.getPropertyValue("--ink").trim()}}, {responsive: true, displayModeBar: false});
  place.on("plotly_click", event => openRun(event.points[0].data.meta[1]));
}
const near_window = new IntersectionObserver(entries => entries.filter(entry => entry.isIntersecting).forEach(entry => {
  near_window.unobserve(entry.target);
  explore(entry.target);
}), {rootMargin: "400px"});
document.querySelectorAll(".explorer").forEach(place => near_window.observe(place));
