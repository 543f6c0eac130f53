// The solid, drawn by the processor: triangles into a picture with depths. No WebGL, which a machine
// without a graphics card may not have; twenty thousand faces take a few milliseconds.

const LIGHT = [-0.35, 0.45, 0.82];

class SolidView {
  constructor(canvas, state, solids) {
    this.canvas = canvas;
    this.state = state;
    this.parts = solids.map((solid) => ({ ...solid, normals: normalsOf(solid) }));
    this.centre = [0, 0, 0];
    this.reach = 1;
    this.measure();
    this.yaw = META.patient ? Math.PI - 0.6 : 0.3; // a patient from the front
    this.pitch = META.patient ? 0.25 : -1.1; // pictures from where they were taken
    this.zoom = 1;
    this.drawn = 0;
    canvas.addEventListener("pointerdown", (event) => canvas.setPointerCapture(event.pointerId));
    canvas.addEventListener("pointermove", (event) => {
      if (event.buttons) this.turn(event.movementX * 0.01, event.movementY * 0.01);
    });
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      this.zoom = Math.min(Math.max(this.zoom * Math.exp(-event.deltaY * 0.001), 0.3), 8);
      this.draw();
    });
    canvas.addEventListener("keydown", (event) => {
      const by = { ArrowLeft: [-0.1, 0], ArrowRight: [0.1, 0], ArrowUp: [0, -0.1], ArrowDown: [0, 0.1] };
      if (!by[event.key]) return;
      event.preventDefault();
      this.turn(...by[event.key]);
    });
  }

  measure() {
    const low = [Infinity, Infinity, Infinity], high = [-Infinity, -Infinity, -Infinity];
    for (const { points } of this.parts) {
      for (let n = 0; n < points.length; n++) {
        low[n % 3] = Math.min(low[n % 3], points[n]);
        high[n % 3] = Math.max(high[n % 3], points[n]);
      }
    }
    if (!this.parts.length) return;
    this.centre = low.map((v, n) => (v + high[n]) / 2);
    this.reach = Math.max(Math.hypot(...low.map((v, n) => (high[n] - v) / 2)), 1e-9);
  }

  turn(yaw, pitch) {
    this.yaw += yaw;
    this.pitch = Math.min(Math.max(this.pitch + pitch, -1.57), 1.57);
    this.draw();
  }

  draw() {
    const ratio = Math.min(devicePixelRatio || 1, 1.5);
    const size = Math.max(16, Math.min(Math.round(this.canvas.clientWidth * ratio), 900));
    if (this.canvas.width !== size) {
      this.canvas.width = this.canvas.height = size;
      this.image = null;
    }
    const context = this.canvas.getContext("2d");
    this.image ??= context.createImageData(size, size);
    this.depth ??= new Float32Array(0);
    if (this.depth.length !== size * size) this.depth = new Float32Array(size * size);
    const pixels = new Uint32Array(this.image.data.buffer);
    pixels.fill(0);
    this.depth.fill(-Infinity);
    for (const part of this.parts) {
      if (this.state.shown[part.label]) this.raster(part, pixels, size);
    }
    context.putImageData(this.image, 0, 0);
    this.drawn += 1;
  }

  // Rows: to the right, up, towards whoever looks; a right-handed frame, or it would be a mirror.
  axes() {
    const [sy, cy] = [Math.sin(this.yaw), Math.cos(this.yaw)];
    const [sp, cp] = [Math.sin(this.pitch), Math.cos(this.pitch)];
    return [
      [cy, sy, 0],
      [-sy * sp, cy * sp, cp],
      [sy * cp, -cy * cp, sp],
    ];
  }

  raster({ label, points, faces, normals }, pixels, size) {
    const [right, up, near] = this.axes();
    const count = points.length / 3;
    const x = new Float32Array(count), y = new Float32Array(count);
    const z = new Float32Array(count), light = new Float32Array(count);
    const scale = (size * 0.46 * this.zoom) / this.reach;
    for (let v = 0; v < count; v++) {
      const p = [0, 1, 2].map((n) => points[3 * v + n] - this.centre[n]);
      const m = [normals[3 * v], normals[3 * v + 1], normals[3 * v + 2]];
      x[v] = size / 2 + scale * dot(right, p);
      y[v] = size / 2 - scale * dot(up, p);
      z[v] = dot(near, p);
      const shine = LIGHT[0] * dot(right, m) + LIGHT[1] * dot(up, m) + LIGHT[2] * dot(near, m);
      light[v] = 0.28 + 0.72 * Math.max(0, shine);
    }
    const [r, g, b] = META.labels[label].colour;
    for (let f = 0; f < faces.length; f += 3) {
      const [p, q, s] = [faces[f], faces[f + 1], faces[f + 2]];
      const area = (x[q] - x[p]) * (y[s] - y[p]) - (y[q] - y[p]) * (x[s] - x[p]);
      if (area >= 0) continue; // seen from behind: rows count downwards
      const left = Math.max(0, Math.ceil(Math.min(x[p], x[q], x[s]) - 0.5));
      const end = Math.min(size - 1, Math.floor(Math.max(x[p], x[q], x[s]) - 0.5));
      const top = Math.max(0, Math.ceil(Math.min(y[p], y[q], y[s]) - 0.5));
      const low = Math.min(size - 1, Math.floor(Math.max(y[p], y[q], y[s]) - 0.5));
      for (let row = top; row <= low; row++) {
        for (let column = left; column <= end; column++) {
          const [u, v] = [column + 0.5, row + 0.5];
          const a = ((x[q] - u) * (y[s] - v) - (y[q] - v) * (x[s] - u)) / area;
          const c = ((x[s] - u) * (y[p] - v) - (y[s] - v) * (x[p] - u)) / area;
          const d = 1 - a - c;
          if (a < 0 || c < 0 || d < 0) continue;
          const deep = a * z[p] + c * z[q] + d * z[s];
          const to = row * size + column;
          if (deep <= this.depth[to]) continue;
          this.depth[to] = deep;
          const shade = a * light[p] + c * light[q] + d * light[s];
          pixels[to] = 0xff000000 | ((b * shade) << 16) | ((g * shade) << 8) | (r * shade);
        }
      }
    }
  }
}

const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];

function normalsOf({ points, faces }) {
  const out = new Float32Array(points.length);
  for (let f = 0; f < faces.length; f += 3) {
    const [a, b, c] = [3 * faces[f], 3 * faces[f + 1], 3 * faces[f + 2]];
    const e = [0, 1, 2].map((n) => points[b + n] - points[a + n]);
    const d = [0, 1, 2].map((n) => points[c + n] - points[a + n]);
    const m = [e[1] * d[2] - e[2] * d[1], e[2] * d[0] - e[0] * d[2], e[0] * d[1] - e[1] * d[0]];
    for (const corner of [a, b, c]) for (let n = 0; n < 3; n++) out[corner + n] += m[n];
  }
  for (let v = 0; v < out.length; v += 3) {
    const length = Math.hypot(out[v], out[v + 1], out[v + 2]) || 1;
    for (let n = 0; n < 3; n++) out[v + n] /= length;
  }
  return out;
}
