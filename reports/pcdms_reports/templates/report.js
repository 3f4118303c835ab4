// Sorts a score table by a column. The page is complete without it.
for (const table of document.querySelectorAll("table.scores")) {
  const body = table.tBodies[0];
  const original = [...body.rows];
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const next = { none: "descending", descending: "ascending", ascending: "none" };
      const order = next[head.getAttribute("aria-sort") || "none"];
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      const rows = [...original];
      if (order !== "none") {
        head.setAttribute("aria-sort", order);
        const sign = order === "ascending" ? 1 : -1;
        rows.sort((a, b) => compare(a.cells[column], b.cells[column], sign));
      }
      body.append(...rows);
    });
  });
}

function compare(a, b, sign) {
  const [x, y] = [a.dataset.value, b.dataset.value];
  if (x === undefined && y === undefined) {
    return sign * a.textContent.localeCompare(b.textContent);
  }
  if (x === undefined) return 1; // rows without a number stay at the end
  if (y === undefined) return -1;
  return sign * (Number(x) - Number(y));
}
