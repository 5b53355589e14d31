// The page: tabs, tools, and what belongs together.

import { Game } from "./game.js";
import { drawingLenses, generator, plates, showModels } from "./lenses.js";
import { Pen, WIDTH, HEIGHT } from "./pen.js";
import { connect, post } from "./server.js";

const at = (id) => document.getElementById(id);
const KEPT = "nn-course-drawings"; // in this browser alone
let lens = "digit";

await connect();
const pen = new Pen(at("canvas"), () => look());
const game = new Game(() => pen.clear());
const lenses = { ...drawingLenses(pen, game), generate: generator(), plate: plates() };
const look = () => lenses[lens]();

async function choose(name) {
  lens = name;
  document.body.dataset.lens = name;
  for (const tab of at("tabs").children) tab.ariaPressed = String(tab.dataset.lens === name);
  for (const panel of document.querySelectorAll("[data-panel]")) {
    panel.hidden = panel.dataset.panel !== name;
  }
  at("said").textContent = "";
  pen.mark(null);
  await showModels(name);
  look();
}

for (const tab of at("tabs").children) tab.addEventListener("click", () => choose(tab.dataset.lens));
at("undo").addEventListener("click", () => pen.undo());
at("clear").addEventListener("click", () => pen.clear());
at("detail").addEventListener("change", look);

// Drawings are kept in this browser, under the time at which they were saved.
const kept = () => JSON.parse(localStorage.getItem(KEPT) ?? "{}");

function keep(drawings) {
  localStorage.setItem(KEPT, JSON.stringify(drawings));
  const names = Object.keys(drawings);
  const options = names.map((name) => new Option(name, name));
  at("saved").replaceChildren(...(options.length ? options : [new Option("none yet", "")]));
  at("saved").value = names.at(-1) ?? "";
}

at("save").addEventListener("click", () => {
  if (!pen.strokes.length) { at("told").textContent = "There is nothing to save yet."; return; }
  const name = new Date().toLocaleString("sv");
  keep({ ...kept(), [name]: pen.strokes });
  at("told").textContent = `Saved as ${name}.`;
});
at("load").addEventListener("click", () => {
  const found = kept()[at("saved").value];
  if (found) pen.show(found);
});
at("forget").addEventListener("click", () => {
  const { [at("saved").value]: gone, ...others } = kept();
  keep(others);
});

function hand(content, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(content);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

at("download").addEventListener("click", () => {
  const drawing = { width: WIDTH, height: HEIGHT, strokes: pen.strokes };
  hand(new Blob([JSON.stringify(drawing)], { type: "application/json" }), "drawing.json");
});

// A file is taken only when it holds strokes of points on this canvas.
function strokesOf(text) {
  const { strokes } = JSON.parse(text);
  const fits = ([x, y, t]) => x >= 0 && x <= WIDTH && y >= 0 && y <= HEIGHT && t >= 0;
  const sound = Array.isArray(strokes)
    && strokes.every((stroke) => Array.isArray(stroke) && stroke.length && stroke.every(fits));
  if (!sound) throw new Error("no strokes");
  return strokes;
}

at("open").addEventListener("change", async () => {
  try {
    pen.show(strokesOf(await at("open").files[0].text()));
  } catch {
    at("told").textContent = "This file holds no drawing of this page; nothing was changed.";
  }
  at("open").value = "";
});

at("sample").addEventListener("submit", async (event) => {
  event.preventDefault();
  try {
    const question = { drawing: { strokes: pen.strokes }, label: +at("label").value };
    const answer = await post("/api/sample", question);
    hand(await answer.blob(), `digit-${question.label}.npz`);
  } catch (error) {
    at("told").textContent = error.message;
  }
});

keep(kept());
await choose("digit");
document.body.dataset.ready = "yes";
