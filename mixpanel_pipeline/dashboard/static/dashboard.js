// Adds to pages that work without it: charts from their tables, the reader's time zone, colours, and what changed said
// aloud.
"use strict";

const DAY_SECONDS = 86400;

// ---- Colours: as the system has them, light, or dark.

const THEMES = ["system", "light", "dark"];
const SYMBOLS = { system: "◐", light: "○", dark: "●" };

function showTheme() {
  const button = document.getElementById("theme");
  const theme = document.documentElement.dataset.theme ?? "system";
  button.hidden = false;
  button.textContent = SYMBOLS[theme];
  button.setAttribute("aria-label", theme === "system" ? "Colours: as the system has them" : `Colours: ${theme}`);
}

function nextTheme() {
  const root = document.documentElement;
  const theme = THEMES[(THEMES.indexOf(root.dataset.theme ?? "system") + 1) % THEMES.length];
  if (theme === "system") {
    delete root.dataset.theme;
    localStorage.removeItem("theme");
  } else {
    root.dataset.theme = theme;
    localStorage.setItem("theme", theme);
  }
  showTheme();
  drawCharts();
}

// ---- Time zones: the reader's own, or UTC, which is the data's.

const ownZone = Intl.DateTimeFormat().resolvedOptions().timeZone;
const zone = () => (localStorage.getItem("zone") === "UTC" ? "UTC" : ownZone);

function showZone() {
  const select = document.getElementById("zone");
  const own = select.options[0];
  own.value = ownZone;
  own.textContent = ownZone;
  if (ownZone === "UTC") select.options[1]?.remove();
  select.value = zone();
  select.closest("label").hidden = false;
}

function writeTimes() {
  const write = uPlot.fmtDate("{D} {MMM} {YYYY}, {HH}:{mm}");
  const nameOf = new Intl.DateTimeFormat("en-GB", { timeZone: zone(), timeZoneName: "short" });
  for (const time of document.querySelectorAll("time[data-hours]")) {
    const moment = new Date(time.dateTime);
    const name = nameOf.formatToParts(moment).find((part) => part.type === "timeZoneName").value;
    time.textContent = `${write(uPlot.tzDate(moment, zone()))} ${name}`;
    time.title = moment.toISOString().replace("T", " ").replace(/\..*/, " UTC");
  }
}

// ---- Charts: each is drawn from the table in its figure.

const drawn = new Map();

function seriesOf(table) {
  const column = [...table.tHead.rows[0].cells].findIndex((cell) => "plot" in cell.dataset);
  const rows = [...table.tBodies[0].rows];
  return {
    starts: rows.map((row) => Number(row.dataset.start)),
    values: rows.map((row) => Number(row.cells[column].dataset.value)),
    partial: rows.map((row) => "partial" in row.dataset),
    names: rows.map((row) => row.cells[0].querySelector("time").textContent),
    title: table.dataset.title,
    step: table.dataset.step,
    hours: table.dataset.step.includes("hour"),
  };
}

// What is not over, or cut off, is dashed: a line from and to its neighbours.
function split({ values, partial }) {
  const whole = values.map((value, place) => (partial[place] ? null : value));
  const dashed = values.map((value, place) =>
    partial[place] || partial[place - 1] || partial[place + 1] ? value : null);
  return [whole, dashed];
}

// Weeks are named by their own first days; uPlot would name every so-manieth day.
function weekTicks(starts, width) {
  const each = Math.ceil((starts.length * 75) / width);
  const write = uPlot.fmtDate("{D} {MMM}");
  return {
    splits: () => starts.filter((_start, place) => place % each === 0),
    values: (_chart, ticks) => ticks.map((tick) => write(uPlot.tzDate(new Date(tick * 1000), "UTC"))),
  };
}

function drawChart(figure) {
  const plot = figure.querySelector(".plot");
  const table = figure.querySelector("table");
  drawn.get(plot)?.destroy();
  const series = seriesOf(table);
  if (series.starts.length < 2) {
    plot.hidden = true;
    return;
  }
  const style = getComputedStyle(plot);
  const accent = style.caretColor;
  const [whole, dashed] = split(series);
  const font = `12px ${style.fontFamily}`;
  const axis = { stroke: style.color, font, grid: { stroke: style.borderTopColor, width: 1 }, ticks: { show: false } };
  const points = { show: series.starts.length <= 31, size: 6, fill: accent, stroke: accent };
  const tip = document.createElement("div");
  tip.className = "tip";
  tip.hidden = true;
  const chart = new uPlot({
    width: plot.clientWidth, height: plot.clientWidth < 500 ? 190 : 260,
    tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), series.hours ? zone() : "UTC"),
    legend: { show: false },
    cursor: { y: false, points: { size: 9, fill: accent, stroke: accent }, drag: { x: false, y: false } },
    scales: { y: { range: (_chart, _least, most) => [0, Math.max(most, 1) * 1.08] } },
    axes: [
      { ...axis, grid: { show: false }, space: 70, size: series.hours ? 46 : 30,
        values: [
          [DAY_SECONDS * 28, "{MMM} {YYYY}", null, null, null, null, null, null, 1],
          [DAY_SECONDS, "{D} {MMM}", null, null, null, null, null, null, 1],
          [3600, "{HH}:{mm}", "\n{D} {MMM}", null, "\n{D} {MMM}", null, null, null, 1],
        ],
        ...(series.step === "week" ? weekTicks(series.starts, plot.clientWidth) : {}) },
      { ...axis, size: 56, values: (_chart, ticks) => ticks.map((tick) => (Number.isInteger(tick) ? tick.toLocaleString("en") : "")) },
    ],
    series: [
      {},
      { stroke: accent, width: 2, fill: style.outlineColor, points },
      { stroke: accent, width: 2, dash: [5, 5], points },
    ],
    hooks: {
      setCursor: [(self) => {
        const place = self.cursor.idx;
        tip.hidden = place == null || self.cursor.left < 0;
        if (tip.hidden) return;
        tip.textContent = `${series.names[place]}: ${series.values[place].toLocaleString("en")}${series.partial[place] ? ", not complete" : ""}`;
        const left = self.valToPos(series.starts[place], "x");
        const room = self.over.clientWidth;
        tip.style.left = `${Math.min(Math.max(left, tip.offsetWidth / 2), room - tip.offsetWidth / 2)}px`;
      }],
    },
  }, [series.starts, whole, dashed], plot);
  chart.over.append(tip);
  drawn.set(plot, chart);
}

function drawCharts() {
  for (const [plot, chart] of drawn) {
    if (plot.isConnected) continue;
    chart.destroy();
    drawn.delete(plot);
  }
  for (const figure of document.querySelectorAll("figure.chart")) drawChart(figure);
}

// ---- Pages are swapped in place: the address, the title and the focus follow.

function showWhere() {
  for (const link of document.querySelectorAll("header nav a")) {
    if (link.pathname === location.pathname) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}

function show() {
  showWhere();
  writeTimes();
  drawCharts();
}

function say(text) {
  document.getElementById("status").textContent = text;
}

// Browsers keep whole pages for going back; somebody may have signed out since.
addEventListener("pageshow", (event) => {
  if (event.persisted) location.reload();
});

// A part that renews itself keeps what it shows when there is no answer, says so, and asks again.
function showAsOld(part) {
  for (const note of part.querySelectorAll("[data-when-old]")) note.hidden = false;
}

document.addEventListener("DOMContentLoaded", () => {
  showTheme();
  showZone();
  document.getElementById("theme").addEventListener("click", nextTheme);
  document.getElementById("zone").addEventListener("change", (event) => {
    localStorage.setItem("zone", event.target.value);
    show();
  });
  show();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawCharts);
  let width = innerWidth;
  addEventListener("resize", () => {
    if (innerWidth !== width) requestAnimationFrame(drawCharts);
    width = innerWidth;
  });
  document.body.addEventListener("htmx:beforeRequest", (event) => {
    if (event.detail.boosted) say("Loading …");
  });
  document.body.addEventListener("htmx:afterSettle", (event) => {
    show();
    if (!event.detail.boosted) return;
    say(document.getElementById("sentence")?.textContent ?? document.title);
  });
  for (const failed of ["htmx:sendError", "htmx:timeout"]) {
    document.body.addEventListener(failed, (event) => {
      say("The dashboard does not answer. Try again.");
      if (!event.detail.boosted) showAsOld(event.target);
    });
  }
  document.body.addEventListener("htmx:beforeSwap", (event) => {
    if (event.detail.boosted || event.detail.xhr.status < 400) return;
    event.detail.shouldSwap = false;
    showAsOld(event.detail.target);
  });
});
