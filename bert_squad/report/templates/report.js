"use strict";
// The questions of the page: lists, filters, one question. All texts go in as text, never as HTML.
(() => {
  const ROW = 56; // pixels, as .row in the style sheet
  const LONG = 20000; // characters of a passage that are shown at once
  const AROUND = 1500; // characters beside the marks of a longer one
  const byId = (id) => document.getElementById(id);
  const settings = JSON.parse(byId("settings").textContent);
  const list = byId("list"), inner = byId("inner"), detail = byId("detail"), count = byId("count");
  const controls = { outcome: byId("outcome"), group: byId("group"), order: byId("order"), search: byId("search") };

  let rows = null; // columns, one entry a question
  let details = null; // passages and n-best lists, when they are unpacked
  let haystacks = null; // what the search looks into
  let found = []; // numbers of the questions that are listed
  let chosen = -1; // number of the question that is shown

  async function unpack(id) {
    const binary = atob(byId(id).textContent);
    const bytes = new Uint8Array(binary.length);
    for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i);
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return JSON.parse(await new Response(stream).text());
  }

  const LONE = /[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;
  // Each character that nothing is seen of is replaced by one, so that places stay what they are.
  const visible = (text) => text
    .replace(/[\0-\x08\x0b\x0c\x0e-\x1f]/g, (c) => String.fromCharCode(0x2400 + c.charCodeAt(0)))
    .replace(/\x7f/g, "\u2421")
    .replace(LONE, "\ufffd");

  function element(tag, attributes, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes || {})) {
      if (value !== null && value !== undefined) made.setAttribute(name, value);
    }
    made.append(...children.filter((child) => child !== null));
    return made;
  }
  const says = (text) => element("bdi", { dir: "auto" }, visible(text));
  function answer(text) {
    if (text === null) return element("span", { class: "nothing" }, "no prediction");
    return text === "" ? element("span", { class: "nothing" }, "no answer") : says(text);
  }
  const change = (row) => (rows.otherF1 && rows.otherF1[row] !== null ? rows.f1[row] - rows.otherF1[row] : 0);

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

  // One question.
  function stepButton(text, by) {
    const place = found.indexOf(chosen) + by;
    const button = element("button", { type: "button", disabled: place < 0 || place >= found.length ? "" : null }, text);
    button.addEventListener("click", () => step(by));
    return button;
  }

  function show(row, picked = null, whole = false) {
    byId("place").textContent = row < 0 ? "" : `Question ${found.indexOf(row) + 1} of ${found.length}: ${visible(rows.question[row].slice(0, 300))}`;
    if (row < 0) {
      detail.replaceChildren(element("p", { class: "nothing" }, "No question is like that."));
      return;
    }
    const number = (value, digits = 1) => (value === null ? null : value.toFixed(digits));
    const fact = (name, value) => (value === null ? null : element("span", {}, `${name} `, element("b", {}, value)));
    const golds = rows.golds[row];
    const wordings = element("dd", { dir: "auto" });
    golds.forEach((gold, index) => wordings.append(...(index ? [" · "] : []), answer(gold)));
    if (!golds.length) wordings.append(answer(""));
    const pairs = [element("dt", {}, "right"), wordings, element("dt", {}, "this run"), element("dd", {}, answer(rows.prediction[row]))];
    if (settings.hasOther && rows.otherF1[row] !== null) {
      pairs.push(element("dt", {}, "other run"), element("dd", {}, answer(rows.other[row]), ` (F1 ${number(rows.otherF1[row])})`));
    }
    const groups = settings.groupings.map(([, labels], grouping) => labels[rows.groups[grouping][row]]);
    detail.replaceChildren(
      element("p", { class: "steps" }, stepButton("‹ previous", -1), stepButton("next ›", 1)),
      element("h3", { dir: "auto" }, visible(rows.question[row])),
      element("p", { class: "meta" },
        element("span", {}, element("span", { class: `dot o${rows.outcome[row]}`, "aria-hidden": "true" }),
          element("b", {}, settings.outcomes[rows.outcome[row]])),
        fact("F1", number(rows.f1[row])), fact("probability", number(rows.probability[row], 3)),
        fact("null odds", number(rows.odds[row], 2)),
        element("a", { href: addressOf(row) }, "link to ", says(rows.id[row].slice(0, 100) || "this question"))),
      element("dl", { class: "answers" }, ...pairs),
      ...shownDetails(row, picked, whole),
      element("p", { class: "legend" }, `Kind of question: ${groups.join("; ")}`));
    if (picked === null && !whole) detail.scrollTop = 0;
  }

  function shownDetails(row, picked, whole) {
    if (!details) return [element("p", { class: "nothing" }, "The passages are being unpacked.")];
    const place = details.rows ? details.rows.indexOf(row) : row;
    if (place < 0) return [element("p", { class: "nothing" }, "Not in the sample whose passages and n-best lists are here.")];
    const text = details.passages[details.passage[place]], mark = details.mark[place], entries = details.nbest[place];
    const marks = details.golds[place].map(([start, end]) => ({ start, end, kind: "gold" }));
    if (mark) marks.push({ start: mark[0], end: mark[1], kind: "prediction" });
    if (picked !== null && entries[picked][0] >= 0) marks.push({ start: entries[picked][0], end: entries[picked][1], kind: "picked" });
    const how = { offsets: " (from its offsets)", "first occurrence": " (first occurrence)" };
    const ours = [", ", element("mark", { class: "prediction" }, "this run's"), mark ? how[mark[2]] : " (nowhere in it)"];
    const legend = element("p", { class: "legend" }, "Marked: ", element("mark", { class: "gold" }, "right answer"),
      ...(rows.prediction[row] ? ours : []),
      picked === null ? null : element("span", {}, ", ", element("mark", { class: "picked" }, "chosen below"), " (first occurrence)"));
    return [passage(text, marks, row, picked, whole), legend, entries.length ? nbest(row, entries, text, picked) : null].filter(Boolean);
  }

  function passage(text, marks, row, picked, whole) {
    let [begin, end] = [0, text.length];
    if (text.length > LONG && !whole) {
      const starts = marks.map((mark) => mark.start);
      begin = Math.max(0, (starts.length ? Math.min(...starts) : 0) - AROUND);
      end = Math.min(text.length, begin + LONG, (marks.length ? Math.max(...marks.map((mark) => mark.end)) : 0) + AROUND);
    }
    const made = element("p", { class: "passage", dir: "auto" });
    if (begin > 0) made.append("… ");
    const cuts = [...new Set([begin, end, ...marks.flatMap((mark) => [mark.start, mark.end])])]
      .filter((cut) => cut >= begin && cut <= end).sort((a, b) => a - b);
    for (let i = 0; i + 1 < cuts.length; i++) {
      const kinds = [...new Set(marks.filter((mark) => mark.start <= cuts[i] && cuts[i + 1] <= mark.end).map((mark) => mark.kind))];
      const piece = visible(text.slice(cuts[i], cuts[i + 1]));
      made.append(kinds.length ? element("mark", { class: kinds.join(" ") }, piece) : piece);
    }
    if (end < text.length) made.append(" …");
    if (begin === 0 && end === text.length) return made;
    const button = element("button", { type: "button" }, `Show all ${text.length.toLocaleString("en")} characters of the passage`);
    button.addEventListener("click", () => show(row, picked, true));
    return element("div", {}, made, button);
  }

  const numberClass = (place) => (place === 1 || place === 2 ? "number logit" : "number"); // no room on a phone
  function nbest(row, entries, text, picked) {
    const heads = ["#", "text", "probability", "start", "end", "F1"];
    const body = entries.map(([start, end, probability, startLogit, endLogit, f1, exact], index) => {
      const words = start >= 0 ? text.slice(start, end) : end;
      const button = element("button", { type: "button", class: "link", dir: "auto" }, answer(words));
      button.addEventListener("click", () => show(row, index));
      const cells = [probability.toFixed(3), startLogit.toFixed(2), endLogit.toFixed(2), String(f1)];
      return element("tr", { class: exact ? "exact-entry" : null, "aria-current": index === picked ? "true" : null },
        element("th", { scope: "row" }, String(index + 1)), element("td", {}, start >= 0 ? button : answer(words)),
        ...cells.map((cell, place) => element("td", { class: numberClass(place) }, cell)));
    });
    return element("table", { class: "nbest" }, element("caption", {}, "n-best list ", element("small", {}, "(underlined: exactly right; start and end: logits)")),
      element("thead", {}, element("tr", {}, ...heads.map((head, index) => element("th", { scope: "col", class: index > 1 ? numberClass(index - 2) : null }, head)))),
      element("tbody", {}, ...body));
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
})();
