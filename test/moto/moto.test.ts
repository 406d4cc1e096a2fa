/** AWS end to end: processes that know a key by a URI in their environment, against moto. */

import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import {
  CreateAliasCommand,
  CreateKeyCommand,
  RotateKeyOnDemandCommand,
  UpdateAliasCommand,
} from "@aws-sdk/client-kms";
import { createKeyfold } from "@keyfold/core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { absenceOfMoto, type Moto, startMoto } from "./moto.ts";

const absent = absenceOfMoto();
const required = process.env["KEYFOLD_REQUIRE"] === "1";

if (absent !== undefined) {
  test.skipIf(!required)(`AWS end to end against moto: ${absent}`, () => {
    throw new Error(absent);
  });
} else {
  describe("AWS end to end against moto", () => {
    const byAlias = "aws-kms://alias/shop?region=eu-central-1";
    let moto: Moto;
    let keyArn: string;
    let otherArn: string;
    let sealed: string;

    beforeAll(async () => {
      moto = await startMoto();
      keyArn = await createKey();
      otherArn = await createKey();
      await moto.client.send(new CreateAliasCommand({ AliasName: "alias/shop", TargetKeyId: keyArn }));
      sealed = String(run(byAlias, "seal", "a secret").result);
    });

    afterAll(() => moto?.stop());

    test("one process seals by alias with one call, and the envelope names the key's ARN", async () => {
      const second = run(byAlias, "seal", "another secret");
      expect(second).toEqual({ result: expect.stringMatching(/^kf1\./), calls: [1, 0] });
      expect(inspected(sealed)).toEqual([`aws-kms://${keyArn}`]);
    });

    test("another process opens by alias with one call", () => {
      expect(run(byAlias, "open", sealed)).toEqual({ result: "a secret", calls: [0, 1] });
    });

    test("another opens by the key's ARN", () => {
      expect(run(`aws-kms://${keyArn}`, "open", sealed)).toEqual({ result: "a secret", calls: [0, 1] });
    });

    test("another encryption context is refused", () => {
      expect(run(byAlias, "open", sealed, "another")).toMatchObject({ code: "ERR_CONTEXT_MISMATCH" });
    });

    test("another project is refused by the service itself, since its KMS context differs", () => {
      expect(run(byAlias, "open", sealed, "token", "warehouse")).toMatchObject({
        code: "ERR_MASTER_KEY_REJECTED",
        calls: [0, 1],
      });
    });

    test("a process with another key is refused, and makes no call", () => {
      expect(run(`aws-kms://${otherArn}`, "open", sealed)).toMatchObject({
        code: "ERR_NO_USABLE_WRAP",
        calls: [0, 0],
      });
    });

    test("a process with the alias of another key is refused by the service: moto says access denied, AWS incorrect key", async () => {
      await moto.client.send(new CreateAliasCommand({ AliasName: "alias/other", TargetKeyId: otherArn }));
      const { code, calls } = run("aws-kms://alias/other?region=eu-central-1", "open", sealed);
      expect([code, calls]).toEqual(["ERR_MASTER_KEY_DENIED", [0, 1]]);
    });

    test("a key that does not exist is said not to", () => {
      const nobody = keyArn.replace(/[0-9a-f]{12}$/, "0".repeat(12));
      expect(run(`aws-kms://${nobody}`, "seal", "a secret")).toMatchObject({
        code: "ERR_MASTER_KEY_NOT_FOUND",
        calls: [1, 0],
      });
    });

    test("what was sealed before the key was rotated opens after it", async () => {
      await moto.client.send(new RotateKeyOnDemandCommand({ KeyId: keyArn }));
      expect(run(byAlias, "open", sealed)).toEqual({ result: "a secret", calls: [0, 1] });
    });

    test("after the alias moved, the new key seals, and the old one opens what it sealed", async () => {
      await moto.client.send(new CreateAliasCommand({ AliasName: "alias/moving", TargetKeyId: keyArn }));
      const byMoving = "aws-kms://alias/moving?region=eu-central-1";
      const before = String(run(byMoving, "seal", "before").result);
      await moto.client.send(new UpdateAliasCommand({ AliasName: "alias/moving", TargetKeyId: otherArn }));
      const after = String(run(byMoving, "seal", "after").result);
      expect([inspected(before), inspected(after)]).toEqual([
        [`aws-kms://${keyArn}`],
        [`aws-kms://${otherArn}`],
      ]);
      expect(run(byMoving, "open", after)).toMatchObject({ result: "after" });
      expect(run(`aws-kms://${keyArn}`, "open", before)).toMatchObject({ result: "before" });
      expect(run(byMoving, "open", before)).toMatchObject({ code: "ERR_MASTER_KEY_DENIED" });
    });

    async function createKey(): Promise<string> {
      const { KeyMetadata } = await moto.client.send(new CreateKeyCommand({}));
      return KeyMetadata?.Arn ?? expect.fail("moto made no key");
    }

    function run(masterKey: string, ...args: string[]): Record<string, unknown> {
      const child = fileURLToPath(new URL("child.ts", import.meta.url));
      const { stdout, stderr } = spawnSync(process.execPath, [child, ...args], {
        env: { ...process.env, ...moto.environment, KEYFOLD_MASTER_KEY: masterKey },
        encoding: "utf8",
        timeout: 30_000,
      });
      if (stdout === "") throw new Error(stderr);
      return JSON.parse(stdout);
    }

    function inspected(envelope: string): readonly string[] {
      const anybody = createKeyfold({ project: "shop", openWith: nobodysKey });
      return anybody.inspect(envelope).masterKeys;
    }
  });
}

/** `inspect` asks no key, and a keyfold needs one. */
const nobodysKey = {
  name: "nobody's",
  authenticatesWraps: true,
  recognizes: () => false,
  wrapKey: () => Promise.reject(new Error("never")),
  unwrapKey: () => Promise.reject(new Error("never")),
};
