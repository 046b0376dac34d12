import { TransducerError } from "./errors.js";

/** Where a package's files come from: a web server, a folder, an app's resources. */
export interface Files {
  /** For messages. */
  readonly name: string;
  /** Return a file's bytes by its path in the package. Throws missing-file. */
  read(path: string): Promise<Uint8Array<ArrayBuffer>>;
}

/** Files below a URL. */
export function filesAt(url: string | URL, fetcher: typeof fetch = fetch): Files {
  const base = String(url).replace(/\/*$/, "/");
  return {
    name: base,
    async read(path) {
      let response: Response;
      try {
        response = await fetcher(base + path);
      } catch (error) {
        throw new TransducerError("missing-file", `${base}${path} cannot be fetched (${error instanceof Error ? error.message : error}); check the address and the network.`);
      }
      if (!response.ok) throw new TransducerError("missing-file", `${base}${path} is not there (HTTP status ${response.status}); serve the whole package.`);
      return new Uint8Array(await response.arrayBuffer());
    },
  };
}
