// The boxes over the picture: drawn as SVG in its pixels, edited by mouse, finger or keyboard.
const SVG = "http://www.w3.org/2000/svg";
const CORNERS = [[0, 1], [2, 1], [0, 3], [2, 3]];
const DIRECTIONS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

function element(name, attributes, parent) {
  const made = parent.appendChild(document.createElementNS(SVG, name));
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

export function editor(svg, changed) {
  const { width, height } = svg.viewBox.baseVal;
  const given = JSON.parse(svg.dataset.boxes);
  const blanked = svg.querySelector(".blanked") !== null;
  let boxes = structuredClone(given);
  let chosen = -1;
  let editing = false;
  let drag = null;

  const bound = (value, limit) => Math.min(Math.max(Math.round(value), 0), limit);

  function point(event) {
    const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
    return [at.x, at.y];
  }

  function upright([x0, y0, x1, y1]) {
    return [bound(Math.min(x0, x1), width), bound(Math.min(y0, y1), height),
            bound(Math.max(x0, x1), width), bound(Math.max(y0, y1), height)];
  }

  function moved([left, top, right, bottom], dx, dy) {
    const x = Math.min(Math.max(dx, -left), width - right);
    const y = Math.min(Math.max(dy, -top), height - bottom);
    return upright([left + x, top + y, right + x, bottom + y]);
  }

  function drawBox([left, top, right, bottom], index) {
    const place = { x: left, y: top, width: right - left, height: bottom - top };
    const group = element("g", { class: "box", "data-index": index }, svg);
    group.classList.toggle("blanked", editing || blanked);
    element("rect", { class: "under", ...place }, group);
    element("rect", { class: "edge", ...place }, group);
    if (!editing) return;
    element("rect", { class: "reach", ...place }, group);
    group.setAttribute("tabindex", "0");
    group.setAttribute("role", "group");
    group.setAttribute("aria-label", `Box ${index + 1} of ${boxes.length}: left ${left}, top ${top}, `
      + `${place.width} by ${place.height} px. Arrow keys move it, with Shift they resize it.`);
    if (index === chosen) drawCorners(group, boxes[index]);
  }

  function drawCorners(group, box) {
    const px = 1 / svg.getScreenCTM().a; // one pixel of the screen in pixels of the picture
    const reach = matchMedia("(pointer: coarse)").matches ? 20 : 11;
    group.classList.add("chosen");
    CORNERS.forEach(([x, y], corner) => {
      const centre = { cx: box[x], cy: box[y] };
      element("circle", { class: "corner", r: 5 * px, ...centre }, group);
      element("circle", { class: "reach", "data-corner": corner, r: reach * px, ...centre }, group);
    });
  }

  function draw() {
    const focused = svg.contains(document.activeElement);
    svg.replaceChildren();
    boxes.forEach(drawBox);
    if (focused) svg.querySelector(`[data-index="${chosen}"]`)?.focus({ preventScroll: true });
    if (editing) changed(boxes.length);
  }

  function choose(index) {
    if (index === chosen) return;
    chosen = index;
    draw();
  }

  svg.addEventListener("focusin", (event) => {
    if (editing) choose(Number(event.target.closest(".box").dataset.index));
  });

  svg.addEventListener("pointerdown", (event) => {
    if (!editing || event.button !== 0 || drag) return;
    event.preventDefault();
    svg.setPointerCapture(event.pointerId);
    const start = point(event);
    const box = event.target.closest(".box");
    const corner = event.target.dataset.corner;
    if (!box) boxes.push(upright([...start, ...start]));
    chosen = box ? Number(box.dataset.index) : boxes.length - 1;
    drag = { start, corner: box ? corner : 3, from: boxes[chosen], whole: box && corner === undefined };
    draw();
  });

  svg.addEventListener("pointermove", (event) => {
    if (!drag) return;
    const now = point(event);
    const [dx, dy] = [now[0] - drag.start[0], now[1] - drag.start[1]];
    if (drag.whole) {
      boxes[chosen] = moved(drag.from, dx, dy);
    } else {
      const box = [...drag.from];
      const [x, y] = CORNERS[drag.corner];
      box[x] += dx;
      box[y] += dy;
      boxes[chosen] = upright(box);
    }
    draw();
  });

  function finish() {
    if (!drag) return;
    drag = null;
    const [left, top, right, bottom] = boxes[chosen];
    // A click beside every box draws nothing: it only lets go of the chosen one.
    if (right - left < 2 || bottom - top < 2) {
      boxes.splice(chosen, 1);
      chosen = -1;
    }
    draw();
  }
  svg.addEventListener("pointerup", finish);
  svg.addEventListener("pointercancel", finish);
  window.addEventListener("resize", draw);

  function resized([left, top, right, bottom], dx, dy) {
    return [left, top, Math.max(left + 1, bound(right + dx, width)),
            Math.max(top + 1, bound(bottom + dy, height))];
  }

  return {
    draw,
    size: [width, height],
    value: () => boxes,
    hasChosen: () => chosen >= 0,
    // The chosen box, else the first, else the middle of the picture: centre and size.
    target() {
      const middle = [0.4 * width, 0.4 * height, 0.6 * width, 0.6 * height];
      const [left, top, right, bottom] = boxes[Math.max(chosen, 0)] ?? middle;
      return [(left + right) / 2, (top + bottom) / 2, right - left, bottom - top];
    },
    edit(on) {
      editing = on;
      if (!on) boxes = structuredClone(given);
      chosen = on && boxes.length === 1 ? 0 : -1;
      draw();
    },
    add() {
      boxes.push(upright([width * 0.35, height * 0.4, width * 0.65, height * 0.6]));
      chosen = boxes.length - 1;
      draw();
      svg.lastElementChild.focus({ preventScroll: true });
    },
    remove() {
      if (chosen >= 0) boxes.splice(chosen, 1);
      chosen = Math.min(chosen, boxes.length - 1);
      draw();
    },
    takeKey(event) {
      const step = DIRECTIONS[event.key];
      if (!editing || chosen < 0 || !step) return false;
      const by = Math.max(1, Math.round(Math.max(width, height) / 200));
      const change = event.shiftKey ? resized : moved;
      boxes[chosen] = change(boxes[chosen], step[0] * by, step[1] * by);
      draw();
      return true;
    },
  };
}
