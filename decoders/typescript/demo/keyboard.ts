/** A keyboard of any layout: keys to look at, a trace that fades, and points as the decoder takes them. */
import { placeKeys, type Layout, type LayoutMeta, type Point } from "../src/index.js";
import { colour, drawing, make } from "./page.js";

const SVG = "http://www.w3.org/2000/svg";
const GAP = 0.05;
// A trace fades to this within that time, and stays until the next.
const FAINT = 0.3;
const FADE_MS = 350;

export interface KeyboardEvents {
  /** The finger moves; all points so far. */
  moved(points: readonly Point[]): void;
  /** The finger has left the keyboard. */
  swiped(points: readonly Point[]): void;
  /** It came down and left on one key. */
  tapped(key: string): void;
}

export class Keyboard {
  private layout: Layout | undefined;
  private readonly canvas = make("canvas");
  private keys: SVGElement[] = [];
  private points: Point[] = [];
  private pointer: number | undefined;
  private ended = 0;
  enabled = false;

  constructor(
    private readonly host: HTMLElement,
    private readonly events: KeyboardEvents,
  ) {
    host.addEventListener("pointerdown", (event) => this.down(event));
    host.addEventListener("pointermove", (event) => this.move(event));
    for (const name of ["pointerup", "pointercancel"] as const) host.addEventListener(name, (event) => this.up(event));
    addEventListener("resize", () => this.draw());
  }

  show(meta: LayoutMeta): void {
    const layout = (this.layout = placeKeys(meta));
    const svg = document.createElementNS(SVG, "svg");
    svg.setAttribute("viewBox", `0 0 ${layout.width} ${layout.height}`);
    this.keys = layout.keys.map((key, at) => {
      const [x, y] = [layout.centres[2 * at]!, layout.centres[2 * at + 1]!];
      const group = document.createElementNS(SVG, "g");
      const rect = document.createElementNS(SVG, "rect");
      const box = { x: x - 0.5 + GAP, y: y - layout.rowHeight / 2 + GAP, width: 1 - 2 * GAP, height: layout.rowHeight - 2 * GAP, rx: 0.14 };
      for (const [name, value] of Object.entries(box)) rect.setAttribute(name, String(value));
      const text = document.createElementNS(SVG, "text");
      text.setAttribute("x", String(x));
      text.setAttribute("y", String(y));
      text.textContent = key;
      group.append(rect, text);
      svg.append(group);
      return group;
    });
    this.host.style.aspectRatio = `${layout.width} / ${layout.height}`;
    this.host.replaceChildren(svg, this.canvas);
    this.draw();
  }

  /** Move a finger along points as a user would, in their time, and return them with the present time. */
  async play(points: readonly Point[]): Promise<Point[]> {
    const begin = performance.now();
    this.points = [];
    this.pointer = -1;
    for (let next = 0; next < points.length; ) {
      const elapsed = performance.now() - begin;
      while (next < points.length && points[next]!.t <= elapsed) this.points.push(points[next++]!);
      this.draw();
      await new Promise(requestAnimationFrame);
    }
    this.release();
    return [...points];
  }

  private down(event: PointerEvent): void {
    if (!this.enabled || this.pointer !== undefined || event.button > 0) return;
    event.preventDefault();
    this.pointer = event.pointerId;
    this.host.setPointerCapture(event.pointerId);
    this.points = [this.point(event)];
    this.draw();
  }

  private move(event: PointerEvent): void {
    if (event.pointerId !== this.pointer) return;
    // Screens report more often than pages get events.
    const events = event.getCoalescedEvents?.() ?? [];
    for (const each of events.length ? events : [event]) this.push(this.point(each));
    this.draw();
    this.events.moved(this.points);
  }

  private up(event: PointerEvent): void {
    if (event.pointerId !== this.pointer) return;
    const { points } = this;
    if (event.type === "pointerup") this.push(this.point(event));
    this.release();
    const [first] = points;
    const { width, height } = this.layout!;
    const reach = Math.max(...points.map(({ x, y }) => Math.hypot((x - first!.x) * width, (y - first!.y) * height)));
    if (event.type === "pointercancel") return;
    if (reach < 0.4) this.events.tapped(this.keyAt(first!));
    else this.events.swiped(points);
  }

  private push(point: Point): void {
    const last = this.points[this.points.length - 1];
    if (!last || point.t >= last.t) this.points.push(point);
  }

  private release(): void {
    this.pointer = undefined;
    this.ended = performance.now();
    this.draw();
  }

  /** A point held to the letter area. */
  private point(event: PointerEvent): Point {
    const box = this.host.getBoundingClientRect();
    const within = (value: number) => Math.min(Math.max(value, 0), 1);
    return { x: within((event.clientX - box.left) / box.width), y: within((event.clientY - box.top) / box.height), t: event.timeStamp };
  }

  private keyAt({ x, y }: Point): string {
    const { centres, keys, width, height, rowHeight } = this.layout!;
    let best = 0;
    let least = Infinity;
    keys.forEach((_, at) => {
      const distance = Math.hypot(x * width - centres[2 * at]!, (y * height - centres[2 * at + 1]!) / rowHeight);
      if (distance < least) [best, least] = [at, distance];
    });
    return keys[best]!;
  }

  private draw(): void {
    if (!this.layout) return;
    const { context, width, height } = drawing(this.canvas);
    const swiping = this.pointer !== undefined;
    const strength = swiping ? 1 : Math.max(FAINT, 1 - (performance.now() - this.ended) / FADE_MS);
    const last = this.points[this.points.length - 1];
    const under = swiping && last ? this.layout.keys.indexOf(this.keyAt(last)) : -1;
    this.keys.forEach((key, at) => key.classList.toggle("under", at === under));
    this.canvas.style.opacity = String(0.85 * strength);
    if (!last) return;
    const place = ({ x, y }: Point): [number, number] => [x * width, y * height];
    context.lineCap = context.lineJoin = "round";
    context.strokeStyle = colour("--trace");
    const full = Math.max(5, width / 90);
    for (let at = 1; at < this.points.length; at++) {
      // Older parts are thinner.
      const fresh = Math.max(0.2, 1 - (last.t - this.points[at]!.t) / 900);
      context.lineWidth = full * (0.4 + 0.6 * fresh);
      context.beginPath();
      context.moveTo(...place(this.points[at - 1]!));
      context.lineTo(...place(this.points[at]!));
      context.stroke();
    }
    if (!swiping && strength > FAINT) requestAnimationFrame(() => this.draw());
  }
}
