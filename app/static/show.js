// How answers look: bars, pictures, the table of networks.

export function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

export const percent = (share) => `${(100 * share).toFixed(share > 0.0995 ? 0 : 1)} %`;

export const best = (shares) => shares.indexOf(Math.max(...shares));

// One bar a name; the marked one stands out.
export function bars(place, names, shares, marked = best(shares)) {
  place.replaceChildren(...names.map((name, i) => element(
    "div",
    { className: i === marked ? "row best" : "row" },
    element("span", { textContent: name }),
    element("meter", { min: 0, max: 1, value: shares[i], ariaLabel: `${name}` }),
    element("span", { textContent: percent(shares[i]) }),
  )));
}

export const bytes = (packed) => Uint8Array.from(atob(packed), (c) => c.charCodeAt(0));

// Grey bytes (height × width) or colours (height × width × 3) onto a canvas of that size.
export function paint(canvas, packed, height, width) {
  const values = bytes(packed);
  const colours = values.length / (height * width);
  canvas.width = width;
  canvas.height = height;
  const image = new ImageData(width, height);
  for (let i = 0; i < height * width; i++) {
    for (let c = 0; c < 3; c++) image.data[4 * i + c] = values[colours * i + (colours > 1 ? c : 0)];
    image.data[4 * i + 3] = 255;
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
}

export function blank(canvas) {
  canvas.getContext("2d").clearRect(0, 0, canvas.width, canvas.height);
}

export function table(body, cards) {
  body.replaceChildren(...cards.map((card) => element(
    "tr",
    {},
    element("th", { scope: "row", textContent: card.title }),
    element("td", { textContent: card.library }),
    element("td", { textContent: card.parameters.toLocaleString("en") }),
    element("td", {
      textContent: card.accuracy === null ? "not yet"
        : `${(100 * card.accuracy).toFixed(2)} % (${card.measure})`,
    }),
    element("td", {
      textContent: card.milliseconds === null ? "–" : `${card.milliseconds.toFixed(1)} ms`,
    }),
  )));
}
