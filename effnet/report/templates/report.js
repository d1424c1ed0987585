"use strict";
document.documentElement.classList.add("js");

// Claims by verdict, by what it rests on, and by word.
const rows = [...document.querySelectorAll("table.verdicts tbody tr")];
const buttons = [...document.querySelectorAll("table.counts button")];
const find = document.getElementById("find");
let tone = "";
let part = "";

function filter() {
  const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  for (const row of rows) {
    const text = row.textContent.toLowerCase();
    const picked = (!tone || row.classList.contains(tone)) && (!part || row.dataset.part === part);
    const fits = picked && words.every((w) => text.includes(w));
    row.hidden = !fits;
    shown += fits;
  }
  for (const button of buttons) {
    const on = button.dataset.tone === tone && button.dataset.part === part;
    button.setAttribute("aria-pressed", String(on));
  }
  document.getElementById("shown").textContent = `${shown} of ${rows.length} claims`;
  document.getElementById("all").hidden = shown === rows.length;
}
for (const button of buttons) {
  button.addEventListener("click", () => {
    const again = button.getAttribute("aria-pressed") === "true";
    [tone, part] = again ? ["", ""] : [button.dataset.tone, button.dataset.part];
    filter();
  });
}
find.addEventListener("input", filter);
function showAll() {
  [tone, part] = ["", ""];
  find.value = "";
  filter();
}
document.getElementById("all").addEventListener("click", showAll);
filter();

// A figure, large: without this script the link opens the file.
const large = document.getElementById("large");
for (const link of document.querySelectorAll("a.zoom")) {
  link.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    const image = link.querySelector("img");
    large.querySelector("img").src = image.src;
    large.querySelector("img").alt = image.alt;
    large.querySelector("p").textContent = image.alt;
    large.showModal();
  });
}
large.addEventListener("click", (event) => {
  if (event.target.tagName !== "IMG") large.close();
});

// A link into a closed or filtered place opens it.
function reveal() {
  const target = location.hash && document.getElementById(location.hash.slice(1));
  if (!target) return;
  if (target.hidden) showAll();
  for (let d = target.closest("details"); d; d = d.parentElement.closest("details")) d.open = true;
  target.scrollIntoView();
}
window.addEventListener("hashchange", reveal);
reveal();

// The contents start closed on a phone; paper shows every claim.
if (matchMedia("(max-width: 70rem)").matches) document.querySelector("nav details").open = false;
window.addEventListener("beforeprint", showAll);
