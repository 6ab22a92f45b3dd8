"use strict";
document.documentElement.classList.add("scripted");

// Sorting: a header button sorts its column, first click best first as data-first says, second click the other way.
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, index) => {
    const button = head.querySelector("button");
    if (!button) return;
    button.addEventListener("click", () => {
      const first = head.dataset.first || "ascending";
      const other = first === "ascending" ? "descending" : "ascending";
      const direction = head.getAttribute("aria-sort") === first ? other : first;
      heads.forEach((each) => { if (each.querySelector("button")) each.setAttribute("aria-sort", "none"); });
      head.setAttribute("aria-sort", direction);
      const key = (row) => {
        const cell = row.cells[index];
        const value = cell.dataset.sort ?? cell.textContent.trim();
        return value !== "" && !Number.isNaN(Number(value)) ? Number(value) : value.toLowerCase();
      };
      const sign = direction === "ascending" ? 1 : -1;
      const rows = [...table.tBodies[0].rows].sort((one, two) => {
        const [a, b] = [key(one), key(two)];
        return sign * (typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b)));
      });
      table.tBodies[0].append(...rows);
      const status = document.getElementById("status");
      if (status) status.textContent = `Sorted by ${button.textContent.trim()}, ${direction}.`;
    });
  });
}

// Filters hide rows; ranks stay those among all methods of a protocol, because a filter compares nothing anew.
const form = document.querySelector("form.filters");
if (form) {
  const apply = () => {
    const wanted = Object.fromEntries(new FormData(form));
    let shown = 0, all = 0;
    for (const section of document.querySelectorAll("section.board")) {
      let here = 0;
      for (const row of section.querySelectorAll("tr[data-input]")) {
        row.hidden = ["budget", "input", "origin"].some((name) => wanted[name] && row.dataset[name] !== wanted[name]);
        all += 1;
        if (!row.hidden) { shown += 1; here += 1; }
      }
      section.hidden = here === 0;
    }
    document.getElementById("status").textContent = `${shown} of ${all} entries shown.`;
  };
  form.addEventListener("change", apply);
  form.addEventListener("reset", () => setTimeout(apply));
  form.addEventListener("submit", (event) => event.preventDefault());
}
