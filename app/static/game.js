// The game: draw the word until the reader is sure enough.

const at = (id) => document.getElementById(id);

export class Game {
  constructor(clear) {
    this.clear = clear;
    this.words = [];
    this.word = null;
    this.score = 0;
    at("next").addEventListener("click", () => this.next());
    at("threshold").addEventListener("input", () => {
      at("threshold-value").textContent = `${Math.round(100 * at("threshold").value)} %`;
    });
  }

  next() {
    const others = this.words.filter((word) => word !== this.word);
    this.word = others[Math.floor(Math.random() * others.length)];
    at("target").textContent = `Draw: ${this.word}`;
    at("next").textContent = "Next word";
    this.state("no");
    this.clear();
    at("canvas").focus();
  }

  state(won) { document.querySelector(".game").dataset.won = won; }

  judge(answer) {
    this.words = answer.classes;
    const won = document.querySelector(".game").dataset.won === "yes";
    const share = answer.probabilities[answer.classes.indexOf(this.word)] ?? 0;
    if (this.word === null || won || !answer.steps || share < +at("threshold").value) return;
    this.score += 1;
    at("score").textContent = this.score;
    at("target").textContent = `Yes, that is a ${this.word}! ${Math.round(100 * share)} % sure.`;
    this.state("yes");
  }
}
