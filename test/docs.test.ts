/** What the pages say must stay true: the worked example of the format, the links, the names of errors. */

import { existsSync, globSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { encodeMap, expand, gcm, inHex, lp, workedExample } from "./support/format.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const pages = globSync(["*.md", "docs/**/*.md", "packages/*/README.md", "examples/*/README.md"], {
  cwd: root,
});

function read(page: string): string {
  return readFileSync(join(root, page), "utf8");
}

/**
 * The worked example of docs/spec/envelope-v1.md, computed again from its inputs. Nothing of keyfold is imported: this is
 * also the shortest proof that the page is enough to write a sealer from.
 */
describe("the worked example of the envelope's page", () => {
  const shown = workedExample(read("docs/spec/envelope-v1.md"));

  test("every value on the page follows from its inputs, and no other value is there", () => {
    expect(shown).toEqual(computedExample(shown));
  });

  test("the inputs and the envelope are those of the vector named password", () => {
    const { vectors } = JSON.parse(read("packages/core/test/vectors/envelope-v1.json")) as {
      vectors: Record<string, unknown>[];
    };
    const vector = vectors.find(({ name }) => name === "password") ?? {};
    const asShown = Object.keys(shown).filter((name) => name in vector);
    expect(asShown.length).toBeGreaterThanOrEqual(18);
    for (const name of asShown) {
      const value = isJson(name) ? JSON.parse(shown[name] ?? "") : shown[name];
      expect(value, name).toEqual(vector[name]);
    }
  });

  test("one changed digit on the page is noticed", () => {
    for (const name of ["kdkId", "kek", "sealedDek", "commitment", "envelope"]) {
      const value = shown[name] ?? "";
      const altered = { ...shown, [name]: (value.startsWith("0") ? "1" : "0") + value.slice(1) };
      expect(altered, name).not.toEqual(computedExample(altered));
    }
  });
});

describe("links", () => {
  test.each(pages)("%s leads nowhere that is not there", (page) => {
    expect(links(read(page)).filter((link) => !leadsSomewhere(page, link))).toEqual([]);
  });
});

describe("error codes", () => {
  test.each(pages)("%s names only codes that docs/errors.md explains", (page) => {
    const known = new Set(codes(read("docs/errors.md")));
    expect(codes(read(page)).filter((code) => !known.has(code))).toEqual([]);
  });
});

function isJson(name: string): boolean {
  return ["project", "scope", "context"].includes(name);
}

/** From the inputs among `shown`, all that the page shows. */
function computedExample(shown: Record<string, string>): Record<string, string> {
  const json = (name: string) => JSON.parse(shown[name] ?? "null");
  const hex = (name: string) => Buffer.from(shown[name] ?? "", "hex");
  const project = lp(Buffer.from(json("project")));
  const scope = lp(Buffer.from(json("scope")));
  const [kdk, salt, nonce, dek] = [hex("kdk"), hex("salt"), hex("nonce"), hex("dek")];
  const [messageSalt, plaintext] = [hex("messageSalt"), hex("plaintext")];

  const kdkIdInfo = Buffer.concat([Buffer.from("keyfold/1/kdk-id\0"), project]);
  const kdkId = expand(kdk, kdkIdInfo, 16);
  const kekInfo = Buffer.concat([Buffer.from("keyfold/1/kek\0"), salt, project, scope]);
  const kek = expand(kdk, kekInfo, 32);
  const aad = Buffer.concat([Buffer.from([0x4b, 0x46, 1, 0]), kdkId, salt]);
  const sealedDek = gcm(kek, nonce, dek, aad);
  const encodedContext = encodeMap(json("context"));
  const label = Buffer.from("c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\0");
  const messageInfo = Buffer.concat([label, messageSalt, encodedContext]);
  const keys = expand(dek, messageInfo, 76);
  const payloadKey = keys.subarray(0, 32);
  const baseNonce = keys.subarray(32, 44);
  const commitment = keys.subarray(44);
  const chunk = gcm(payloadKey, baseNonce, plaintext, Buffer.alloc(0));
  const envelope = Buffer.concat([aad, nonce, sealedDek, messageSalt, commitment, chunk]);

  const inputs = { kdk, salt, nonce, dek, messageSalt, plaintext };
  const header = { kdkIdInfo, kdkId, kekInfo, kek, aad, sealedDek };
  const message = { encodedContext, messageInfo, payloadKey, baseNonce, commitment, chunk };
  return {
    project: JSON.stringify(json("project")),
    scope: JSON.stringify(json("scope")),
    context: JSON.stringify(json("context")),
    ...inHex({ ...inputs, ...header, ...message, envelope }),
    text: `kf1.${envelope.toString("base64url")}`,
  };
}

/** Targets of Markdown links, those in code left out. */
function links(page: string): string[] {
  const prose = page.replaceAll(/^```.*?^```$/gms, "").replaceAll(/`[^`\n]*`/g, "");
  return [...prose.matchAll(/\]\(([^)\s]+)\)/g)].map(([, target = ""]) => target);
}

/** A link within the repository must lead to a file, and to a heading where it names one. Others are not followed. */
function leadsSomewhere(page: string, link: string): boolean {
  if (/^[a-z]+:/.test(link)) return link.startsWith("https://");
  const [file = "", heading] = link.split("#");
  const target = file === "" ? page : join(dirname(page), file);
  if (!existsSync(join(root, target))) return false;
  return heading === undefined || headings(read(target)).includes(heading);
}

/** The ids that a page's headings have when it is rendered. */
function headings(page: string): string[] {
  const prose = page.replaceAll(/^```.*?^```$/gms, "");
  return [...prose.matchAll(/^#+ (.*)$/gm)].map(([, title = ""]) =>
    title
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}\s_-]/gu, "")
      .replaceAll(" ", "-"),
  );
}

function codes(page: string): string[] {
  return page.match(/\bERR_[A-Z_]+/g) ?? [];
}
