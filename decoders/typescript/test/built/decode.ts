/**
 * Decode what a file lists with a package, for other programs to compare:
 *
 *     node build/test/built/decode.js swipe PACKAGE VARIANT INPUT OUTPUT    # INPUT: JSON lines with points
 *     node build/test/built/decode.js speech PACKAGE VARIANT INPUT OUTPUT   # INPUT: JSON, `paths` of float32 samples
 *                                                                           # the `steering` of the search,
 *                                                                           # and the path of an `arpa` file
 *
 * OUTPUT becomes JSON: for each swipe the n-best and the milliseconds, for each recording the text and words.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { SpeechDecoder, SwipeDecoder, type Point, type Steering } from "../../src/index.js";
import { filesIn } from "../../src/node.js";
import { RUNTIMES } from "./runtimes.js";

const [task, folder, variant, input, output] = process.argv.slice(2) as [string, string, string, string, string];
const runtime = await RUNTIMES[0]!.open();
const content = readFileSync(input);
const text = (input.endsWith(".gz") ? gunzipSync(content) : content).toString();
const found: unknown[] = [];
if (task === "swipe") {
  const decoder = await SwipeDecoder.open(filesIn(folder), runtime, { variant });
  for (const line of text.split("\n").filter(Boolean)) {
    found.push(await decoder.decode((JSON.parse(line) as { points: Point[] }).points));
  }
} else {
  const decoder = await SpeechDecoder.open(filesIn(folder), runtime, { variant });
  const { paths, arpa, ...rest } = JSON.parse(text) as { paths: string[]; arpa?: string; steering: Steering };
  const steering = arpa ? { ...rest.steering, languageModel: decoder.languageModel(readFileSync(arpa, "utf-8")) } : rest.steering;
  for (const path of paths) {
    found.push(await decoder.transcribe(new Float32Array(new Uint8Array(readFileSync(path)).buffer), steering));
  }
}
writeFileSync(output, JSON.stringify(found));
