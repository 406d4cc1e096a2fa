/** The Amazon Resource Names of AWS KMS: of keys and of aliases. AWS KMS Developer Guide, "Key identifiers". */

/** An ARN in its parts: `arn:partition:kms:region:account:kind/name`. */
export interface KmsArn {
  /** "aws", "aws-cn", "aws-us-gov" and their like. */
  readonly partition: string;
  readonly region: string;
  /** 12 digits. */
  readonly account: string;
  readonly kind: "key" | "alias";
  /** The key's id, or the alias's name, without the kind. */
  readonly name: string;
}

const ARN = /^arn:([a-z-]+):kms:([a-z0-9-]+):(\d{12}):(key|alias)\/([A-Za-z0-9/_-]+)$/;

/** @returns undefined for what is no ARN of a key or an alias of AWS KMS */
export function parseArn(text: string): KmsArn | undefined {
  const [, partition, region, account, kind, name] = ARN.exec(text) ?? [];
  if (partition === undefined || region === undefined || account === undefined || name === undefined) {
    return undefined;
  }
  return { partition, region, account, kind: kind === "key" ? "key" : "alias", name };
}

/** The inverse of {@link parseArn}. */
export function formatArn({ partition, region, account, kind, name }: KmsArn): string {
  return `arn:${partition}:kms:${region}:${account}:${kind}/${name}`;
}

/** Whether a key of that id may have replicas in other regions: same id, same material, another region in the ARN. */
export function isMultiRegion(keyId: string): boolean {
  return keyId.startsWith("mrk-");
}

/** Whether both are one key. The replicas of a multi-Region key are, in whatever regions of the partition they lie. */
export function sameKey(a: KmsArn, b: KmsArn): boolean {
  return (
    a.kind === "key" &&
    b.kind === "key" &&
    a.partition === b.partition &&
    a.account === b.account &&
    a.name === b.name &&
    (a.region === b.region || isMultiRegion(a.name))
  );
}
