/**
 * Shared objects of a natscast node, for browsers. No build step: import it as a module.
 *
 *   import { SharedObject } from "/examples/natscast-objects.js";
 *   const ball = new SharedObject("live/ball");            // of the node that the page comes from
 *   ball.on("change", ({ set, removed }) => draw(ball.get("x"), ball.get("y")));
 *   await ball.set({ x: 1, y: 2 });                        // one change for all, who see it in the same order
 *   ball.on("send", (method, ...args) => ...);
 *   await ball.send("msg", "hi");                          // calls a method at all, this page too
 *
 * Events: change ({set, removed, revision}, also for what was there before), send (method, ...args), status
 * ("open" or "closed"), error (an Error with a code, where no request fails with it). Requests are made once the
 * connection is there; one that is cut off fails, and may have been done.
 */
export class SharedObject {
  attributes = new Map();
  revision = 0;
  #url; #socket; #timer; #opened; #open;
  #handlers = {};
  #requests = new Map();
  #lastID = 0;
  #failures = 0;
  #closed = false;

  /**
   * @param {string} name app/[instance/]name
   * @param {{url?: string, persistent?: boolean}} options url is the node, as http://HOST:PORT; persistent is what a new
   *   object shall be, and a known one must be
   */
  constructor(name, { url = location.origin, persistent } = {}) {
    const path = name.split("/").map(encodeURIComponent).join("/");
    this.#url = new URL("/objects/" + path, url);
    this.#url.protocol = this.#url.protocol === "https:" ? "wss:" : "ws:";
    if (persistent !== undefined) this.#url.searchParams.set("persistent", persistent);
    this.#renew();
    this.#connect();
  }

  get connected() { return this.#socket?.readyState === WebSocket.OPEN; }

  get(key) { return this.attributes.get(key); }

  on(event, handler) {
    (this.#handlers[event] ??= []).push(handler);
    return this;
  }

  /** Sets all of these attributes, and removes others, together. */
  set(attributes, { remove = [] } = {}) { return this.#ask({ type: "change", set: attributes, remove }); }

  remove(...keys) { return this.#ask({ type: "remove", keys }); }

  clear() { return this.#ask({ type: "clear" }); }

  send(method, ...args) { return this.#ask({ type: "send", method, args }); }

  close() {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#socket?.close();
  }

  #emit(event, ...args) { for (const handler of this.#handlers[event] ?? []) handler(...args); }

  #renew() { this.#opened = new Promise((resolve) => { this.#open = resolve; }); }

  /** Makes a request, and waits for its answer: the revision after it. */
  async #ask(request) {
    await this.#opened;
    return new Promise((resolve, reject) => {
      const id = ++this.#lastID;
      this.#requests.set(id, { resolve, reject });
      this.#socket.send(JSON.stringify({ ...request, id }));
    });
  }

  #connect() {
    // What has happened meanwhile is enough, if the node knows it.
    if (this.revision) this.#url.searchParams.set("resume", this.revision);
    const socket = this.#socket = new WebSocket(this.#url);
    socket.onopen = () => {
      this.#open();
      this.#emit("status", "open");
    };
    socket.onmessage = ({ data }) => {
      this.#failures = 0;
      this.#handle(JSON.parse(data));
    };
    socket.onclose = ({ code }) => this.#ended(code);
  }

  #ended(code) {
    for (const { reject } of this.#requests.values()) reject(new Error("the connection was cut off"));
    this.#requests.clear();
    this.#renew();
    this.#emit("status", "closed");
    const refused = 1008; // it would be again
    if (this.#closed || code === refused) return;
    const delay = Math.min(250 * 2 ** this.#failures++, 10_000) * (0.5 + Math.random() / 2);
    this.#timer = setTimeout(() => this.#connect(), delay);
  }

  #handle(m) {
    switch (m.type) {
      case "snapshot": return this.#apply(m.revision, m.attributes, [...this.attributes.keys()].filter((k) => !(k in m.attributes)));
      case "change": return this.#apply(m.revision, m.set ?? {}, m.remove ?? []);
      case "remove": return this.#apply(m.revision, {}, m.keys);
      case "clear": return this.#apply(m.revision, m.set ?? {}, [...this.attributes.keys()].filter((k) => !(k in (m.set ?? {}))));
      case "send": return this.#emit("send", m.method, ...m.args);
      case "ack": return this.#settle(m.id, (request) => request.resolve(m.revision));
      case "error": {
        const error = Object.assign(new Error(m.message), m);
        return this.#settle(m.id, (request) => request.reject(error)) || this.#emit("error", error);
      }
    }
  }

  #apply(revision, set, removed) {
    this.revision = revision;
    for (const key of removed) this.attributes.delete(key);
    for (const [key, value] of Object.entries(set)) this.attributes.set(key, value);
    this.#emit("change", { set, removed, revision });
  }

  #settle(id, answer) {
    const request = this.#requests.get(id);
    if (request) answer(request);
    return this.#requests.delete(id);
  }
}
