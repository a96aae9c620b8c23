"use strict";
// What the parts of the script share. All texts go into the page as text, never as HTML.
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
