/** The child process of a measurement: `node child.ts KIND JOB`, the job as JSON; prints its result as JSON. */

const measurements = {
  small: async (job) => (await import("./small.ts")).measureSmall(job),
  bulk: async (job) => (await import("./bulk.ts")).measureBulk(job),
  kms: async (job) => (await import("./kms.ts")).measureKms(job),
  memory: async (job) => (await import("./memory.ts")).measureMemory(job),
  many: async (job) => (await import("./many.ts")).measureMany(job),
} satisfies Record<string, (job: never) => Promise<unknown>>;

const [kind, job] = process.argv.slice(2);
if (kind === undefined || job === undefined || !(kind in measurements)) {
  throw new Error(`There is no measurement "${kind}".`);
}
const found = await measurements[kind as keyof typeof measurements](JSON.parse(job) as never);
process.stdout.write(JSON.stringify(found));
