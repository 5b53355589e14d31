// The pen: a true sequence of points (x, y, time) from mouse, finger, pen or keyboard.

export const WIDTH = 480;
export const HEIGHT = 320;
const APART = 4; // units: between two events, points are added at this distance at most
const STEP = 6; // units that an arrow key moves the pen

export class Pen {
  constructor(canvas, changed) {
    this.canvas = canvas;
    this.changed = changed; // called after every change of the strokes
    this.strokes = []; // each a list of [x, y, t]
    this.open = null; // the stroke that is being drawn
    this.cursor = null; // where the keyboard's pen is
    this.cut = null; // x of a line to show
    this.began = 0;
    canvas.addEventListener("pointerdown", (event) => this.down(event));
    canvas.addEventListener("pointermove", (event) => this.move(event));
    for (const name of ["pointerup", "pointercancel"]) {
      canvas.addEventListener(name, () => this.lift());
    }
    canvas.addEventListener("keydown", (event) => this.key(event));
    canvas.addEventListener("blur", () => { this.cursor = null; this.lift(); this.draw(); });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
    this.draw();
  }

  place(event) {
    const box = this.canvas.getBoundingClientRect();
    return [
      (event.clientX - box.left) * WIDTH / box.width,
      (event.clientY - box.top) * HEIGHT / box.height,
    ];
  }

  down(event) {
    if (event.button) return;
    this.canvas.setPointerCapture(event.pointerId);
    this.lower(...this.place(event));
  }

  move(event) {
    if (!this.open) return;
    const events = event.getCoalescedEvents?.() ?? [];
    for (const one of events.length ? events : [event]) this.add(...this.place(one));
    this.tell();
  }

  lower(x, y) {
    if (!this.strokes.length) this.began = performance.now();
    this.open = [];
    this.strokes.push(this.open);
    this.add(x, y);
    this.tell();
  }

  // Adds a point, and points between it and the last one, so that a fast stroke has no gaps.
  add(x, y) {
    const t = Math.round(performance.now() - this.began);
    x = Math.min(Math.max(x, 0), WIDTH);
    y = Math.min(Math.max(y, 0), HEIGHT);
    const [x0, y0, t0] = this.open.at(-1) ?? [x, y, t];
    const parts = Math.max(1, Math.ceil(Math.hypot(x - x0, y - y0) / APART));
    for (let i = 1; i <= parts; i++) {
      const share = i / parts;
      const point = [x0 + (x - x0) * share, y0 + (y - y0) * share, t0 + (t - t0) * share];
      this.open.push(point.map((value) => Math.round(value * 10) / 10));
    }
  }

  lift() {
    if (!this.open) return;
    this.open = null;
    this.tell();
  }

  key(event) {
    const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    if (event.key in arrows) {
      this.cursor ??= [WIDTH / 2, HEIGHT / 2];
      const far = event.shiftKey ? 4 * STEP : STEP;
      const [x, y] = arrows[event.key].map((way, axis) => this.cursor[axis] + way * far);
      this.cursor = [Math.min(Math.max(x, 0), WIDTH), Math.min(Math.max(y, 0), HEIGHT)];
      if (this.open) { this.add(...this.cursor); this.tell(); }
    } else if (event.key === " ") {
      this.cursor ??= [WIDTH / 2, HEIGHT / 2];
      if (this.open) this.lift(); else this.lower(...this.cursor);
    } else if (event.key === "Backspace") this.undo();
    else if (event.key === "Delete") this.clear();
    else return;
    event.preventDefault();
    this.draw();
  }

  undo() { this.open = null; this.strokes.pop(); this.tell(); }
  clear() { this.open = null; this.strokes = []; this.tell(); }
  show(strokes) { this.open = null; this.strokes = strokes; this.tell(); }

  tell() {
    this.cut = null;
    this.draw();
    this.changed();
  }

  mark(x) { this.cut = x; this.draw(); }

  draw() {
    const scale = this.canvas.width / WIDTH;
    const context = this.canvas.getContext("2d");
    const style = getComputedStyle(document.body);
    context.setTransform(scale, 0, 0, scale, 0, 0);
    context.clearRect(0, 0, WIDTH, HEIGHT);
    context.lineCap = context.lineJoin = "round";
    context.strokeStyle = context.fillStyle = style.color;
    context.lineWidth = 9;
    for (const stroke of this.strokes) {
      context.beginPath();
      context.moveTo(stroke[0][0], stroke[0][1]);
      for (const [x, y] of stroke) context.lineTo(x, y);
      if (stroke.length === 1) context.lineTo(stroke[0][0], stroke[0][1]);
      context.stroke();
    }
    context.strokeStyle = context.fillStyle = style.getPropertyValue("--best");
    context.lineWidth = 1.5;
    if (this.cut !== null) {
      context.setLineDash([6, 5]);
      context.beginPath();
      context.moveTo(this.cut, 0);
      context.lineTo(this.cut, HEIGHT);
      context.stroke();
      context.setLineDash([]);
    }
    if (this.cursor) {
      context.beginPath();
      context.arc(...this.cursor, 6, 0, 7);
      if (this.open) context.fill(); else context.stroke();
    }
  }
}
