// One question: its answers, its passage with marks, its n-best list.
const LONG = 20000; // characters of a passage that are shown at once
const AROUND = 1500; // characters beside the marks of a longer one

function stepButton(text, by) {
  const place = found.indexOf(chosen) + by;
  const button = element("button", { type: "button", "data-focus": text, disabled: place < 0 || place >= found.length ? "" : null }, text);
  button.addEventListener("click", () => step(by));
  return button;
}

// Show a question; `picked` is the number of an n-best entry to mark, `whole` shows all of a long passage.
function show(row, picked = null, whole = false) {
  const focused = detail.contains(document.activeElement) ? document.activeElement.dataset.focus : undefined;
  fill(row, picked, whole);
  if (focused === undefined) return;
  const again = [...detail.querySelectorAll("[data-focus]")].find((of) => of.dataset.focus === focused && !of.disabled);
  (again || detail).focus({ preventScroll: true }); // what had it was replaced
}

function fill(row, picked, whole) {
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
  const button = element("button", { type: "button", "data-focus": "whole" }, `Show all ${text.length.toLocaleString("en")} characters of the passage`);
  button.addEventListener("click", () => show(row, picked, true));
  return element("div", {}, made, button);
}

const numberClass = (place) => (place === 1 || place === 2 ? "number logit" : "number"); // no room on a phone
function nbest(row, entries, text, picked) {
  const heads = ["#", "text", "probability", "start", "end", "F1"];
  const body = entries.map(([start, end, probability, startLogit, endLogit, f1, exact], index) => {
    const words = start >= 0 ? text.slice(start, end) : end;
    const button = element("button", { type: "button", class: "link", dir: "auto", "data-focus": index }, answer(words));
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
