"use strict";
(async () => {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const touch = matchMedia("(pointer: coarse)").matches;

  async function unpack(id) {
    const text = atob(document.getElementById(id).textContent);
    const bytes = Uint8Array.from(text, (letter) => letter.charCodeAt(0));
    return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"))).text();
  }
  const pause = () => new Promise((resolve) => setTimeout(resolve));

  // What is static is on the screen before the charts are unpacked.
  await new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)));
  const charts = [...document.querySelectorAll("[data-chart]")];
  if (!("DecompressionStream" in window)) {
    for (const chart of charts) chart.textContent = "This browser is too old to draw the charts.";
    return;
  }
  const page = JSON.parse(await unpack("data"));
  const rows = new Map(page.rows.data.map((values) => [values[page.rows.columns.indexOf("uid")], values]));

  // ---- The whole row of a trial -------------------------------------------------------------------------------
  const panel = document.getElementById("row");
  let openedFrom = null;

  function make(name, text, className) {
    const made = document.createElement(name);
    if (text !== undefined) made.textContent = text;
    if (className) made.className = className;
    return made;
  }
  function trialButton(uid) {
    const button = make("button", uid, "uid");
    button.type = "button";
    button.dataset.uid = uid;
    return button;
  }
  function drawn(architecture) {
    const list = make("ol", undefined, "flow");
    for (const block of architecture) {
      const item = make("li");
      const [, name, settings] = /^([^(]*)\(?(.*?)\)?$/s.exec(block) ?? [null, block, ""];
      item.append(make("b", name.replaceAll("_", " ")));
      if (settings) item.append(make("span", settings.replaceAll("=", " ").replaceAll(",", ", ")));
      list.append(item);
    }
    return list;
  }
  function readable(name, value) {
    if (typeof value === "number") return Number.isInteger(value) ? value.toLocaleString("en") : String(+value.toPrecision(6));
    if (Array.isArray(value)) return value.map((each) => readable("", each)).join(", ");
    if (value !== null && typeof value === "object")
      return Object.entries(value).map(([key, each]) => `${key} ${readable("", each)}`).join("\n");
    return String(value);
  }
  function parsed(value) {
    if (typeof value !== "string" || !/^[{[]/.test(value)) return value;
    try { return JSON.parse(value); } catch { return value; }
  }
  function show(uid) {
    const values = rows.get(uid);
    if (!values) return;
    const row = Object.fromEntries(page.rows.columns.map((name, place) => [name, values[place]]));
    const close = make("button", "close", "close");
    close.type = "button";
    close.addEventListener("click", hide);
    const list = make("dl");
    for (const [name, value] of Object.entries(row)) {
      if (value === null || name === "uid" || name === "architecture" || (Array.isArray(value) && !value.length)) continue;
      const cell = make("dd");
      if (name === "parents") {
        for (const parent of value) cell.append(rows.has(parent) ? trialButton(parent) : make("span", parent), " ");
      } else {
        cell.textContent = readable(name, parsed(value));
        cell.style.whiteSpace = "pre-line";
      }
      list.append(make("dt", name.replaceAll("_", " ")), cell);
    }
    panel.replaceChildren(make("h2", uid), close, ...(row.architecture ? [drawn(row.architecture)] : []), list);
    panel.dataset.shown = uid;
    panel.hidden = false;
    panel.scrollTop = 0;
    panel.focus({preventScroll: true});
  }
  function hide() {
    panel.hidden = true;
    openedFrom?.focus?.({preventScroll: true});
  }
  document.addEventListener("click", (event) => {
    const button = event.target.closest?.("[data-uid]");
    if (!button) return;
    if (!panel.contains(button)) openedFrom = button;
    show(button.dataset.uid);
  });
  document.addEventListener("keydown", (event) => { if (event.key === "Escape" && !panel.hidden) hide(); });

  // ---- Charts -------------------------------------------------------------------------------------------------
  const code = document.createElement("script");
  code.textContent = await unpack("library");
  document.head.append(code);

  const look = () => page.looks[dark.matches ? "dark" : "light"];
  async function draw(chart, place) {
    const [, figure] = page.charts[chart.dataset.chart][place];
    const layout = {...figure.layout, template: look(), dragmode: touch ? false : "zoom", autosize: true};
    chart.style.minHeight = `${layout.height}px`;
    await Plotly.react(chart, figure.data, layout, {responsive: true, displayModeBar: false});
    if (chart.dataset.drawn) return;
    chart.dataset.drawn = "true";
    chart.on("plotly_click", ({points}) => {
      const uid = points.map((point) => point.customdata?.[0]).find((each) => rows.has(each));
      if (uid) { openedFrom = null; show(uid); }
    });
  }
  for (const chart of charts) {
    await draw(chart, 0);
    const buttons = [...(chart.previousElementSibling?.querySelectorAll("[data-alternative]") ?? [])];
    for (const button of buttons)
      button.addEventListener("click", () => {
        for (const each of buttons) each.setAttribute("aria-pressed", String(each === button));
        draw(chart, Number(button.dataset.alternative));
      });
    await pause();
  }
  dark.addEventListener("change", () => { for (const chart of charts) Plotly.relayout(chart, {template: look()}); });
  document.documentElement.dataset.ready = String(Math.round(performance.now()));
})();
