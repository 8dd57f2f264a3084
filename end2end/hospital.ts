// A test's own demo hospital: the release binary, started on a free port with its data in a temporary folder.
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import type { BrowserContext } from "@playwright/test";

export type Role = "viewer" | "operator" | "administrator";

/** The password of a demo's account on a loopback address. */
export function password(role: Role): string {
  return `lantern-goat-${role}`;
}

/** Returns names and values of the cookies that an answer sets. */
function pairs(answer: Response): string[][] {
  return answer.headers.getSetCookie().map((cookie) => cookie.split(";")[0].split("="));
}

/** How long the binary may take to create its databases and answer. */
const START_LIMIT_MS = 20_000;

export class Hospital {
  /** The browsers with pages of this hospital. */
  private readonly visitors = new Set<BrowserContext>();

  private constructor(
    private readonly process: ChildProcess,
    private readonly data: string,
    /** `http://127.0.0.1:<port>`, without a path. */
    readonly origin: string,
    /** The base path: empty, or with a leading and no trailing slash. */
    readonly base: string,
  ) {}

  /** At pace 0 no consumer runs in it: only the test changes something. */
  static async start(base = "/atomfeed-console", pace = 0): Promise<Hospital> {
    const binary = process.env.CONSOLE_BINARY;
    if (!binary) throw new Error("CONSOLE_BINARY does not name the release binary: run scripts/test-browser.");
    const data = mkdtempSync(join(tmpdir(), "atomfeed-console-end2end-"));
    const args = ["demo", "--listen", "127.0.0.1:0", "--base-path", base || "/", "--pace", `${pace}`, "--data", data];
    const child = spawn(binary, args, { stdio: ["ignore", "pipe", "pipe"] });
    let said = "";
    child.stdout.on("data", (text) => (said += text));
    child.stderr.on("data", (text) => (said += text));
    const until = Date.now() + START_LIMIT_MS;
    for (;;) {
      // The binary prints its address, because the system chose the port.
      const origin = /answers at (http:\/\/[^/\s]+)/.exec(said)?.[1];
      if (origin) return new Hospital(child, data, origin, base);
      if (child.exitCode !== null || Date.now() > until) {
        child.kill("SIGKILL");
        rmSync(data, { recursive: true, force: true });
        throw new Error(`The console did not start: ${binary} ${args.join(" ")}\n${said}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  /** Signs the browser in as one of the demo's accounts, without its sign-in page. */
  async signIn(context: BrowserContext, role: Role = "administrator"): Promise<void> {
    const accept = { accept: "text/html" };
    const page = await fetch(this.at("/sign-in"), { headers: accept });
    const token = /name="form_token" value="([0-9a-f]+)"/.exec(await page.text())?.[1] ?? "";
    const answer = await fetch(this.at("/api/sign_in"), {
      method: "POST",
      redirect: "manual",
      headers: { ...accept, cookie: pairs(page).map((pair) => pair.join("=")).join("; ") },
      body: new URLSearchParams({ form_token: token, name: role, password: password(role) }),
    });
    if (answer.status !== 303) throw new Error(`Nobody was signed in: ${answer.status} ${await answer.text()}`);
    const place = { domain: "127.0.0.1", path: this.base || "/", httpOnly: true, sameSite: "Lax" as const };
    this.receives(context);
    await context.addCookies(pairs(answer).map(([name, value]) => ({ name, value, ...place })));
  }

  /** Closes the hospital's pages, then ends it. */
  receives(context: BrowserContext): void {
    this.visitors.add(context);
  }

  async stop(): Promise<void> {
    // A page that is still open would report that its stream of changes is lost.
    const pages = [...this.visitors].flatMap((context) => context.pages());
    await Promise.all(pages.map((page) => page.close()));
    if (this.process.exitCode === null && this.process.signalCode === null) {
      const ended = new Promise((resolve) => this.process.once("exit", resolve));
      this.process.kill("SIGTERM");
      await ended;
    }
    rmSync(this.data, { recursive: true, force: true });
  }

  /** Suspends the process: connections stay open, and nothing is answered. */
  freeze(): void {
    this.process.kill("SIGSTOP");
  }

  thaw(): void {
    this.process.kill("SIGCONT");
  }

  /** Returns the address of a page; `path` begins with a slash, and "" is the overview. */
  at(path: string): string {
    return `${this.origin}${this.base}${path}`;
  }

  /** Runs SQL in an application's database, bypassing the console, and returns the lines that sqlite3 prints. */
  sql(app: string, statement: string): string[] {
    const file = readdirSync(this.data).find((name) => name.toLowerCase().startsWith(app) && name.endsWith(".db"));
    if (!file) throw new Error(`No database of ${app} in ${this.data}: ${readdirSync(this.data).join(", ")}`);
    // Error texts of a whole table are longer than Node's default limit.
    const maxBuffer = 256 * 1024 * 1024;
    const out = execFileSync("sqlite3", ["-cmd", ".timeout 5000", join(this.data, file), statement], { maxBuffer });
    return out.toString().split("\n").filter(Boolean);
  }

  /** Returns a failed event's retries from the database itself; undefined if the row does not exist. */
  retries(app: string, id: string): number | undefined {
    const [line] = this.sql(app, `select retries from failed_events where id = ${BigInt(id)}`);
    return line === undefined ? undefined : Number(line);
  }
}
