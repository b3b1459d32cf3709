for (const table of document.querySelectorAll("table.sortable")) {
  const headers = [...table.tHead.rows[0].cells];
  headers.forEach((header, column) => {
    header.querySelector("button").addEventListener("click", () => {
      const descending = header.getAttribute("aria-sort") !== "descending";
      const sign = descending ? -1 : 1;
      const rows = [...table.tBodies[0].rows];
      rows.sort((first, second) => {
        const [a, b] = [first, second].map((row) => row.cells[column].dataset.value);
        return sign * (header.classList.contains("number") ? a - b : a.localeCompare(b, undefined, { numeric: true }));
      });
      headers.forEach((other) => other.removeAttribute("aria-sort"));
      header.setAttribute("aria-sort", descending ? "descending" : "ascending");
      table.tBodies[0].append(...rows);
    });
  });
}
