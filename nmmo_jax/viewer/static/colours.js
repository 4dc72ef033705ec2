// Colours and numbers: the scales of overlays, which the colour-blind can read; those of the game come with the hello.

/** "#rrggbb" as [red, green, blue], each 0 to 255; grey where it is none. */
export function rgb(hex) {
  const number = /^#[0-9a-f]{6}$/i.test(hex ?? "") ? parseInt(hex.slice(1), 16) : 0x888888;
  return [number >> 16, (number >> 8) & 255, number & 255];
}

/** "#rrggbb" as a vector of a shader, each 0 to 1 times a factor. */
export function ink(hex, factor = 1) {
  const [x, y, z] = rgb(hex).map((byte) => (byte * factor) / 255);
  return { x, y, z };
}

// Lightness rises steadily from one end to the other, so the order is seen without hue as well.
const SEQUENTIAL = ["#2b1f4d", "#3b4389", "#2f6c8e", "#21908c", "#35b779", "#9fd93a", "#fde725"];
// Two hues that no colour-blindness confuses, darkest at zero: what differs from zero glows.
const DIVERGING = ["#bfe3ff", "#5fb2f5", "#2a6fb0", "#1b2430", "#b0562a", "#f5955f", "#ffdcbf"];

/** A scale of 256 colours through the anchors: bytes [256 * 3]. */
function scale(anchors) {
  const stops = anchors.map(rgb);
  const out = new Uint8Array(256 * 3);
  for (let i = 0; i < 256; i++) {
    const at = (i / 255) * (stops.length - 1);
    const k = Math.min(stops.length - 2, Math.floor(at));
    for (let c = 0; c < 3; c++) out[i * 3 + c] = stops[k][c] + (stops[k + 1][c] - stops[k][c]) * (at - k);
  }
  return out;
}

export const SCALES = { sequential: scale(SEQUENTIAL), diverging: scale(DIVERGING) };

/** The scale as a CSS gradient from left to right. */
export function gradient(diverging) {
  return `linear-gradient(to right, ${(diverging ? DIVERGING : SEQUENTIAL).join(", ")})`;
}

/** A number as people read it: thousands apart, few digits. */
export function number(value, digits = 1) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
  if (Number.isInteger(value)) return value.toLocaleString("en-US");
  if (value !== 0 && Math.abs(value) < 0.01) return value.toExponential(1);
  return value.toLocaleString("en-US", { maximumFractionDigits: Math.abs(value) < 1 ? digits + 1 : digits });
}
