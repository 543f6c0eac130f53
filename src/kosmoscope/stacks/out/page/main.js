// Everything together: one place, seen by all views.

const byId = (id) => document.getElementById(id);
const number = (value, digits = 4) => Number(value.toPrecision(digits)).toLocaleString("en");

function el(name, text = "", attributes = {}) {
  const made = document.createElement(name);
  made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

const state = {
  at: [...META.start],
  shown: META.labels.map(() => true),
  fill: 0.25,
  lines: true,
  cross: true,
};

function volumeText(ml) {
  return ml >= 0.1 ? `${number(ml)} ml` : `${number(ml * 1000)} mm³`;
}

function fillTable(changed) {
  const body = document.querySelector("#labels tbody");
  byId("values").textContent = META.unit ? `Mean ${META.unit}` : "Mean value";
  META.labels.forEach((one, label) => {
    if (!label) return;
    const row = document.createElement("tr");
    const name = el("label");
    const box = el("input", "", { type: "checkbox", "data-label": String(label) });
    box.checked = true;
    box.addEventListener("change", () => {
      state.shown[label] = box.checked;
      changed();
    });
    const swatch = el("span", "", { class: "swatch" });
    swatch.style.backgroundColor = `rgb(${one.colour.join(" ")})`;
    name.append(box, swatch, el("span", one.name));
    const first = document.createElement("td");
    first.append(name);
    row.append(first);
    const m = one.measure;
    const cells = m
      ? [
          volumeText(m.volume_ml),
          `${volumeText(m.interval_ml[0])} to ${volumeText(m.interval_ml[1])}`,
          `${number(m.surface_mm2)} mm²`,
          `${m.extents_mm.map((v) => number(v, 3)).join(" × ")} mm`,
          `${number(m.mean)} ± ${number(m.spread, 3)}`,
        ]
      : ["no voxel", "", "", "", ""];
    row.append(...cells.map((text) => el("td", text)));
    body.append(row);
  });
}

function toggle(id, key, changed) {
  byId(id).addEventListener("click", () => {
    state[key] = !state[key];
    byId(id).setAttribute("aria-pressed", String(state[key]));
    changed();
  });
}

function theme() {
  const dark = () => getComputedStyle(document.documentElement).colorScheme === "dark" ||
    (!document.documentElement.dataset.theme && matchMedia("(prefers-color-scheme: dark)").matches);
  byId("theme").addEventListener("click", () => {
    document.documentElement.dataset.theme = dark() ? "light" : "dark";
    byId("theme").setAttribute("aria-pressed", String(dark()));
  });
  byId("theme").setAttribute("aria-pressed", String(dark()));
}

function where(voxels) {
  const n = at(...state.at);
  const place = META.affine.map((row) => dot(row, state.at) + row[3]);
  const name = META.labels[voxels.labels[n]].name;
  const frame = META.patient ? " mm RAS" : " mm";
  byId("at").textContent = `(${place.map((v) => v.toFixed(1)).join(", ")})${frame}: ${name}`;
}

async function begin() {
  const voxels = { grey: await unpack(META.grey), labels: await unpack(META.map) };
  const solid = new SolidView(byId("solid"), state, META.solids.map(readSolid));
  const sections = [...document.querySelectorAll(".view[data-axis]")];
  let waiting = false;
  const planes = sections.map((section) => new Plane(section, voxels, state, () => later()));
  const draw = () => {
    waiting = false;
    planes.forEach((plane) => plane.draw());
    where(voxels);
  };
  const later = () => {
    if (!waiting) requestAnimationFrame(draw);
    waiting = true;
  };
  const all = () => {
    later();
    solid.draw();
  };
  fillTable(all);
  toggle("lines", "lines", later);
  toggle("cross", "cross", later);
  byId("fill").addEventListener("input", () => {
    state.fill = Number(byId("fill").value) / 100;
    later();
  });
  let turning = false, last = 0;
  const step = (now) => {
    if (!turning) return;
    solid.turn(Math.min(now - last, 100) * 0.0006, 0);
    last = now;
    requestAnimationFrame(step);
  };
  byId("turn").addEventListener("click", () => {
    turning = !turning;
    byId("turn").setAttribute("aria-pressed", String(turning));
    last = performance.now();
    requestAnimationFrame(step);
  });
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.localName === "input") return;
    const press = { c: "lines", x: "cross", " ": "turn", d: "theme" }[event.key];
    if (!press || event.target.localName === "button") return;
    event.preventDefault();
    byId(press).click();
  });
  theme();
  new ResizeObserver(all).observe(byId("views"));
  byId("facts").textContent = META.facts;
  draw();
  solid.draw();
  if (!matchMedia("(prefers-reduced-motion: reduce)").matches) byId("turn").click();
  byId("end").textContent = `Made by kosmoscope ${META.version}. ${META.notice}`;
}

begin();
