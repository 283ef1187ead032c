// Keys and what they do. Whatever has data-key is clicked by that key, so every key is a button
// or a link too; data-does names what a button without an address does.
import { editor } from "./boxes.js";

const find = (selector) => document.querySelector(selector);
const body = document.body;
const picture = find("#picture");
const help = find("#help");
const keysOn = find("#keys-on");
const decide = find("#decide");
const boxes = find("#overlay") && editor(find("#overlay"), shown);
const names = { ArrowRight: "j", ArrowLeft: "k", Backspace: "Delete" };
let sent = false;

function tell(text) {
  if (find("#told")) find("#told").textContent = text;
}

function shown(count) {
  const confirm = find('[data-does="confirm"]');
  confirm.disabled = count === 0;
  confirm.firstElementChild.textContent = count === 1 ? "Blank 1 box" : `Blank ${count} boxes`;
  find('[data-does="remove"]').disabled = !boxes?.hasChosen();
}

function edit(on) {
  body.classList.toggle("editing", on);
  find(".deciding").inert = on;
  find(".redacting").inert = !on;
  boxes.edit(on);
  if (on) (find('[data-does="confirm"]:enabled') ?? find('[data-does="add"]')).focus();
}

function zoom(button) {
  const view = find(".view");
  const canvas = find(".canvas");
  const [width, height] = boxes.size;
  const fit = Math.min(view.clientWidth / width, view.clientHeight / height);
  const on = body.classList.toggle("zoomed");
  const [x, y, boxWidth, boxHeight] = boxes.target();
  // Pixel for pixel at least, but the box that is looked at stays in view as a whole.
  const whole = Math.min(view.clientWidth / boxWidth, view.clientHeight / boxHeight) / fit;
  const factor = on ? Math.max(1.25, Math.min(Math.max(3, 1 / fit), 0.8 * whole)) : 1;
  canvas.style.width = canvas.style.height = `${100 * factor}%`;
  const area = picture.getBoundingClientRect();
  const scale = Math.min(area.width / width, area.height / height);
  view.scrollTo(
    canvas.clientWidth / 2 + (x - width / 2) * scale - view.clientWidth / 2,
    canvas.clientHeight / 2 + (y - height / 2) * scale - view.clientHeight / 2);
  button.setAttribute("aria-pressed", on);
  boxes.draw();
}

async function showName(link) {
  const output = link.parentElement.querySelector("output");
  const open = link.getAttribute("aria-expanded") === "true";
  const answer = open ? null : await fetch(link.href).catch(() => null);
  output.textContent = open ? "" : answer?.ok ? await answer.text() : "The review has been stopped.";
  const label = link.firstChild;
  label.textContent = label.textContent.replace(/Show|Hide/, open ? "Show" : "Hide");
  link.setAttribute("aria-expanded", !open);
}

const does = {
  help: () => help.showModal(),
  zoom,
  boxes: (button) => {
    const hidden = body.classList.toggle("noboxes");
    sessionStorage.setItem("noboxes", hidden ? "1" : "");
    button.setAttribute("aria-pressed", !hidden);
  },
  name: showName,
  redact: () => edit(true),
  cancel: () => edit(false),
  add: () => boxes.add(),
  remove: () => boxes.remove(),
};

document.addEventListener("click", (event) => {
  const target = event.target.closest("[data-does]");
  const action = target && does[target.dataset.does];
  if (!action) return;
  event.preventDefault();
  action(target);
});

decide?.addEventListener("submit", (event) => {
  const action = event.submitter?.value;
  // Nobody accepts what was not on the screen, and no key counts twice.
  const unseen = action !== "drop" && !(picture?.complete && picture.naturalWidth);
  if (!action || sent || unseen || (action === "redact" && !body.classList.contains("editing"))) {
    event.preventDefault();
    if (unseen) tell("The picture is not on the screen yet.");
    return;
  }
  sent = true;
  if (action === "redact") decide.elements.boxes.value = JSON.stringify(boxes.value());
});

find("#label")?.addEventListener("change", () => {
  find('[data-does="other"]').disabled = !find("#label").value;
});

document.addEventListener("keydown", (event) => {
  const writing = event.target.closest("input:not([type=checkbox]), textarea, select");
  if (writing && writing === find("#label") && event.key === "Enter") {
    event.preventDefault();
    if (writing.value) decide.requestSubmit(find('[data-does="other"]'));
    return;
  }
  if (writing && ["Enter", "Escape"].includes(event.key)) event.target.blur(); // keys work again
  if (event.ctrlKey || event.metaKey || event.altKey || help.open || writing) return;
  if (boxes?.takeKey(event)) return event.preventDefault();
  const scrolls = body.classList.contains("zoomed") && event.key.startsWith("Arrow");
  const name = names[event.key] ?? (event.key.length === 1 ? event.key.toLowerCase() : event.key);
  if (scrolls || (event.key.length === 1 && !keysOn.checked)) {
    if (scrolls) find(".view").focus({ preventScroll: true });
    return;
  }
  if (name === "Enter" && event.target.closest("a, button, summary")) return;
  const steps = body.classList.contains("editing") && "jkadruo".includes(name);
  const targets = [...document.querySelectorAll(`[data-key="${CSS.escape(name)}"]`)]
    .filter((one) => !one.disabled && !one.closest("[inert]"));
  if (!targets.length || steps) return;
  event.preventDefault();
  // A key held down must not run through the images.
  if (!event.repeat) targets.forEach((one) => (one.matches("select") ? one.focus() : one.click()));
});

find(".view")?.addEventListener("pointermove", (event) => {
  const drags = event.buttons === 1 && event.pointerType === "mouse";
  if (drags && body.classList.contains("zoomed") && !body.classList.contains("editing")) {
    event.currentTarget.scrollBy(-event.movementX, -event.movementY);
  }
});

keysOn.checked = localStorage.getItem("keys") !== "off";
keysOn.addEventListener("change", () => localStorage.setItem("keys", keysOn.checked ? "on" : "off"));
if (sessionStorage.getItem("noboxes")) find('[data-does="boxes"]')?.click();
// A page that comes back from the browser's memory may show an old state.
window.addEventListener("pageshow", (event) => event.persisted && location.reload());
