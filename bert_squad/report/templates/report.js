// Lists and filters, keys and links.
const ROW = 56; // pixels, as .row in the style sheet

// Filters and orders.
const KINDS = {
  mistakes: ["all that is not exact", (row) => !rows.exact[row]],
  all: ["all questions", () => true],
  better: ["better than the other run", (row) => change(row) > 0],
  worse: ["worse than the other run", (row) => change(row) < 0],
};
const last = (value) => (value === null ? -Infinity : value);
const ORDERS = {
  surest: ["surest first", (a, b) => last(rows.probability[b]) - last(rows.probability[a])],
  unsure: ["least sure first", (a, b) => last(rows.probability[a]) - last(rows.probability[b])],
  file: ["as in the file", (a, b) => a - b],
  f1: ["lowest F1 first", (a, b) => rows.f1[a] - rows.f1[b]],
  odds: ["highest null odds first", (a, b) => last(rows.odds[b]) - last(rows.odds[a])],
  change: ["greatest change first", (a, b) => Math.abs(change(b)) - Math.abs(change(a))],
};

function fillControls() {
  const option = (value, text) => element("option", { value }, text);
  const has = (name) => rows.outcome.includes(settings.outcomes.indexOf(name));
  controls.outcome.append(option("mistakes", KINDS.mistakes[0]), option("all", KINDS.all[0]));
  settings.outcomes.forEach((name, index) => has(name) && controls.outcome.append(option(String(index), name)));
  if (settings.hasOther) controls.outcome.append(option("better", KINDS.better[0]), option("worse", KINDS.worse[0]));
  controls.group.append(option("", "all groups"));
  settings.groupings.forEach(([name, labels], number) => controls.group.append(
    element("optgroup", { label: name }, ...labels.map((label, index) => option(`${number}.${index}`, label)))));
  const rated = rows.probability.some((value) => value !== null);
  const shown = { surest: rated, unsure: rated, file: true, f1: true, odds: settings.isVersion2, change: settings.hasOther };
  for (const [name, [text]] of Object.entries(ORDERS)) if (shown[name]) controls.order.append(option(name, text));
}

function passes() {
  const kind = controls.outcome.value;
  const isKind = kind in KINDS ? KINDS[kind][1] : (row) => rows.outcome[row] === Number(kind);
  const [grouping, label] = controls.group.value.split(".").map(Number);
  const isGroup = controls.group.value ? (row) => rows.groups[grouping][row] === label : () => true;
  const words = controls.search.value.toLowerCase().trim();
  if (words && !haystacks) {
    haystacks = rows.id.map((id, row) =>
      [id, rows.question[row], rows.prediction[row] || "", ...rows.golds[row]].join("\n").toLowerCase());
  }
  return (row) => isKind(row) && isGroup(row) && (!words || haystacks[row].includes(words));
}

function refresh(keeps = true) {
  const isShown = passes();
  found = [];
  for (let row = 0; row < rows.id.length; row++) if (isShown(row)) found.push(row);
  const order = controls.order.value;
  if (order !== "file") found.sort((a, b) => ORDERS[order][1](a, b) || a - b);
  count.textContent = `${found.length.toLocaleString("en")} of ${rows.id.length.toLocaleString("en")} questions`;
  inner.style.height = `${found.length * ROW}px`;
  list.scrollTop = 0;
  if (found.length) choose(keeps && found.includes(chosen) ? chosen : found[0]);
  else {
    paint();
    show(-1);
  }
}

// The list: only the rows that are seen are there.
function paint() {
  const first = Math.max(0, Math.floor(list.scrollTop / ROW) - 4);
  const end = Math.min(found.length, Math.ceil((list.scrollTop + list.clientHeight) / ROW) + 4);
  const made = [];
  for (let place = first; place < end; place++) made.push(listed(place));
  inner.replaceChildren(...made);
  const place = found.indexOf(chosen);
  if (place >= first && place < end) list.setAttribute("aria-activedescendant", `row-${chosen}`);
  else list.removeAttribute("aria-activedescendant");
}

function listed(place) {
  const row = found[place], outcome = rows.outcome[row];
  const made = element("div", {
    class: "row", id: `row-${row}`, role: "option", "aria-selected": String(row === chosen),
    "aria-posinset": place + 1, "aria-setsize": found.length,
  },
  element("div", {}, says(rows.question[row].slice(0, 300))),
  element("div", { class: "below" }, element("span", { class: `dot o${outcome}`, "aria-hidden": "true" }),
    `${settings.outcomes[outcome]}: `, answer(rows.prediction[row] && rows.prediction[row].slice(0, 200))));
  made.style.top = `${place * ROW}px`;
  return made;
}

function choose(row, reveals = true) {
  chosen = row;
  const place = found.indexOf(row);
  if (reveals && place >= 0) {
    if (place * ROW < list.scrollTop) list.scrollTop = place * ROW;
    else if ((place + 1) * ROW > list.scrollTop + list.clientHeight) list.scrollTop = (place + 1) * ROW - list.clientHeight;
  }
  paint();
  show(row);
}

function step(by) {
  if (!found.length) return;
  const place = found.indexOf(chosen);
  choose(found[Math.min(found.length - 1, Math.max(0, place < 0 ? 0 : place + by))]);
  remember();
}

// Links: an id that no address can hold, or that another question has too, is named by its number.
function addressOf(row) {
  const id = rows.id[row];
  try {
    return rows.id.indexOf(id) === row ? `#q=${encodeURIComponent(id)}` : `#n=${row}`;
  } catch {
    return `#n=${row}`;
  }
}
function remember() {
  try { history.replaceState(null, "", addressOf(chosen)); } catch { /* where pages have no address */ }
}
function follow() {
  const [name, value] = [location.hash.slice(0, 3), location.hash.slice(3)];
  let row = -1;
  try {
    if (name === "#q=") row = rows.id.indexOf(decodeURIComponent(value));
    else if (name === "#n=" && /^\d+$/.test(value)) row = Number(value);
  } catch { /* no address of ours */ }
  if (row < 0 || row >= rows.id.length) return;
  if (!found.includes(row)) {
    controls.outcome.value = "all";
    controls.group.value = controls.search.value = "";
    refresh();
  }
  choose(row);
  byId("questions").scrollIntoView();
}

// Keys and buttons.
function onKey(event) {
  const target = event.target, types = target.matches("input, select, textarea");
  if (event.ctrlKey || event.metaKey || event.altKey || byId("help").open) return;
  if (types) {
    if (event.key === "Escape") target.blur();
    return;
  }
  const page = Math.max(1, Math.floor(list.clientHeight / ROW) - 1);
  const moves = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity };
  if (event.key === "j") step(1);
  else if (event.key === "k") step(-1);
  else if (event.key === "/") controls.search.focus();
  else if (event.key === "?") byId("help").showModal();
  else if (target === list && event.key in moves) step(moves[event.key]);
  else return;
  event.preventDefault();
}

function onClick(event) {
  const button = event.target.closest("[data-outcome], [data-group]");
  if (!button) return;
  controls.search.value = "";
  controls.outcome.value = button.dataset.outcome || "all";
  controls.group.value = button.dataset.group || "";
  refresh();
  byId("questions").scrollIntoView();
  list.focus({ preventScroll: true });
}

function listen() {
  for (const name of ["outcome", "group"]) controls[name].addEventListener("change", () => refresh());
  controls.order.addEventListener("change", () => refresh(false)); // what is first is asked for
  let waiting = 0;
  controls.search.addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(() => refresh(), 120); });
  byId("controls").addEventListener("submit", (event) => event.preventDefault());
  list.addEventListener("scroll", paint, { passive: true });
  list.addEventListener("click", (event) => {
    const row = event.target.closest(".row");
    if (!row) return;
    choose(Number(row.id.slice(4)), false);
    remember();
    if (matchMedia("(max-width: 800px)").matches) detail.scrollIntoView({ block: "start" });
  });
  document.addEventListener("keydown", onKey);
  document.addEventListener("click", onClick);
  byId("help-button").addEventListener("click", () => byId("help").showModal());
  window.addEventListener("hashchange", follow);
  window.addEventListener("resize", paint);
}

async function start() {
  rows = await unpack("rows");
  fillControls();
  listen();
  refresh();
  follow();
  performance.mark("report-listed");
  details = await unpack("details");
  show(chosen);
  performance.mark("report-ready");
  document.documentElement.dataset.ready = "true";
}
start().catch((error) => {
  count.textContent = `The questions cannot be shown in this browser (${error.message}); a newer one can.`;
  count.className = "problem";
});
