// The viewer's protocol, version 1: messages of typed arrays, and a connection that comes back by itself.

export const VERSION = 1;

const TYPES = {
  u1: Uint8Array, i1: Int8Array, u2: Uint16Array, i2: Int16Array, u4: Uint32Array, i4: Int32Array, f4: Float32Array,
};
const LONGEST_WAIT = 8; // seconds between two attempts to connect

/**
 * Reads one binary message.
 *
 * @param {ArrayBuffer} buffer the message as received; the arrays are views of it, nothing is copied
 * @returns {object} the header's fields, with `data` (name -> typed array) and `shape` (name -> lengths)
 * @throws {Error} where the message is of another version, damaged or cut
 */
export function decode(buffer) {
  if (buffer.byteLength < 12) throw new Error(`a message of ${buffer.byteLength} bytes is too short`);
  const view = new DataView(buffer);
  if (view.getUint32(0, false) !== 0x4e4d4d4f) throw new Error("this is not a message of the viewer's protocol");
  const version = view.getUint16(4, true);
  if (version !== VERSION) {
    throw new VersionError(`the server speaks version ${version} and this page version ${VERSION}: reload the page`);
  }
  const length = view.getUint32(8, true);
  if (12 + length > buffer.byteLength) throw new Error("a message was cut within its header");
  const message = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 12, length)));
  message.data = {};
  message.shape = {};
  let at = 12 + length;
  for (const [name, type, shape] of message.arrays ?? []) {
    const count = shape.reduce((product, side) => product * side, 1);
    at = Math.ceil(at / 8) * 8;
    if (!(type in TYPES)) throw new Error(`array ${name} has the unknown type ${type}`);
    if (at + count * TYPES[type].BYTES_PER_ELEMENT > buffer.byteLength) throw new Error(`array ${name} was cut`);
    message.data[name] = new TYPES[type](buffer, at, count);
    message.shape[name] = shape;
    at += message.data[name].byteLength;
  }
  return message;
}

export class VersionError extends Error {}

/** A WebSocket that decodes what comes, says how it stands, and connects again after it was lost. */
export class Connection {
  /**
   * @param {string} address of the WebSocket
   * @param {(message: object) => void} onMessage called with each decoded message
   * @param {(state: {name: string, text: string}) => void} onState names: connecting, open, lost, refused
   * @param {(error: Error) => void} onError called where a message cannot be read
   */
  constructor(address, onMessage, onState, onError) {
    this.address = address;
    this.onMessage = onMessage;
    this.onState = onState;
    this.onError = onError;
    this.wait = 0.5;
    this.timer = 0;
    this.socket = null;
    this.refused = false;
    addEventListener("online", () => this.retry());
    document.addEventListener("visibilitychange", () => document.hidden || this.retry());
    this.open();
  }

  get connected() {
    return this.socket?.readyState === WebSocket.OPEN;
  }

  open() {
    clearTimeout(this.timer);
    this.timer = 0;
    this.onState({ name: "connecting", text: "connecting" });
    const socket = new WebSocket(this.address);
    socket.binaryType = "arraybuffer";
    socket.onopen = () => {
      this.wait = 0.5;
      this.onState({ name: "open", text: "connected" });
    };
    socket.onmessage = (event) => this.receive(event.data);
    socket.onclose = () => this.closed();
    this.socket = socket;
  }

  receive(data) {
    if (typeof data === "string") return; // the server speaks in binary messages only
    let message;
    try {
      message = decode(data);
    } catch (error) {
      if (error instanceof VersionError) {
        this.refused = true;
        this.socket.close();
        this.onState({ name: "refused", text: error.message });
      }
      this.onError(error);
      return;
    }
    this.onMessage(message);
  }

  closed() {
    if (this.refused) return;
    this.onState({ name: "lost", text: `no connection; next attempt in ${Math.ceil(this.wait)} s` });
    this.timer = setTimeout(() => this.open(), this.wait * 1000);
    this.wait = Math.min(LONGEST_WAIT, this.wait * 2);
  }

  /** Connects at once if it is only waiting to. */
  retry() {
    if (this.timer && !this.refused) this.open();
  }

  /** Sends a request, {"do": ...}; without a connection it is forgotten, since its world may be gone. */
  send(request) {
    if (this.connected) this.socket.send(JSON.stringify(request));
    return this.connected;
  }
}
