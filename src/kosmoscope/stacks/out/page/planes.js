// One plane: grey values, labels over them, contours along the edges of voxels, a cross-hair.

const NAMES = META.patient ? ["Sagittal", "Coronal", "Axial"] : ["Along i", "Along j", "Along k"];

// Columns and rows of the picture for each axis, and whether they run backwards: in a patient as
// radiologists look, the right hand on the left, the head or the face up.
const LAYOUT = META.patient
  ? [
      { across: 1, down: 2, mirrored: true, flipped: true, sides: ["A", "P", "S", "I"] },
      { across: 0, down: 2, mirrored: true, flipped: true, sides: ["R", "L", "S", "I"] },
      { across: 0, down: 1, mirrored: true, flipped: true, sides: ["R", "L", "A", "P"] },
    ]
  : [
      { across: 1, down: 2, mirrored: false, flipped: false, sides: ["", "", "", ""] },
      { across: 0, down: 2, mirrored: false, flipped: false, sides: ["", "", "", ""] },
      { across: 0, down: 1, mirrored: false, flipped: false, sides: ["", "", "", ""] },
    ];

class Plane {
  constructor(section, voxels, state, changed) {
    this.axis = Number(section.dataset.axis);
    this.layout = LAYOUT[this.axis];
    this.voxels = voxels;
    this.state = state;
    this.canvas = section.querySelector("canvas");
    this.slider = section.querySelector("input");
    this.output = section.querySelector("output");
    this.slider.max = SIZE[this.axis] - 1;
    this.picture = document.createElement("canvas");
    const { across, down, sides } = this.layout;
    this.picture.width = SIZE[across];
    this.picture.height = SIZE[down];
    section.querySelector("h2").textContent = NAMES[this.axis];
    ["left", "right", "up", "down"].forEach((side, n) => {
      section.querySelector(`.${side}`).textContent = sides[n];
    });
    const move = (by) => {
      const last = SIZE[this.axis] - 1;
      state.at[this.axis] = Math.min(Math.max(state.at[this.axis] + by, 0), last);
      changed();
    };
    this.slider.addEventListener("input", () => {
      state.at[this.axis] = Number(this.slider.value);
      changed();
    });
    this.canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      move(Math.sign(event.deltaY));
    });
    this.canvas.addEventListener("keydown", (event) => {
      const by = { ArrowUp: 1, ArrowRight: 1, ArrowDown: -1, ArrowLeft: -1 }[event.key];
      if (!by) return;
      event.preventDefault();
      move(by);
    });
    const point = (event) => {
      const place = this.voxelAt(event.offsetX, event.offsetY);
      if (!place) return;
      state.at[this.layout.across] = place[0];
      state.at[this.layout.down] = place[1];
      changed();
    };
    this.canvas.addEventListener("pointerdown", point);
    this.canvas.addEventListener("pointermove", (event) => event.buttons && point(event));
  }

  // The picture's place in the canvas, in its own pixels: as large as fits, in true proportions.
  frame(width, height) {
    const { across, down } = this.layout;
    const w = SIZE[across] * STEP[across], h = SIZE[down] * STEP[down];
    const scale = Math.min(width / w, height / h);
    const left = (width - w * scale) / 2, top = (height - h * scale) / 2;
    return { left, top, cell: [STEP[across] * scale, STEP[down] * scale] };
  }

  voxelAt(x, y) {
    const { left, top, cell } = this.frame(this.canvas.clientWidth, this.canvas.clientHeight);
    const column = Math.floor((x - left) / cell[0]), row = Math.floor((y - top) / cell[1]);
    const { across, down, mirrored, flipped } = this.layout;
    if (column < 0 || row < 0 || column >= SIZE[across] || row >= SIZE[down]) return null;
    return [mirrored ? SIZE[across] - 1 - column : column, flipped ? SIZE[down] - 1 - row : row];
  }

  index(column, row) {
    const { across, down, mirrored, flipped } = this.layout;
    const place = [0, 0, 0];
    place[this.axis] = this.state.at[this.axis];
    place[across] = mirrored ? SIZE[across] - 1 - column : column;
    place[down] = flipped ? SIZE[down] - 1 - row : row;
    return at(...place);
  }

  draw() {
    const ratio = Math.min(devicePixelRatio || 1, 2);
    const width = Math.max(1, Math.round(this.canvas.clientWidth * ratio));
    const height = Math.max(1, Math.round(this.canvas.clientHeight * ratio));
    if (this.canvas.width !== width) this.canvas.width = width;
    if (this.canvas.height !== height) this.canvas.height = height;
    const context = this.canvas.getContext("2d");
    context.clearRect(0, 0, width, height);
    const labels = this.paint();
    const { left, top, cell } = this.frame(width, height);
    const w = this.picture.width, h = this.picture.height;
    context.imageSmoothingEnabled = true;
    context.drawImage(this.picture, left, top, w * cell[0], h * cell[1]);
    if (this.state.lines) this.contours(context, labels, left, top, cell, ratio);
    if (this.state.cross) this.hair(context, left, top, cell);
    const here = this.state.at[this.axis];
    this.slider.value = here;
    this.output.textContent = META.patient
      ? `${(dot(META.affine[this.axis], this.state.at) + META.affine[this.axis][3]).toFixed(1)} mm`
      : `${here * META.blocks[this.axis] + Math.floor(META.blocks[this.axis] / 2)}`;
  }

  // Grey and fills into the small picture; returns its labels, those that are shown.
  paint() {
    const w = this.picture.width, h = this.picture.height;
    const context = this.picture.getContext("2d");
    const image = context.createImageData(w, h);
    const labels = new Uint8Array(w * h);
    const fill = this.state.fill;
    for (let row = 0; row < h; row++) {
      for (let column = 0; column < w; column++) {
        const n = this.index(column, row), to = row * w + column;
        const grey = this.voxels.grey[n], label = this.voxels.labels[n];
        const shown = label && this.state.shown[label] ? label : 0;
        labels[to] = shown;
        const colour = shown ? META.labels[shown].colour : null;
        for (let c = 0; c < 3; c++) {
          image.data[4 * to + c] = colour ? grey + (colour[c] - grey) * fill : grey;
        }
        image.data[4 * to + 3] = 255;
      }
    }
    context.putImageData(image, 0, 0);
    return labels;
  }

  contours(context, labels, left, top, cell, ratio) {
    const w = this.picture.width, h = this.picture.height;
    const paths = new Map();
    const line = (label, x1, y1, x2, y2) => {
      if (!label) return;
      if (!paths.has(label)) paths.set(label, new Path2D());
      const path = paths.get(label);
      path.moveTo(left + x1 * cell[0], top + y1 * cell[1]);
      path.lineTo(left + x2 * cell[0], top + y2 * cell[1]);
    };
    for (let row = 0; row < h; row++) {
      for (let column = 0; column < w; column++) {
        const own = labels[row * w + column];
        const right = column + 1 < w ? labels[row * w + column + 1] : 0;
        const below = row + 1 < h ? labels[(row + 1) * w + column] : 0;
        if (own !== right) line(own || right, column + 1, row, column + 1, row + 1);
        if (own !== below) line(own || below, column, row + 1, column + 1, row + 1);
      }
    }
    context.lineWidth = 1.4 * ratio;
    context.lineCap = "square";
    for (const [label, path] of paths) {
      context.strokeStyle = `rgb(${META.labels[label].colour.join(" ")})`;
      context.stroke(path);
    }
  }

  hair(context, left, top, cell) {
    const { across, down, mirrored, flipped } = this.layout;
    const [x, y] = [this.state.at[across], this.state.at[down]];
    const column = (mirrored ? SIZE[across] - 1 - x : x) + 0.5;
    const row = (flipped ? SIZE[down] - 1 - y : y) + 0.5;
    context.strokeStyle = "rgb(255 233 168 / 0.55)";
    context.lineWidth = 1;
    context.beginPath();
    context.moveTo(left + column * cell[0], top);
    context.lineTo(left + column * cell[0], top + SIZE[down] * cell[1]);
    context.moveTo(left, top + row * cell[1]);
    context.lineTo(left + SIZE[across] * cell[0], top + row * cell[1]);
    context.stroke();
  }
}
