// Many copies of one shape in one call. Each vertex looks up its copy's numbers in a texture.
//
// Not instancing: software rendering pays for each instance about what it pays for a hundred vertices, and 2,000
// agents with marks and bars would take most of a tenth of a second.

import { BufferAttribute, BufferGeometry, DataTexture, FloatType, Mesh, NearestFilter } from "three";

const ROW = 256; // copies per row of the texture

/** Numbers of copies: `width` times four floats for each, in a texture that shaders read. */
export class Table {
  constructor(width) {
    this.width = width;
    this.uniform = { value: null };
    this.capacity = 0;
    this.grow(ROW);
  }

  /** Makes room for a number of copies; what was written stays. */
  grow(needed) {
    if (needed <= this.capacity) return;
    const old = this.array;
    this.capacity = Math.max(ROW, 2 ** Math.ceil(Math.log2(needed)));
    this.array = new Float32Array(this.capacity * this.width * 4);
    if (old) this.array.set(old);
    this.uniform.value?.dispose();
    const texture = new DataTexture(this.array, ROW * this.width, this.capacity / ROW);
    texture.type = FloatType;
    texture.minFilter = texture.magFilter = NearestFilter;
    this.uniform.value = texture;
    this.touch();
  }

  /** Says that numbers were written. */
  touch() {
    this.uniform.value.needsUpdate = true;
  }

  /** GLSL that reads: `name(copy, k)` is the k-th of a copy's groups of four floats. */
  glsl(name) {
    return /* glsl */ `
      uniform highp sampler2D ${name}Table;
      vec4 ${name}(int copy, int k) {
        return texelFetch(${name}Table, ivec2((copy % ${ROW}) * ${this.width} + k, copy / ${ROW}), 0);
      }
    `;
  }
}

/** GLSL: which copy a vertex belongs to. */
export function copyOf(shape) {
  return /* glsl */ `int copy = gl_VertexID / ${shape.attributes.position.count};`;
}

/** A mesh of as many copies of an indexed shape as its table has room for. */
export class Batch {
  constructor(scene, shape, material, table, order) {
    Object.assign(this, { shape, table });
    this.mesh = new Mesh(new BufferGeometry(), material);
    this.mesh.frustumCulled = false;
    this.mesh.renderOrder = order;
    this.capacity = 0;
    scene.add(this.mesh);
    this.draw(0);
  }

  /** Draws the first copies. */
  draw(count) {
    if (this.capacity !== this.table.capacity) this.build();
    this.mesh.visible = count > 0;
    this.mesh.geometry.setDrawRange(0, count * this.shape.index.count);
  }

  build() {
    this.capacity = this.table.capacity;
    const { index, attributes } = this.shape;
    const corners = attributes.position.count;
    this.mesh.geometry.dispose();
    const geometry = new BufferGeometry();
    for (const name of ["position", "normal"]) {
      const array = new Float32Array(this.capacity * corners * 3);
      for (let k = 0; k < this.capacity; k++) array.set(attributes[name].array, k * corners * 3);
      geometry.setAttribute(name, new BufferAttribute(array, 3));
    }
    const indices = new Uint32Array(this.capacity * index.count);
    for (let k = 0, at = 0; k < this.capacity; k++) {
      for (let i = 0; i < index.count; i++) indices[at++] = index.getX(i) + k * corners;
    }
    geometry.setIndex(new BufferAttribute(indices, 1));
    this.mesh.geometry = geometry;
  }
}
