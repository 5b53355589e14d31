// The description of the interface, as a page.

import { element } from "./show.js";

const { api } = await (await fetch("/settings.json")).json();
document.getElementById("source").href = `${api}/openapi.json`;
const { paths, components } = await (await fetch(`${api}/openapi.json`)).json();

const named = (schema) => schema?.$ref?.split("/").at(-1);

function described(name) {
  return element("details", {},
    element("summary", { textContent: name }),
    element("pre", { textContent: JSON.stringify(components.schemas[name], null, 1) }));
}

for (const [path, methods] of Object.entries(paths)) {
  for (const [method, route] of Object.entries(methods)) {
    const question = named(route.requestBody?.content?.["application/json"]?.schema);
    const answer = named(route.responses?.[200]?.content?.["application/json"]?.schema);
    document.getElementById("routes").append(element("section", {},
      element("h2", { textContent: `${method.toUpperCase()} ${path}` }),
      element("p", { textContent: route.description ?? "" }),
      ...[question, answer].filter(Boolean).map(described)));
  }
}
document.body.dataset.ready = "yes";
