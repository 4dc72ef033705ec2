// Shapes joined into one indexed geometry, so that an agent is drawn by one call and few vertices.

import { BufferAttribute, BufferGeometry } from "three";

/** Joins geometries (position and normal); vertices at the same place become one, with their mean normal. */
export function mergeVertices(shapes) {
  const positions = [];
  const normals = [];
  const indices = [];
  for (const shape of shapes) {
    const known = new Map();
    const { position, normal } = shape.attributes;
    const count = shape.index ? shape.index.count : position.count;
    for (let k = 0; k < count; k++) {
      const v = shape.index ? shape.index.getX(k) : k;
      const at = [position.getX(v), position.getY(v), position.getZ(v)];
      const key = at.map((x) => x.toFixed(4)).join();
      if (!known.has(key)) {
        known.set(key, positions.length / 3);
        positions.push(...at);
        normals.push(0, 0, 0);
      }
      const i = known.get(key);
      indices.push(i);
      normals[i * 3] += normal.getX(v);
      normals[i * 3 + 1] += normal.getY(v);
      normals[i * 3 + 2] += normal.getZ(v);
    }
  }
  const geometry = new BufferGeometry();
  geometry.setAttribute("position", new BufferAttribute(new Float32Array(positions), 3));
  geometry.setAttribute("normal", new BufferAttribute(new Float32Array(normals), 3));
  geometry.setIndex(indices);
  geometry.normalizeNormals();
  return geometry;
}
