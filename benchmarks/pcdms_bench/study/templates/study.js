// Answers by key. The page works without this: the buttons are plain form buttons.
"use strict";
const form = document.querySelector("form");
const buttons = [...form.querySelectorAll("button")];
let ready = false;
let sent = false;
// A key held or struck twice must not answer a question whose pictures nobody has seen.
Promise.allSettled([...document.images].map((image) => image.decode())).then(() => {
  setTimeout(() => { ready = true; form.dataset.ready = "yes"; }, 250);
});
form.addEventListener("submit", (event) => {
  if (sent) event.preventDefault();
  sent = true;
});
// The page is shown again as it was by the browser's back button: it may be sent once more then.
addEventListener("pageshow", () => { sent = false; });
addEventListener("keydown", (event) => {
  if (event.repeat || event.ctrlKey || event.altKey || event.metaKey) return;
  const number = /^[1-9]$/.test(event.key) ? Number(event.key) : 0;
  if (number && number <= buttons.length) {
    event.preventDefault();
    if (ready) buttons[number - 1].click();
    return;
  }
  const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key]; // up and down scroll the page
  if (!step) return;
  event.preventDefault();
  const now = buttons.indexOf(document.activeElement);
  const next = now < 0 ? (step > 0 ? 0 : buttons.length - 1) : now + step;
  buttons[(next + buttons.length) % buttons.length].focus();
});
