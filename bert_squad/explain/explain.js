"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);
const pieces = byId("pieces");
let facts, start, end, current, nextIsEnd;

// As explain/likelihood.py.
const lnOfSum = (logits) => {
  const highest = Math.max(...logits);
  return highest + Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit - highest), 0));
};

const best = (logits) =>
  new Set(logits.map((logit, place) => [logit, place]).sort((a, b) => b[0] - a[0] || a[1] - b[1])
    .slice(0, data.nBestSize).map((pair) => pair[1]));

// As explain/pairs.py, for positions that hold a piece.
const rulesAgainst = (i, j) => {
  const outside = (place) => place < facts.passage[0] || place > facts.passage[1];
  const own = facts.maxContext;
  const broken = {
    question: outside(i) || outside(j),
    end_before_start: j < i,
    too_long: j - i >= data.maxAnswerLength,
    other_window: !outside(i) && (!own || i < own[0] || i > own[1]),
    beyond_best_starts: !facts.bestStarts.has(i),
    beyond_best_ends: !facts.bestEnds.has(j),
  };
  return Object.keys(broken).filter((rule) => broken[rule]);
};

const gradient = (which, place) => {
  const [logits, sum, right] = which === "start" ? [facts.starts, facts.lnStarts, facts.label[0]]
    : [facts.ends, facts.lnEnds, facts.label[1]];
  return (Math.exp(logits[place] - sum) - (place === right ? 1 : 0)) / 2;
};

const heightOf = (which, place) => {
  if (byId("bars").value === "gradient") return 2 * gradient(which, place);
  return which === "start" ? Math.exp(facts.starts[place] - facts.lnStarts) : Math.exp(facts.ends[place] - facts.lnEnds);
};

const addCell = (row, text, isHead) => {
  const cell = document.createElement(isHead ? "th" : "td");
  if (isHead) cell.scope = "row";
  cell.textContent = text;
  row.append(cell);
};

const showChosen = () => {
  const body = document.querySelector("#chosen tbody");
  body.replaceChildren();
  for (const [name, place, logits, sum] of [
    ["start", start, facts.starts, facts.lnStarts], ["end", end, facts.ends, facts.lnEnds]]) {
    const row = document.createElement("tr");
    const lnP = logits[place] - sum;
    addCell(row, name, true);
    [place, facts.tokens[place], logits[place].toFixed(4), sum.toFixed(4), lnP.toFixed(4), Math.exp(lnP).toFixed(4)]
      .forEach((text) => addCell(row, text, false));
    if (facts.label) addCell(row, gradient(name, place).toFixed(6), false);
    body.append(row);
  }
  const rules = rulesAgainst(start, end);
  const likelihood = Math.exp(facts.starts[start] - facts.lnStarts + facts.ends[end] - facts.lnEnds);
  const score = `S·T_i + E·T_j = ${facts.starts[start].toFixed(2)} + ${facts.ends[end].toFixed(2)} = `
    + `${(facts.starts[start] + facts.ends[end]).toFixed(2)}; P_start·P_end = ${likelihood.toFixed(4)}.`;
  const isNull = start === 0 && end === 0;
  const verdict = isNull ? "This span stands for “no answer”."
    : rules.length ? `No candidate: ${rules.map((rule) => data.rules[rule]).join("; ")}.` : "It may be an answer.";
  byId("sum").textContent = `${score} ${verdict}`;
};

const draw = () => {
  const places = facts.tokens.map((_, place) => place);
  const highest = Math.max(...places.flatMap((place) => ["start", "end"].map((which) => Math.abs(heightOf(which, place)))));
  const [from, to] = [Math.min(start, end), Math.max(start, end)];
  for (const [place, button] of [...pieces.children].entries()) {
    button.setAttribute("aria-pressed", String(place === start || place === end));
    button.classList.toggle("inside", start <= end && place >= from && place <= to);
    button.tabIndex = place === current ? 0 : -1;
    for (const bar of button.querySelectorAll(".bar")) {
      const height = heightOf(bar.dataset.which, place) / highest;
      bar.style.height = `${1.4 * Math.abs(height)}rem`;
      bar.classList.toggle("raised", height < 0);
    }
  }
  showChosen();
};

const choose = (place, which) => {
  current = place;
  const isEnd = which ? which === "end" : nextIsEnd;
  if (isEnd) end = place; else start = place;
  if (!which && !isEnd) end = place;
  nextIsEnd = !which && !isEnd;
  draw();
};

const move = (place) => {
  current = Math.min(Math.max(place, 0), pieces.children.length - 1);
  draw();
  pieces.children[current].focus();
};

const addPiece = (token, place) => {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "piece";
  button.dir = "auto";
  button.classList.toggle("outside", place < facts.passage[0] || place > facts.passage[1]);
  for (const which of ["start", "end"]) {
    const bar = document.createElement("span");
    bar.className = `bar ${which}`;
    bar.dataset.which = which;
    button.append(bar);
  }
  button.append(token);
  const percent = (which) => `${(100 * (which === "start" ? Math.exp(facts.starts[place] - facts.lnStarts)
    : Math.exp(facts.ends[place] - facts.lnEnds))).toFixed(1)} %`;
  button.setAttribute("aria-label", `${token}, position ${place}: start ${percent("start")}, end ${percent("end")}`);
  button.title = button.getAttribute("aria-label");
  button.addEventListener("click", () => choose(place));
  pieces.append(button);
};

const openWindow = (number) => {
  facts = data.windows[number];
  facts.lnStarts ??= lnOfSum(facts.starts);
  facts.lnEnds ??= lnOfSum(facts.ends);
  facts.bestStarts ??= best(facts.starts);
  facts.bestEnds ??= best(facts.ends);
  const isChosen = data.chosen && data.chosen[0] === number;
  [start, end] = isChosen ? data.chosen.slice(1) : facts.best || [0, 0];
  current = start;
  nextIsEnd = false;
  pieces.replaceChildren();
  facts.tokens.forEach(addPiece);
  draw();
};

pieces.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const keys = { ArrowRight: current + 1, ArrowDown: current + 10, ArrowLeft: current - 1, ArrowUp: current - 10,
    Home: 0, End: pieces.children.length - 1 };
  if (event.key in keys) move(keys[event.key]);
  else if (event.key === "s" || event.key === "e") choose(current, event.key === "s" ? "start" : "end");
  else return;
  event.preventDefault();
});
byId("controls").addEventListener("submit", (event) => event.preventDefault());
byId("window").addEventListener("change", (event) => openWindow(Number(event.target.value)));
byId("bars").addEventListener("change", draw);
byId("best").addEventListener("click", () => { if (facts.best) { [start, end] = facts.best; current = start; draw(); } });
byId("right")?.addEventListener("click", () => { [start, end] = facts.label; current = start; draw(); });
openWindow(Number(byId("window").value));
