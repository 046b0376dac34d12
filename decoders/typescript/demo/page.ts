/** Small helpers of the page. */
import type { Device } from "./engine.js";

/** An entry of packages.json: a package that the server has. */
export interface PackageEntry {
  readonly model: string;
  readonly kind: string;
  readonly target: string;
  readonly task: "swipe" | "speech";
  readonly variants: readonly string[];
  readonly url: string;
}

export interface Catalogue {
  readonly packages: readonly PackageEntry[];
  readonly examples: readonly { readonly url: string; readonly text: string }[];
}

export function element<T extends HTMLElement>(id: string): T {
  return document.getElementById(id) as T;
}

export function make<K extends keyof HTMLElementTagNameMap>(tag: K, properties: Partial<HTMLElementTagNameMap[K]> = {}): HTMLElementTagNameMap[K] {
  return Object.assign(document.createElement(tag), properties);
}

/** Offer options to choose one of; return what is chosen at present. */
export function choice(id: string, options: readonly { value: string; label: string; disabled?: boolean }[], changed: () => void): () => string {
  const inputs = options.map(({ value, label, disabled = false }, index) => {
    const input = make("input", { type: "radio", name: id, value, disabled, checked: index === 0 });
    input.addEventListener("change", changed);
    const wrapper = make("label");
    wrapper.append(input, label);
    element(id).append(wrapper);
    return input;
  });
  return () => inputs.find((input) => input.checked)?.value ?? "";
}

/** Offer the devices that encoders can run on. */
export async function deviceChoice(id: string, changed: () => void): Promise<() => Device> {
  const gpu = (navigator as { gpu?: { requestAdapter(): Promise<unknown> } }).gpu;
  const adapter = await gpu?.requestAdapter().catch(() => null);
  const options = [{ value: "wasm", label: "CPU" }, { value: "webgpu", label: adapter ? "GPU" : "No GPU", disabled: !adapter }];
  return choice(id, options, changed) as () => Device;
}

/** Show a status line; errors stand out. */
export function say(id: string, text: string, error = false): void {
  const line = element(id);
  line.textContent = text;
  line.classList.toggle("error", error);
}

export function showTiming(id: string, entries: Record<string, string>): void {
  const list = element(id);
  list.replaceChildren(
    ...Object.entries(entries).map(([term, value]) => {
      const pair = make("div");
      pair.append(make("dt", { textContent: term }), make("dd", { textContent: value }));
      return pair;
    }),
  );
  list.hidden = false;
}

export function milliseconds(value: number): string {
  return value < 9.95 ? `${value.toFixed(1)} ms` : `${value.toFixed(0)} ms`;
}

export function duration(value: number): string {
  return value < 1000 ? milliseconds(value) : `${(value / 1000).toFixed(1)} s`;
}

export function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}

export function reason(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** A canvas of as many pixels as the screen has, and its context in CSS pixels. */
export function drawing(canvas: HTMLCanvasElement): { context: CanvasRenderingContext2D; width: number; height: number } {
  const { width, height } = canvas.getBoundingClientRect();
  const ratio = devicePixelRatio || 1;
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  const context = canvas.getContext("2d")!;
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  return { context, width, height };
}

export function colour(name: string): string {
  // Computed on an element, because light-dark() is not resolved in a variable.
  const probe = make("span");
  probe.style.color = `var(${name})`;
  document.body.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}
