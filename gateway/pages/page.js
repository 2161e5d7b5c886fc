"use strict";

// The link reads /page#token=…: a fragment never reaches a server or a log. It is taken out of the
// address bar at once, and sent only when the button is pressed.
const token = new URLSearchParams(window.location.hash.slice(1)).get("token") || "";
window.history.replaceState(null, "", window.location.pathname);

const form = document.querySelector("form");
const button = form.querySelector("button");
const message = document.getElementById("message");
const errors = document.getElementById("errors");
const password = document.getElementById("new_password");
const show = document.getElementById("show");

function say(text, kind) {
  message.textContent = text;
  message.className = kind;
  message.hidden = false;
}

function list(problems) {
  if (!errors) {
    return;
  }
  errors.replaceChildren(
    ...problems.map((problem) => {
      const item = document.createElement("li");
      item.textContent = problem.detail || problem.code;
      return item;
    }),
  );
  errors.hidden = problems.length === 0;
}

function finish() {
  form.hidden = true;
  document.getElementById("lead").hidden = true;
}

async function problemOf(response) {
  try {
    return await response.json();
  } catch {
    return { title: `The server answered ${response.status}.` };
  }
}

function explain(problem, response) {
  const parts = [problem.title, problem.detail];
  const wait = response.headers.get("Retry-After");
  if (response.status === 429 && wait) {
    parts.push(`Try again in ${wait} seconds.`);
  }
  say(parts.filter(Boolean).join(" "), "bad");
  list(Array.isArray(problem.errors) ? problem.errors : []);
}

async function submit() {
  const body = { token };
  if (password) {
    body.new_password = password.value;
  }
  const response = await fetch(form.dataset.endpoint, {
    method: "POST",
    headers: { "Content-Type": "application/json", Accept: "application/json" },
    body: JSON.stringify(body),
    credentials: "omit",
    cache: "no-store",
  });
  if (!response.ok) {
    explain(await problemOf(response), response);
    return;
  }
  finish();
  list([]);
  say(form.dataset.done, "good");
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  button.disabled = true;
  try {
    await submit();
  } catch {
    say("The server cannot be reached. Check your connection and try again.", "bad");
  } finally {
    button.disabled = false;
  }
});

if (show) {
  show.addEventListener("change", () => {
    password.type = show.checked ? "text" : "password";
  });
}

if (!token) {
  finish();
  say("This link is not complete. Open it again from the mail, or ask for a new one.", "bad");
}
