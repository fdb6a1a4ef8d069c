// Pointing at a mark shows which run it is; a click opens the run in MLflow, at the address that the page was written with.
const tip = document.getElementById("tip"), REACH = 6;
const at = (x, y) => document.elementFromPoint(x, y)?.closest("[data-run]");
function near(x, y) {
  for (let r = 0; r <= REACH; r += 2)
    for (const [dx, dy] of [[0, r], [0, -r], [r, 0], [-r, 0]]) { const found = at(x + dx, y + dy); if (found) return found; }
}
let last;
document.addEventListener("pointermove", event => {
  const mark = near(event.clientX, event.clientY);
  if (last && last !== mark) last.classList.remove("near");
  tip.hidden = !mark; last = mark;
  if (!mark) return;
  mark.classList.add("near");
  tip.textContent = runs[mark.dataset.run]?.[0] ?? mark.dataset.run;
  tip.style.left = Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 8) + "px";
  tip.style.top = Math.min(event.clientY + 14, innerHeight - tip.offsetHeight - 8) + "px";
});
document.addEventListener("click", event => {
  const mark = near(event.clientX, event.clientY);
  if (!mark || (event.target.closest("a") && !event.target.closest("[data-run]"))) return;
  event.preventDefault();
  openRun(mark.dataset.run);
});
function openRun(run) {
  const address = `${document.body.dataset.runsAt}/#/experiments/${runs[run]?.[1]}/runs/${run}?workflowType=machine_learning`;
  if (window.open(address, "_blank")) return;
  tip.hidden = false;  // MLflow's artifact view lets a page open nothing
  tip.textContent = `Not from within MLflow: open the page's file, or ${address}`;
}
addEventListener("beforeprint", () => document.querySelectorAll("details").forEach(folded => folded.open = true));
