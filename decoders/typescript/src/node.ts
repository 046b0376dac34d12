/** What only Node can do. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { TransducerError } from "./errors.js";
import type { Files } from "./files.js";

/** Files of a package's folder. */
export function filesIn(folder: string): Files {
  return {
    name: folder,
    async read(path) {
      const place = join(folder, path);
      try {
        return new Uint8Array(await readFile(place));
      } catch (error) {
        throw new TransducerError("missing-file", `${place} cannot be read (${(error as NodeJS.ErrnoException).code ?? error}); copy the whole package.`);
      }
    },
  };
}
