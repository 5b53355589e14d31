// Questions to the server: the newest one of a kind counts, and not more than ten a second.

const EVERY = 100; // milliseconds
let base = "";

export async function connect() {
  base = (await (await fetch("/settings.json")).json()).api;
}

export async function get(path) {
  return (await fetch(base + path)).json();
}

export async function post(path, question) {
  const answer = await fetch(base + path, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(question),
  });
  if (answer.ok) return answer;
  throw new Error((await answer.json()).detail);
}

// A function that asks the latest question as soon as the one before is answered.
export function live(ask, show, failed) {
  let wanted = null, busy = false, last = 0;
  async function next() {
    if (busy || wanted === null) return;
    const wait = last + EVERY - performance.now();
    if (wait > 0) { setTimeout(next, wait); return; }
    const question = wanted;
    [wanted, busy, last] = [null, true, performance.now()];
    try {
      show(await ask(question));
    } catch (error) {
      failed(error.message);
    }
    busy = false;
    next();
  }
  return (question) => { wanted = question; next(); };
}
