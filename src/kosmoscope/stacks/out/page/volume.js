// The voxels: two mosaics of slices, grey values and labels, unpacked into arrays.
// Indices are x, y, z of the grid that is shown, in which x counts fastest.

const META = JSON.parse(document.getElementById("meta").textContent);
const SIZE = META.size;
const STEP = META.step; // mm between voxels along x, y, z

const at = (x, y, z) => (z * SIZE[1] + y) * SIZE[0] + x;

async function unpack(address) {
  const image = new Image();
  image.src = address;
  await image.decode();
  const canvas = document.createElement("canvas");
  canvas.width = image.width;
  canvas.height = image.height;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0);
  const [nx, ny, nz] = SIZE;
  const out = new Uint8Array(nx * ny * nz);
  const pixels = context.getImageData(0, 0, image.width, image.height).data;
  for (let z = 0; z < nz; z++) {
    const left = (z % META.columns) * nx;
    const top = Math.floor(z / META.columns) * ny;
    for (let y = 0; y < ny; y++) {
      const row = ((top + y) * image.width + left) * 4;
      for (let x = 0; x < nx; x++) out[at(x, y, z)] = pixels[row + 4 * x];
    }
  }
  return out;
}

function bytes(text) {
  return Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer;
}

// Vertices are written as parts of the box that they lie in, 0 to 65535.
function readSolid({ label, low, high, vertices, faces }) {
  const packed = new Uint16Array(bytes(vertices));
  const points = new Float32Array(packed.length);
  for (let n = 0; n < packed.length; n++) {
    points[n] = low[n % 3] + ((high[n % 3] - low[n % 3]) * packed[n]) / 65535;
  }
  return { label, points, faces: new Uint32Array(bytes(faces)) };
}
