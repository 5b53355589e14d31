// The lenses: each asks the server its question and shows the answer.

import { bars, best, blank, element, paint, percent, table } from "./show.js";
import { get, live, post } from "./server.js";

const at = (id) => document.getElementById(id);
const DIGITS = [..."0123456789"];
const titles = new Map(); // network → title

const REFRESHED = 2000; // milliseconds between two looks at the times of the menu
let shown = { lens: null, at: 0 };

export async function showModels(lens) {
  shown = { lens, at: performance.now() };
  const cards = await get("/api/models");
  for (const card of cards) titles.set(card.name, card.title);
  table(at("models").tBodies[0], cards.filter((card) => card.lens === lens));
}

function say(sentence) {
  if (at("said").textContent !== sentence) at("said").textContent = sentence;
}

const asks = (path, show) => live(
  async (question) => (await post(path, question)).json(),
  (answer) => {
    show(answer);
    if (performance.now() > shown.at + REFRESHED) showModels(shown.lens);
  },
  say);

function reader(name, verdict, names, shares) {
  const list = element("div");
  bars(list, names, shares);
  return element("div", { className: "reader" },
    element("h3", { textContent: titles.get(name) ?? name }),
    element("p", { className: "verdict", textContent: verdict }), list);
}

const AGAIN = 700; // milliseconds until a network that is being loaded is asked again

const showDigit = (look) => (answer) => {
  if (answer.loading.length) setTimeout(look, AGAIN);
  at("help").textContent = answer.help;
  at("digit-readers").replaceChildren(...answer.answers.map((one) => reader(
    one.model, DIGITS[best(one.probabilities)], DIGITS, one.probabilities)));
  if (answer.pixels) paint(at("seen"), answer.pixels, 28, 28); else blank(at("seen"));
  showDetails(answer.answers);
  showMeasures(answer.diagnosis);
  say(answer.answers.map((one) => {
    const digit = best(one.probabilities);
    return `${titles.get(one.model)}: ${digit}, ${percent(one.probabilities[digit])}.`;
  }).join(" "));
};

function showDetails(answers) {
  const shown = answers.filter((one) => one.detail);
  at("details").hidden = !shown.length;
  at("details").replaceChildren(...shown.flatMap((one) => [
    element("h3", { textContent: `${titles.get(one.model)}: which pixels sway it; first layer` }),
    maps(one.detail),
  ]));
}

function maps(detail) {
  const picture = (packed, height, width, label) => {
    const canvas = element("canvas", { ariaLabel: label, role: "img" });
    if (width > height) canvas.className = "flat";
    paint(canvas, packed, height, width);
    return canvas;
  };
  return element("div", { className: "maps" },
    picture(detail.saliency, 28, 28, "saliency"),
    ...detail.activations.map((one, i) => picture(one, detail.height, detail.width, `map ${i}`)));
}

function showMeasures(found) {
  const lines = found ? {
    "Ink, mean of 28×28": `${found.mass} (MNIST: about 0.13)`,
    "Ink in its box": percent(found.density),
    "Off the middle": `${found.offset[0]} right, ${found.offset[1]} down`,
    "Box": found.box.join(", "),
    "Points": found.points,
  } : {};
  at("measures").replaceChildren(...Object.entries(lines).flatMap(([name, value]) => [
    element("dt", { textContent: name }), element("dd", { textContent: value })]));
}

const showPair = (pen) => (answer) => {
  at("help").textContent = answer.help;
  pen.mark(answer.cut);
  if (answer.pixels) paint(at("seen-pair"), answer.pixels, 28, 56); else blank(at("seen-pair"));
  at("pair-readers").replaceChildren(...answer.readings.map((one) => reader(
    one.model, String(one.best[0][0]).padStart(2, "0"),
    one.best.map(([number]) => String(number).padStart(2, "0")),
    one.best.map(([, share]) => share))));
  say(answer.readings.map((one) => {
    const [number, share] = one.best[0];
    return `${titles.get(one.model)}: ${String(number).padStart(2, "0")}, ${percent(share)}.`;
  }).join(" "));
};

const showDoodle = (game) => (answer) => {
  at("help").textContent = "";
  at("doodle-bars").className = "named";
  bars(at("doodle-bars"), answer.classes, answer.probabilities);
  const first = best(answer.probabilities);
  say(answer.steps ? `I see: ${answer.classes[first]}, ${percent(answer.probabilities[first])}.`
    : "Draw one of the ten things below.");
  game.judge(answer);
};

export function drawingLenses(pen, game) {
  const drawing = () => ({ drawing: { strokes: pen.strokes } });
  const look = () => lenses.digit();
  const digit = asks("/api/digit", showDigit(look));
  const pair = asks("/api/pair", showPair(pen));
  const doodle = asks("/api/doodle", showDoodle(game));
  const lenses = {
    digit: () => digit({ ...drawing(), detail: at("detail").checked }),
    pair: () => pair(drawing()),
    doodle: () => doodle(drawing()),
  };
  return lenses;
}

export function generator() {
  let seed = 0, digit = 7;
  const sliders = [1, 2, 3, 4].map((number) => {
    const input = element("input", { type: "range", min: -3, max: 3, step: 0.1, value: 0 });
    const output = element("output", { textContent: "0.0" });
    input.addEventListener("input", () => { output.textContent = (+input.value).toFixed(1); ask(); });
    at("noise").append(element("label", {}, `Direction ${number}`, input, output));
    return input;
  });
  const buttons = DIGITS.map((name, i) => {
    const button = element("button", { type: "button", textContent: name });
    button.addEventListener("click", () => { digit = i; ask(); });
    return button;
  });
  at("classes").append(...buttons);
  at("another").addEventListener("click", () => { seed += 1; ask(); });
  const question = asks("/api/generate", (answer) => {
    buttons.forEach((button, i) => { button.ariaPressed = String(i === digit); });
    paint(at("generated"), answer.pixels[digit], 28, 28);
    at("generated-caption").textContent = `A ${digit} from noise ${seed}`;
    at("ten").replaceChildren(...answer.pixels.map((one, i) => {
      const canvas = element("canvas", { ariaLabel: `a ${i}`, role: "img" });
      paint(canvas, one, 28, 28);
      return canvas;
    }));
    say(`Ten digits from noise ${seed}, ${answer.milliseconds.toFixed(1)} ms.`);
  });
  const ask = () => question({ seed, sliders: sliders.map((input) => +input.value) });
  return ask;
}

const CHANGES = {
  turned: "Turned", shifted_corners: "Perspective", dented: "Dented", smudged: "Dirt",
  covered: "Covered", blended: "Reflection", lit: "Light", blurred: "Out of focus",
  moved: "Moving", noisy: "Noise",
};

export function plates() {
  let seed = 0;
  const inputs = Object.entries(CHANGES).map(([name, title]) => {
    const input = element("input", { type: "range", min: 0, max: 1, step: 0.05, value: 0, name });
    const output = element("output", { textContent: "0 %" });
    input.addEventListener("input", () => { output.textContent = `${Math.round(100 * input.value)} %`; ask(); });
    at("changes").append(element("label", {}, title, input, output));
    return input;
  });
  at("plate-again").addEventListener("click", () => { seed += 1; ask(); });
  at("plate-text").addEventListener("input", () => ask());
  const question = asks("/api/plate", (answer) => {
    paint(at("plate-clean"), answer.clean, 30, 140);
    paint(at("plate-seen"), answer.distorted, 30, 140);
    at("plate-read").textContent = `${answer.read} ${answer.right ? "✓" : "✗"}`;
    at("plate-bars").className = "named";
    const least = answer.confidence.indexOf(Math.min(...answer.confidence));
    bars(at("plate-bars"), [...answer.read], answer.confidence, least);
    say(`Read: ${answer.read}, ${answer.right ? "right" : "wrong"}.`);
  });
  const ask = () => question({
    text: at("plate-text").value.toUpperCase(),
    strengths: Object.fromEntries(inputs.map((input) => [input.name, +input.value])),
    seed,
  });
  return ask;
}
