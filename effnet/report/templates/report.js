"use strict";
document.documentElement.classList.add("js");
const all = (what, where = document) => [...where.querySelectorAll(what)];
const byId = (id) => document.getElementById(id);

// Claims: one verdict alone, or those that hold a word.
const dots = all("a.dot");
let tone = "";
for (const button of all("button.pick")) {
  button.addEventListener("click", () => {
    tone = tone === button.dataset.tone ? "" : button.dataset.tone;
    for (const other of all("button.pick")) {
      other.setAttribute("aria-pressed", String(other.dataset.tone === tone));
    }
    for (const dot of dots) dot.classList.toggle("dim", Boolean(tone) && dot.dataset.tone !== tone);
  });
}
const words = (box) => box.value.trim().toLowerCase().split(/\s+/).filter(Boolean);
const texts = new Map(dots.map((dot) => {
  const claim = byId(dot.getAttribute("href").slice(1));
  return [dot, claim ? claim.textContent.replace(/\s+/g, " ").trim() : ""];
}));
const find = byId("find");
find.addEventListener("input", () => {
  const wanted = words(find);
  const hits = wanted.length
    ? dots.filter((dot) => wanted.every((word) => texts.get(dot).toLowerCase().includes(word))) : [];
  byId("shown").textContent = wanted.length ? `${hits.length} of ${dots.length} claims` : "";
  byId("hits").replaceChildren(...hits.slice(0, 12).map((dot) => {
    const item = document.createElement("li"), link = document.createElement("a");
    link.href = dot.getAttribute("href");
    link.textContent = dot.title;
    item.append(link);
    return item;
  }));
});

// Runs: sorted by a column, or those that hold a word.
for (const table of all("table.sortable")) {
  all("th", table).forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const falling = head.getAttribute("aria-sort") === "ascending" ||
        (head.classList.contains("n") && !head.hasAttribute("aria-sort"));
      for (const other of all("th", table)) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", falling ? "descending" : "ascending");
      const value = (row) => row.cells[column].textContent.trim();
      const number = (text) => (text === "–" ? NaN : Number(text));
      const numeric = head.classList.contains("n");
      const rows = all("tbody tr", table).sort((a, b) => {
        if (!numeric) return value(a).localeCompare(value(b)) * (falling ? -1 : 1);
        const [x, y] = [number(value(a)), number(value(b))];
        if (isNaN(x) || isNaN(y)) return isNaN(x) - isNaN(y);  // what is missing comes last
        return (x - y) * (falling ? -1 : 1);
      });
      table.tBodies[0].append(...rows);
    });
  });
}
const findRun = byId("find-run");
if (findRun) {
  findRun.addEventListener("input", () => {
    const wanted = words(findRun), rows = all("table.runs tbody tr");
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !wanted.every((word) => text.includes(word));
    }
    const left = rows.filter((row) => !row.hidden).length;
    byId("shown-runs").textContent = wanted.length ? `${left} of ${rows.length} runs` : "";
  });
}

// A figure at its natural size and half as much again, to be dragged about.
const large = byId("large"), pan = large.querySelector(".pan");
function enlarge(card) {
  const image = card.querySelector(".plot > svg, .plot > img").cloneNode(true);
  const natural = parseFloat(card.querySelector(".plot").style.getPropertyValue("--natural"));
  pan.style.setProperty("--natural", `${Math.round(natural * 1.5)}px`);
  pan.replaceChildren(image);
  large.querySelector("p").textContent = card.querySelector(".title").textContent.trim();
  large.showModal();
}
for (const link of all("a.zoom")) {
  link.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    enlarge(link.closest("figure"));
  });
}
large.addEventListener("click", (event) => { if (event.target === large) large.close(); });
let from = null;
pan.addEventListener("pointerdown", (event) => {
  from = [event.clientX + pan.scrollLeft, event.clientY + pan.scrollTop];
  pan.classList.add("moving");
});
window.addEventListener("pointermove", (event) => {
  if (from) pan.scrollTo(from[0] - event.clientX, from[1] - event.clientY);
});
window.addEventListener("pointerup", () => { from = null; pan.classList.remove("moving"); });

// A link into a closed place opens it.
function reveal() {
  const target = location.hash && byId(decodeURIComponent(location.hash.slice(1)));
  if (!target) return;
  for (let d = target.closest("details"); d; d = d.parentElement.closest("details")) d.open = true;
  if (target.matches(".wrong > li")) target.querySelector("details").open = true;
  target.scrollIntoView();
}
window.addEventListener("hashchange", reveal);
reveal();

// The contents show the place; on a phone they are closed until asked for, and after an answer.
const contents = document.querySelector("nav details");
const narrow = matchMedia("(max-width: 69.99rem)");
if (narrow.matches) contents.open = false;
const links = new Map(all("nav a").map((link) => [link.getAttribute("href").slice(1), link]));
const places = [...links.keys()].map(byId).filter(Boolean);
function mark() {
  let now = places[0];
  for (const place of places) if (place.getBoundingClientRect().top < 120) now = place;
  for (const link of links.values()) link.removeAttribute("aria-current");
  for (const item of all("nav li")) item.classList.remove("here");
  const link = links.get(now.id);
  link.setAttribute("aria-current", "true");
  for (let li = link.closest("li"); li; li = li.parentElement.closest("li")) li.classList.add("here");
}
let waiting = false;
window.addEventListener("scroll", () => {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => { waiting = false; mark(); });
}, { passive: true });
mark();
for (const link of links.values()) {
  link.addEventListener("click", () => { if (narrow.matches) contents.open = false; });
}

// Paper shows everything.
let opened = [];
window.addEventListener("beforeprint", () => {
  opened = all("main details").filter((d) => !d.open);
  for (const d of opened) d.open = true;
});
window.addEventListener("afterprint", () => { for (const d of opened) d.open = false; });
