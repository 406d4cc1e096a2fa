export type { FakeRequest, Fault, InjectOptions } from "./faults.ts";
